# 085_fault_races.pl
#	A session that is stopped at a point, while others go on, and then continues:
#	the narrow moments in which two sessions, or a session and the worker, decide
#	about the same slot.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::Invariants;
use PoolTest::Security qw($canary);
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_invariant_pair(options => { max_size => 1 });
my $case = PoolTest::Invariants->new($local, $remote);
my $victim = $case->open_session;
my $other = $case->open_session;
my $control = session($local);

# stopped(session): it has come to the point where it stops
sub stopped
{
	my ($session) = @_;
	my $pid = $session->pid;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(wait_until(20, sub { slurp_file("/proc/$pid/stat") =~ /^\d+ \(.*\) T/ }),
		'the session stops at the point');
}

sub go_on
{
	my ($session) = @_;

	return kill 'CONT', $session->pid;
}

# over(when, how): the end of each case
sub over
{
	my ($when, %how) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	disarm($_) foreach $victim, $other;
	$case->hold($when, %how);
	return;
}

# waits(session): for a slot
sub waits
{
	my ($session) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($control,
		'SELECT count(*) FROM pool_waiters WHERE pid = ' . $session->pid, 1,
		'the session waits for a slot');
}

# fresh(): the next who asks needs a handover
sub fresh
{
	sql($control, q(SELECT pool_reconnect('srv')));
	$case->ask($control, 'srv');
	return;
}

# A slot that comes when the time is over, but before the queue is left, is used.
my $lease = $other->acquire('srv');
arm($victim, 'acquire_timed_out stop');
$victim->query(q(SET pool.acquire_timeout = '50ms'));
$case->begin($victim, 'srv');
stopped($victim);
$other->release($lease);
go_on($victim);
is($case->result($victim)->{state}, '00000', 'a slot that is granted in the last moment is used');
$victim->query('RESET pool.acquire_timeout');
over('after a slot was granted in the last moment');

# One that comes while a cancel ends the wait goes back.
$lease = $other->acquire('srv');
arm($victim, 'acquire_abandon stop');
$case->begin($victim, 'srv');
waits($victim);
sql($control, 'SELECT pg_cancel_backend(' . $victim->pid . ')');
stopped($victim);
$other->release($lease);
go_on($victim);
is($case->result($victim)->{state}, '57014', 'a slot that is granted does not undo a cancel');
over('after a slot was granted to a session that was cancelled');

# Who releases stops before it wakes the one that has the slot now.
$lease = $victim->acquire('srv');
$case->begin($other, 'srv');
waits($other);
arm($victim, 'release_wake stop');
$victim->begin("SELECT pool_release($lease)");
stopped($victim);
is(sql($control, q(SELECT pid FROM pool_connections WHERE server = 'srv' AND state = 'leased')),
	$other->pid, 'the slot belongs to the waiter before that is awake');
go_on($victim);
$victim->result;
is($case->result($other)->{state}, '00000', 'the waiter gets its answer when it is awake');
over('after a late wake-up');

# A session stops under the lock of the pool: all wait for it, and nothing else.
$lease = $other->acquire('srv');
arm($victim, 'acquire_joined_locked stop');
$case->begin($victim, 'srv');
stopped($victim);
$other->begin("SELECT pool_release($lease)");
$control->begin('SELECT count(*) FROM pool_stats');
is($case->ask($case->{bystander}, $case->{lease})->{state}, '00000',
	'a lease of another pool works while a session has stopped under the lock');
go_on($victim);
is($other->result->{state}, '00000', 'who releases goes on when the lock is free');
is($control->result->{state}, '00000', 'a view goes on when the lock is free');
is($case->result($victim)->{state}, '00000', 'who has stopped gets its answer');
over('after a stop under the lock');

# The worker ends between a request and its answer.
fresh();
arm($victim, 'fetch_begin stop');
$case->begin($victim, 'srv');
stopped($victim);
my $worker = worker_pid($control);
sql($control, "SELECT pg_terminate_backend($worker, 20000)");
go_on($victim);
is($case->result($victim)->{state}, '00000', 'who has asked an ended worker asks the next one');
over('after the worker ended before an answer', worker => 1);

# The slot is reclaimed before its descriptor is here, before the statement, and
# while it runs; the answer may have come already.
foreach my $moment (
	[ 'fetch_begin', '00000' ],
	[ 'copy_done', '08003' ],
	[ 'run_begin', '08003|00000' ],
	[ 'run_sent', '08006|00000' ],
	[ 'run_before_end', '08006|00000' ])
{
	my ($point, $state) = @$moment;

	fresh();
	arm($victim, "$point stop");
	$case->begin($victim, 'srv');
	stopped($victim);
	sql($control, q(SELECT pool_reclaim(slot) FROM pool_connections WHERE server = 'srv'));
	is($case->ask($other, 'srv')->{state}, '00000',
		"who comes gets an answer when a lease was reclaimed at $point");
	go_on($victim);
	like($case->result($victim)->{state}, qr/^($state)$/,
		"who has lost its slot at $point is answered, or told");
	over("after a slot was reclaimed at $point");
}

# A cancel that comes when the answer is complete is nobody else's.
foreach my $point (qw(run_before_end run_done run_settle run_settled release_wake close_keep))
{
	fresh();
	arm($victim, "$point stop");
	$case->begin($victim, 'srv');
	stopped($victim);
	sql($control, 'SELECT pg_cancel_backend(' . $victim->pid . ')');
	$case->begin($other, 'srv');
	go_on($victim);
	$case->result($victim);
	is($case->result($other)->{state}, '00000', "a cancel at $point is not the next session's");
	over("after a cancel at $point");
}

# A server is dropped while a session makes its pool.
create_server($local, 'passing', $remote, password => $canary);
arm($victim, 'acquire_pool_made stop');
$case->begin($victim, 'passing');
stopped($victim);
sql($control, 'DROP SERVER passing CASCADE');
go_on($victim);
is($case->result($victim)->{state}, '42704', 'the pool of a dropped server serves nobody');
is(sql($control, q(SELECT count(*) FROM pool_stats WHERE server = 'passing')), 0,
	'the pool of a dropped server is gone');
over('after a server was dropped');

no_crash($local, $remote);
done_testing();
