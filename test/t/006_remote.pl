# 006_remote.pl
#	The remote's side fails: its session is killed, it restarts, is down, full,
#	refuses the password or the database, or never answers.  Sessions get the
#	cause, in the remote's own words where it had some, attempts are few, and
#	as soon as the remote is well again pool works again.  Each failure is made to
#	happen, in turn, to the remote or to a server that only pretends to be one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use PoolTest;
use PoolTest::Child;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local(max_connections => 60);
create_server($local, 'srv', $remote,
	options => { max_size => 4, acquire_timeout => '30s', retry_attempts => 3 });

# works_soon(when, session, seconds): the session gets an answer again
sub works_soon
{
	my ($when, $session, $seconds) = @_;
	my $result;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$seconds || 10,
		sub {
			$result = $session->query(select_42('srv'));
			return $result->{out} eq '42';
		});
	is($result->{err} || $result->{out}, '42', "a session gets an answer again $when");
	return;
}

#
# Its sessions are killed while nobody uses them.
#
my $session = session($local);
is($session->query(select_42('srv'))->{out}, '42',
	'a session has an answer before the remote sessions are killed');
sql($local, q(SELECT pool_prewarm('srv', 4)));
wait_for_value($local, q(SELECT idle FROM pool_stats WHERE server = 'srv'), 4,
	'four connections are idle before the remote sessions are killed');
is(terminate_app_sessions($remote), 4, 'the four idle remote sessions are killed');
wait_for_value($local, q(SELECT closed FROM pool_stats WHERE server = 'srv'), 4,
	'pool closes the connections whose remote sessions were killed');
is($session->query(select_42('srv'))->{err}, '',
	'a session sees no error when its idle connection was killed');
is((sql_state($local, select_42('srv')))[0], '00000',
	'a new session sees no error when idle connections were killed');
is(stat_of($local, 'lost'), 0, 'no lease is lost when idle connections are killed');
at_rest($local, $remote, 'after idle connections were killed');

# So soon before the statement that nobody can have seen it: at most one error,
# and a clear one.
foreach my $turn (1 .. 5)
{
	terminate_app_sessions($remote);
	my $result = $session->query(select_42('srv'));
	like($result->{state}, qr/^(00000|08\w\w\w|57P01)$/,
		"a kill just before a statement, $turn, gives no error, or a clear one");
	is($result->{out}, '42', "a kill just before a statement, $turn, gives no wrong answer")
	  if $result->{state} eq '00000';
	is($session->query(select_42('srv'))->{out}, '42',
		"the statement after a kill just before one, $turn, is answered");
}

#
# In a statement
#
foreach my $turn (1 .. 3)
{
	$session->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
	wait_for_remote_statement($remote, "the remote runs a statement before kill $turn");
	terminate_app_sessions($remote);
	my $result = $session->result(65);
	like($result->{state}, qr/^(08006|57P01)$/,
		"kill $turn of a running statement gives error $result->{state}");
	cmp_ok($result->{secs}, '<', 40, "kill $turn of a running statement gives the error at once");
	is($session->query(select_42('srv'))->{out}, '42',
		"the statement after kill $turn of a running one is answered");
}
settled($local, 'after the kills of running statements nothing is under way, and the sums hold');

# With a lease: it is over, and it cannot be used by mistake.
my $lease = $session->acquire('srv');
$session->query("SELECT pool_exec($lease, 'create temporary table t (x int)')");
terminate_app_sessions($remote);
my $result = $session->query("SELECT pool_exec($lease, 'insert into t values (1)')");
like($result->{state}, qr/^(08|55|57P01)/,
	"the first statement on a lease whose remote session was killed fails: $result->{state}");
$result = $session->query("SELECT pool_exec($lease, 'select 1')");
isnt($result->{state}, '00000',
	"a lease whose remote session was killed is over: $result->{state}");
$session->release($lease);
is($session->query(select_42('srv'))->{out}, '42', 'a session that lost its lease gets an answer');
settled($local, 'after a lost lease nothing is under way, and the sums hold');

#
# Restarts
#
foreach my $mode ('fast', 'immediate')
{
	foreach my $busy (0, 1)
	{
		my $restart = "$mode restart of the " . ($busy ? 'busy' : 'idle') . ' remote';
		my $other = session($local);

		sql($local, q(SELECT pool_prewarm('srv', 4)));
		if ($busy)
		{
			$other->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
			wait_for_remote_statement($remote, "a statement runs before the $restart");
		}
		$remote->stop($mode);
		if ($busy)
		{
			like($other->result(65)->{state}, qr/^(08006|57P0[123])$/,
				"the running statement fails in the $restart");
		}
		$remote->start;
		works_soon("after the $restart", $session);
		works_soon("after the $restart, as another did", $other);
		at_rest($local, $remote, "after the $restart");
		$other->quit;
	}
}

#
# Down
#
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0,
	'pool has no connection when the remote is down');
my $errors = stat_of($local, 'connect_errors');
$result = $session->query(select_42('srv'));
like($result->{state}, qr/^08/, "a remote that is down is error $result->{state}");
like($result->{err}, qr/refused/, 'the error of a remote that is down names the cause');
unlike($result->{err}, qr/\Q$PoolTest::password\E/,
	'the error of a remote that is down does not show the password');
cmp_ok($result->{secs}, '<', 30, 'the error of a remote that is down comes before acquire_timeout');
$errors = stat_of($local, 'connect_errors') - $errors;
cmp_ok($errors, '>=', 1, 'pool tries to connect to a remote that is down');
cmp_ok($errors, '<=', 8,
	"pool does not try often to connect to a remote that is down ($errors times)");
is(stat_of($local, 'state'), 'failing', 'pool_stats shows that connecting fails');
like(stat_of($local, 'last_error'), qr/refused/, 'pool_stats shows why connecting fails');

# Somebody waits while it comes back, however long that takes.
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '1000', ADD breaker_threshold '0')));
my @waiters = map { session($local) } 1 .. 5;
$_->begin(select_42('srv')) foreach @waiters;
wait_for_waiters($local, 5, 'five sessions wait while the remote is down', 'srv');
$remote->start;
is($_->result->{out}, '42',
	'a session that waited is served when the remote is back') foreach @waiters;
is(stat_of($local, 'state'), 'ready', 'the pool is ready when the remote is back');
$_->quit foreach @waiters;
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '3', DROP breaker_threshold)));
at_rest($local, $remote, 'after the remote came back');

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
	$_->begin(select_42($server)) foreach @sessions;
	foreach my $one (@sessions)
	{
		my $result = $one->result(65);

		$states{ $result->{state} }++;
		$messages{ $result->{err} =~ $message ? 'as expected' : $result->{err} }++;
		$slowest = $result->{secs} if $result->{secs} > $slowest;
		$one->quit;
	}
	is_deeply(\%states, { $state => 20 }, "all sessions that ask $server get SQLSTATE $state");
	is_deeply(\%messages, { 'as expected' => 20 },
		"all sessions that ask $server get the error in the remote's own words");
	cmp_ok($slowest, '<', 20, "all sessions that ask $server get the error at once");
	my $attempts = log_count($remote, $in_log, $offset);
	cmp_ok($attempts, '>=', 1, "pool has tried to connect to $server");
	cmp_ok($attempts, '<=', 20,
		"pool has tried $server at most 20 times for 20 sessions: $attempts");
	is(stat_of($local, 'waiting', $server), 0, "no session waits for $server after the errors");
	is((sql_state($local, select_42('srv')))[0], '00000',
		"another pool answers while $server is refused");
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
$session->query(select_42('wrong_password'));
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER wrong_password "
	. "OPTIONS (SET password '$PoolTest::password')");
is($session->query(select_42('wrong_password'))->{out}, '42',
	'a session that failed works once the password is corrected');
sql($local, q(ALTER SERVER no_database OPTIONS (SET dbname 'postgres')));
is($session->query(select_42('no_database'))->{out}, '42',
	'a session works once the name of the database is corrected');

#
# The role's limit on the remote: those connections that there are serve all.
#
sql($local, 'DROP SERVER wrong_password, no_role, no_database CASCADE');
wait_for_app_sessions($remote, 0, 'dropped servers leave no session on the remote',
	condition => q(datname = 'postgres'));
terminate_app_sessions($remote);
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 2');
@waiters = map { session($local) } 1 .. 8;
$_->begin(q(SELECT t FROM pool_query('srv', 'select pg_sleep(0.2), 42') AS r(s text, t int)))
  foreach @waiters;
is($_->result->{err}, '',
	'a session is served within the connection limit of the remote role') foreach @waiters;
cmp_ok(app_sessions($remote), '<=', 2, 'the connection limit of the remote role is kept');
$_->quit foreach @waiters;
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 0');
terminate_app_sessions($remote);
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0,
	'no connection is left when the remote role may not have one');
$result = $session->query(select_42('srv'));
is($result->{state}, '53300', 'a remote role that may not have a connection is an error');
like($result->{err}, qr/too many connections for role "app"/,
	'the error names the limit of the remote role');
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
works_soon('when the limit of the remote role is lifted', $session);

#
# The remote is full.
#
$remote->append_conf('postgresql.conf', 'max_connections = 8');
$remote->restart;
my @others = map { session($remote, db => $PoolTest::remote_db, user => 'app') } 1 .. 5;
$result = $session->query(select_42('srv'));
is($result->{state}, '53300', 'a full remote is an error');
like($result->{err}, qr/too many clients|connection slots are reserved/,
	'the error of a full remote names the cause');
sql($local, q(ALTER SERVER srv OPTIONS (SET retry_attempts '1000', ADD breaker_threshold '0')));
$session->begin(select_42('srv'));
wait_for_waiters($local, 1, 'a session waits for a full remote', 'srv');
$others[0]->quit;
is($session->result->{out}, '42', 'a session is served as soon as a full remote has room');
$_->quit foreach @others;
settled($local, 'after the full remote nothing is under way, and the sums hold');

#
# A port where nobody answers, and two where nonsense comes
#
my $mute = mute_remote();
my $nobody = fork_server(sub { my ($c) = @_; sysread $c, my $x, 8; });
my $nonsense = fork_server(
	sub {
		my ($c) = @_;
		sysread $c, my $x, 8;
		syswrite $c, "HTTP/1.0 200 OK\r\n\r\n" x 100;
	});

# fork_server(code): a server on a port of its own that runs the code for each
# connection, and closes it
sub fork_server
{
	my ($code) = @_;
	my $listen = mute_remote();
	my $port = $listen->sockport;
	my $pid = start_child(
		sub {
			my ($goes_on) = @_;

			while ($goes_on->())
			{
				next if !IO::Select->new($listen)->can_read(0.1);
				my $client = $listen->accept or next;

				$code->($client);
				close $client;
			}
		});

	return { pid => $pid, port => $port };
}

# others_work(what): tests: meanwhile others connect and query as if nothing was
sub others_work
{
	my ($while) = @_;
	my $start;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	terminate_app_sessions($remote);
	$start = time;
	works_soon("by another pool while $while", $session);
	cmp_ok(time - $start, '<', 20, "another pool answers soon while $while");
	sql($local, q(SELECT pool_prewarm('srv', 3)));
	return wait_for_value($local, q(SELECT idle FROM pool_stats WHERE server = 'srv'),
		3, "another pool connects while $while", seconds => 20);
}

create_server($local, 'patient', $remote,
	options => { port => $mute->sockport, connect_timeout => '1h', acquire_timeout => '1h' });
my @patient = map { session($local) } 1 .. 5;
$_->begin(select_42('patient')) foreach @patient;
wait_for_waiters($local, 5, 'sessions wait for a remote that never answers', 'patient');
others_work('they wait');
is(scalar(grep { $_->busy } @patient), 5, 'no attempt had to end for that');
foreach my $one (@patient)
{
	sql($local, 'SELECT pg_cancel_backend(' . $one->pid . ')');
	is($one->result->{state}, '57014', 'a session can be cancelled that waits so');
	$one->quit;
}
sql($local, 'DROP SERVER patient CASCADE');
settled($local, 'after an attempt that never ended nothing is under way');

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
			acquire_timeout => '100s' });
	my @sessions = map { session($local) } 1 .. 5;
	$_->begin(select_42($name)) foreach @sessions;

	others_work("$name fails");
	foreach my $one (@sessions)
	{
		my $result = $one->result(120);
		like($result->{state}, qr/^08/, "a session that asks $name gets error $result->{state}");
		like($result->{err}, $cause, "the error of $name names the cause");
		cmp_ok($result->{secs}, '<', 90, "the error of $name comes before acquire_timeout");
		$one->quit;
	}
	cmp_ok(stat_of($local, 'connect_errors', $name), '<=', 20,
		"pool does not try often to connect to $name");
	settled($local, "after the errors of $name nothing is under way, and the sums hold");
}

# A session that waits for the one that never answers can be cancelled.
$session->query(q(SET statement_timeout = '300ms'));
$result = $session->query(select_42('mute'));
is($result->{state}, '57014', 'a session that waits for a mute remote can be cancelled');
cmp_ok($result->{secs}, '<', 10,
	'the cancel of a session that waits for a mute remote works at once');
$session->quit;
sql($local, 'DROP SERVER mute CASCADE');
settled($local, 'a server dropped while connecting leaves nothing under way');

stop_child(map { $_->{pid} } $nobody, $nonsense);
no_crash($local, $remote);
done_testing();
