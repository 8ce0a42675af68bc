# 016_breaker.pl
#	The circuit breaker: after so many failures in a row nothing is attempted for a
#	while, a session that asks gets the cause at once, the worker tries by itself
#	whether the remote is back, and all of it is in the statistics and, once for each
#	change, in the log.  The remote is stopped and started, or allows one connection
#	only.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local();
my %quick = (retry_delay => '10ms', retry_max_delay => '10ms', retry_attempts => 3,
	breaker_threshold => 3);

create_server($local, 'srv', $remote,
	options => { %quick, max_size => 1, breaker_timeout => '2s', breaker_successes => 3 });
create_server($local, 'slow', $remote,
	options => { %quick, breaker_timeout => '1h' });
create_server($local, 'off', $remote,
	options => { %quick, breaker_threshold => 0 });

# ask(server): SQLSTATE, message and answer
sub ask
{
	return sql_state($local, "SELECT pool_query('$_[0]', 'select 42')");
}

is(stat_of($local, 'count(*)', $_), '0', "server $_ has no pool before its first use")
  foreach 'srv', 'slow', 'off';
ask('srv');
is(stat_of($local, q(breaker || ' ' || breaker_trips || ' ' || (breaker_opened_at IS NULL))),
	'closed 0 true', 'the breaker of a new pool is closed and was never open');
my $log = log_offset($local);
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0,
	'the pool has no connection when the remote is down');

# It opens.
my $start = stat_of($local, 'connect_errors');
my $opened = time;
my ($state, $err) = ask('srv');
is($state, '08001', 'the first session that asks a remote that is down gets an error');
like($err, qr/Connection refused/, 'the error has the cause in the words of libpq');
is(stat_of($local, q(breaker || ' ' || breaker_trips)), 'open 1', 'the breaker opens');
is(stat_of($local, q(breaker_opened_at > now() - interval '1 minute')), 't',
	'breaker_opened_at is the time at which the breaker opened');

# Nothing is attempted, and no session waits, not even for the worker.
my @sessions = map { session($local) } 1 .. 10;
create_server($local, 'busy', $remote, options => { %quick, breaker_timeout => '1h' });
ask('busy');
kill 'STOP', worker_pid($local);
is(stat_of($local, q(breaker || ' ' || breaker_trips || ' ' || connect_errors), 'busy'),
	'open 1 3', 'the breaker opens after breaker_threshold attempts');
$_->begin(q(SELECT pool_query('busy', 'select 42'))) foreach @sessions;
my $next = qr/circuit breaker is open; the next attempt is in \d+ ms\.  The last/;
like($_->result->{err}, qr/08001: .*$next.*Connection refused.*pool_breaker_reset/s,
	'while the breaker is open a session gets the cause and the time of the next attempt')
  foreach @sessions;
kill 'CONT', worker_pid($local);
is(stat_of($local, 'connect_errors', 'busy'), '3',
	'nothing is attempted while the breaker is open');
$_->quit foreach @sessions;

# An attempt every breaker_timeout, though nobody asks.
ok(wait_until(30, sub { return stat_of($local, qq(connect_errors - $start)) >= 6; }),
	'attempts are made after breaker_timeout, though nobody asks');
my $errors = stat_of($local, qq(connect_errors - $start));
cmp_ok($errors, '<=', 4 + (time - $opened) / 2,
	'each breaker_timeout is followed by a single attempt');
is(stat_of($local, q(breaker || ' ' || breaker_trips)), 'open 1',
	'the breaker stays open while these attempts fail');

# It closes.
$remote->start;
ok(wait_until(30, sub { return (ask('srv'))[2] eq '(42)' }),
	'a remote that is back is asked again');
isnt(stat_of($local, 'breaker'), 'open', 'the breaker is not open after an attempt that succeeded');
wait_until(10, sub { ask('srv'); return stat_of($local, 'breaker') eq 'closed' });
is(stat_of($local, 'breaker'), 'closed', 'the breaker closes after some successes');
my $trips = stat_of($local, 'breaker_trips');
is(log_count($local, 'circuit breaker of pool for server "srv" is open after \d+ failed', $log),
	$trips, 'the log has a line for each time that the breaker opened');
my $closed = 'circuit breaker of pool for server "srv" is closed';
wait_until(10, sub { return log_count($local, $closed, $log) > 0 });
is(log_count($local, $closed, $log),
	'1', 'the log has one line for the time that the breaker closed');

# By hand.
$remote->stop;
ask('slow');
is(stat_of($local, 'breaker', 'slow'), 'open', 'a breaker with breaker_timeout 1h opens');
$remote->start;
is((ask('slow'))[0], '08001', 'a breaker stays open though the remote is back');
is(sql($local, q(SELECT pool_breaker_reset('slow'))), '1', 'pool_breaker_reset counts one pool');
is((ask('slow'))[2], '(42)', 'the remote is asked at once after pool_breaker_reset');
is(stat_of($local, 'breaker', 'slow'), 'closed', 'pool_breaker_reset closes the breaker');

# Other options are another start.
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'slow'), 0,
	'the pool has no connection when the remote is down again');
ask('slow');
is(stat_of($local, 'breaker', 'slow'), 'open', 'a breaker that was reset can open again');
$remote->start;
sql($local, q(ALTER SERVER slow OPTIONS (ADD application_name 'new')));
is((ask('slow'))[2], '(42)',
	'the remote is asked at once after options to connect were altered');

# It can be off.
$remote->stop;
ask('off') foreach 1 .. 3;
is(stat_of($local, q(breaker || ' ' || breaker_trips), 'off'), 'closed 0',
	'with breaker_threshold 0 the breaker never opens');
is(stat_of($local, 'connect_errors', 'off'), '5',
	'with breaker_threshold 0 each session that asks has an attempt made');
$remote->start;

# What is there goes on serving.
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 1');
create_server($local, 'part', $remote,
	options => { %quick, max_size => 2, breaker_timeout => '1h', acquire_timeout => '60s' });
wait_until(30, sub {
	terminate_app_sessions($remote);
	return (ask('part'))[2] eq '(42)';
});
my $holder = session($local);
my $lease = $holder->query(q(SELECT pool_acquire('part', hold => true)))->{out};
my $waiter = session($local);
$waiter->begin(q(SELECT pool_query('part', 'select 43')));
wait_for_value($local, q(SELECT breaker FROM pool_stats WHERE server = 'part'), 'open',
	'the breaker opens when the remote refuses a second connection');
ok($waiter->busy, 'a session that waits for the first connection goes on to wait');
$holder->query("SELECT pool_release($lease)");
is($waiter->result->{out}, '(43)',
	'a session that waits acquires the first connection after its release');
is((ask('part'))[2], '(42)', 'a connection that is there serves while the breaker is open');

# A lease whose remote is gone is no reason to wait, and leaves its place to
# another connection.
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
create_server($local, 'lost', $remote,
	options => { %quick, max_size => 1, breaker_timeout => '1h', acquire_timeout => '30s' });
$lease = $holder->query(q(SELECT pool_acquire('lost', hold => true)))->{out};
$holder->query("SELECT pool_query($lease, 'select 1')");
$remote->stop;
like((ask('lost'))[1], qr/Connection refused/,
	'a session does not wait for a leased connection whose remote is down, it gets the cause');
is(stat_of($local, q(breaker || ' ' || active), 'lost'), 'open 1',
	'the breaker opens though a lease is held');
like((ask('lost'))[1], qr/circuit breaker is open/,
	'the next session is told at once that the breaker is open, though a lease is held');
$remote->start;
sql($local, q(SELECT pool_breaker_reset('lost')));
is((ask('lost'))[2], '(42)',
	'a lease whose connection is lost leaves its place to another connection');
is($holder->query("SELECT pool_query($lease, 'select 1')")->{state}, '57P01',
	'the session whose connection is lost is told why when it uses its lease');
is($holder->query("SELECT pool_release($lease)")->{state}, '00000',
	'a lease whose connection is lost can be released');

# What the remote has to say to the worker is not for this log.
sql($remote, <<'SQL', db => 'far');
CREATE FUNCTION chat() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'chatter of the remote'; RETURN 1; END $$
SQL
create_server($local, 'chatty', $remote, options => { %quick, reset_query => 'SELECT chat()' });
$holder->query(q(SELECT pool_exec('chatty', 'create temporary table left_behind ()')));
ok(wait_until(20, sub { stat_of($local, 'resets', 'chatty') > 0 }),
	'the worker resets with a statement that raises a warning');
is(log_count($local, qr/chatter/), 0, 'a warning from the remote during a reset is not in the log');

$_->quit foreach $holder, $waiter;
settled($local);
no_crash($local, $remote);

done_testing();
