# 082_password_prompts.pl
#	A remote that asks for the password again and again, and reads nothing: the
#	worker, which cannot send any more answers, does not wait for that.  Other pools
#	connect meanwhile, and the worker does not grow.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Test::More;

my ($local, $remote) = start_pair();
my $prompts = message('R', pack 'N', 3) x 1000;
my $port = start_hostile_server(far => sub {
		my ($c) = @_;

		setsockopt $c->{client}, SOL_SOCKET, SO_RCVBUF, 1000;
		$c->put($prompts) while 1;
	});
my $hostile = new_server($local, $remote,
	{ port => $port, connect_timeout => '60s', acquire_timeout => '30s', retry_attempts => 1 });
my $worker = worker_pid($local);

sql($local, select_42('srv'));
my $before = memory_of($worker, 'VmHWM');
my $session = session($local);
my $other = session($local);
$session->begin(select_42($hostile));
my ($turns, $failed) = (0, '');
do
{
	my $answer = $other->query(q(SELECT pool_reconnect('srv'); ) . select_42('srv'), 60);

	$failed .= $answer->{err} . ($answer->{state} eq '00000' ? '' : $answer->{state});
	$turns++;
} while ($session->busy && !$failed);
is($failed, '', 'another pool connects and answers meanwhile');
note "it did so $turns times";
my $result = $session->result(60);
like($result->{state}, qr/^08/, 'a session gets an error from a remote that asks for ever');
unlike($result->{err}, qr/secret/, 'the error does not show the password');
cmp_ok(memory_of($worker, 'VmHWM') - $before, '<', 32 * 1024,
	'the worker is not much larger than before');
is(worker_pid($local), $worker, 'the worker is the same');
stop_hostile_servers();
sql($local, "DROP SERVER $hostile CASCADE");
settled($local);
no_crash($local, $remote);

done_testing();
