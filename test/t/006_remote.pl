# 006_remote.pl
#	The remote's side fails: its session is killed, it restarts, is down, full,
#	refuses the password or the database, or never answers.  Sessions get the
#	cause, in the remote's own words where it had some, attempts are few, and
#	as soon as it is well again so is pool.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local(max_connections => 60);
create_server($local, 'srv', $remote,
	options => { max_size => 4, acquire_timeout => '30s', retry_attempts => 3 });

sub answer
{
	my ($server) = @_;

	return "SELECT t FROM pool_query('$server', 'select 42') AS r(t int)";
}

sub kill_remote_sessions
{
	return sql($remote,
		q(SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
		WHERE usename = 'app'));
}

# works_soon(what, session): within seconds
sub works_soon
{
	my ($what, $session, $seconds) = @_;
	my $start = time;
	my $result;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$seconds || 10,
		sub {
			$result = $session->query(answer('srv'));
			return $result->{out} eq '42';
		});
	is($result->{err} || $result->{out}, '42', "$what: works again");
	return;
}

#
# Its sessions are killed while nobody uses them.
#
my $session = session($local);
is($session->query(answer('srv'))->{out}, '42', 'idle: in use');
sql($local, q(SELECT pool_prewarm('srv', 4)));
wait_for_value($local, q(SELECT idle FROM pool_stats WHERE server = 'srv'), 4, 'idle: four connections');
is(kill_remote_sessions(), 4, 'idle: killed');
wait_for_value($local, q(SELECT closed FROM pool_stats WHERE server = 'srv'), 4, 'idle: pool has seen it');
is($session->query(answer('srv'))->{err}, '', 'idle: the same session sees no error');
is((sql_state($local, answer('srv')))[0], '00000', 'idle: nor does another');
is(stat_of($local, 'lost'), 0, 'idle: no lease was lost');
settled($local, 'idle: settled');
remote_count($local, $remote, 'idle: sessions on the remote');

# So soon before the statement that nobody can have seen it: at most one error,
# and a clear one.
foreach my $turn (1 .. 5)
{
	kill_remote_sessions();
	my $result = $session->query(answer('srv'));
	like($result->{state}, qr/^(00000|08\w\w\w|57P01)$/,
		"just before $turn: no error, or a clear one");
	is($result->{out}, '42', "just before $turn: and no wrong answer")
	  if $result->{state} eq '00000';
	is($session->query(answer('srv'))->{out}, '42', "just before $turn: the next works");
}

#
# In a statement
#
foreach my $turn (1 .. 3)
{
	$session->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
	ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
		"at work $turn: the remote is");
	kill_remote_sessions();
	my $result = $session->result(65);
	like($result->{state}, qr/^(08006|57P01)$/, "at work $turn: error $result->{state}");
	cmp_ok($result->{secs}, '<', 40, "at work $turn: at once");
	is($session->query(answer('srv'))->{out}, '42', "at work $turn: the next works");
}
settled($local, 'at work: settled');

# With a lease: it is over, and it cannot be used by mistake.
my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
$session->query("SELECT pool_exec($lease, 'create temporary table t (x int)')");
kill_remote_sessions();
my $result = $session->query("SELECT pool_exec($lease, 'insert into t values (1)')");
like($result->{state}, qr/^(08|55|57P01)/, "lease: error $result->{state}");
$result = $session->query("SELECT pool_exec($lease, 'select 1')");
isnt($result->{state}, '00000', "lease: is over ($result->{state})");
$session->query("SELECT pool_release($lease)");
is($session->query(answer('srv'))->{out}, '42', 'lease: the session works');
settled($local, 'lease: settled');

#
# Restarts
#
foreach my $mode ('fast', 'immediate')
{
	foreach my $busy (0, 1)
	{
		my $what = "restart $mode" . ($busy ? ', at work' : '');
		my $other = session($local);

		sql($local, q(SELECT pool_prewarm('srv', 4)));
		if ($busy)
		{
			$other->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
			ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
				"$what: the remote is at work");
		}
		$remote->stop($mode);
		if ($busy)
		{
			like($other->result(65)->{state}, qr/^(08006|57P0[123])$/,
				"$what: the statement fails");
		}
		$remote->start;
		works_soon($what, $session);
		works_soon("$what, another", $other);
		settled($local, "$what: settled");
		remote_count($local, $remote, "$what: sessions on the remote");
		$other->quit;
	}
}

#
# Down
#
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0, 'down: pool has seen it');
my $errors = stat_of($local, 'connect_errors');
$result = $session->query(answer('srv'));
like($result->{state}, qr/^08/, "down: error $result->{state}");
like($result->{err}, qr/refused/, 'down: with the cause');
unlike($result->{err}, qr/\Q$PoolTest::password\E/, 'down: without the password');
cmp_ok($result->{secs}, '<', 30, 'down: before acquire_timeout');
$errors = stat_of($local, 'connect_errors') - $errors;
cmp_ok($errors, '>=', 1, 'down: it was tried');
cmp_ok($errors, '<=', 8, "down: not often ($errors times)");
is(stat_of($local, 'state'), 'failing', 'down: pool_stats shows it');
like(stat_of($local, 'last_error'), qr/refused/, 'down: and why');

# Somebody waits while it comes back.
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '1000')));
my @waiters = map { session($local) } 1 .. 5;
$_->begin(answer('srv')) foreach @waiters;
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), 5, 'coming back: they wait');
$remote->start;
is($_->result->{out}, '42', 'coming back: served') foreach @waiters;
is(stat_of($local, 'state'), 'ready', 'coming back: ready');
$_->quit foreach @waiters;
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '3')));
settled($local, 'coming back: settled');
remote_count($local, $remote, 'coming back: sessions on the remote');

#
# Errors that no second attempt cures
#
sub refused
{
	my ($server, $state, $message, $in_log) = @_;
	my $offset = log_offset($remote);
	my @sessions = map { session($local) } 1 .. 20;
	my $slowest = 0;
	my (%states, %messages);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$_->begin(answer($server)) foreach @sessions;
	foreach my $one (@sessions)
	{
		my $result = $one->result(65);

		$states{ $result->{state} }++;
		$messages{ $result->{err} =~ $message ? 'as expected' : $result->{err} }++;
		$slowest = $result->{secs} if $result->{secs} > $slowest;
		$one->quit;
	}
	is_deeply(\%states, { $state => 20 }, "$server: all get SQLSTATE $state");
	is_deeply(\%messages, { 'as expected' => 20 }, "$server: in the remote's own words");
	cmp_ok($slowest, '<', 20, "$server: at once");
	my $attempts = log_count($remote, $in_log, $offset);
	cmp_ok($attempts, '>=', 1, "$server: it was tried");
	cmp_ok($attempts, '<=', 20, "$server: $attempts times for 20 sessions");
	is(stat_of($local, 'waiting', $server), 0, "$server: nobody waits");
	is((sql_state($local, answer('srv')))[0], '00000', "$server: another pool answers");
	return;
}

create_server($local, 'wrong_password', $remote, password => 'nonsense');
create_server($local, 'no_role', $remote, user => 'nobody_here');
create_server($local, 'no_database', $remote, options => { dbname => 'nowhere' });
refused('wrong_password', '28P01',
	qr/password authentication failed for user "app"/,
	qr/FATAL:  password authentication failed/);
refused('no_role', '28P01',
	qr/password authentication failed for user "nobody_here"/,
	qr/FATAL:  password authentication failed/);
refused('no_database', '3D000', qr/database "nowhere" does not exist/,
	qr/FATAL:  database "nowhere" does not exist/);

# Corrected, it works for the session that failed.
$session->query(answer('wrong_password'));
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER wrong_password "
	. "OPTIONS (SET password '$PoolTest::password')");
is($session->query(answer('wrong_password'))->{out}, '42', 'corrected: works');
sql($local, q(ALTER SERVER no_database OPTIONS (SET dbname 'postgres')));
is($session->query(answer('no_database'))->{out}, '42', 'corrected: works');

#
# The role's limit on the remote: those connections that there are serve all.
#
sql($local, 'DROP SERVER wrong_password, no_role, no_database CASCADE');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'
	AND datname = 'postgres'), 0, 'dropped servers leave nothing');
kill_remote_sessions();
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 2');
@waiters = map { session($local) } 1 .. 8;
$_->begin(q(SELECT t FROM pool_query('srv', 'select pg_sleep(0.2), 42') AS r(s text, t int)))
  foreach @waiters;
is($_->result->{err}, '', 'role limit: all are served') foreach @waiters;
cmp_ok(app_sessions($remote), '<=', 2, 'role limit: by two connections');
$_->quit foreach @waiters;
kill_remote_sessions();
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 0');
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0, 'role limit 0: none is left');
$result = $session->query(answer('srv'));
is($result->{state}, '53300', 'role limit 0: error');
like($result->{err}, qr/too many connections for role "app"/, 'role limit 0: the cause');
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
works_soon('role limit lifted', $session);

#
# The remote is full.
#
$remote->append_conf('postgresql.conf', 'max_connections = 8');
$remote->restart;
my @others = map { session($remote, db => $PoolTest::remote_db, user => 'app') } 1 .. 5;
$result = $session->query(answer('srv'));
is($result->{state}, '53300', 'full: error');
like($result->{err}, qr/too many clients|connection slots are reserved/, 'full: the cause');
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '1000')));
$session->begin(answer('srv'));
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), 1, 'full: it waits');
$others[0]->quit;
is($session->result->{out}, '42', 'full: served as soon as there is room');
$_->quit foreach @others;
settled($local, 'full: settled');

#
# A port where nobody answers, and two where nonsense comes
#
my $mute = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1')
  or die "cannot listen: $!";
my $nobody = fork_server(sub { my ($c) = @_; sysread $c, my $x, 8; });
my $nonsense = fork_server(
	sub { my ($c) = @_; sysread $c, my $x, 8; syswrite $c, "HTTP/1.0 200 OK\r\n\r\n" x 100; });

# fork_server(code): a server on a port of its own that runs the code for each
# connection, and closes it
sub fork_server
{
	my ($code) = @_;
	my $listen = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1')
	  or die "cannot listen: $!";
	my $port = $listen->sockport;
	my $pid = fork();

	if (!$pid)
	{
		alarm 600;		# should nobody come to end it
		while (my $client = $listen->accept)
		{
			$code->($client);
			close $client;
		}
		require POSIX;
		POSIX::_exit(0);
	}
	return { pid => $pid, port => $port };
}

foreach (
	[ 'mute', $mute->sockport, qr/timeout|timed out/ ],
	[ 'hangs_up', $nobody->{port}, qr/closed/ ],
	[ 'nonsense', $nonsense->{port}, qr/./ ])
{
	my ($name, $port, $cause) = @$_;

	create_server($local, $name, $remote,
		options => {
			port => $port,
			connect_timeout => '2s',
			retry_attempts => 1,
			acquire_timeout => '40s' });
	my @sessions = map { session($local) } 1 .. 5;
	$_->begin(answer($name)) foreach @sessions;

	# Meanwhile others connect and query as if nothing was.
	kill_remote_sessions();
	my $start = time;
	works_soon("$name: another pool", $session);
	cmp_ok(time - $start, '<', 5, "$name: another pool answers");
	sql($local, q(SELECT pool_prewarm('srv', 3)));
	wait_for_value($local, q(SELECT idle FROM pool_stats WHERE server = 'srv'),
		3, "$name: and connects", seconds => 5);

	foreach my $one (@sessions)
	{
		my $result = $one->result(60);
		like($result->{state}, qr/^08/, "$name: error $result->{state}");
		like($result->{err}, $cause, "$name: with the cause");
		cmp_ok($result->{secs}, '<', 35, "$name: before acquire_timeout");
		$one->quit;
	}
	cmp_ok(stat_of($local, 'connect_errors', $name), '<=', 20,
		"$name: it was not tried often");
	settled($local, "$name: settled");
}

# A session that waits for the one that never answers can be cancelled.
$session->query(q(SET statement_timeout = '300ms'));
$result = $session->query(answer('mute'));
is($result->{state}, '57014', 'mute: cancelled while connecting');
cmp_ok($result->{secs}, '<', 10, 'mute: at once');
$session->quit;
sql($local, 'DROP SERVER mute CASCADE');
settled($local, 'dropped while connecting: settled');

kill 'TERM', $nobody->{pid}, $nonsense->{pid};
waitpid $_->{pid}, 0 foreach $nobody, $nonsense;
no_crash($local, $remote);
done_testing();
