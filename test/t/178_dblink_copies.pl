# 178_dblink_copies.pl
#	A connection by name whose copy the session has from an earlier lease, which ended
#	in a transaction: that one is over, and is not the next one's.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1);
sql($local, 'CREATE EXTENSION pool_dblink');
my $session = session($local);

foreach my $mode (qw(session transaction))
{
	my $lease = $session->acquire('srv');
	answers($session, "SELECT pool_exec($lease, 'BEGIN')", 0, "a transaction is begun, mode $mode");
	$session->release($lease);
	settled($local);
	$session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('x', 'srv')");
	answers($session, q{SELECT dblink_open('x', 'c', 'select 42')},
		'OK', "a cursor is opened in a transaction of its own, mode $mode");
	answers($session, q{SELECT n FROM dblink_fetch('x', 'c', 2) AS r(n int)},
		42, "and read, mode $mode");
	answers($session, q{SELECT dblink_close('x', 'c')}, 'OK', "and closed, mode $mode");
	$session->query(q{SELECT dblink_disconnect('x')});
}
settled($local);
done_testing();
