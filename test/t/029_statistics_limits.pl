# 029_statistics_limits.pl
#	What is counted of what pools do by themselves: time-outs, resets, checks, age,
#	leaks, size, places of a server, remotes that cannot be reached, the breaker; and
#	how all of it is counted anew after pool_stats_reset().  After each step all
#	statistics of the pool are compared.
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
# Limits, resets and checks
#
pool('hasty', query_timeout => '200ms');
ask($one, 'hasty', $sleep);
step('query_timeout cancels a statement and closes its connection', 'hasty',
	%failed, connects => 1, cancels => '1+', closed_canceled => 1);
pool('crowded', max_size => 1, max_waiters => 1);
my $lease = acquire($one, 'crowded');
$two->begin(q(SELECT pool_exec('crowded', 'select 1')));
step('a session waits for the only connection', 'crowded',
	acquires => 1, connects => 1, waiting => 1);
like($three->query(q(SELECT pool_exec('crowded', 'select 1')))->{err},
	qr/max_waiters allows\.\nHINT:  Raise max_size or max_waiters of the server/,
	'the error says what to raise');
step('max_waiters fails a session that would wait, too', 'crowded',
	acquire_failures => 1, waiting => 1);
release($one, $lease);
$two->result;
step('the session that waits is served after max_waiters failed another one', 'crowded',
	releases => 2, acquires => 1, queries => 1, rows => 1);

pool('tidy', max_size => 1, reset_query => 'DISCARD ALL');
$lease = acquire($one, 'tidy');
$one->query("SELECT pool_exec($lease, 'select 1')");
release($one, $lease);
step('reset_query is run after a lease', 'tidy', used(1), rows => 1, connects => 1, resets => 1);
ask($one, 'tidy', 'set work_mem = 100');
step('reset_query is run after SET', 'tidy', used(1), resets => 1);
ask($two, 'tidy');
step('reset_query is run after the statement of another session', 'tidy',
	used(1), rows => 1, resets => 1);
pool('untidy', max_size => 1, reset_query => 'select 1/0');
ask($one, 'untidy');
step('a reset that fails in a session closes the connection, and no statement is sent', 'untidy',
	acquires => 1, lost => 1, connects => 1, cancels => '0+', closed_reset_failed => 1);
sql($local, q(ALTER SERVER untidy OPTIONS (SET reset_query '')));
$lease = acquire($one, 'untidy');
$one->query("SELECT pool_exec($lease, 'select 1')");
sql($local, q(ALTER SERVER untidy OPTIONS (SET reset_query 'select 1/0')));
call(q(pool_prewarm('untidy', 0)));		# the worker knows the option then
$two->query(q(SELECT pool_acquire('untidy', '10ms')));
release($one, $lease);
step('a reset that fails in the worker closes the connection', 'untidy',
	used(1), rows => 1, connects => 1, acquire_timeouts => 1, cancels => '0+',
	closed_reset_failed => 1);

pool('checked', validate_after_idle => '3s', health_check_timeout => '1min');
ask($one, 'checked');
step('a new connection is not validated', 'checked', used(1), rows => 1, connects => 1);
sql($local, q(ALTER SERVER checked OPTIONS (SET validate_after_idle '50ms')));
has_been_idle('checked', '60ms');
ask($one, 'checked');
step('a connection that was idle is validated by the session that reuses it', 'checked',
	used(1), rows => 1, reused => 1, validations => 1);
has_been_idle('checked', '60ms');
ask($two, 'checked');
step('a connection that was idle is validated by another session', 'checked',
	used(1), rows => 1, validations => 1);
my $pid = remote_pid('checked');
sql($local, q(ALTER SERVER checked OPTIONS
	(SET health_check_timeout '300ms', SET validate_after_idle '3s')));
has_been_idle('checked', '3s');
kill 'STOP', $pid;
ask($two, 'checked');
kill 'CONT', $pid;
step('a validation that fails loses one lease, and another one follows', 'checked',
	acquires => 2, releases => 1, lost => 1, queries => 1, rows => 1, reused => 1,
	validations => 1, validation_failures => 1, connects => 1, cancels => '0+',
	closed_check_failed => 1);
pool('healthy', health_check_interval => '100ms');
ask($one, 'healthy');
step('health checks of an idle connection are counted', 'healthy',
	used(1), rows => 1, connects => 1, health_checks => sub { $_[0] >= 3 });
pool('unhealthy', health_check_interval => '100ms', health_check_query => 'select 1/0');
ask($one, 'unhealthy');
step('a health check that fails closes the connection', 'unhealthy',
	used(1), rows => 1, connects => 1, health_check_failures => 1, cancels => '0+',
	closed_check_failed => 1);


#
# Age, leaks and size
#
pool('idle', idle_timeout => '100ms');
ask($one, 'idle');
step('idle_timeout closes a connection', 'idle',
	used(1), rows => 1, connects => 1, closed_idle_timeout => 1);
pool('ageing', max_size => 1, max_lifetime => '200ms');
ask($one, 'ageing');
my $aged = q(count FROM pool_stats_closed WHERE server = 'ageing' AND reason = 'max_lifetime');
comes_true($aged =~ s/count/count >= 2/r);
sql($local, q(ALTER SERVER ageing OPTIONS (SET max_lifetime '0')));
ask($one, 'ageing');
my $replaced = call($aged);
step('max_lifetime replaces a connection again and again', 'ageing',
	used(2), rows => 2, connects => $replaced + 1, closed_max_lifetime => $replaced,
	reused => sub { $_[0] <= 1 });

pool('forgotten', leak_threshold => '100ms');
$lease = acquire($one, 'forgotten');
step('a lease that is held for too long is a leak', 'forgotten',
	acquires => 1, connects => 1, leaks => 1);
release($one, $lease);
step('a leak that is released is a lease like others', 'forgotten',
	releases => 1, lease_max => 100, lease_p50 => 90);
pool('strict', leak_threshold => '100ms', leak_action => 'reclaim');
$lease = acquire($one, 'strict');
step('a leak that is reclaimed is a lost lease', 'strict',
	acquires => 1, connects => 1, lost => 1, leaks => 1, leaks_reclaimed => 1,
	cancels => '0+', closed_reclaimed => 1, lease_max => 100);
release($one, $lease);

pool('scaled', min_size => 1, max_size => 4, autoscale => 'on', scale_interval => '200ms',
	scale_down_threshold => '20%');
expect_now('scaled', size_limit => 1);
$lease = acquire($one, 'scaled');
step('autoscale raises the limit when one of one is leased', 'scaled',
	acquires => 1, connects => 1, scale_ups => 1, size_limit => 2);
my $lease2 = acquire($one, 'scaled');
step('autoscale raises the limit when two of two are leased', 'scaled',
	acquires => 1, connects => 1, scale_ups => 1, size_limit => 3);
release($one, $_) foreach $lease, $lease2;
step('autoscale lowers the limit twice when none is leased, and closes the surplus', 'scaled',
	releases => 2, scale_downs => 2, size_limit => 1, closed_surplus => 1);

# Two pools of a server that may have two connections
sql($local, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');
pool('shared', for => 'alice', max_server_size => 2);
expect('bob', 'shared', 'bob', 0, 2);
sql($local, "CREATE USER MAPPING FOR bob SERVER shared OPTIONS (user 'app', "
	  . "password '$PoolTest::password'); GRANT USAGE ON FOREIGN SERVER shared TO alice, bob");
my ($alice, $bob) = map { session($local, user => $_) } 'alice', 'bob';
$alice->query(q(SELECT pool_prewarm('shared', 2)));
step('one pool may have all connections of its server', 'shared', connects => 2);
ask($bob, 'shared');
step('another pool of the server gets a connection', 'bob', used(1), rows => 1, connects => 1);
step('the pool that had all connections of the server has evicted one', 'shared',
	closed_evicted => 1);
$_->quit foreach $alice, $bob;

pool('dropped');
$lease = acquire($one, 'dropped');
ask($two, 'dropped');
step('a lease and a statement of another session are two at a time', 'dropped',
	acquires => 2, releases => 1, queries => 1, rows => 1, connects => 2, peak_active => 2);
sql($local, 'DROP SERVER dropped CASCADE');
step('a pool whose server is dropped keeps what is leased', 'dropped',
	state => 'dropped', closed_dropped => 1);
release($one, $lease);
ok(wait_until($patience, sub { !row_of('dropped') }), 'a pool that is dropped goes at the end');
forget('dropped');


#
# A remote that cannot be reached
#
my ($dead, $dead_port) = dead_port();
pool('down', port => $dead_port, retry_attempts => 3, retry_delay => '10ms',
	breaker_threshold => 0);
ask($one, 'down');
step('a remote that refuses is attempted three times', 'down',
	acquire_failures => 1, connect_errors => 3, retries => 2, retry_failures => 2,
	state => 'failing', last_error => qr/Connection refused/, last_error_at => 'lately');
ask($one, 'down');
step('a remote that still refuses is attempted once', 'down',
	acquire_failures => 1, connect_errors => 1, retries => 1, retry_failures => 1,
	last_error_at => 'lately');

pool('tripped', port => $dead_port, retry_attempts => 2, retry_delay => '10ms',
	breaker_threshold => 2, breaker_timeout => '1h');
ask($one, 'tripped');
step('the breaker opens after two attempts that were refused', 'tripped',
	acquire_failures => 1, connect_errors => 2, retries => 1, retry_failures => 1,
	breaker_trips => 1, state => 'failing', breaker => 'open', breaker_opened_at => 'lately',
	last_error => qr/Connection refused/, last_error_at => 'lately');
ask($one, 'tripped');
step('an open breaker fails an acquire without an attempt', 'tripped', acquire_failures => 1);
call(q(pool_breaker_reset('tripped')));
step('pool_breaker_reset() closes the breaker', 'tripped', breaker => 'closed', state => 'ready');

sql($remote, "CREATE ROLE limited LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
pool('limited', user => 'limited', retry_attempts => 3, retry_delay => '10ms',
	breaker_threshold => 3, breaker_timeout => '50ms', breaker_successes => 5);
ask($one, 'limited');
step('the breaker opens after three attempts that the remote rejected', 'limited',
	acquire_failures => 1, connect_errors => '3+', retries => '2+', retry_failures => '2+',
	breaker_trips => 1, state => 'failing', breaker => 'open', breaker_opened_at => 'lately',
	last_error => qr/too many connections for role "limited"/, last_error_at => 'lately');
my $attempts = row_of('limited')->{connect_errors};
comes_true(qq(connect_errors > $attempts FROM pool_stats WHERE server = 'limited'));
sql($remote, 'ALTER ROLE limited CONNECTION LIMIT -1');
comes_true(q(open = 1 FROM pool_stats WHERE server = 'limited'));
ask($one, 'limited');
step('a connection and a statement that work make the breaker half open', 'limited',
	used(1), rows => 1, connects => 1, retries => '1+', retry_successes => 1,
	retry_failures => '0+', connect_errors => '1+', last_error_at => 'lately',
	state => 'ready', breaker => 'half_open');
ask($one, 'limited') foreach 1 .. 2;
step('four successes of five leave the breaker half open', 'limited',
	used(2), rows => 2, reused => 2);
ask($one, 'limited');
step('five successes of five close the breaker', 'limited',
	used(1), rows => 1, reused => 1, breaker => 'closed');
unchanged('nothing was counted for other pools');


#
# Resets, of a pool and of all: what is leased and open then counts as begun then.
#
pool('main');
ask($one, 'main') foreach 1 .. 2;
step('two statements by a session reuse its connection once', 'main',
	used(2), rows => 2, connects => 1, reused => 1);
sql($local, 'CREATE DATABASE other');
sql($local, 'CREATE EXTENSION pool', db => 'other');
rename_pool('main', 'postgres');
pool('main', db => 'other');
sql($local, q(SELECT pool_exec('main', 'select 1')), db => 'other');
step('a server of that name in another database has its own statistics', 'main',
	used(1), rows => 1, connects => 1);
$lease = acquire($one, 'main');
step('a lease of the server in this database counts here', 'postgres',
	acquires => 1, reused => 1);
call(q(pool_stats_reset('main')));
count_anew('postgres');
is(join(' ', map { row_of('postgres')->{$_} } qw(acquires connects)), '1 1',
	'a lease and a connection of now count as begun after pool_stats_reset()');
step('pool_stats_reset() of a server sets all its figures back', 'postgres');
unchanged('pool_stats_reset() of a server changes no other server and no other database');
$one->query("SELECT pool_exec($lease, 'select 1')");
release($one, $lease);
step('a lease that began before pool_stats_reset() ends and is counted', 'postgres',
	releases => 1, queries => 1, rows => 1);
call(q(pool_stats_reset()));
count_anew();
expect_now('healthy', health_checks => sub { $_[0] >= 0 });
unchanged('pool_stats_reset() without a server sets back all pools');

$_->quit foreach $one, $two, $three;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
