# 085_fault_points_all.pl
#	As 085_fault_points and 086_fault_crashes, but at each point in each way: an
#	error where one can be raised, a cancel, the end of the session, a crash.
#
# Runs in the plain round only.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::FaultSession;
use PoolTest::Invariants;
use Test::More;

my ($local, $remote) = start_invariant_pair(
	options => { max_size => 1, statement_cache => 64, fairness_round => '100ms' });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultSession->new($case, $local, $remote);

foreach my $point (grep { $_->{process} eq 'SESSION' } fault_points($local))
{
	my @actions = ($point->{kind} eq 'SILENT' ? () : 'error', qw(cancel terminate crash));

	$way->fail_at($point->{name}, $_) foreach @actions;
}
done_testing();
