# 121_tenure.pl
#	A session that comes back at once goes on with its connection while others
#	wait, but not for long.  Sessions ask in loops inside the server, so they come
#	back within microseconds; what is looked at are counts of leases: "acquires"
#	less "reused" are handovers.
#
# Runs in the plain round only.
# Needs fairness_round.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Loops;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_loops($local);

sub server { return new_server($local, $remote, { max_size => 1, acquire_timeout => '60s', @_ }); }

# compete(server, before): acquires and handovers of sessions that all ask at once,
# each after a statement of its own, and how often each asked
sub compete
{
	my ($server, @before) = @_;
	my @sessions = map { start_loop($local, $server, $_) } @before;
	my ($acquires, $handovers);

	wait_for_waiters($local, @sessions - 1, 'the others wait for the one that asks', $server);
	sql($local, 'SELECT pool_stats_reset(NULL)');
	wait_until(60, sub { stat_of($local, 'acquires', $server) > 3000 });
	my @asked = stop_loops($local, @sessions);
	is(scalar(grep { $_ !~ /^[1-9]\d*$/ } @asked), 0, 'each session is served') or diag("@asked");
	($acquires, $handovers) = split /\|/,
	  stat_of($local, "acquires || '|' || acquires - reused", $server);
	note "$acquires acquires, $handovers handovers, sessions asked @asked";
	return ($acquires, $handovers, @asked);
}

# On a busy machine a tenure may have the time for one lease only.
my ($acquires, $handovers, @asked);
foreach (1 .. 5)
{
	($acquires, $handovers, @asked) = compete(server(), ('') x 4);
	last if $handovers < $acquires / 2;
}
cmp_ok($handovers, '<', $acquires / 2, 'most leases of a tenure need no handover');
cmp_ok($handovers, '>', 3, 'tenures end while their session goes on');

# A turn of a millisecond has no time for a rest.
($acquires, $handovers, @asked) = compete(server(fairness_round => '1ms'), ('') x 4);
cmp_ok($handovers, '>', $acquires / 2, 'the turns of a short round are single leases');

($acquires, $handovers, @asked) = compete(server(fairness_round => '0'), ('') x 4);
cmp_ok($handovers, '>', $acquires / 2, 'without a round nobody goes on while others wait');

# Who has a lower priority does not go on while one of a higher priority waits.
# It comes last, when the others are at work.
my @hasty = ('', '', '', 'SET pool.priority = -10');
($acquires, $handovers, @asked) = compete(server(), @hasty);
cmp_ok($asked[3], '<', $acquires / 20,
	'a session of lower priority does not go on while others wait');

# The first of the queue gets what rests when its session does not come back.
# Three sessions wait: the first asks a few times, and is the only one that could
# know of the rest; the worker resets and checks nothing meanwhile.
my $server = server(
	acquire_timeout => '60s',
	reset_query => '',
	health_check_interval => 0);
my ($holder, $tenant, $first, $second) = map { session($local) } 1 .. 4;
$tenant->query("SELECT asks('$server', 20)"); # it comes back at once
foreach my $round (1 .. 10)
{
	my $lease = $holder->acquire($server);
	my $n = 0;

	foreach ([ $tenant, 4 ], [ $first, 1 ], [ $second, 1 ])
	{
		$_->[0]->begin("SELECT asks('$server', $_->[1])");
		wait_until(20, sub {
			sql($local, "SELECT count(*) FROM pool_waiters WHERE server = '$server'") == $n + 1 });
		$n++;
	}
	$holder->release($lease);
	my @states = map { $_->result->{state} } $tenant, $first, $second;
	is("@states", '00000 00000 00000', "round $round: each gets its answer");

	# At the end of its wait it would have looked, too.
	cmp_ok($first->{last}{secs}, '<', 30, 'nobody waits for a session that does not come back')
	  or last;
}

# A lease that outlasts the tenure is the last one of it.
my $now = 'select extract(epoch from clock_timestamp())';
foreach my $round (1 .. 5)
{
	my $lease = $holder->acquire($server);

	$tenant->begin("SELECT array_to_string(array_agg(t), ' ') FROM generate_series(1, 4) g, LATERAL"
		  . " pool_query('$server', '$now from pg_sleep(0.02) where $round <> ' || -g) AS r(t float8)");
	wait_for_waiters($local, 1, "round $round: a session waits for its turn", $server);
	$first->begin("SELECT t FROM pool_query('$server', '$now') AS r(t float8)");
	wait_for_waiters($local, 2, 'and another one', $server);
	$holder->release($lease);
	my @times = split / /, $tenant->result->{out};
	my $waited = $first->result;
	is($waited->{state}, '00000', 'who waits is served');
	cmp_ok($waited->{out}, '<', $times[1],
		'who waits is served before the tenant goes on when its tenure is over');
}
$_->quit foreach $holder, $tenant, $first, $second;

settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();
