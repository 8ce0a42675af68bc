# 170_connection_strings.pl
#	What a connection string means: who must have a password in it, what it takes
#	from the server's environment and what never, which options a pool refuses, and
#	that a remote's refusal is told at once, and is over when the remote is back.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Tls;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote(log_connections => 'on');
my $home = PostgreSQL::Test::Utils::tempdir;
my $certificates = make_certificates();
my $tls = start_tls_remote($certificates, by_both => 'hostssl scram-sha-256 clientcert=verify-ca');
PoolTest::hba($remote, 'scram-sha-256', 'host all trusted 127.0.0.1/32 trust');
$remote->reload;
sql($remote, q(CREATE ROLE trusted LOGIN PASSWORD 'secret'));

# The environment has what would lead to the remote by itself, and its password and a
# certificate; the user who runs the server has a service.
append_to_file("$home/.pg_service.conf",
	"[far]\nhost=127.0.0.1\nport=${\$remote->port}\ndbname=far\nuser=app\npassword=secret\n");
my $local = PostgreSQL::Test::Cluster->new('local');
$local->init;
$local->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pool'
log_statement = none
CONF
sub start_in_environment
{
	my (%variables) = @_;
	local %ENV = (%ENV, HOME => $home, %variables);

	$local->start;
	return;
}
start_in_environment(
	PGUSER => 'app', PGDATABASE => 'far', PGPASSWORD => 'secret', PGOPTIONS => '-c work_mem=123kB',
	PGCLIENTENCODING => 'LATIN1', PGDATESTYLE => 'German',
	PGSSLCERT => "$certificates/client.crt", PGSSLKEY => "$certificates/client.key");
sql($local, <<'SQL');
CREATE EXTENSION pool_dblink CASCADE;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN SUPERUSER;
SQL
my $port = $remote->port;
my $there = "host=127.0.0.1 port=$port dbname=far user=app";

# ask(session, string, expression): of the remote
sub ask
{
	my ($session, $string, $expression) = @_;

	$string =~ s/'/''/g;
	$expression =~ s/'/''/g;
	return $session->query("SELECT v FROM dblink('$string', 'SELECT $expression') AS t(v text)");
}

# fails(session, string, state, what, pattern...): a test for each pattern, of the error
sub fails
{
	my ($session, $string, $state, $what, @patterns) = @_;
	my $result = ask($session, $string, '1');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($result->{state}, $state, "$what: $state") || diag("$result->{out}$result->{err}");
	like($result->{err}, $_, "$what: the error says $_") foreach @patterns;
	return;
}

my ($alice, $super) = (session($local, user => 'alice'), session($local));

#
# Who must have a password in the string
#
my $who = 'current_user || $$@$$ || current_database()';
my $of_string = qr/DETAIL:  Non-superusers must provide a password in the connection string\./;
my $of_remote = qr/DETAIL:  Non-superuser cannot connect if the server does not request a password\.
HINT:  Target server's authentication method must be changed\./;
my $trusted = "host=127.0.0.1 port=$port dbname=far user=trusted";

is(ask($alice, "$there password=secret", $who)->{out}, 'app@far', 'a role shows its password');
fails($alice, $there, '2F003', 'a role without a password', qr/password is required/, $of_string);
fails($alice, "$there password=''", '2F003', 'a role with an empty one', $of_string);
fails($alice, $trusted, '2F003', 'a role without one, that the remote does not want', $of_string);
fails($alice, "$trusted password=secret", '2F003', 'a password that the remote does not want',
	qr/password is required/, $of_remote);
fails($alice, "$there password=wrong", '08001', 'a wrong password',
	qr/could not establish connection/, qr/DETAIL:  .*password authentication failed/);
is(ask($super, $trusted, $who)->{out}, 'trusted@far', 'a superuser needs no password');
is(ask($super, "$trusted password=secret", $who)->{out}, 'trusted@far', 'and may have one');
is(ask($super, $there, $who)->{out}, 'app@far',
	'a superuser rides on the password in the environment');
fails($super, "$there password=wrong", '08001', 'but not with a wrong one in the string');
fails($super, "$there password=''", '08001', 'nor with an empty one', qr/no password supplied/);

# The names of a session go on with the rights of who connected.
my $bob = session($local, user => 'bob');
$bob->query(q(SET pool_dblink.mode = 'transaction'));
is($bob->query("SELECT dblink_connect('mine', '$trusted')")->{out}, 'OK', 'a superuser connects');
my $by_name = q(SELECT v FROM dblink('mine', 'SELECT current_user') AS t(v text));
is($bob->query($by_name)->{out}, 'trusted', 'and asks by name');
sql($local, 'ALTER ROLE bob NOSUPERUSER');
my $result = $bob->query($by_name);
is($result->{state}, '2F003', 'who is no superuser any more does not go on without a password')
  || diag($result->{out});
like($result->{err}, qr/not a superuser any more/, 'and is told why');
fails($bob, $trusted, '2F003', 'nor connects anew', $of_string);
$bob->quit;

#
# What is taken from the environment
#
my $where = "host=127.0.0.1 port=$port";
is(ask($alice, "$where password=secret", $who)->{out}, 'app@far',
	'user and database are those of the environment if the string has none');
is(ask($alice, "$where password=secret", q(current_setting('work_mem')))->{out}, '123kB',
	'so are options');
is(ask($alice, "$where password=secret options='-c work_mem=124kB'",
		q(current_setting('work_mem')))->{out},
	'124kB', 'what the string says comes first');
is(ask($alice, "$where password=secret options=''", q(current_setting('work_mem')))->{out}, '4MB',
	'so does an empty value');
ask($alice, "$where password=secret $_", 1)
  foreach 'dbname=far', 'application_name=own',
  "application_name='' fallback_application_name=mine", "application_name=''";
foreach my $name ('own', 'mine', 'pool')
{
	like(slurp_file($remote->logfile), qr/application_name=$name$/m,
		"a connection is opened as $name");
}
is(ask($alice, "$where password=secret client_encoding=LATIN1",
		q(current_setting('client_encoding')))->{out},
	'UTF8', 'the encoding is that of the database, whatever anybody says');
is(ask($super, "$where password=secret", q(current_setting('datestyle')))->{out}, 'ISO, MDY',
	'the style of dates is the remote\'s');
is(ask($super, "$where options='-c datestyle=German -c work_mem=123kB'",
		q(current_setting('datestyle') || current_setting('work_mem')))->{out},
	'German, DMY123kB', 'options are passed on as they are');

#
# What speaks for the user who runs the server
#
my $by_both = "host=127.0.0.1 port=${\$tls->port} dbname=postgres user=by_both password=secret"
  . ' sslmode=require';
is(ask($super, $by_both, $who)->{out}, 'by_both@postgres',
	'the certificate in the environment serves a superuser');
fails($alice, $by_both, '08001', 'and no other role', qr/client certificate/);
is(ask($super, "$by_both sslcert=/dev/null/none", $who)->{state}, '08001', 'who may have none');
fails($alice, "$there password=secret $_=x", '42501', "$_ of a role",
	qr/permission denied to set option "$_"/)
  foreach 'sslcert', 'sslkey', 'passfile', 'service', 'krbsrvname';
fails($super, "service=far", '0A000', 'a service without gssencmode',
	qr/HINT:  .*gssencmode=disable/);
is(ask($super, "service=far gssencmode=disable", $who)->{out}, 'app@far',
	'a superuser has a service');
is(ask($super, "service=far gssencmode=disable user=trusted", $who)->{out}, 'trusted@far',
	'what the string says comes before it');

#
# What a pool cannot do
#
fails($alice, "$there password=secret replication=database", '0A000', 'replication',
	qr/option "replication" is not supported in a connection string/);
fails($alice, "$there password=secret gssencmode=require", '0A000', 'GSS encryption',
	qr/GSS-encrypted connections are not supported/);
is(ask($alice, "$there password=secret gssencmode=prefer", $who)->{out}, 'app@far',
	'which need not be had');
fails($alice, "$there password=secret host=" . join(',', ('127.0.0.1') x 33), '54000',
	'too many hosts', qr/DETAIL:  The option "host" has 33 hosts/);
fails($super, "$there hostaddr=" . join(',', ('127.0.0.1') x 33), '54000', 'too many addresses');
is(ask($alice, "$there password=secret host=" . join(',', ('127.0.0.1') x 32), $who)->{out},
	'app@far', 'as many as can be used');

#
# How a string can be written
#
my $told = 'missing "=" after "nowhere" in connection info string';
fails($alice, 'nowhere', '08001', 'what is no string',
	qr/could not establish connection\nDETAIL:  \Q$told\E$/m);
fails($alice, "$there colour=red", '08001', 'an unknown option',
	qr/invalid connection option "colour"/);
fails($alice, "$there password=secret connect_timeout=soon", '08001', 'a time that is no number',
	qr/invalid integer value "soon" for connection option "connect_timeout"/);
fails($alice, "$there password=secret sslmode=maybe", '08001', 'a value that libpq does not have',
	qr/DETAIL:  invalid sslmode value: "maybe"/);
is(ask($alice, "$there password=secret connect_timeout=' 7 '", $who)->{out}, 'app@far', 'a time');
is(ask($alice, "postgresql://app:secret\@127.0.0.1:$port/far", $who)->{out}, 'app@far', 'a URI');
is(ask($alice, "postgres://app:secret\@127.0.0.1:1,127.0.0.1:$port/far?application_name=uri",
		$who)->{out}, 'app@far', 'a URI with two hosts, of which one is not there');
is(ask($alice, "host=127.0.0.1,127.0.0.1 port=1,$port dbname=far user=app password=secret",
		$who)->{out}, 'app@far', 'a list of hosts');
is(ask($alice, "$there password=secret user=nobody user=app", $who)->{out}, 'app@far',
	'the last of two values counts');
fails($alice, "$where user=app password=secret dbname=postgres://app:hidden\@127.0.0.1:$port/far",
	'08001', 'a string in the place of the database', qr/database "postgres:.*" does not exist/);
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE server LIKE '%hidden%')), 0,
	'it is not shown as a name');

# A string that is much longer than what a session keeps
is(ask($alice, "$there password=secret options='-c work_mem=100kB" . ' ' x 9_000 . "'",
		$who)->{out}, 'app@far', 'a long string');
my $long = ask($alice, "$there password=secret options='" . ' ' x 200_000 . "'", $who);
is($long->{state}, '54000', 'one that is too long');

# More strings than a session keeps, in turn, twice
my @names = map { ask($alice, "$there password=secret options='-c work_mem=${_}MB'",
	q(current_setting('work_mem')))->{out} } (1 .. 20) x 2;
is("@names", join(' ', map { "${_}MB" } (1 .. 20) x 2), 'each string means itself');

#
# Another environment: a service, and a certificate in the home directory
#
$_->quit foreach $alice, $super;
$local->stop;
mkdir "$home/.postgresql";
system_or_bail('cp', "$certificates/client.$_", "$home/.postgresql/postgresql.$_")
  foreach 'crt', 'key';
start_in_environment(PGSERVICE => 'far');
($alice, $super) = (session($local, user => 'alice'), session($local));
is(ask($super, $by_both . ' gssencmode=disable', $who)->{out}, 'by_both@postgres',
	'the certificate in the home directory serves a superuser');
fails($alice, $by_both, '08001', 'it does not serve another role', qr/client certificate/);
is(ask($super, 'gssencmode=disable', $who)->{out}, 'app@far',
	'so does the service in the environment');
fails($super, $there, '0A000', 'which is one like that in a string', qr/gssencmode/);
is(ask($alice, "$there password=secret", $who)->{out}, 'app@far',
	'other roles have nothing to do with it');

# Of one session and one text, each role has its own.
my @of_roles = map {
	$super->query("SET ROLE $_");
	ask($super, "$there password=secret", 'pg_backend_pid()')->{out};
} 'alice', 'bob', 'alice';
is("$of_roles[0] $of_roles[1]", "$of_roles[2] $of_roles[1]", 'a role has its connection again');
isnt($of_roles[0], $of_roles[1], 'which is not that of another role with the same string');
$super->query('RESET ROLE');

# A role that becomes a superuser does not show its password any more.
fails($alice, "$trusted password=secret", '2F003', 'a password that nobody asks for', $of_remote);
sql($local, 'ALTER ROLE alice SUPERUSER');
is(ask($alice, "$trusted password=secret gssencmode=disable service=''", $who)->{state}, '00000',
	'a superuser need not');
sql($local, 'ALTER ROLE alice NOSUPERUSER');

#
# A remote that is away, and back
#
sql($local, q(ALTER SYSTEM SET pool.acquire_timeout = '600s'; SELECT pg_reload_conf()));
$_->quit foreach $alice, $super;
($alice, $super) = (session($local, user => 'alice'), session($local));
is(ask($alice, "$there password=secret", $who)->{out}, 'app@far', 'there is a connection');
is($super->query("SELECT dblink_connect('kept', '$there password=secret gssencmode=disable')")
	->{out}, 'OK', 'another role keeps one');
$remote->stop('fast');
foreach my $time ('first', 'second')
{
	fails($alice, "$there password=secret", '08001', "a remote that is away, the $time time",
		qr/could not establish connection\nDETAIL:  .*Connection refused/);
}
$remote->start;
is(ask($alice, "$there password=secret", $who)->{out}, 'app@far',
	'it is used at once when it is back');
is(sql($local, q(SELECT string_agg(DISTINCT breaker, ',') FROM pool_stats)), 'closed',
	'no circuit breaker is in the way');

# While a connection is leased, and may be for ever, another one is refused.
is($alice->query("SELECT dblink_connect('kept', '$there password=secret')")->{out}, 'OK',
	'a connection is kept');

# And it is the only one.
my $kept = $alice->query(q(SELECT v FROM dblink('kept', 'SELECT pg_backend_pid()') AS t(v int)));
sql($remote, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
	WHERE usename = 'app' AND pid <> ) . $kept->{out});
sql($remote, 'ALTER ROLE app NOLOGIN');
my $other = session($local, user => 'alice');
fails($other, "$there password=secret", '08001', 'another one is refused at once',
	qr/is not permitted to log in/);
sql($remote, 'ALTER ROLE app LOGIN CONNECTION LIMIT 1');
fails($other, "$there password=secret", '08001', 'so it is for a cause that may pass',
	qr/too many connections for role/);
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
is(ask($other, "$there password=secret", $who)->{out}, 'app@far', 'and had when it is not');
is($alice->query(q(SELECT v FROM dblink('kept', 'SELECT current_user') AS t(v text)))->{out}, 'app',
	'what was kept goes on');

$_->quit foreach $alice, $super, $other;

# A cause that no retry cures is gone with the cause.
is(sql($local, <<"SQL"), 10, 'what is mended is used at once');
CREATE FUNCTION works(string text) RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE worked int; BEGIN
	SELECT v INTO worked FROM dblink(string, 'SELECT 1') AS t(v int);
	RETURN worked;
EXCEPTION WHEN OTHERS THEN RETURN 0;
END \$\$;
CREATE FUNCTION flip(n int, string text) RETURNS int LANGUAGE plpgsql AS \$\$
DECLARE worked int := 0; BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM dblink_exec('root', 'ALTER ROLE app NOLOGIN');
		worked := worked - 100 * works(string || ' application_name=n' || i);
		PERFORM dblink_exec('root', 'ALTER ROLE app LOGIN');
		worked := worked + works(string || ' application_name=n' || i);
	END LOOP;
	RETURN worked;
END \$\$;
DO \$\$ BEGIN PERFORM dblink_connect('root', 'host=${\$remote->host} port=$port user=postgres '
	'dbname=postgres gssencmode=disable'); END \$\$;
SELECT flip(10, '$there password=secret gssencmode=disable');
SQL

# An address that does not answer has the string's time, not the pool's.
my $mute = mute_remote();
sql($local, q(ALTER SYSTEM SET pool.acquire_timeout = '40s'; SELECT pg_reload_conf()));
fails(session($local, user => 'alice'),
	"host=127.0.0.1 port=${\$mute->sockport} user=x password=x connect_timeout=1", '08001',
	'a remote that does not answer',
	qr/could not establish connection\nDETAIL:  .*timeout expired/);

settled($local);
no_crash($local, $remote, $tls);
done_testing();
