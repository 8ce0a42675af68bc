# 019_limits.pl
#	Limits over several pools, those of a server and of everything: which
#	connection is evicted for a session that waits; and which session is served
#	first.  The pools share six places, and the statistics tell what each has.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_connections' => 6);

# ask(server): a statement that tells when the remote answered
sub ask
{
	my ($name) = @_;

	return "SELECT t FROM pool_query('$name', 'select clock_timestamp()') AS r(t text)";
}

# A limit for the server: two mappings share it, and another server has no part in it,
# though its connection was not used for longer.
create_server($local, 'apart', $remote);
sql($local, ask('apart'));
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'shared', $remote, for => 'a',
	options => { max_size => 3, max_server_size => 3, acquire_timeout => '30s' });
sql($local, "CREATE USER MAPPING FOR b SERVER shared"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER shared TO a, b');
my ($first, $second) = map { session($local, user => $_) } 'a', 'b';
is($first->query(q(SELECT pool_prewarm('shared', 3)))->{out}, '3',
	'one user mapping may have all places of max_server_size');
like($second->query(ask('shared'))->{out}, qr/^\d{4}-/,
	'a session of another user mapping acquires a connection when max_server_size is reached');
is( sql($local,
		q(SELECT sum(open), sum(closed_evicted) FROM pool_stats_all() WHERE server = 'shared')),
	'3|1',
	'an idle connection of one user mapping is evicted for another one');
is(stat_of($local, q(open || '/' || closed_evicted), 'apart'), '1/0',
	'no connection is evicted of a server that does not share the limit');
sql($local, 'DROP SERVER apart CASCADE');
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 3,
	'the connection of the other server is closed');
my @leases = map { $first->query(q(SELECT pool_acquire('shared', hold => true)))->{out} } 1 .. 2;
my $lease = $second->query(q(SELECT pool_acquire('shared', hold => true)))->{out};
is(stat_of($local, 'sum(active)', 'shared'), '3', 'all places of max_server_size are leased');
my $third = session($local, user => 'b');
$third->begin(ask('shared'));
wait_for_waiters($local, 1, 'a session waits when all places of max_server_size are leased',
	'shared');
$first->query("SELECT pool_release($leases[0])");
like($third->result->{out}, qr/^\d{4}-/,
	'a connection that is released in another pool leaves its place to a waiter');
cmp_ok(app_sessions($remote), '<=', 3,
	'the remote has no more sessions than max_server_size');
$first->query("SELECT pool_release($leases[1])");
$second->query("SELECT pool_release($lease)");
$_->quit foreach $first, $second, $third;
sql($local, 'DROP SERVER shared CASCADE');
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0,
	'all connections of a dropped server are closed');

# The limit of all pools: the surplus that was not used for the longest time, and not
# that of the first pool.
create_server($local, $_, $remote, options => { max_size => 6 }) foreach 'old', 'young', 'new';
sql($local, ask('young'));
sql($local, q(SELECT pool_close('young')));
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0,
	'the first pool has no connection');
is(sql($local, q(SELECT pool_prewarm('old', 3))), '3', 'three old connections are opened');
is(sql($local, q(SELECT pool_prewarm('young', 3))), '3', 'three younger connections are opened');
like(sql($local, ask('new')), qr/^\d{4}-/,
	'a session of a third pool acquires a connection when pool.max_connections is reached');
is( sql($local, q(SELECT string_agg(server || open || closed_evicted, ' ' ORDER BY server)
		FROM pool_stats_all() WHERE server IN ('old', 'young', 'new'))),
	'new10 old21 young30',
	'the connection that was not used for the longest time is evicted');

# min_size is not surplus, for a pool that has its share.
sql($local, "ALTER SERVER $_ OPTIONS (ADD min_size '6')") foreach 'old', 'young', 'new';
sql($local, ask($_)) foreach 'old', 'young', 'new';
my $young = session($local);
@leases = map { $young->query(q(SELECT pool_acquire('young', hold => true)))->{out} } 1 .. 3;
my $evicted = q(SELECT sum(closed_evicted) FROM pool_stats_all());
my $before = sql($local, $evicted);
my ($state) =
  sql_state($local, q(SET pool.acquire_timeout = '500ms'; SELECT pool_query('young', 'select 1')));
is($state, '53300', 'a session waits in vain where min_size keeps all connections');
is(sql($local, $evicted), $before, 'no connection that min_size keeps is evicted');
sql($local, "ALTER SERVER $_ OPTIONS (DROP min_size)") foreach 'old', 'young', 'new';
sql($local, ask($_)) foreach 'old', 'new';
like(sql($local, ask('young')), qr/^\d{4}-/,
	'a connection is evicted when min_size does not keep it any more');
$young->query("SELECT pool_release($_)") foreach @leases;
$young->quit;

# Who is served first.
create_server($local, 'queue', $remote,
	options => { max_size => 1, priority => 10, acquire_timeout => '60s' });
my $holder = session($local);
$lease = $holder->query(q(SELECT pool_acquire('queue', hold => true)))->{out};
my %waiter;
my $n = 0;
foreach my $priority (-5, 5, 10, 1000, 7)
{
	my $session = session($local, options => "-c pool.priority=$priority");

	$session->begin(ask('queue'));
	wait_for_waiters($local, ++$n, "a session with pool.priority $priority waits", 'queue');
	$waiter{$priority} = $session;
}
is( sql($local,
		q(SELECT string_agg(concat_ws(' ', place, priority), ', ' ORDER BY place)
		FROM pool_waiters)),
	'1 10, 2 10, 3 7, 4 5, 5 -5', 'pool_waiters shows the queue by priority, then in order');
my $names = sql($local, q(SELECT current_setting('server_version_num')::int >= 170000));
wait_for_value($local, q(SELECT DISTINCT a.wait_event
		FROM pg_stat_activity a JOIN pool_waiters w ON a.pid = w.pid),
	$names eq 't' ? 'PoolAcquire' : 'Extension',
	'pg_stat_activity shows the wait event of sessions in the queue');
$holder->query("SELECT pool_release($lease)");
my %time = map { $_ => $waiter{$_}->result->{out} } keys %waiter;
is(join(' ', sort { $time{$a} cmp $time{$b} } keys %time), '10 1000 7 5 -5',
	'waiters are served by priority, then in order; none is above the option');

$_->quit foreach $holder, values %waiter;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
