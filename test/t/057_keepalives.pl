# 057_keepalives.pl
#	What the worker asks the kernel for, so that a peer that is gone is noticed:
#	TCP's options, by default and by the options of a server.  strace tells.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run;
use PoolTest;
use Test::More;
use PostgreSQL::Test::Utils;

my $remote = start_remote();
my $local = start_local();
my $trace = "$PostgreSQL::Test::Utils::tmp_check/strace";

# asked_for(server options): the options of TCP that the worker sets for a new
# connection to such a server, by name; undef if strace may not look
sub asked_for
{
	my (%options) = @_;
	my $name = new_server($local, $remote, \%options);
	my ($err, $out) = ('', '');
	my $strace = IPC::Run::start(
		[ 'strace', '-e', 'trace=setsockopt', '-o', $trace, '-p', worker_pid($local) ],
		'<', \undef, '>', \$out, '2>', \$err);
	my $calls;

	wait_until(20, sub { $strace->pump_nb; return $err =~ /attached|Operation not permitted/ });
	if ($err !~ /attached/)
	{
		$strace->kill_kill;
		return undef;
	}
	is(sql($local, "SELECT pool_prewarm('$name', 1)"), '1', "$name is connected");
	$strace->signal('INT');
	$strace->finish;
	$calls = slurp_file($trace);
	return { $calls =~ /(SO_KEEPALIVE|TCP_KEEP\w+|TCP_USER_TIMEOUT), \[(\d+)\]/g };
}

SKIP:
{
	skip 'strace is not installed', 6 if system('strace -V >/dev/null 2>&1') != 0;
	my $default = asked_for();

	skip 'strace may not attach to a process here', 6 if !defined $default;
	is_deeply($default,
		{   SO_KEEPALIVE => 1,
			TCP_KEEPIDLE => 30,
			TCP_KEEPINTVL => 10,
			TCP_KEEPCNT => 3,
			TCP_USER_TIMEOUT => 60000 },
		'by default a peer that is gone is noticed within a minute');
	is_deeply(asked_for(keepalives_idle => 77, tcp_user_timeout => 5000),
		{   SO_KEEPALIVE => 1,
			TCP_KEEPIDLE => 77,
			TCP_KEEPINTVL => 10,
			TCP_KEEPCNT => 3,
			TCP_USER_TIMEOUT => 5000 },
		'options of the server take the place of the defaults');
	is_deeply(asked_for(keepalives => 0, tcp_user_timeout => 0),
		{}, 'options of the server can switch all of it off');
}

no_crash($local, $remote);

done_testing();
