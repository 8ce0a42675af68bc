# 087_fault_worker.pl
#	An error in the worker at each point of its way: from its start to a new
#	connection, in what sessions ask it for, in resets, closing, relaying and its
#	own end.  Another worker takes its place, with connections of its own; nobody
#	loses more than the connection that was leased.  One pool is encrypted, the
#	other one not.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::FaultWorker;
use PoolTest::Invariants;
use PoolTest::Tls;
use Test::More;

my ($local, $remote) = start_invariant_pair(
	options => { max_size => 1, sslmode => 'require' },
	bystander => { sslmode => 'disable' },
	remote => { tls_conf(make_certificates()) });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultWorker->new($case, $local, $remote);

foreach my $point (grep { $_->{process} ne 'SESSION' } fault_points($local))
{
	$way->fail_at($point->{name}, $point->{kind} eq 'SILENT' ? 'crash' : 'error');
}
done_testing();
