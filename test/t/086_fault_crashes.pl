# 086_fault_crashes.pl
#	A session that is killed at each point where it holds a lock, or relies on it
#	that no error comes: the server starts again, with no connection, no counter
#	and no remote session of before, and serves.
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

my ($local, $remote) = start_invariant_pair(
	options => { max_size => 1, statement_cache => 64, fairness_round => '100ms' });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultSession->new($case, $local, $remote);

foreach my $point (
	grep { $_->{process} eq 'SESSION' && $_->{kind} eq 'SILENT' } fault_points($local))
{
	$way->fail_at($point->{name}, 'crash');
}
done_testing();
