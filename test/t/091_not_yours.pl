# 091_not_yours.pl
#	A slot that changes hands while a session looks away: it is granted in the
#	moment in which its waiter gives up, or the session that waits for the worker
#	has given way, and another one holds it when the worker answers.  Processes
#	are stopped by signals to make these moments last.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use PoolTest;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1, acquire_timeout => '60s');
my ($holder, $waiter, $third) = map { session($local) } 1 .. 3;
my $owner = q(SELECT pid FROM pool_connections WHERE state = 'leased');

# await_stop(pid, stop): until the kernel says that the process is stopped
sub await_stop
{
	my ($pid, $stop) = @_;

	kill 'STOP', $pid if $stop;
	return wait_until(20,
		sub { return slurp_file("/proc/$pid/status") =~ /^State:\s+T/m; });
}

#
# Given up, and granted no more
#
my ($lease, $pid) = acquire_lease($holder, 'srv');
$waiter->begin(q(SELECT pool_acquire('srv', hold => true)));
wait_for_waiters($local, 1, 'a session waits');
sql($local, 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
is($waiter->result->{state}, '57014', 'a session that waits can be cancelled');
$holder->release($lease);
is($third->query(pid_query('srv'))->{out}, $pid,
	'what is released later does not go to the session that was cancelled');

#
# Granted, and given up
#
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	($lease, $pid) = acquire_lease($holder, 'srv');
	$waiter->begin(q(SELECT pool_acquire('srv', hold => true)));
	wait_for_waiters($local, 1, "a session waits, before $how");
	ok(await_stop($waiter->pid, 1), "it is stopped, before $how");
	$holder->release($lease);
	wait_for_value($local, $owner, $waiter->pid, "it is granted the slot, before $how");
	sql($local, "SELECT $how(" . $waiter->pid . ')');
	kill 'CONT', $waiter->pid;
	is($waiter->result->{state}, $how =~ /cancel/ ? '57014' : '57P01',
		"the session that was granted the slot ends its wait by $how");
	is($third->query(pid_query('srv'))->{out}, $pid,
		"the slot is not lost that was granted before $how");
}
$waiter->quit;

#
# Reclaimed, before the worker can cut the connection: nothing is sent over it
#
$waiter = session($local);
my $worker = worker_pid($local);
foreach my $when ('before', 'in the moment in which')
{
	($lease) = acquire_lease($waiter, 'srv');
	my $slot = sql($local, q(SELECT slot FROM pool_connections WHERE state = 'leased'));

	if ($when =~ /moment/)
	{
		$waiter->query(q(SET pool.fault_point = 'run_allowed stop'));
		$waiter->begin("SELECT pool_exec($lease, 'select 1')");
		ok(await_stop($waiter->pid, 0), 'a session is stopped before its statement begins');
	}
	kill 'STOP', $worker;
	is(sql($local, "SELECT pool_reclaim($slot)"), 't', "a lease is reclaimed $when it is used");
	$waiter->begin("SELECT pool_exec($lease, 'select 1')") if $when =~ /before/;
	kill 'CONT', $waiter->pid;
	my $answer = $waiter->result;

	is($answer->{state}, '08003', "a lease that was reclaimed $when it is used has no connection");
	like($answer->{err}, qr/was reclaimed/,
		"the error says that it was reclaimed $when it is used");
	kill 'CONT', $worker;
	$waiter->release($lease);
	settled($local);
}
$waiter->quit;

#
# Given way
#
$waiter = session($local);
$holder->query(select_42('srv'));
kill 'STOP', $worker;
$waiter->begin(pid_query('srv'));
wait_for_value($local, $owner, $waiter->pid, 'a session without a copy has leased the slot');
$lease = $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
is(sql($local, $owner), $holder->pid, 'it gives way to a session that has a copy');
$pid = $holder->query(pid_query($lease))->{out};
kill 'CONT', $worker;
wait_for_waiters($local, 1, 'it acquires again when the worker goes on');
is(sql($local, $owner), $holder->pid, 'the session that it gave way to has the slot still');
is($holder->query(pid_query($lease))->{out}, $pid, 'and the same connection');
$holder->release($lease);
is($waiter->result->{out}, $pid, 'the session that gave way is served in its turn');

# The answer comes, but in that moment the session gives way.  It is held up when
# it has just found that there is no answer yet.
SKIP:
{
	skip 'strace is not installed', 6 if system('strace -V >/dev/null 2>&1') != 0;

	my ($err, $out) = ('', '');
	my @delay = ('-e', 'trace=recvmsg', '-e', 'inject=recvmsg:delay_exit=8000000:when=1');
	my $late = session($local);
	my $strace = IPC::Run::start([ 'strace', '-o', '/dev/null', @delay, '-p', $late->pid ],
		'<', \undef, '>', \$out, '2>', \$err);

	wait_until(20, sub { $strace->pump_nb; return $err =~ /attached|not permitted|invalid/ });
	if ($err !~ /attached/)
	{
		$strace->kill_kill;
		skip 'strace may not hold up a process here', 6;
	}
	kill 'STOP', $worker;
	$late->begin(pid_query('srv'));
	wait_for_value($local, $owner, $late->pid, 'another session without a copy has the slot');
	$holder->begin(q(SELECT pool_acquire('srv', hold => true)));
	wait_for_waiters($local, 1, 'one that has a copy waits');
	kill 'CONT', $worker;
	$lease = $holder->result->{out};
	is(sql($local, $owner), $holder->pid, 'the slot goes to that one');
	ok($late->busy, 'the answer of the worker is not used any more');
	is($holder->query(pid_query($lease))->{out}, $pid, 'the lease is not disturbed');
	$holder->release($lease);
	is($late->result->{out}, $pid, 'the session that was late is served in its turn');
	$strace->signal('INT');
	$strace->finish;
	$late->quit;
}

$_->quit foreach $holder, $waiter, $third;
settled($local);
is(stat_of($local, 'connects'), 3, 'no connection was lost but those that were reclaimed');
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
