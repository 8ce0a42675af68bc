# 106_stopped.pl
#	Processes that are stopped (SIGSTOP) at the worst moment and go on later: on the
#	remote a backend in a statement, in a handover and in a reset, and the postmaster;
#	here the worker, and sessions that hold a lease, run a statement, wait, or are
#	handed a connection.  Nobody gets another's answer, everybody is told in time,
#	and when the process goes on everything is as before.
#
#	Idle connections whose remote is stopped are in 058_silent_remotes.pl, sessions
#	that need no worker in 060_stopped_worker.pl.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Invariants;
use PoolTest::Servers;
use Test::More;

# The time in which a session is told, with much for a busy machine.
my $in_time = 20;

my ($local, $remote) = start_invariant_pair(
	options => {
		max_size => 1, query_timeout => '6s', acquire_timeout => '40s',
		health_check_timeout => '1s', health_check_interval => 0,
		validate_after_idle => '1h', connect_timeout => '2s',
		leak_threshold => 0, leak_action => 'reclaim' });
my $case = PoolTest::Invariants->new($local, $remote);
my $control = session($local);
my $worker = worker_pid($local);
my $one = $case->open_session;
my $other = $case->open_session;
my $gate = session($remote, db => $PoolTest::remote_db);
my %stopped;

sub stop_process
{
	my ($pid) = @_;

	$stopped{$pid} = 1;
	return kill 'STOP', $pid;
}

sub go_on
{
	kill 'CONT', keys %stopped;
	%stopped = ();
	return;
}
END { go_on(); }

# slow(session, what): begin a statement that is held up by that; answered() has its
# answer, which is its own, or an error
my %slow;

sub slow
{
	my ($session, $what) = @_;
	my ($token, $statement) = $case->tokens('srv');

	$statement =~ s/\)'\)/) from $what')/;
	$slow{$session} = $token;
	$session->begin($statement);
	return wait_for_remote_statement($remote, 'the remote runs a slow statement');
}

# slow_to_gate(session): the same, until open_gate(), which may take long
sub slow_to_gate
{
	my ($session) = @_;

	sql($local, q(ALTER SERVER srv OPTIONS (SET query_timeout '2min')));
	$gate->query('SELECT pg_advisory_lock(1, 1)');
	return slow($session, 'pg_advisory_xact_lock(1, 1)');
}

sub open_gate
{
	$gate->query('SELECT pg_advisory_unlock(1, 1)');
	sql($local, q(ALTER SERVER srv OPTIONS (SET query_timeout '6s')));
	return;
}

sub answered
{
	my ($session) = @_;

	return $case->check(delete $slow{$session}, 3, $session->result(60));
}

# remote_pid(): of the pool's only connection
sub remote_pid
{
	return sql($local, q(SELECT remote_pid FROM pool_connections WHERE server = 'srv'));
}

# leased_to(session, what): a test: soon it has the pool's connection
sub leased_to
{
	my ($session, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		q(SELECT count(*) FROM pool_connections WHERE server = 'srv' AND pid = ) . $session->pid,
		1, $what);
}

# told_in_time(what, state, result): tests
sub told_in_time
{
	my ($what, $state, $result) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($result->{state}, qr/^$state$/, "$what is told so") or diag($result->{err});
	return cmp_ok($result->{secs}, '<', $in_time, "$what is told in time");
}

# asks_hastily(session, state, what): tests: who has a second only gets that error
sub asks_hastily
{
	my ($session, $state, $what) = @_;
	my ($token, $statement) = $case->tokens('srv');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	told_in_time($what, $state,
		$case->check($token, 3, $session->query("SET pool.acquire_timeout = '1s'; $statement")));
	$session->query('RESET pool.acquire_timeout');
	return;
}

# served(session, what): a test
sub served
{
	my ($session, $what) = @_;
	my $result = $case->ask($session, 'srv');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($result->{state}, '00000', $what) || diag($result->{err});
}

#
# A remote backend, in a statement
#
slow_to_gate($one);
stop_process(remote_pid());
open_gate();
ok($one->busy, 'a statement waits for a remote backend that is stopped');
go_on();
is(answered($one)->{state}, '00000', 'a statement is answered when the remote goes on in time');

slow($one, 'pg_sleep(60)');
my $pid = remote_pid();
stop_process($pid);
$case->begin($other, 'srv');
told_in_time('a session whose remote backend is stopped', '57014', answered($one));
is($case->result($other)->{state}, '00000', 'the next session gets another connection');
go_on();
wait_for_app_sessions($remote, 0, 'a remote backend that was given up ends when it goes on',
	condition => "pid = $pid", seconds => 30);
$case->hold('after a remote backend was stopped in a statement');

#
# In a handover: it has the reset, the proof and the statement, and does nothing
#
served($one, 'a session uses the connection before the other one');
$pid = remote_pid();
stop_process($pid);
told_in_time('a session in a handover whose remote is stopped', '(?:57014|08006)',
	$case->ask($other, 'srv'));
go_on();
wait_for_app_sessions($remote, 0, 'a remote backend that was stopped in a handover ends',
	condition => "pid = $pid", seconds => 30);
$case->hold('after a remote backend was stopped in a handover');

#
# In a reset by the worker
#
my ($lease, $reset) = acquire_lease($one, 'srv');
stop_process($reset);
$one->release($lease);
served($other, 'a reset that gets no answer is given up');
go_on();
$case->hold('after a remote backend was stopped in a reset');

#
# The remote's postmaster: what is connected goes on, nothing else is, and cancel
# requests are not heard
#
($lease) = acquire_lease($one, 'srv');
$control->query(q(SELECT pool_resize('srv', 0, 2)));
stop_process((split /\n/, PostgreSQL::Test::Utils::slurp_file(
	$remote->data_dir . '/postmaster.pid'))[0]);
asks_hastily($other, '08001', 'a session for which no connection can be made');
is($case->ask($one, $lease)->{state}, '00000', 'a lease goes on without the remote postmaster');
my $answer = $one->query("SELECT pool_exec($lease, 'select pg_sleep(60)')", 60);
told_in_time('a session whose cancel request is not heard', '57014', $answer);
$one->release($lease);
$case->begin($other, 'srv');
go_on();
is($case->result($other)->{state}, '00000', 'a session is served when the postmaster goes on');
$control->query(q(SELECT pool_resize('srv', 0, 1)));
wait_for_app_sessions($remote, 0, 'nothing runs on the remote that nobody waits for',
	condition => q(query ~ 'pg_sleep'), seconds => 90);
$case->hold('after the remote postmaster was stopped');

#
# The worker: what needs it waits, and is told in time
#
served($one, 'a session has a copy before the worker is stopped');
($lease) = acquire_lease($one, 'srv');
stop_process($worker);
is($case->ask($one, $lease)->{state}, '00000', 'a lease goes on without the worker');
$case->begin($other, 'srv');
wait_for_waiters($local, 1, 'a session waits for the connection', 'srv');
$one->release($lease);
asks_hastily($one, '(?:53300|08001)', 'a session that needs the worker');
go_on();
is($case->result($other)->{state}, '00000', 'a session is served when the worker goes on');
$case->hold('after the worker was stopped');

#
# A session that holds a lease: the lease can be reclaimed
#
($lease) = acquire_lease($one, 'srv');
stop_process($one->pid);
asks_hastily($other, '53300', 'a session that wants what a stopped one holds');
sql($local, q(ALTER SERVER srv OPTIONS (SET leak_threshold '1s')));
served($other, 'a session is served when the lease of a stopped one is reclaimed');
sql($local, q(ALTER SERVER srv OPTIONS (SET leak_threshold '0')));
go_on();
is($case->ask($one, $lease)->{state}, '08003', 'a stopped session finds that its lease is gone');
$one->release($lease);
$case->hold('after a session was stopped that held a lease');

#
# One that is terminated while it is stopped ends when it goes on
#
my $gone = session($local);
$gone->acquire('srv');
stop_process($gone->pid);
sql($local, 'SELECT pg_terminate_backend(' . $gone->pid . ')');
$case->begin($other, 'srv');
wait_for_waiters($local, 1, 'a session waits for the end of a stopped one', 'srv');
go_on();
is($case->result($other)->{state}, '00000', 'a session is served when the stopped one has ended');
wait_for_session_end($local, $gone->pid, 'a session ends that was stopped and terminated');
$gone->quit;
$case->hold('after a session was terminated that was stopped');

#
# One that runs a statement, whose answer comes while it is stopped; the
# connection is closed under it
#
slow_to_gate($one);
stop_process($one->pid);
open_gate();
wait_for_app_sessions($remote, 0, 'the remote has answered a stopped session',
	condition => q(state = 'active'), seconds => 30);
go_on();
is(answered($one)->{state}, '00000', 'a stopped session reads its answer when it goes on');

slow_to_gate($one);
stop_process($one->pid);
open_gate();
wait_for_app_sessions($remote, 0, 'the remote has answered a stopped session once more',
	condition => q(state = 'active'), seconds => 30);
$control->query(q(SELECT pool_close('srv')));
served($other, 'a session is served when the connection of a stopped one is closed');
go_on();
like(answered($one)->{state}, qr/^(?:00000|08006)$/,
	'a stopped session gets its own answer, or is told that the connection was closed');
$case->hold('after a session was stopped in a statement');

#
# One that waits, and is granted the connection while it is stopped
#
foreach my $then ('it goes on', 'its lease is reclaimed')
{
	($lease) = acquire_lease($other, 'srv');
	$case->begin($one, 'srv');
	wait_for_waiters($local, 1, 'a session waits before it is stopped', 'srv');
	stop_process($one->pid);
	$other->release($lease);
	leased_to($one, 'a stopped session is granted the connection');
	asks_hastily($other, '53300', 'a session that comes after a stopped one');
	if ($then ne 'it goes on')
	{
		$control->query('SELECT pool_reclaim(slot) FROM pool_connections'
			  . q( WHERE server = 'srv' AND state = 'leased'));
		served($other, 'a session is served when the stopped one has lost its place');
	}
	go_on();
	$answer = $case->result($one);
	like($answer->{state}, $then eq 'it goes on' ? qr/^00000$/ : qr/^(?:00000|0800[36])$/,
		"a session that was stopped in the queue gets its own answer when $then");
	$case->hold("after a session was stopped in the queue, and $then");
}

#
# One that is handed a connection while it is stopped.  A new session has no copy
# and has to ask the worker, which is stopped until the request is there.
#
foreach my $then ('it goes on', 'its lease is reclaimed')
{
	my $new = session($local);

	served($one, 'there is an idle connection');
	$pid = remote_pid();
	stop_process($worker);
	$case->begin($new, 'srv');
	leased_to($new, 'a session has leased a connection of which it has no copy');
	stop_process($new->pid);
	kill 'CONT', $worker;
	asks_hastily($other, '53300', 'a session that comes after one in a handover');
	if ($then ne 'it goes on')
	{
		$control->query('SELECT pool_reclaim(slot) FROM pool_connections'
			  . q( WHERE server = 'srv' AND state = 'leased'));
		served($other, 'a session is served when the one in a handover has lost its lease');
		isnt(remote_pid(), $pid, 'it has another connection');
	}
	go_on();
	$answer = $case->result($new);
	like($answer->{state}, $then eq 'it goes on' ? qr/^00000$/ : qr/^(?:00000|0800[36])$/,
		"a session that was stopped in a handover gets its own answer when $then");
	$new->quit;
	$case->hold("after a session was stopped in a handover, and $then");
}

$_->quit foreach $one, $other, $control, $gate;
no_crash($local, $remote);
done_testing();
