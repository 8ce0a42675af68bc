# 134_many_notifications.pl
#	Notifications that a session has kept, very many: they are handed out, and freed, in
#	a time that grows with their number, no faster.  What is measured is the backend's
#	processor time, which other work on the machine does not change much.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;
use POSIX qw(sysconf _SC_CLK_TCK);

my $count = 400_000;

my $remote = start_remote();
my $local = start_local();
create_server($local, 'srv', $remote);
sql($local, 'CREATE EXTENSION pool_dblink');
my $session = session($local);
my $teller = session($remote, db => $PoolTest::remote_db);

# seconds_of(session): the processor time that its backend has used
sub seconds_of
{
	my ($pid) = $_[0]->pid;

	open my $file, '<', "/proc/$pid/stat" or die "/proc/$pid/stat: $!";
	my @fields = split / /, (<$file> =~ s/.*\) //r);
	return ($fields[11] + $fields[12]) / sysconf(_SC_CLK_TCK);
}

# hear(): has the session hear so many
sub hear
{
	$teller->query("SELECT count(pg_notify('c', g::text)) FROM generate_series(1, $count) g");
	$session->query(q(SELECT dblink_exec('x', 'SET work_mem = 1000')));
	return;
}

foreach my $how ('dblink_get_notify', 'dblink_disconnect')
{
	$session->query(q(SELECT dblink_connect('x', 'srv'); SELECT dblink_exec('x', 'LISTEN c')));
	hear();
	my $before = seconds_of($session);
	if ($how eq 'dblink_get_notify')
	{
		is($session->query(q(SELECT count(*) FROM dblink_get_notify('x')))->{out},
			$count, 'all of many notifications are handed out');
		$session->query(q(SELECT dblink_disconnect('x')));
	}
	else
	{
		is($session->query(q(SELECT dblink_disconnect('x')))->{out},
			'OK', 'a connection with many notifications is given back');
	}
	cmp_ok(seconds_of($session) - $before, '<', 5, "$how frees them in no time");
}

$_->quit foreach $session, $teller;
settled($local);
no_crash($local, $remote);

done_testing();
