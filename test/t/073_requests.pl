# 073_requests.pl
#	Between sessions and workers: a slot that was reclaimed before its session has
#	asked for it, more messages than a worker can read, and the end of a worker
#	whose look-ups of names have not ended.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use File::Basename qw(dirname);
use PoolTest;
use PoolTest::Child;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX SOCK_DGRAM pack_sockaddr_un);
use Test::More;

my $names = PostgreSQL::Test::Utils::tempdir;
my $library = "$names/names.so";
system_or_bail('cc', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/names.c", '-ldl');

my $remote = start_remote();
my $local;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{POOL_TEST_NAMES} = $names;
	$local = start_local('pool.workers' => 2);
}
my @servers =
  map { new_server($local, $remote, { max_size => 1, acquire_timeout => '60s' }) } 1 .. 2;

is(sql($local, select_42($_)), '42', "server $_ answers with two workers") foreach @servers;

# worker(number): its pid, as the process titles tell
sub worker
{
	my ($number) = @_;
	my ($pid) = grep { slurp_file("/proc/$_/cmdline") =~ /pool worker $number/ }
	  split /\n/, worker_pid($local);

	return $pid;
}

#
# A lease that is reclaimed, and its connection closed, before the session to which
# it was granted has asked for the descriptor: with each of the workers.
#
foreach my $server (@servers)
{
	my $holder = session($local);
	my $waiter = session($local);
	my $pid = $waiter->query('SELECT pg_backend_pid()')->{out};
	my $lease = $holder->acquire($server);

	$waiter->begin(select_42($server));
	wait_for_waiters($local, 1, "a session waits for the lease of another one on $server", $server);
	kill 'STOP', $pid;
	$holder->query("SELECT pool_release($lease)");
	wait_for_value($local,
		"SELECT pid FROM pool_connections WHERE server = '$server' AND state = 'leased'", $pid,
		'the slot is granted to a session that was stopped');
	is( sql($local, "SELECT pool_reclaim(slot) FROM pool_connections WHERE server = '$server'"),
		't', 'the lease of a stopped session is reclaimed');
	wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$server'", 0,
		'the connection of a reclaimed lease is closed');
	kill 'CONT', $pid;

	my $result = $waiter->result(40);
	unlike($result->{err}, qr/pool worker is not/,
		"a session whose slot on $server is free by now asks no worker that there is not");
	is("$result->{state} $result->{out}", '00000 42',
		'a session whose slot was reclaimed meanwhile gets another connection');
	$_->quit foreach $holder, $waiter;
}

#
# More messages than a worker can read: they are of no use to it, but have to be read
# all the same, and each costs it a line in the log with a backtrace.
#
sql($local, "ALTER SYSTEM SET backtrace_functions = 'pool_listener_receive'");
$local->reload;
my $socket = $local->data_dir . '/pg_stat_tmp/pool.1.sock';
my $offset = log_offset($local);
my @flooders = map { flood($socket) } 1 .. 4;

# flood(socket): a process that sends messages as fast as they are read
sub flood
{
	my ($path) = @_;

	return start_child(
		sub {
			my ($goes_on) = @_;

			chdir dirname($path) or die "cannot go there: $!";
			socket my $out, AF_UNIX, SOCK_DGRAM, 0 or die "no socket: $!";
			connect $out, pack_sockaddr_un('pool.1.sock') or die "cannot connect: $!";
			while ($goes_on->())
			{
				send $out, 'x', 0 or last foreach 1 .. 1000;
			}
		});
}

ok( wait_until(20,
		sub { return log_count($local, 'BACKTRACE:', $offset) > 200; }),
	'a worker is flooded with messages');
my $session = session($local);
$session->begin("SELECT pool_reconnect('$servers[0]'); " . select_42($servers[0]));
is($session->result(40)->{out}, "1\n42",
	'a worker that is flooded with messages closes connections and opens others');
stop_child(@flooders);
sql($local, 'ALTER SYSTEM RESET ALL');
$local->reload;
$session->quit;

#
# The end of a worker while a look-up is inside a library for name services.
#
my $slow = new_server($local, $remote,
	{ host => 'never.test', connect_timeout => '60s', acquire_timeout => '60s' });
my $waiter = session($local);
$waiter->begin(select_42($slow));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$slow'", 1,
	'a look-up hangs');
my ($number) = grep { slurp_file('/proc/' . worker($_) . '/status') =~ /^Threads:\s+2$/m } 1, 2;
my $worker = worker($number);
my $start = sql($local, 'SELECT pg_postmaster_start_time()');
$session = session($local);
sql($local, "SELECT pg_terminate_backend($worker)");
ok(wait_until(20, sub { my $new = worker($number); return $new && $new != $worker; }),
	'another worker follows one that ended while a look-up hung');
is($session->query('SELECT 1')->{out}, '1',
	'sessions survive the end of a worker while a look-up hangs');
append_to_file("$names/new", "127.0.0.1\n");
rename "$names/new", "$names/never.test" or die $!;
is($waiter->result(40)->{out}, '42', 'a session that waited is served by the next worker');
$_->quit foreach $session, $waiter;

# The server stops while a name is looked up.
my $last = new_server($local, $remote, { host => 'nobody.test', connect_timeout => '60s' });
$session = session($local);
$session->begin(select_42($last));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$last'", 1,
	'a look-up hangs when the server stops');
$local->stop('fast');
no_crash($local, $remote);

done_testing();
