# 085_fault_points.pl
#	An error at each point of a session's way from the name of a server to a row
#	and back, and in the clean-up; where none can be raised, a cancel and the end
#	of the session, which then are pending.  After each everything is as it was.
#	085_fault_points_all comes by each point in each way.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::FaultSession;
use PoolTest::Invariants;
use Test::More;

my %actions = (
	RAISES => ['error'],
	QUIET => [ 'error', 'terminate' ],
	SILENT => [ 'cancel', 'terminate' ]);

my ($local, $remote) = start_invariant_pair(
	options => { max_size => 1, statement_cache => 64, fairness_round => '100ms' });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultSession->new($case, $local, $remote);

foreach my $point (grep { $_->{process} eq 'SESSION' } fault_points($local))
{
	$way->fail_at($point->{name}, $_) foreach @{ $actions{ $point->{kind} } };
}
no_crash($local, $remote);
done_testing();
