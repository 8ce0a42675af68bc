# 005_worker.pl
#	The worker ends - idle, or while leases are held and statements run - and
#	another takes over: sessions get a clear error and then work again.  The
#	local server stops in each mode: no session of it is left on the remote.

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
	options => { max_size => 4, acquire_timeout => '20s' });

my $answer = q(SELECT t FROM pool_query('srv', 'select 42') AS r(t int));

sub worker
{
	return sql($local,
		q(SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'pool'));
}

# A worker that is another one than that
sub new_worker
{
	my ($old, $what) = @_;
	my $pid = '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		30,
		sub {
			my ($state, $err, $out) = sql_state($local,
				q(SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'pool'));
			$pid = $out;
			return $state eq '00000' && $pid =~ /^\d+$/ && $pid != $old;
		});
	isnt($pid, '', "$what: there is a worker again");
	return $pid;
}

# works(what): within seconds, and for a session that was there before, too
sub works
{
	my ($what, $session) = @_;
	my $start = time;
	my ($state, $err, $out);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		15,
		sub {
			($state, $err, $out) = sql_state($local, $answer);
			return $state eq '00000' && $out eq '42';
		});
	is($err eq '' ? $out : $err, '42', "$what: a new session works again");
	cmp_ok(time - $start, '<', 15, "$what: within seconds");
	is($session->query($answer)->{out}, '42', "$what: the old session, too")
	  if $session;
	return;
}

my $worker = worker();
like($worker, qr/^\d+$/, 'there is one worker');

#
# Idle
#
my $session = session($local);
my $idle = session($local);
is($session->query($answer)->{out}, '42', 'idle: in use');
sql($local, q(SELECT pool_prewarm('srv', 4)));
wait_for_value($local, 'SELECT idle FROM pool_stats', 4, 'idle: four connections');
my @before = sort split /\n/,
  sql($remote, q(SELECT pid FROM pg_stat_activity WHERE usename = 'app'));
is(scalar @before, 4, 'idle: four sessions on the remote');
kill 'TERM', $worker;
wait_for_value($remote,
	'SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @before) . ')',
	0, 'idle: the remote sessions are gone');
$worker = new_worker($worker, 'idle');
works('idle', $session);
settled($local, 'idle: settled');
remote_count($local, $remote, 'idle: sessions on the remote');
is(stat_of($local, 'closed_worker_exited'), 4, 'idle: with the reason');

#
# While one lease is held, one statement runs, and others wait
#
my $holder = session($local);
my $lease = $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
$holder->query("SELECT pool_exec($lease, 'begin')");
my @runners = map { session($local) } 1 .. 3;
$_->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)'))) foreach @runners;
ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 3 }),
	'busy: the remote is at work');
my $waiter = session($local);
$waiter->begin($answer);
wait_for_value($local, 'SELECT waiting FROM pool_stats', 1, 'busy: one waits');
@before = split /\n/,
  sql($remote, q(SELECT pid FROM pg_stat_activity WHERE usename = 'app'));
my $start = time;
kill 'TERM', $worker;
foreach my $runner (@runners)
{
	my $result = $runner->result(65);

	like($result->{state}, qr/^(08|57P)/, "busy: the statement fails: $result->{state}");
	unlike($result->{err}, qr/XX000/, 'busy: with a clear message');
	isnt($result->{state}, '57P01', 'busy: but the session does not');
}
cmp_ok(time - $start, '<', 10, 'busy: at once');
my $result = $holder->query("SELECT pool_exec($lease, 'select 1')");
like($result->{state}, qr/^(08|55)/, "busy: the lease is lost: $result->{state}");
unlike($result->{err}, qr/XX000/, 'busy: with a clear message');
like($holder->query("SELECT pool_release($lease)")->{state},
	qr/^(00000|08|55|22|42)/, 'busy: it can be released, or is no more');
is($waiter->result(40)->{out}, '42', 'busy: who waited is served by the next worker');
wait_for_value($remote,
	'SELECT count(*) FROM pg_stat_activity WHERE pid IN (' . join(',', @before) . ')',
	0, 'busy: the old remote sessions are gone, and with them what they did');
$worker = new_worker($worker, 'busy');
works('busy', $holder);
is($runners[0]->query($answer)->{out}, '42', 'busy: a session that failed works');
$_->quit foreach @runners, $waiter, $idle;
settled($local, 'busy: settled');
remote_count($local, $remote, 'busy: sessions on the remote');

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
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
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
	$worker = new_worker($worker, "under load $turn");
	ok( wait_until(
			15,
			sub {
				return app_sessions($remote) > 0;
			}),
		"under load $turn: it connects");
}
sql($local, 'INSERT INTO stop VALUES (true)');
foreach my $churner (@churners)
{
	$result = $churner->result(40);
	like($result->{out}, qr/^[1-9]\d*\|\d+\|$/,
		'under load: answers, connection errors and nothing else')
	  or diag($result->{err});
	$churner->quit;
}
works('under load', $session);
settled($local, 'under load: settled');
remote_count($local, $remote, 'under load: sessions on the remote');
no_crash($local, $remote);

#
# Stopping the local server
#
foreach my $mode ('fast', 'immediate', 'smart')
{
	foreach my $busy (0, 1)
	{
		my $what = $mode . ($busy ? ', leases held' : ', idle');
		my @sessions;

		works($what);
		sql($local, q(SELECT pool_prewarm('srv', 4)));
		wait_for_value($local, 'SELECT idle FROM pool_stats', 4, "$what: four connections");
		if ($busy)
		{
			@sessions = (session($local), session($local));
			$lease = $sessions[0]->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
			$sessions[0]->query("SELECT pool_exec($lease, 'begin')");

			# A remote that only sleeps cannot notice an immediate stop.
			if ($mode eq 'fast')
			{
				$sessions[1]->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
				ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
					"$what: one statement runs");
			}
		}
		is(app_sessions($remote), 4, "$what: four sessions on the remote");

		$start = time;
		if ($mode eq 'smart' && $busy)
		{
			# It waits for sessions to end by themselves, and they go on.
			my $offset = log_offset($local);

			command_ok(
				[ 'pg_ctl', '-D', $local->data_dir, '-m', 'smart', '-W', 'stop' ],
				"$what: asked to stop");
			ok($local->wait_for_log(qr/received smart shutdown request/, $offset),
				"$what: it has heard");
			is($sessions[0]->query("SELECT t FROM pool_query($lease, 'select 7') AS r(t int)")
				  ->{out}, '7', "$what: the lease can be used");
			is($sessions[1]->query($answer)->{out}, '42', "$what: and another begun");
			$start = time;
			$_->quit foreach @sessions;
			ok( wait_until(
					30, sub { !-e $local->data_dir . '/postmaster.pid' }),
				"$what: it stops");
			$local->_update_pid(0);
		}
		else
		{
			$local->stop($mode);
		}
		cmp_ok(time - $start, '<', 20, "$what: it waits for no remote");
		wait_for_value($remote,
			q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'),
			0, "$what: no session is left on the remote");
		$_->die_now foreach @sessions;
		$local->start;
		is(sql($local, 'SELECT count(*) FROM pool_connections'), 0, "$what: starts with nothing");
	}
}
works('after all');
no_crash($local, $remote);

#
# The worker killed: the whole server starts anew.
#
$session = session($local);
$session->query($answer);
my $offset = log_offset($local);
$worker = worker();
kill 'KILL', $worker;
ok($local->wait_for_log(qr/all server processes terminated; reinitializing/, $offset),
	'killed: the server restarts');
isnt($session->query('SELECT 1')->{state}, '00000', 'killed: sessions are gone');
new_worker($worker, 'killed');
works('killed');
settled($local, 'killed: settled');
remote_count($local, $remote, 'killed: sessions on the remote');
is(log_count($local, qr/terminated by signal/), 1, 'killed: only the worker died');
is(log_count($local, qr/PANIC: |TRAP: |pool slot .* cannot go/),
	0, 'killed: nothing else in the log');

done_testing();
