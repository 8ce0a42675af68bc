# 019_limits.pl
#	Limits over several pools - of a server and of everything - and which
#	connection gives way; and who is served first.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_connections' => 6);
my $ask = q(SELECT t FROM pool_query('%s', 'select clock_timestamp()') AS r(t text));

# A limit for the server: two mappings share it.
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'shared', $remote, for => 'a',
	options => { max_size => 3, max_server_size => 3, acquire_timeout => '30s' });
sql($local, "CREATE USER MAPPING FOR b SERVER shared"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER shared TO a, b');
my ($first, $second) = map { session($local, user => $_) } 'a', 'b';
is($first->query(q(SELECT pool_prewarm('shared', 3)))->{out}, '3', 'max_server_size: all for one');
like($second->query(sprintf $ask, 'shared')->{out}, qr/^\d{4}-/, 'another mapping gets one');
is( sql($local, q(SELECT sum(open), sum(closed_evicted) FROM pool_stats WHERE server = 'shared')),
	'3|1',
	'that the first one could spare');
my @leases = map { $first->query(q(SELECT pool_acquire('shared', hold => true)))->{out} } 1 .. 2;
my $lease = $second->query(q(SELECT pool_acquire('shared', hold => true)))->{out};
is(stat_of($local, 'sum(active)', 'shared'), '3', 'all are leased');
my $third = session($local, user => 'b');
$third->begin(sprintf $ask, 'shared');
wait_for_value($local, q(SELECT sum(waiting) FROM pool_stats WHERE server = 'shared'), 1, 'one waits');
$first->query("SELECT pool_release($leases[0])");
like($third->result->{out}, qr/^\d{4}-/, 'and gets the place of one that comes back in another pool');
cmp_ok(app_sessions($remote), '<=', 3, 'never more than that');
$first->query("SELECT pool_release($leases[1])");
$second->query("SELECT pool_release($lease)");
$_->quit foreach $first, $second, $third;
sql($local, 'DROP SERVER shared CASCADE');
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0, 'all closed');

# The limit of all pools: the surplus that was not used for the longest time.
create_server($local, $_, $remote, options => { max_size => 6 }) foreach 'old', 'young', 'new';
is(sql($local, q(SELECT pool_prewarm('old', 3))), '3', 'three old ones');
is(sql($local, q(SELECT pool_prewarm('young', 3))), '3', 'three younger ones');
like(sql($local, sprintf $ask, 'new'), qr/^\d{4}-/, 'another pool gets one');
is( sql($local, q(SELECT string_agg(server || open || closed_evicted, ' ' ORDER BY server) FROM pool_stats
		WHERE server IN ('old', 'young', 'new'))),
	'new10 old21 young30',
	'of the old ones');

# min_size is not surplus.
sql($local, "ALTER SERVER $_ OPTIONS (ADD min_size '6')") foreach 'old', 'young', 'new';
sql($local, sprintf $ask, $_) foreach 'old', 'young', 'new';
create_server($local, 'late', $remote);
my ($state) = sql_state($local, q(SET pool.acquire_timeout = '500ms'; SELECT pool_query('late', 'select 1')));
is($state, '53300', 'nobody gives up what he is to keep');
sql($local, "ALTER SERVER $_ OPTIONS (DROP min_size)") foreach 'old', 'young', 'new';
sql($local, sprintf $ask, $_) foreach 'old', 'young', 'new';
like(sql($local, sprintf $ask, 'late'), qr/^\d{4}-/, 'but when he need not keep it');

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

	$session->begin(sprintf $ask, 'queue');
	wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'queue'), ++$n,
		"priority $priority: waits");
	$waiter{$priority} = $session;
}
is( sql($local, q(SELECT string_agg(concat_ws(' ', place, priority), ', ' ORDER BY place) FROM pool_waiters)),
	'1 10, 2 10, 3 7, 4 5, 5 -5', 'pool_waiters has them in that order');
is( sql($local, q(SELECT DISTINCT a.wait_event FROM pg_stat_activity a JOIN pool_waiters w ON a.pid = w.pid)),
	sql($local, q(SELECT current_setting('server_version_num')::int >= 170000)) eq 't' ? 'PoolAcquire' : 'Extension',
	'pg_stat_activity tells what they wait for');
$holder->query("SELECT pool_release($lease)");
my %time = map { $_ => $waiter{$_}->result->{out} } keys %waiter;
is(join(' ', sort { $time{$a} cmp $time{$b} } keys %time), '10 1000 7 5 -5',
	'by priority, then in order; nobody is above the option');

$_->quit foreach $holder, values %waiter;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
