# 060_stopped_worker.pl
#	A worker that is stopped (by a debugger, or since the machine swaps) keeps
#	waiting only those who need it.  A session that has copies of the connections
#	does not, also when others hold them that do.  What it does not close pool_drain()
#	tells of.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2, acquire_timeout => '2min');
my @warm = (session($local), session($local));
my @cold = (session($local), session($local));
my $worker = worker_pid($local);

# copy_both(session): it has copies of both connections
sub copy_both
{
	my ($session) = @_;
	my ($lease) = acquire_lease($session, 'srv');

	is($session->query(select_42('srv'))->{out}, '42', 'a session has used both connections');
	$session->release($lease);
	return wait_for_value($local, q(SELECT idle FROM pool_stats), 2, 'both connections are idle');
}
copy_both($_) foreach @warm;
is(sql($local, q(SELECT open FROM pool_stats)), 2, 'there are two connections');
kill 'STOP', $worker;

# All connections go to sessions that wait for the worker.
foreach my $n (0, 1)
{
	$cold[$n]->begin(select_42('srv'));
	wait_for_value($local, q(SELECT active FROM pool_stats), $n + 1,
		'a session without a copy has leased a connection');
}
foreach my $turn (1 .. 3)
{
	foreach my $session (@warm)
	{
		my $answer = $session->query(select_42('srv'), 20);

		is($answer->{out}, '42', "a session with copies needs no worker, turn $turn")
		  or diag($answer->{state} . $answer->{err});
		$session->result if $answer->{state} eq 'timeout';
	}
}
ok($_->busy, 'a session without a copy goes on waiting for the worker') foreach @cold;

# One that has not so much time
my $hasty = session($local, options => '-c pool.acquire_timeout=300ms');
my $answer = $hasty->query(select_42('srv'), 20);
is($answer->{state}, '08001', 'acquire_timeout bounds the wait for the worker');
like($answer->{err}, qr/pool worker is not responding/, 'the error says who does not answer');
is(stat_of($local, 'acquire_failures'), 1, 'it is counted as an acquire that failed');
kill 'CONT', $worker;
is($_->result->{out}, '42', 'a session without a copy is served when the worker goes on')
  foreach @cold;
is($hasty->query("RESET pool.acquire_timeout; " . select_42('srv'))->{out}, '42',
	'a session that gave up waiting for the worker is served when that goes on');

# Connections that cannot be closed
settled($local, 'all leases have ended');
create_server($local, 'unasked', $remote);
kill 'STOP', $worker;
is($hasty->query(q(SELECT * FROM pool_query_all('{unasked}', 'select 42', on_error => 'row',
		timeout => '200ms') AS t(server text, sqlstate text, error text, a int)), 20)->{state},
	'08001', 'pool_query_all() does not take a worker for a server that fails');
is(stat_of($local, 'acquire_failures', 'unasked'), 1, 'that is counted, too');
$answer = $hasty->query(q(SELECT pool_drain('srv', '200ms')));
is($answer->{out}, '0', 'pool_drain counts what is leased');
like($answer->{err},
	qr/WARNING:  55006: 2 connections to server "srv" are not leased and not closed.*pool_connections/s,
	'a warning tells of those that are not closed');
kill 'CONT', $worker;
$answer = $hasty->query(q(SELECT pool_drain('srv')));
is("$answer->{out} $answer->{err}", '0 ', 'pool_drain without a warning has closed all');
is(sql($local, q(SELECT count(*) FROM pool_connections)), 0, 'none is left');

$_->quit foreach @warm, @cold, $hasty;
settled($local, 'nothing is under way, and the sums hold', 20);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
