# 008_security_options.pl
#	No ride on the server's identity, environment or search_path: a connection is
#	what the options say, whatever they look like and whatever the environment of
#	the postmaster, the local session or the remote's database says.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Security;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_security_pair();
my $me = q(SELECT u FROM pool_query('srv', 'select current_user') AS r(u text));

#
# Environment and options
#
my $settings = sql($local, <<'SQL');
SELECT * FROM pool_query('srv', 'select current_user, current_database(),
	current_setting(''search_path''), current_setting(''client_encoding''),
	current_setting(''work_mem'') <> ''123kB'', current_setting(''TimeZone'') <> ''Asia/Tokyo'',
	current_setting(''DateStyle'') like ''ISO%'', current_setting(''geqo''),
	current_setting(''application_name'') like ''%pool postgres %''')
	AS r(u text, d text, s text, e text, w bool, t bool, ds bool, g text, a bool)
SQL
is($settings, 'app|far|"$user", public|UTF8|t|t|t|on|t',
	'the environment of the postmaster changes no setting of the remote session');
sql($local, <<"SQL");
CREATE SERVER bare FOREIGN DATA WRAPPER pool
	OPTIONS (host '127.0.0.1', port '@{[ $remote->port ]}', retry_attempts '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER bare
	OPTIONS (user 'app', password '$PoolTest::password');
SQL
(my $bare = $me) =~ s/srv/bare/;
my $err = refused($local, 'a server without dbname does not use PGDATABASE', '3D000', $bare);
like($err, qr/database "app" does not exist/, 'a server without dbname uses the name of the user');

# A dbname is a name, whatever it looks like.
foreach my $name ('host=192.0.2.1', 'postgresql://192.0.2.1/x', q(it's "a" \\ name=1),
	"two\nlines")
{
	(my $literal = $name) =~ s/'/''/g;
	(my $identifier = $name) =~ s/"/""/g;
	(my $shown = $name) =~ s/\n/\\n/g;

	sql($local, 'DROP SERVER IF EXISTS odd CASCADE');
	sql($local, "CREATE SERVER odd FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
		. 'port \'' . $remote->port . "', dbname '$literal', retry_attempts '0');"
		. 'CREATE USER MAPPING FOR CURRENT_USER SERVER odd '
		. "OPTIONS (user 'app', password '$PoolTest::password')");
	(my $odd = $me) =~ s/current_user/current_database()/;
	$odd =~ s/srv/odd/;
	$err = refused($local, "dbname $shown is refused if there is no such database", '3D000', $odd);
	sql($remote, "CREATE DATABASE \"$identifier\" OWNER app");
	wait_for_value($local, $odd, $name, "dbname $shown is the database of that name");
}

# So are user and password.
my $user = q(us'er "x" \\ host=192.0.2.1);
my $secret = qq(pass'word \\ "y"\n host=192.0.2.1 $canary);
(my $u = $user) =~ s/"/""/g;
(my $s = $secret) =~ s/'/''/g;
(my $l = $user) =~ s/'/''/g;
sql($remote, qq(CREATE ROLE "$u" LOGIN PASSWORD '$s'));
sql($local, "CREATE SERVER quoted FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', port '"
	. $remote->port . "', dbname 'postgres');"
	. "CREATE USER MAPPING FOR CURRENT_USER SERVER quoted OPTIONS (user '$l', password '$s')");
(my $quoted = $me) =~ s/srv/quoted/;
is(sql($local, $quoted), $user, 'a user and a password that need quoting work');

# A hostile search_path, here and there
sql($local, <<'SQL');
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.trap() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'caught in a trap'; END $$;
CREATE FUNCTION evil.trap(text, text) RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE FUNCTION evil.trap(name, name) RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE FUNCTION evil.trap(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE FUNCTION evil.trap(int, int) RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE OPERATOR evil.= (FUNCTION = evil.trap, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.= (FUNCTION = evil.trap, LEFTARG = name, RIGHTARG = name);
CREATE OPERATOR evil.= (FUNCTION = evil.trap, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR evil.= (FUNCTION = evil.trap, LEFTARG = int, RIGHTARG = int);
CREATE FUNCTION evil.pool_stats() RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE FUNCTION evil.pool_connections() RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE FUNCTION evil.pool_query(text, text) RETURNS bool LANGUAGE sql AS 'SELECT evil.trap()';
CREATE DOMAIN evil.text AS pg_catalog.int4;
CREATE DOMAIN evil.jsonb AS pg_catalog.int4;
CREATE TABLE evil.pg_foreign_server ();
CREATE TABLE evil.pg_user_mapping ();
SQL
my $hostile = 'SET search_path = evil, pg_catalog, public;';
is(sql($local, "$hostile SELECT u FROM public.pool_query('srv', 'select current_user')"
		. ' AS r(u pg_catalog.text)'),
	'app', 'a hostile search_path does not change pool_query()');
is(sql($local, "$hostile SELECT * FROM public.pool_query_json('srv', 'select 1 as x')"),
	'{"x": 1}', 'a hostile search_path does not change pool_query_json()');
is(sql($local, "$hostile SELECT public.pool_exec('srv', 'select 1 as x')"),
	'1', 'a hostile search_path does not change pool_exec()');
like(sql($local, "$hostile SELECT pg_catalog.count(*) FROM public.pool_stats"),
	qr/^[1-9]/, 'a hostile search_path does not change pool_stats');
like(sql($local, "$hostile SELECT pg_catalog.count(*) FROM public.pool_connections"),
	qr/^[1-9]/, 'a hostile search_path does not change pool_connections');
sql($remote, <<'SQL', db => 'far');
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql
	AS $$ SELECT 'evil'::text $$;
CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 0';
ALTER ROLE app IN DATABASE far SET search_path = evil, pg_catalog, public;
SQL
terminate_app_sessions($remote);
my @sessions = map { session($local) } 1, 2;
foreach my $turn (1 .. 6)
{
	is($sessions[ $turn % 2 ]->query($me)->{out}, 'app',
		"turn $turn: a hostile search_path on the remote changes nothing");
}
$_->quit foreach @sessions;

# Variables that would send a connection elsewhere, or ask for encryption
my %harsh = (
	PGHOSTADDR => '192.0.2.1',
	PGSSLMODE => 'verify-full',
	PGREQUIRESSL => '1',
	PGGSSENCMODE => 'require');
foreach my $variable (sort keys %harsh)
{
	$local->stop;
	start_in_hostile_environment($local, $variable => $harsh{$variable});
	my ($state, $err, $out) = sql_state($local, $me);
	is("$err$out", 'app', "$variable of the postmaster changes nothing");
}
$local->restart;

no_password_shown($local, $remote);
no_crash($local, $remote);
done_testing();
