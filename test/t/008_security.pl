# 008_security.pl
#	Who may use what: USAGE and the user's own mapping, nothing else.  No ride
#	on the server's identity, environment or search_path; no password in any
#	log, error or view; nothing to be had at the worker's socket.

use strict;
use warnings;

use File::Basename qw(dirname);
use FindBin;
use lib $FindBin::RealBin;
use POSIX ();
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX SOCK_DGRAM SOCK_SEQPACKET MSG_DONTWAIT pack_sockaddr_un);
use Test::More;

my $canary = 'canary-8f2d-tweet';
my $remote = start_remote();
PoolTest::hba($remote, 'scram-sha-256',
	'host all trusted 127.0.0.1/32 trust');
$remote->reload;
sql($remote, <<"SQL");
CREATE ROLE trusted LOGIN PASSWORD '$canary';
CREATE ROLE far_alice LOGIN PASSWORD '$canary';
CREATE ROLE far_bob LOGIN PASSWORD '$canary-bob';
SQL

# The postmaster's environment is full of traps.
my $local = PostgreSQL::Test::Cluster->new('local');
$local->init;
$local->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pool'
log_statement = none
log_min_messages = debug1
CONF

sub start_in_hostile_environment
{
	my (%more) = @_;
	local %ENV = (
		%ENV, %more,
		PGSERVICE => 'evil',
		PGSERVICEFILE => '/nonexistent/pg_service.conf',
		PGUSER => 'evil',
		PGPASSWORD => 'evil',
		PGPASSFILE => '/nonexistent/pgpass',
		PGDATABASE => 'postgres',
		PGOPTIONS => '-c search_path=evil -c work_mem=123kB',
		PGAPPNAME => 'evil',
		PGSSLROOTCERT => '/nonexistent/root.crt',
		PGREQUIREPEER => 'evil',
		PGREQUIREAUTH => 'none',
		PGCHANNELBINDING => 'require',
		PGTARGETSESSIONATTRS => 'standby',
		PGCLIENTENCODING => 'LATIN1',
		PGDATESTYLE => 'German',
		PGTZ => 'Asia/Tokyo',
		PGGEQO => 'off',
		PGCONNECT_TIMEOUT => '1',
		PGKRBSRVNAME => 'evil',
		PGSSLMINPROTOCOLVERSION => 'TLSv1.3',
		PGMINPROTOCOLVERSION => '3.2',
		PGLOADBALANCEHOSTS => 'random');
	$local->start;
	return;
}

start_in_hostile_environment();
sql($local, <<'SQL');
CREATE EXTENSION pool;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
SQL
create_server($local, 'srv', $remote, user => 'app');

my $me = q(SELECT u FROM pool_query('srv', 'select current_user') AS r(u text));
my @errors;

# refused(what, state, statement, how)
sub refused
{
	my ($what, $state, $statement, %how) = @_;
	my ($got, $err, $out) = sql_state($local, $statement, %how);

	push @errors, $err;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($got, qr/^($state)$/, "$what: refused") or diag("$err$out");
	return $err;
}

#
# USAGE and mappings
#
my %mapping = (
	alice => "user 'far_alice', password '$canary'",
	bob => "user 'far_bob', password '$canary-bob'");
is(sql($local, $me), 'app', 'the superuser by its own mapping');
refused('no USAGE', '42501', $me, user => 'alice');
refused('no USAGE, pool_acquire', '42501', q(SELECT pool_acquire('srv')), user => 'alice');
refused('no USAGE, pool_prewarm', '42501', q(SELECT pool_prewarm('srv', 1)), user => 'alice');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
refused('no mapping', '42704', $me, user => 'alice');
refused('no mapping, pool_prewarm', '42704', q(SELECT pool_prewarm('srv', 1)), user => 'alice');
sql($local, "CREATE USER MAPPING FOR $_ SERVER srv OPTIONS ($mapping{$_})") foreach 'alice', 'bob';
refused('a mapping, but no USAGE', '42501', $me, user => 'bob');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO bob');

my %session = map { $_ => session($local, user => $_) } 'alice', 'bob';
my $root = session($local);
my $as_root = 0;
foreach my $turn (1 .. 5)
{
	is($session{alice}->query($me)->{out}, 'far_alice', "turn $turn: alice is far_alice");
	is($session{bob}->query($me)->{out}, 'far_bob', "turn $turn: bob is far_bob");
	is($root->query($me)->{out}, 'app', "turn $turn: the superuser is app");
}
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE open = 1)), 3, 'three pools of one connection');

sql($local, 'DROP USER MAPPING FOR alice SERVER srv');
refused('mapping dropped', '42704', $me, user => 'alice');
is($session{alice}->query($me)->{state}, '42704',
	'mapping dropped: nor in the session that has used it');
sql($local, "CREATE USER MAPPING FOR alice SERVER srv OPTIONS ($mapping{alice})");
sql($local, 'REVOKE USAGE ON FOREIGN SERVER srv FROM alice');
is($session{alice}->query($me)->{state}, '42501', 'USAGE revoked: refused');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
is($session{alice}->query($me)->{out}, 'far_alice', 'USAGE granted: works');

# Somebody who is both by SET ROLE
my $lease = $root->query(q(SET ROLE alice; SELECT pool_acquire('srv', hold => true)))->{out};
my $who = "SELECT u FROM pool_query($lease, 'select current_user') AS r(u text)";
is($root->query($who)->{out}, 'far_alice', 'SET ROLE: a lease of alice');
my $result = $root->query("SET ROLE bob; $who");
is($result->{state}, '42501', "SET ROLE: not bob's") or diag($result->{out});
is($root->query($me)->{out}, 'far_bob', 'SET ROLE: who has one of his own');
foreach my $function ('pool_query_json', 'pool_exec')
{
	is($root->query("SELECT $function($lease, 'select 1')")->{state},
		'42501', "SET ROLE: nor by $function");
}
is($root->query("SET ROLE alice; $who")->{out}, 'far_alice', 'SET ROLE: alice goes on');
$root->query("SELECT pool_release($lease); RESET ROLE");

# Another session's lease
$lease = $session{alice}->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
foreach my $statement ("SELECT pool_query($lease, 'select 1')", "SELECT pool_release($lease)")
{
	$result = $session{bob}->query($statement);
	isnt($result->{state}, '00000', "another's lease: refused, $result->{state}");
	$result = $root->query($statement);
	isnt($result->{state}, '00000', "another's lease: to a superuser, too");
}
is($session{alice}->query("SELECT t FROM pool_query($lease, 'select 5') AS r(t int)")->{out},
	'5', "another's lease: it is not disturbed");
$session{alice}->query("SELECT pool_release($lease)");

# SECURITY DEFINER: its owner's mapping and rights
sql($local, 'GRANT CREATE ON SCHEMA public TO alice');
sql($local, <<'SQL', user => 'alice');
CREATE FUNCTION public.as_alice() RETURNS text LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$ SELECT u FROM pool_query('srv', 'select current_user') AS r(u text) $$;
CREATE FUNCTION public.lease_of_alice() RETURNS bigint LANGUAGE sql SECURITY DEFINER
AS $$ SELECT public.pool_acquire('srv', hold => true) $$;
SQL
is($session{bob}->query('SELECT as_alice()')->{out}, 'far_alice', 'SECURITY DEFINER: the owner');
is($session{bob}->query($me)->{out}, 'far_bob', 'SECURITY DEFINER: and only inside');
$lease = $session{bob}->query('SELECT lease_of_alice()')->{out};
$result = $session{bob}->query(
	"SELECT u FROM pool_query($lease, 'select current_user') AS r(u text)");
is($result->{state}, '42501', 'SECURITY DEFINER: a lease begun inside is not for the caller')
  or diag($result->{out});
$session{bob}->quit;
sql($local, 'REVOKE USAGE ON FOREIGN SERVER srv FROM bob');
is(sql($local, 'SELECT as_alice()', user => 'bob'), 'far_alice',
	'SECURITY DEFINER: the caller needs no USAGE');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO bob');

#
# The password must be there, and used
#
sql($local, 'GRANT USAGE ON FOREIGN DATA WRAPPER pool TO alice');
my $trusting = 'CREATE SERVER trusting FOREIGN DATA WRAPPER pool OPTIONS '
  . "(host '127.0.0.1', port '" . $remote->port . "', dbname 'postgres', retry_attempts '0')";
sql($local, $trusting, user => 'alice');
(my $trusted = $me) =~ s/srv/trusting/;
sql($local, q(CREATE USER MAPPING FOR alice SERVER trusting OPTIONS (user 'trusted')), user => 'alice');
refused('no password', '2F003', $trusted, user => 'alice');
sql($local, q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password '')), user => 'alice');
refused('an empty password', '2F003', $trusted, user => 'alice');
is(app_sessions($remote) >= 0
	  && sql($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'trusted')),
	0, 'nobody has connected without a password');
sql($local, "ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (SET password '$canary')", user => 'alice');
refused('a password, but the remote does not ask', '2F003', $trusted, user => 'alice');
refused('and again', '2F003', $trusted, user => 'alice');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'trusted'),
	0, 'such a connection is not kept');
refused('password_required', '42501',
	q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password_required 'false')),
	user => 'alice');
refused('a new mapping with password_required', '42501', q(BEGIN;
	DROP USER MAPPING FOR alice SERVER trusting;
	CREATE USER MAPPING FOR alice SERVER trusting OPTIONS (user 'trusted', password_required 'false')),
	user => 'alice');
sql($local, q(CREATE USER MAPPING FOR CURRENT_USER SERVER trusting OPTIONS (user 'trusted')));
is(sql($local, $trusted), 'trusted', 'a superuser needs none');
refused('but nobody else profits', '2F003', $trusted, user => 'alice');
sql($local, q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password_required 'false')));
is(sql($local, $trusted, user => 'alice'), 'trusted', 'password_required false, by a superuser: works');
sql($local, q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (DROP password_required)));
refused('taken back', '2F003', $trusted, user => 'alice');
sql($local, 'DROP SERVER trusting CASCADE');

#
# Views
#
sql($local, 'SELECT 1');
is($session{alice}->query('SELECT DISTINCT user_name FROM pool_stats')->{out},
	'alice', 'pool_stats: one sees its own');
is($session{alice}->query('SELECT DISTINCT user_name FROM pool_connections')->{out},
	'alice', 'pool_connections: one sees its own');
sql($local, 'GRANT pg_read_all_stats TO bob');
foreach my $view ('pool_stats', 'pool_connections')
{
	my $all = "SELECT string_agg(DISTINCT user_name, ' ' ORDER BY user_name) FROM $view WHERE server = 'srv'";
	is(sql($local, $all, user => 'bob'), sql($local, $all), "$view: pg_read_all_stats sees all");
	like(sql($local, $all, user => 'bob'), qr/alice bob \w+/, "$view: which are several");
}
refused('pool_stats is not to be written', '42501|55000', 'DELETE FROM pool_stats', user => 'alice');

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
is($settings, 'app|far|"$user", public|UTF8|t|t|t|on|t', 'the environment changes nothing');
sql($local, <<"SQL");
CREATE SERVER bare FOREIGN DATA WRAPPER pool
	OPTIONS (host '127.0.0.1', port '@{[ $remote->port ]}', retry_attempts '0');
CREATE USER MAPPING FOR CURRENT_USER SERVER bare OPTIONS (user 'app', password '$PoolTest::password');
SQL
(my $bare = $me) =~ s/srv/bare/;
my $err = refused('no dbname', '3D000', $bare);
like($err, qr/database "app" does not exist/, 'no dbname: the user\'s, not PGDATABASE');

# A dbname is a name, whatever it looks like.
foreach my $name ('host=192.0.2.1', 'postgresql://192.0.2.1/x', q(it's "a" \\ name=1), "two\nlines")
{
	(my $literal = $name) =~ s/'/''/g;
	(my $identifier = $name) =~ s/"/""/g;
	(my $shown = $name) =~ s/\n/\\n/g;

	sql($local, "DROP SERVER IF EXISTS odd CASCADE");
	sql($local, "CREATE SERVER odd FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
		. 'port \'' . $remote->port . "', dbname '$literal', retry_attempts '0');"
		. "CREATE USER MAPPING FOR CURRENT_USER SERVER odd OPTIONS (user 'app', password '$PoolTest::password')");
	(my $odd = $me) =~ s/current_user/current_database()/;
	$odd =~ s/srv/odd/;
	$err = refused("dbname $shown", '3D000', $odd);
	sql($remote, "CREATE DATABASE \"$identifier\" OWNER app");
	wait_for_value($local, $odd, $name, "dbname $shown: is that database");
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
is(sql($local, $quoted), $user, 'a user and a password that need quoting');

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
is(sql($local, "$hostile SELECT u FROM public.pool_query('srv', 'select current_user') AS r(u pg_catalog.text)"),
	'app', 'hostile search_path: pool_query');
is(sql($local, "$hostile SELECT * FROM public.pool_query_json('srv', 'select 1 as x')"),
	'{"x": 1}', 'hostile search_path: pool_query_json');
is(sql($local, "$hostile SELECT public.pool_exec('srv', 'select 1 as x')"),
	'1', 'hostile search_path: pool_exec');
like(sql($local, "$hostile SELECT pg_catalog.count(*) FROM public.pool_stats"),
	qr/^[1-9]/, 'hostile search_path: pool_stats');
like(sql($local, "$hostile SELECT pg_catalog.count(*) FROM public.pool_connections"),
	qr/^[1-9]/, 'hostile search_path: pool_connections');
sql($remote, <<'SQL', db => 'far');
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'evil'::text $$;
CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 0';
ALTER ROLE app IN DATABASE far SET search_path = evil, pg_catalog, public;
SQL
sql($remote, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'app'));
my @sessions = map { session($local) } 1, 2;
foreach my $turn (1 .. 6)
{
	is($sessions[ $turn % 2 ]->query($me)->{out}, 'app', "hostile search_path on the remote: $turn");
}
$_->quit foreach @sessions;

#
# A password that fails is not shown either.
#
sql($remote, q(ALTER ROLE far_alice PASSWORD 'changed'));
sql($local, "ALTER USER MAPPING FOR alice SERVER srv OPTIONS (SET password '$canary-x')");
$result = $session{alice}->query($me);
is($result->{state}, '28P01', 'a wrong password');
push @errors, $result->{err};
$session{alice}->quit;
$root->quit;
settled($local);

#
# The worker's socket
#
my $socket = $local->data_dir . '/pg_stat_tmp/pool.1.sock';
ok(-S $socket, 'the worker has a socket in the data directory');
is(sprintf('%04o', (stat $socket)[2] & 07777), '0600', 'for its own user alone');

# How many descriptors a process has; the listing itself has one if it is ours.
sub descriptors
{
	my ($pid) = @_;
	my @open = glob "/proc/$pid/fd/*";

	return scalar @open;
}

# The path of the socket is too long for an address.
chdir dirname($socket) or die "chdir: $!";
socket(my $stranger, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
ok(connect($stranger, pack_sockaddr_un('pool.1.sock')), 'a stranger can reach it')
  or BAIL_OUT("the worker's socket is not what this test knows: $!");

# send_to_worker(message, descriptor...): as sendmsg(2), which Perl has not
my %sendmsg = (x86_64 => 46, aarch64 => 211);
my $sendmsg = $sendmsg{ (POSIX::uname())[4] };

sub send_to_worker
{
	my ($message, @descriptors) = @_;
	my $address = sub { return unpack 'J', pack 'p', $_[0] };

	return defined send($stranger, $message, MSG_DONTWAIT)
	  if !@descriptors || !$sendmsg;
	my $rights = pack('J l l l*', 16 + 4 * @descriptors, 1, 1, @descriptors);
	$rights .= "\0" x (-length($rights) % 8);
	my $iov = pack 'J J', $address->($message), length $message;
	my $header = pack 'J L x4 J J J J l x4', 0, 0, $address->($iov), 1,
	  $address->($rights), length $rights, 0;
	return syscall($sendmsg, fileno $stranger, $header, MSG_DONTWAIT) >= 0;
}

my $worker_query = q(SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'pool');
my $worker = sql($local, $worker_query);
my $holder = session($local);
$lease = $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
my ($slot, $holder_pid) = split /\|/,
  sql($local, q(SELECT slot, pid FROM pool_connections WHERE state = 'leased'));
my $descriptors = descriptors($worker);

# Messages of every plausible length, as if they asked for the leased slot
my @messages = ('', 'x', "\0", "GET / HTTP/1.0\r\n\r\n", "\xff" x 65000, 'x' x 8192);
foreach my $words (1 .. 8, 16, 199 .. 201, 1024)
{
	push @messages, pack("L*", (0) x $words), pack("L*", (0xffffffff) x $words),
	  pack("L*", ($slot) x $words),
	  pack("L*", map { $_ % 2 ? 0 : $slot } 0 .. $words - 1);
}

# And such as a session sends, of somebody who does not hold the slot, or says
# that he is the one who does: magic, kind, pid, slot, generation.  If sessions
# send something else one day, these are only more of the above.
foreach my $pid ($$, $holder_pid)
{
	foreach my $kind (0 .. 3)
	{
		push @messages, map { pack 'a4 L l l Q x8 L x764', "\x01OOP", $kind, $pid, $slot, $_, 1 } 0 .. 12;
	}
}

my ($sent, $unanswered, $given) = (0, 0, 0);
{
	local $SIG{PIPE} = 'IGNORE';
	foreach my $message (@messages)
	{
		socketpair(my $mine, my $theirs, AF_UNIX, SOCK_SEQPACKET, 0) or die "socketpair: $!";
		foreach my $with ([], [ fileno $theirs ], [ fileno $theirs, fileno STDIN, fileno $theirs ])
		{
			# Its queue may be full for a moment.
			$sent++ if wait_until(10, sub { return send_to_worker($message, @$with); });
		}
		close $theirs;

		# A connection comes with what is known of its remote, so a refusal of a
		# few bytes brings none; or nothing comes but the end, when the worker
		# has closed its copy.
		my $read;
		my $ended = wait_until(10,
			sub { $read = ''; return defined recv($mine, $read, 65536, MSG_DONTWAIT); });
		$unanswered++ if !$ended;
		$given++ if length $read > 32;
	}
}
chdir $FindBin::RealBin;
is($sent, 3 * @messages, 'it has sent ' . 3 * @messages . ' messages');
is($given, 0, 'and was given nothing');
is($unanswered, 0, 'the worker has looked at all of them');
is(sql($local, $worker_query), $worker, 'the worker has survived them');
is(descriptors($worker), $descriptors, 'and kept none of their descriptors');
is($holder->query("SELECT t FROM pool_query($lease, 'select 3') AS r(t int)")->{out},
	'3', 'the lease is not disturbed');
is(sql($local, $me), 'app', 'another session gets a connection');
$holder->quit;
settled($local, 'strangers: settled');

#
# What somebody has planted in the socket's place
#
my $victim = $local->basedir . '/victim';
append_to_file($victim, "precious\n");
foreach my $plant ('symlink', 'dangling symlink', 'file', 'stale socket')
{
	$local->stop;
	unlink $socket;
	if ($plant eq 'symlink')
	{
		symlink $victim, $socket or die "symlink: $!";
	}
	elsif ($plant eq 'dangling symlink')
	{
		symlink "$victim.new", $socket or die "symlink: $!";
	}
	elsif ($plant eq 'file')
	{
		append_to_file($socket, "stale\n");
	}
	else
	{
		chdir $local->data_dir . '/pg_stat_tmp' or die "chdir: $!";
		socket(my $handle, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
		bind($handle, pack_sockaddr_un('pool.1.sock')) or die "bind: $!";
	}
	chdir $FindBin::RealBin;
	start_in_hostile_environment();
	my ($state, $err, $out);
	wait_until(15,
		sub { ($state, $err, $out) = sql_state($local, $me); return $state eq '00000'; });
	is("$err$out", 'app', "$plant in its place: works");
	ok(-S $socket && !-l $socket, "$plant in its place: replaced by a socket");
	is(sprintf('%04o', (stat $socket)[2] & 07777), '0600', "$plant in its place: for its user alone");
	is(slurp_file($victim), "precious\n", "$plant in its place: the file it points to is as it was");
	ok(!-e "$victim.new", "$plant in its place: and none was made");
}

# Variables that would send a connection elsewhere, or ask for encryption
my %harsh = (
	PGHOSTADDR => '192.0.2.1',
	PGSSLMODE => 'verify-full',
	PGREQUIRESSL => '1',
	PGGSSENCMODE => 'require');
foreach my $variable (sort keys %harsh)
{
	$local->stop;
	start_in_hostile_environment($variable => $harsh{$variable});
	my ($state, $err, $out) = sql_state($local, $me);
	is("$err$out", 'app', "$variable of the postmaster changes nothing");
}
$local->restart;

#
# The passwords
#
foreach my $query ('SELECT * FROM pool_stats', 'SELECT * FROM pool_connections',
	'SELECT * FROM pg_stat_activity')
{
	unlike(sql($local, $query), qr/canary/, "no password in $query");
}
unlike(join("\n", @errors), qr/canary/, 'nor in an error');
unlike(slurp_file($_->logfile), qr/canary/, 'nor in the log of ' . $_->name)
  foreach $local, $remote;
my $titles = join "\n", map { eval { slurp_file($_) } || '' } glob '/proc/[0-9]*/cmdline';
like($titles, qr/postgres: /, 'processes have titles');
unlike($titles, qr/canary/, 'without a password');

no_crash($local, $remote);
done_testing();
