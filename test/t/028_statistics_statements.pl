# 028_statistics_statements.pl
#	What is counted and timed of statements, leases, sessions and what an
#	administrator does: a history of one pool, after each step of which all of its
#	statistics are compared.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::History;
use PoolTest::Statistics;
use Test::More;

my ($local, $remote) = start_history();
my ($one, $two, $three) = map { session($local) } 1 .. 3;


#
# How statements and leases end
#
pool('main');
is(row_of('main'), undef, 'a pool that nobody has used has no row');
$one->query(q(SELECT pool_query('main', 'select generate_series(1, 3)')));
step('a statement of three rows is a lease, a connection, a query and three rows', 'main',
	used(1), connects => 1, rows => 3);
ask($one, 'main', 'select from generate_series(1, 5)');
step('a statement by the same session reuses its connection', 'main',
	used(1), reused => 1, rows => 5);
ask($two, 'main');
step('a statement by another session does not count as reused', 'main', used(1), rows => 1);
ask($two, 'main', 'select 1/0');
step('a statement that fails is a query error', 'main', used(1), reused => 1, query_errors => 1);
ask($one, 'main', 'select pg_sleep(0.3)');
step('a statement of 0.3 seconds shows in the times of queries and leases', 'main',
	used(1), rows => 1, query_max => 300, query_avg => 300 / 5, query_p99 => 270,
	lease_max => 300, lease_avg => 300 / 5, lease_p99 => 270);
$one->query(q(SELECT pool_query('main', NULL)));
step('a statement that is NULL counts as nothing', 'main');

my $lease = acquire($one, 'main');
step('pool_acquire() by the session that had the connection reuses it', 'main',
	acquires => 1, reused => 1);
$one->query("SELECT pool_query($lease, 'select generate_series(1, 10)')") foreach 1 .. 2;
step('statements on a lease are queries and no acquires', 'main', queries => 2, rows => 20);
my $lease2 = acquire($two, 'main');
step('a second lease at the same time opens a second connection', 'main',
	acquires => 1, connects => 1);
$three->query(q(SELECT pool_acquire('main', '100ms')));
step('a session that waits for too long is an acquire timeout', 'main', acquire_timeouts => 1);
$three->begin(q(SELECT pool_exec('main', 'select 1')));
step('a session that waits shows as waiting', 'main', waiting => 1);
comes_true(q(bool_and(clock_timestamp() - since > '300ms') FROM pool_waiters));
release($one, $lease);
$three->result;
step('a session that waited 0.3 seconds and was served shows in the times of waits', 'main',
	releases => 2, acquires => 1, queries => 1, rows => 1,
	wait_max => 300, wait_p99 => 270, lease_max => 300, lease_p95 => 270);

sql($remote, 'SELECT pg_terminate_backend('
	. call('remote_pid FROM pool_connections WHERE pid = ' . $two->pid) . ')');
comes_true(q(EXISTS (SELECT FROM pool_connections WHERE closing_reason = 'remote_closed')));
step('a leased connection that is dead is not closed before its lease ends', 'main');
release($two, $lease2);
step('a lease that ends with a dead connection is lost', 'main',
	lost => 1, closed_remote_closed => 1);
ask($one, 'main', 'do $$ begin perform pg_terminate_backend(pg_backend_pid()); end $$');
step('a remote that hangs up in a statement closes the connection', 'main',
	%failed, cancels => '0+', closed_remote_closed => 1);

$two->begin("SELECT pool_exec('main', '$sleep')");
remote_sleeps();
is(call('pool_cancel(' . $two->pid . ')'), 't', 'pool_cancel() finds a session with a statement');
$two->result;
step('pool_cancel() of a statement closes its connection as canceled', 'main',
	%failed, connects => 1, cancels => '1+', closed_canceled => 1);
$one->query(q(SELECT * FROM pool_query('main',
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000000) i')
	AS t(a int)));
step('an error here in the middle of the rows closes the connection', 'main',
	%failed, rows => 500, connects => 1, cancels => '1+', closed_error => 1);
ask($one, 'main', 'copy pg_class to stdout');
step('COPY closes the connection as an error', 'main',
	%failed, connects => 1, cancels => '0+', closed_error => 1);
ask($one, 'main', 'begin');
step('a transaction that a statement leaves open is reset', 'main',
	used(1), connects => 1, resets => 1);
$lease = acquire($one, 'main');
$one->query("SELECT pool_exec($lease, 'begin')");
release($one, $lease);
step('a transaction that a lease leaves open is reset', 'main', used(1), resets => 1);
ask($one, 'main', 'set datestyle = german');
step('an output format that is left closes the connection as unclean', 'main',
	acquires => 1, lost => 1, queries => 1, closed_unclean => 1);

# What was not seen to its end is no statement.
my $victim = session($local);
$victim->begin("SELECT pool_exec('main', '$sleep')");
remote_sleeps();
call('pg_terminate_backend(' . $victim->pid . ')');
step('a session that ends in a statement loses its lease, and the statement is no query', 'main',
	acquires => 1, lost => 1, connects => 1, cancels => '1+', closed_holder_exited => 1);
$victim = session($local);
acquire($victim, 'main');
$lease = acquire($two, 'main');
step('two sessions with a lease each have a connection each', 'main',
	acquires => 2, connects => 2);
$victim->quit;
step('a session that ends with a lease releases it', 'main', releases => 1);
$one->begin(q(SELECT pool_acquire('main'), pool_acquire('main')));
step('a session that has the last connection waits for another one', 'main',
	acquires => 1, waiting => 1);
call('pg_cancel_backend(' . $one->pid . ')');
step('a session that is cancelled while it waits releases what it had', 'main', releases => 1);


#
# Administration
#
call(q(pool_pause('main')));
step('pool_pause() makes the state paused', 'main', state => 'paused');
$one->begin(q(SELECT pool_exec('main', 'select 1')));
step('a session waits for a pool that is paused', 'main', waiting => 1);
call(q(pool_pause('main', fail => true)));
step('pool_pause(fail) fails the session that waits', 'main', acquire_failures => 1);
ask($one, 'main');
step('pool_pause(fail) fails a session that comes later', 'main', acquire_failures => 1);
call(q(pool_resume('main')));
step('pool_resume() makes the state ready', 'main', state => 'ready');
call(q(pool_reconnect('main')));
step('pool_reconnect() closes the idle connection', 'main', closed_reconnect => 1);
release($two, $lease);
step('pool_reconnect() closes the leased connection after its lease', 'main',
	lost => 1, closed_reconnect => 1);
call(q(pool_prewarm('main', 2)));
step('pool_prewarm() opens connections and acquires none', 'main', connects => 2);
call(q(pool_resize('main', 0, 1)));
step('pool_resize() closes the surplus', 'main',
	max_size => 1, size_limit => 1, closed_surplus => 1);
call(q(pool_close('main')));
step('pool_close() closes the idle connection', 'main', closed_admin => 1);
$lease = acquire($one, 'main');
call(q(pool_close('main')));
step('pool_close() closes a leased connection, too', 'main',
	acquires => 1, connects => 1, lost => 1, cancels => '0+', closed_admin => 1);
release($one, $lease);
ask($one, 'main');
step('a statement after pool_close() opens another connection', 'main',
	used(1), connects => 1, rows => 1);
call(q(pool_drain('main')));
step('pool_drain() pauses the pool and closes its connection', 'main',
	state => 'paused', closed_admin => 1);
call(q(pool_resume('main')));
$lease = acquire($one, 'main');
call(q(pool_reclaim(slot) FROM pool_connections WHERE state = 'leased'));
step('pool_reclaim() of a lease closes its connection as reclaimed', 'main',
	state => 'ready', acquires => 1, connects => 1, lost => 1, cancels => '0+',
	closed_reclaimed => 1);
release($one, $lease);
call(q(pool_prewarm('main', 1)));
sql($local, q(ALTER SERVER main OPTIONS (ADD application_name 'another')));
ask($one, 'main');
step('other options to connect replace the connection', 'main',
	max_size => 2, size_limit => 2, used(1), rows => 1, connects => 2, closed_config_changed => 1);


#
# The worker ends, and its connections with it.
#
pool('unused');
ask($two, 'unused');
step('a statement for another server counts there', 'unused', used(1), rows => 1, connects => 1);
unchanged('a statement for another server counts only there');
$lease = acquire($one, 'main');
call(q(pool_prewarm('main', 2)));
step('a lease and an idle connection are two connections', 'main',
	acquires => 1, reused => 1, connects => 1);
unchanged('a pool that nobody used since has the same statistics');
forget('unused');
call(q(pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pool worker'));
step('the end of the worker closes the idle connection', 'main',
	state => 'unconfigured', cancels => '0+', closed_worker_exited => 1);
release($one, $lease);
step('the end of the worker closes the leased connection after its lease', 'main',
	state => 'unconfigured', lost => 1, closed_worker_exited => 1);
settled($local, 'every lease and connection is accounted for');

no_crash($local, $remote);

done_testing();
