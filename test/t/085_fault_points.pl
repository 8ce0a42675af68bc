# 085_fault_points.pl
#	An error, a cancel and the end of the session at each point of its way from
#	the name of a server to a row and back, in its own transaction and in a block
#	that catches the error; and after each everything is as it was.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::Invariants;
use Test::More;

my ($local, $remote) = start_invariant_pair(options => { max_size => 1 });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultPoints->new($case, $local, $remote);
my @points = grep { $_->{process} eq 'SESSION' } fault_points($local);

foreach my $point (@points)
{
	foreach my $action (qw(error cancel terminate))
	{
		next if $action eq 'error' && $point->{kind} eq 'SILENT';
		ok($way->come_by($point->{name}, $action), "$point->{name} $action is reached");
		$case->hold("after $point->{name} $action");
	}
}

no_crash($local, $remote);
done_testing();
