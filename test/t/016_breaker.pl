# 016_breaker.pl
#	The circuit breaker: after so many failures in a row nothing is attempted for a
#	while, who asks gets the cause at once, one attempt tells whether the remote is
#	back, and all of it is in pool_stats and, once for each change, in the log.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

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

is(stat_of($local, 'count(*)', $_), '0', "$_: no pool yet") foreach 'srv', 'slow', 'off';
ask('srv');
is(stat_of($local, q(breaker || ' ' || breaker_trips || ' ' || (breaker_opened_at IS NULL))),
	'closed 0 true', 'closed');
my $log = log_offset($local);
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 0, 'the remote is down');

# It opens.
my $start = stat_of($local, 'connect_errors');
my ($state, $err) = ask('srv');
is($state, '08001', 'the first to ask gets the cause');
like($err, qr/Connection refused/, 'in the words of libpq');
is(stat_of($local, qq(breaker || ' ' || breaker_trips || ' ' || (connect_errors - $start))),
	'open 1 3', 'after three attempts the breaker is open');
is(stat_of($local, q(breaker_opened_at > now() - interval '1 minute')), 't', 'since now');

# Nothing is attempted, and nobody waits.
my @sessions = map { session($local) } 1 .. 10;
create_server($local, 'busy', $remote, options => { %quick, breaker_timeout => '1h' });
ask('busy');
$_->begin(q(SELECT pool_query('busy', 'select 42'))) foreach @sessions;
like($_->result->{err},
	qr/08001: .*circuit breaker is open; the next attempt is in \d+ ms.*Connection refused.*pool_breaker_reset/s,
	'others get it at once, and when the next attempt is')
  foreach @sessions;
is(stat_of($local, 'connect_errors', 'busy'), '3', 'without another attempt');
$_->quit foreach @sessions;

# One attempt after the time-out.
ok( wait_until(
		30, sub { ask('srv'); return stat_of($local, 'breaker_trips') >= 2; }),
	'an attempt after the time-out');
is(stat_of($local, qq(connect_errors - $start - breaker_trips)), '2', 'one each time');

# It closes.
$remote->start;
ok(wait_until(30, sub { return (ask('srv'))[2] eq '(42)' }), 'the remote is back');
isnt(stat_of($local, 'breaker'), 'open', 'no longer open');
wait_until(10, sub { ask('srv'); return stat_of($local, 'breaker') eq 'closed' });
is(stat_of($local, 'breaker'), 'closed', 'closed after some successes');
my $trips = stat_of($local, 'breaker_trips');
is(log_count($local, 'circuit breaker of pool for server "srv" is open after \d+ failed', $log),
	$trips, 'a line in the log each time it opened');
is(log_count($local, 'circuit breaker of pool for server "srv" is closed', $log),
	'1', 'and one when it closed');

# By hand.
$remote->stop;
ask('slow');
is(stat_of($local, 'breaker', 'slow'), 'open', 'open for an hour');
$remote->start;
is((ask('slow'))[0], '08001', 'even if the remote is back');
is(sql($local, q(SELECT pool_breaker_reset('slow'))), '1', 'until it is reset');
is((ask('slow'))[2], '(42)', 'by hand');
is(stat_of($local, 'breaker', 'slow'), 'closed', 'closed');

# Other options are another start.
$remote->stop;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'slow'), 0, 'down again');
ask('slow');
is(stat_of($local, 'breaker', 'slow'), 'open', 'open');
$remote->start;
sql($local, q(ALTER SERVER slow OPTIONS (ADD application_name 'new')));
is((ask('slow'))[2], '(42)', 'options to connect were altered: tried at once');

# It can be off.
$remote->stop;
ask('off') foreach 1 .. 3;
is(stat_of($local, q(breaker || ' ' || breaker_trips), 'off'), 'closed 0', 'breaker_threshold 0: off');
is(stat_of($local, 'connect_errors', 'off'), '5', 'everyone who asks has it attempted again');
$remote->start;

# What is there goes on serving.
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 1');
create_server($local, 'part', $remote,
	options => { %quick, max_size => 2, breaker_timeout => '1h', acquire_timeout => '10s' });
wait_until(30, sub {
	sql($remote, q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'));
	return (ask('part'))[2] eq '(42)';
});
my $holder = session($local);
my $lease = $holder->query(q(SELECT pool_acquire('part', hold => true)))->{out};
my $waiter = session($local);
$waiter->begin(q(SELECT pool_query('part', 'select 43')));
wait_for_value($local, q(SELECT breaker FROM pool_stats WHERE server = 'part'), 'open',
	'a second connection cannot be had');
ok($waiter->busy, 'who waits for the first one is not sent away');
$holder->query("SELECT pool_release($lease)");
is($waiter->result->{out}, '(43)', 'and gets it');
is((ask('part'))[2], '(42)', 'as do others');

# A lease whose remote is gone is no reason to wait, and takes nobody's place.
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
create_server($local, 'lost', $remote,
	options => { %quick, max_size => 1, breaker_timeout => '1h', acquire_timeout => '30s' });
$lease = $holder->query(q(SELECT pool_acquire('lost', hold => true)))->{out};
$holder->query("SELECT pool_query($lease, 'select 1')");
$remote->stop;
like((ask('lost'))[1], qr/Connection refused/, 'down: who asks is told, though a lease is held');
is(stat_of($local, q(breaker || ' ' || active), 'lost'), 'open 1', 'the breaker is open');
like((ask('lost'))[1], qr/circuit breaker is open/, 'and the next one is told at once');
$remote->start;
sql($local, q(SELECT pool_breaker_reset('lost')));
is((ask('lost'))[2], '(42)', 'up: there is room for another connection');
is($holder->query("SELECT pool_query($lease, 'select 1')")->{state}, '08006', 'the lease is lost');
is($holder->query("SELECT pool_release($lease)")->{state}, '00000', 'and can be released');

# What the remote has to say to the worker is not for this log.
sql($remote, <<'SQL', db => 'far');
CREATE FUNCTION chat() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'chatter of the remote'; RETURN 1; END $$
SQL
create_server($local, 'chatty', $remote, options => { %quick, reset_query => 'SELECT chat()' });
$holder->query(q(SELECT pool_exec('chatty', 'create temporary table left_behind ()')));
ok(wait_until(20, sub { stat_of($local, 'resets', 'chatty') > 0 }), 'the worker resets');
is(log_count($local, qr/chatter/), 0, 'quietly');

$_->quit foreach $holder, $waiter;
settled($local);
no_crash($local, $remote);

done_testing();
