# 087_fault_worker_all.pl
#	As 087_fault_worker, but with connections that are not encrypted, and at each
#	point in each way: an error where one can be raised, the end that anybody may
#	ask for, a crash.
#
# Runs in the plain round only.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::FaultWorker;
use PoolTest::Invariants;
use Test::More;

my ($local, $remote) = start_invariant_pair(options => { max_size => 1 });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultWorker->new($case, $local, $remote);

# Nothing is relayed here.
foreach my $point (
	grep { $_->{process} ne 'SESSION' && $_->{name} !~ /^relay/ } fault_points($local))
{
	my @actions = ($point->{kind} eq 'SILENT' ? () : 'error', qw(terminate crash));

	$way->fail_at($point->{name}, $_) foreach @actions;
}
done_testing();
