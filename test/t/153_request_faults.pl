# 153_request_faults.pl
#	An error at each point by which a request comes from the name of a server to its
#	rows, while another request of the session is under way.  Either has its own answer
#	or an error, and nothing is left of them.
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
my $reached = 0;

foreach my $point (fault_points($local))
{
	next if $point->{process} ne 'SESSION' || $point->{kind} ne 'RAISES';
	next if !$way->come_by_with_requests($point->{name});
	$reached++;
	$case->hold("after $point->{name} with requests");
	last if !Test::More->builder->is_passing;
}
cmp_ok($reached, '>=', 20, "a request comes by $reached points");
no_crash($local, $remote);
done_testing();
