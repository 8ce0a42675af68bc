# 010_warm_lease.pl
#	A lease of a connection that the session has cached is a pop in shared
#	memory: a thousand of them make no system call.  strace counts those
#	of a loop with leases and of an empty one.
#
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use Test::More;
use PostgreSQL::Test::Utils;

my ($local, $remote) = start_pair(max_size => 2);
my $session = session($local);
my $pid = $session->pid;
my $lease = q(PERFORM pool_release(pool_acquire('srv')););

# The calls that the session makes for a loop around that statement.
sub calls
{
	my ($statement) = @_;
	my $trace = "$PostgreSQL::Test::Utils::tmp_check/strace";
	my ($err, $out) = ('', '');
	my $strace = IPC::Run::start([ 'strace', '-o', $trace, '-p', $pid ],
		'<', \undef, '>', \$out, '2>', \$err);

	wait_until(20, sub { $strace->pump_nb; return $err =~ /attached|Operation not permitted/ });
	if ($err !~ /attached/)
	{
		$strace->kill_kill;
		return undef;
	}
	$session->query("DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP $statement END LOOP; END \$\$");
	$strace->signal('INT');
	$strace->finish;
	my @lines = split /\n/, slurp_file($trace);
	note "$statement ", scalar @lines, ' system calls';
	return scalar @lines;
}

SKIP:
{
	skip 'strace is not installed', 4 if system('strace -V >/dev/null 2>&1') != 0;

	# Fetches the connection, which the worker is not to reset while calls are counted,
	# and lets PL/pgSQL plan everything once.
	is($session->query(q(SELECT pool_query('srv', 'select 1')))->{out}, '(1)',
		'the session has a copy of a connection');
	wait_for_value($local, q(SELECT resets > 0 AND idle = 1 FROM pool_stats_all()), 't',
		'the worker has reset the connection');
	$session->query("DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP PERFORM 1; $lease END LOOP; END \$\$");

	my $empty = calls('PERFORM 1;');
	skip 'strace may not attach to a process here', 2 if !defined $empty;
	my $before = stat_of($local, 'acquires');
	my $warm = calls($lease);

	is(stat_of($local, 'acquires') - $before, 1000, 'the loop acquires a thousand leases');

	# The loop's own: the protocol, and memory that PL/pgSQL happens to need.
	cmp_ok($warm, '<=', $empty + 50,
		'a thousand leases make no more system calls than an empty loop');
}

$session->quit;
settled($local);
no_crash($local);
done_testing;
