# 013_workers.pl
#	Several workers: each has pools of its own, and what happens to one of them
#	is no concern of the others'.  /proc tells which worker has which sockets; then
#	one worker is stopped, one is ended, and slots go from one to another.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.workers' => 3, 'pool.max_connections' => 6);
my @servers = map { "srv$_" } 1 .. 4;

foreach my $name (@servers)
{
	create_server($local, $name, $remote, options => { max_size => 6 });
	is(sql($local, qq(SELECT pool_query('$name', 'select 1'))), '(1)',
		"server $name answers with three workers");
}
is( sql($local,
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool worker')),
	'3',
	'three workers run');

# workers(): their pids by number, as the process titles tell
sub workers
{
	my %pid;

	foreach my $pid (split /\n/, worker_pid($local))
	{
		$pid{$1} = $pid if slurp_file("/proc/$pid/cmdline") =~ /pool worker (\d)/;
	}
	return %pid;
}


my %worker = workers();
is(join(' ', sort keys %worker), '1 2 3', 'the process titles number the workers');

# holder(server): the numbers of the workers that have its pool's sockets, as
# the kernel tells
sub holder
{
	my ($server) = @_;
	my $port = $remote->port;
	my @mine = split /\n/,
	  sql($remote,
		"SELECT client_port FROM pg_stat_activity WHERE pid IN ("
		  . sql($local,
			"SELECT string_agg(remote_pid::text, ',') FROM pool_connections"
			  . " WHERE server = '$server'"
		  )
		  . ')');
	my %inode;
	my @found;

	foreach my $line (split /\n/, slurp_file('/proc/net/tcp'))
	{
		my @f = split ' ', $line;

		next if $f[1] !~ /:([0-9A-F]{4})$/;
		my $from = hex $1;
		next if !grep { $_ == $from } @mine;
		$inode{ $f[9] } = 1 if $f[2] =~ /:([0-9A-F]{4})$/ && hex($1) == $port;
	}
	foreach my $number (sort keys %worker)
	{
		foreach my $fd (glob "/proc/$worker{$number}/fd/*")
		{
			my $target = readlink $fd;

			push @found, $number
			  if $target && $target =~ /^socket:\[(\d+)\]/ && $inode{$1};
		}
	}
	return "@found";
}
is(holder('srv1'), '1', 'the first pool is with the first worker');
is(holder('srv2'), '2', 'the second pool is with the second worker');
is(holder('srv3'), '3', 'the third pool is with the third worker');
is(holder('srv4'), '1', 'the fourth pool is with the first worker again');


# A worker that does nothing holds up its own pools alone.
my $cached = session($local);
is($cached->query(q(SELECT pool_query('srv1', 'select 2')))->{out}, '(2)',
	'a session has a copy of a connection of the first worker');
kill 'STOP', $worker{1};
my $blocked = session($local, options => '-c pool.acquire_timeout=60s');
$blocked->begin(q(SELECT pool_acquire('srv1'), pool_query('srv1', 'select 3')));
is( sql($local,
		q(SELECT pool_prewarm('srv2', 2), pool_query('srv3', 'select 4'))),
	'2|(4)',
	'other workers open connections and answer while one is stopped');
is($cached->query(q(SELECT pool_query('srv2', 'select 5')))->{out}, '(5)',
	'a session that used a stopped worker gets answers by the others');
ok($blocked->busy, 'a session that needs a stopped worker waits');
kill 'CONT', $worker{1};
like($blocked->result->{out}, qr/\|\(3\)$/,
	'a session that waited for a stopped worker is served when it goes on');


# Only its own connections end with a worker.
my @holders;
foreach my $server (@servers)
{
	my $session = session($local);

	is( $session->query(
			"BEGIN; SELECT pool_exec(pool_acquire('$server'), 'select 1') >= 0")->{out},
		't',
		"a session has a lease on $server");
	push @holders, $session;
}
sql($local, "SELECT pg_terminate_backend($worker{2})");
wait_for_value($local,
	q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool worker')
	  . " AND pid <> $worker{2}",
	3, 'a worker that ended is started again');
is( sql($local,
		q(SELECT string_agg(server, ',' ORDER BY server) FROM pool_connections
			WHERE state = 'leased' AND closing_reason IS NULL)),
	'srv1,srv3,srv4',
	'the leases of other workers survive the end of one');
is(stat_of($local, 'closed_worker_exited', $_), '0',
	"the end of another worker closes no connection of $_")
  foreach 'srv1', 'srv3', 'srv4';
$_->query('COMMIT') foreach @holders;
cmp_ok(stat_of($local, 'closed_worker_exited', 'srv2'),
	'>=', 1, 'the connections of a worker that ended are closed');
wait_for_value($local, q(SELECT pool_query('srv2', 'select 6')),
	'(6)', 'the pool of a worker that ended connects again');
$_->quit foreach @holders, $cached, $blocked;
settled($local, 'after the end of a worker nothing is under way, and the sums hold');


# A slot that one worker frees goes to another one that waits for it.
sql($local, q(ALTER SERVER srv2 OPTIONS (ADD idle_timeout '10ms')));
sql($local, q(SELECT pool_query('srv2', 'select 7')));
wait_for_value($local, q(SELECT count(*) FROM pool_connections WHERE server = 'srv2'),
	0, 'a pool has no connection before it needs a slot');
foreach my $server ('srv3', 'srv4')
{
	sql($local, "ALTER SERVER $server OPTIONS (ADD min_size '1')");
	sql($local, qq(SELECT pool_query('$server', 'select 1')));
}
my $hold = session($local);
is( $hold->query(
		q(SELECT count(pool_acquire('srv1', hold => true)) FROM generate_series(1, 4)))->{out},
	'4',
	'other pools have all slots, and need them');
my $waiter = session($local);
$waiter->begin(q(SELECT pool_query('srv2', 'select 7')));
wait_for_waiters($local, 1, 'a session waits for a slot', 'srv2');
$hold->quit;
is($waiter->result(20)->{out}, '(7)', 'a session that waits gets a slot that another worker frees');
$waiter->quit;

at_rest($local, $remote, 'after slots have gone from worker to worker');
no_crash($local, $remote);


# Workers that the server has no room for get no pools.
my $few = start_local(name => 'few', 'pool.workers' => 6, max_worker_processes => 3,
	max_logical_replication_workers => 0);
like(log_since($few), qr/WARNING:  only 3 of 6 pool workers can run/,
	'the log warns of more workers than can run');
foreach my $name (@servers)
{
	create_server($few, $name, $remote);
	is(sql($few, qq(SELECT pool_query('$name', 'select 1'))), '(1)',
		"server $name answers although not all workers can run");
}
no_crash($few);

done_testing();
