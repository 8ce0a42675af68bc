# 005_worker.pl
#	The worker ends - idle, or while leases are held and statements run - and
#	another one starts: sessions get a clear error and then work again.  The
#	local server stops in each mode: no session of it is left on the remote.
#	Workers and servers are ended by signals and pg_ctl while sessions wait, hold
#	leases and run statements.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local(restart_after_crash => 'on');
create_server($local, 'srv', $remote,
	options => { max_size => 4, acquire_timeout => '60s', breaker_timeout => '1min' });

my $answer = select_42('srv');

# new_worker(old, when): the pid of a worker that is another one than the old
sub new_worker
{
	my ($old, $when) = @_;
	my $pid = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		30,
		sub {
			my ($state, $err, $out) = sql_state($local,
				q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
			$pid = $out;
			return $state eq '00000' && $pid =~ /^\d+$/ && $pid != $old;
		});
	isnt($pid, '', "there is a worker again $when");
	return $pid;
}

# works(when, session): within seconds, and for that session, too, which was there
# before
sub works
{
	my ($when, $session) = @_;
	my $start = time;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_value($local, $answer, 42, "a new session gets an answer $when");
	cmp_ok(time - $start, '<', 15, "a new session gets an answer within seconds $when");
	is($session->query($answer)->{out}, '42', "a session from before gets an answer $when")
	  if $session;
	return;
}

# remote_pids(): of the sessions that the remote has
sub remote_pids
{
	return split /\n/, sql($remote, q(SELECT pid FROM pg_stat_activity WHERE usename = 'app'));
}

my $worker = worker_pid($local);
like($worker, qr/^\d+$/, 'there is one worker');

#
# Idle
#
my $session = session($local);
my $idle = session($local);
is($session->query($answer)->{out}, '42', 'a session uses the pool before its worker ends');
sql($local, q(SELECT pool_prewarm('srv', 4)));
wait_for_value($local, 'SELECT idle FROM pool_stats', 4,
	'four connections are idle before the worker ends');
my @before = remote_pids();
is(scalar @before, 4, 'the remote has four sessions before the worker ends');
kill 'TERM', $worker;
wait_for_value($remote,
	'SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @before) . ')',
	0, 'the sessions on the remote end with an idle worker');
$worker = new_worker($worker, 'after an idle one ended');
works('after an idle worker ended', $session);
at_rest($local, $remote, 'after an idle worker ended');
is(stat_of($local, 'closed_worker_exited'), 4,
	'connections that ended with the worker are counted as worker_exited');

#
# While one lease is held, one statement runs, and others wait
#
my $holder = session($local);
my $lease = $holder->acquire('srv');
$holder->query("SELECT pool_exec($lease, 'begin')");
my @runners = map { session($local) } 1 .. 3;
$_->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)'))) foreach @runners;
wait_for_remote_statement($remote, 'three statements run before the worker ends', 3);
my $waiter = session($local);
$waiter->begin($answer);
wait_for_waiters($local, 1, 'a session waits before the worker ends');
@before = remote_pids();
my $start = time;
kill 'TERM', $worker;
foreach my $runner (@runners)
{
	my $result = $runner->result(65);

	like($result->{state}, qr/^(08|57P)/,
		"a statement fails when the worker ends: $result->{state}");
	unlike($result->{err}, qr/XX000/, 'the error of a statement is clear when the worker ends');
	isnt($result->{state}, '57P01', 'a session whose statement fails does not end');
}
cmp_ok(time - $start, '<', 10, 'statements fail at once when the worker ends');
my $result = $holder->query("SELECT pool_exec($lease, 'select 1')");
like($result->{state}, qr/^(08|55)/, "a lease is lost when the worker ends: $result->{state}");
unlike($result->{err}, qr/XX000/, 'the error of a lost lease is clear');
like($holder->release($lease)->{state},
	qr/^(00000|08|55|22|42)/, 'a lost lease can be released, or is no more');
is($waiter->result(40)->{out}, '42', 'a session that waited is served by the next worker');
wait_for_value($remote,
	'SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @before) . ')',
	0, 'the remote sessions end with a busy worker, and with them what they did');
$worker = new_worker($worker, 'after a busy one ended');
works('after a busy worker ended', $holder);
is($runners[0]->query($answer)->{out}, '42',
	'a session whose statement failed gets an answer from the next worker');
$_->quit foreach @runners, $waiter, $idle;
at_rest($local, $remote, 'after a busy worker ended');

#
# Again and again, under load: errors are of connections, never a wrong answer.
#
sql($local, <<'SQL');
CREATE TABLE stop (now bool);
CREATE PROCEDURE churn(INOUT good int, INOUT bad int, INOUT other text) LANGUAGE plpgsql AS $$
DECLARE
	got text;
BEGIN
	good := 0;
	bad := 0;
	WHILE good = 0 OR NOT EXISTS (SELECT FROM stop) LOOP
		BEGIN
			SELECT t INTO got FROM pool_query('srv', 'select $1::text',
				pg_backend_pid() || '/' || good) AS r(t text);
			IF got IS DISTINCT FROM pg_backend_pid() || '/' || good THEN
				other := concat_ws(' ', other, 'WRONG', got);
			END IF;
			good := good + 1;
		EXCEPTION WHEN OTHERS THEN
			bad := bad + 1;
			IF SQLSTATE NOT LIKE '08%' THEN
				other := concat_ws(' ', other, SQLSTATE, SQLERRM);
			END IF;
		END;
	END LOOP;
END $$;
SQL
my @churners = map { session($local) } 1 .. 8;
$_->begin('CALL churn(0, 0, NULL)') foreach @churners;
foreach my $turn (1 .. 4)
{
	kill 'TERM', $worker;
	$worker = new_worker($worker, "after one ended under load, turn $turn");
	ok(wait_until(15, sub { return app_sessions($remote) > 0; }),
		"the next worker connects under load, turn $turn");
}
sql($local, 'INSERT INTO stop VALUES (true)');
foreach my $churner (@churners)
{
	$result = $churner->result(40);
	like($result->{out}, qr/^[1-9]\d*\|\d+\|$/,
		'a session meets answers, connection errors and nothing else under load')
	  or diag($result->{err});
	$churner->quit;
}
works('after workers ended under load', $session);
at_rest($local, $remote, 'after workers ended under load');
no_crash($local, $remote);

#
# Stopping the local server
#
foreach my $mode ('fast', 'immediate', 'smart')
{
	foreach my $busy (0, 1)
	{
		my $how = "$mode stop" . ($busy ? ' with leases' : ' while idle');
		my @sessions;

		works("before the $how");
		sql($local, q(SELECT pool_prewarm('srv', 4)));
		wait_for_value($local, 'SELECT idle FROM pool_stats', 4,
			"four connections are idle before the $how");
		if ($busy)
		{
			@sessions = (session($local), session($local));
			$lease = $sessions[0]->acquire('srv');
			$sessions[0]->query("SELECT pool_exec($lease, 'begin')");

			# A remote that only sleeps cannot notice an immediate stop.
			if ($mode eq 'fast')
			{
				$sessions[1]->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
				wait_for_remote_statement($remote, "a statement runs before the $how");
			}
		}
		is(app_sessions($remote), 4, "the remote has four sessions before the $how");

		$start = time;
		if ($mode eq 'smart' && $busy)
		{
			# It waits for sessions to end by themselves, and they go on.
			my $offset = log_offset($local);

			command_ok(
				[ 'pg_ctl', '-D', $local->data_dir, '-m', 'smart', '-W', 'stop' ],
				"the $how can be asked for");
			ok($local->wait_for_log(qr/received smart shutdown request/, $offset),
				"the server has received the request for the $how");
			is($sessions[0]->query("SELECT t FROM pool_query($lease, 'select 7') AS r(t int)")
				  ->{out}, '7', "a lease can be used during the $how");
			is($sessions[1]->query($answer)->{out}, '42', "a lease can begin during the $how");
			$start = time;
			$_->quit foreach @sessions;
			ok( wait_until(
					30, sub { !-e $local->data_dir . '/postmaster.pid' }),
				"the server stops when its sessions have ended in the $how");
			$local->_update_pid(0);
		}
		else
		{
			$local->stop($mode);
		}
		cmp_ok(time - $start, '<', 20, "the $how waits for no remote");
		wait_for_app_sessions($remote, 0, "the $how leaves no session on the remote");
		$_->die_now foreach @sessions;
		$local->start;
		is(sql($local, 'SELECT count(*) FROM pool_connections'), 0,
			"the server has no connection when it starts after the $how");
	}
}
works('after all stops');
no_crash($local, $remote);

#
# The worker killed: the whole server starts anew.
#
$session = session($local);
$session->query($answer);
my $offset = log_offset($local);
$worker = worker_pid($local);
kill 'KILL', $worker;
ok($local->wait_for_log(qr/all server processes terminated; reinitializing/, $offset),
	'the server restarts when the worker is killed');
isnt($session->query('SELECT 1')->{state}, '00000', 'sessions end when the worker is killed');
new_worker($worker, 'after one was killed');
works('after the worker was killed');
at_rest($local, $remote, 'after the worker was killed');
is(log_count($local, qr/terminated by signal/), 1, 'no process but the worker died');
is(log_count($local, qr/PANIC: |TRAP: |pool slot .* cannot go/),
	0, 'the log has no crash but that of the worker');

done_testing();
