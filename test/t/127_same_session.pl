# 127_same_session.pl
#	A session with several requests in one queue, to one of which goes what another one
#	of them has lost: each knows which lease is its own.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_server($local, 'one', $remote, options => { max_size => 1, acquire_timeout => '10min' });
create_caught($local);
my ($session, $other) = map { session($local) } 1 .. 2;
my $waiting = q{SELECT sum(waiting) FROM pool_stats};
my $worker = worker_pid($local);

#
# A worker that does not answer: the slot that one request gives up, since others wait,
# goes to the next one, and stays that one's
#
# wait_in_vain(): three requests, of which the first one was granted the slot, and has
# given it to the second one; the call that moves them is under way
sub wait_in_vain
{
	$other->query(q{SELECT pool_reconnect('one')});    # so that the session has no copy
	my $lease = $other->query(q{SELECT pool_acquire('one', hold => true)})->{out};

	$session->query('BEGIN');
	my @requests = map { send_request($session, 'one', "select $_ from pg_sleep(0.2)") } 1 .. 3;
	$session->begin(
		'SELECT caught($$SELECT pool_wait(ARRAY[' . join(', ', @requests) . '])$$)');
	wait_for_value($local, $waiting, 3, 'three requests wait for a connection');
	kill 'STOP', $worker;
	$other->query("SELECT pool_release($lease)");
	wait_for_value($local, $waiting, 1, 'one has given way to another one');
	return @requests;
}

# The call is cancelled, and the first request with it.
my @requests = wait_in_vain();
sql($local, "SELECT pg_cancel_backend(${\$session->pid})");
like($session->result->{out}, qr/^57014 /, 'the call is cancelled');
is(sql($local, $waiting), 0, 'nobody waits any more');
kill 'CONT', $worker;
answers($session, "SELECT pool_poll($requests[0])", 'failed', 'the first request has failed');
answers($session, "SELECT t FROM pool_result($requests[$_]) r(t int)",
	$_ + 1, 'another request is answered')
  foreach 1, 2;
answers($session, 'COMMIT', '', 'nothing is left of them');
settled($local);

# The worker answers, at last.
@requests = wait_in_vain();
my $closed = sql($local, 'SELECT closed FROM pool_stats_all()');
kill 'CONT', $worker;
like($session->result->{out}, qr/^\d+$/, 'the call comes to its end');
answers($session, "SELECT t FROM pool_result($requests[$_]) r(t int)",
	$_ + 1, 'each request is answered')
  foreach 0 .. 2;
answers($session, 'COMMIT', '', 'nothing is left of these either');
is(sql($local, 'SELECT closed FROM pool_stats_all()'),
	$closed, 'and the connection was not closed');

#
# A session that is stopped while a slot is granted to one of its requests: the lease is
# reclaimed, and the slot's next connection granted to another one
#
$other->query(q{SELECT pool_reconnect('one')});
my $lease = $other->query(q{SELECT pool_acquire('one', hold => true)})->{out};
$session->query('BEGIN');
@requests = map { send_request($session, 'one', "select $_ from pg_sleep(0.2)") } 1 .. 2;
$session->begin("SELECT count(*) FROM pool_wait(ARRAY[$requests[0], $requests[1]], 2)");
wait_for_value($local, $waiting, 2, 'two requests wait for a connection');
kill 'STOP', $session->pid;
$other->query("SELECT pool_release($lease)");
wait_for_value($local, $waiting, 1, 'one has it, and its session is stopped');
is(sql($local, q{SELECT pool_reclaim(slot) FROM pool_connections}), 't', 'it is reclaimed');
wait_for_value($local, $waiting, 0, 'the other one has the next connection');
kill 'CONT', $session->pid;
is($session->result->{out}, 2, 'both are done when the session goes on');
answers($session, "SELECT t FROM pool_result($requests[$_]) r(t int)",
	$_ + 1, 'each is answered')
  foreach 0, 1;
answers($session, 'COMMIT', '', 'nothing is left of the two');

$_->quit foreach $session, $other;
settled($local);
no_crash($local, $remote);

done_testing();
