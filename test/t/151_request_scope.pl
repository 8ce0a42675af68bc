# 151_request_scope.pl
#	How requests end: with a savepoint, an exception block, a transaction, a lease, the
#	session, the worker, an administrator, and when their session leaves them alone.
#	Each time the remote's statement ends with them, and nothing is left.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use Test::More;

my $remote = start_remote();
my $local = start_local(max_prepared_transactions => 2);
create_server($local, 'srv', $remote, options => { max_size => 8, acquire_timeout => '60s' });
create_server($local, 'one', $remote, options => { max_size => 1, acquire_timeout => '60s' });
create_caught($local);
sql($remote, 'CREATE TABLE done (n int)', db => 'far', user => 'app');
sql($local, 'CREATE TABLE here (n int)');
my $gates = start_gates($remote);
my $session = session($local);
my $control = session($local);

# are_gone(requests, what): a test: the session has none of them any more
sub are_gone
{
	my ($requests, $what) = @_;
	my @there = grep { caught($session, "SELECT pool_poll($_)") !~ /^42704 / } @$requests;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("@there", '', $what);
}

# in_each_state(): begins a transaction with a request that runs, one that waits for
# a connection that another session has, and one that is ready
my $holder = session($local);
my $held;

sub in_each_state
{
	my (%how) = @_;
	my ($who, $wait_on) = ($how{session} || $session, $how{on} || 'srv');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	shut($gates, 1);
	$held = $holder->acquire('one');
	$who->query('BEGIN; INSERT INTO here VALUES (1)');
	my $running = send_request($who, $wait_on, behind(1, 'select 1'));
	my $waiting = send_request($who, 'one', 'select 2');
	my $ready = send_request($who, 'srv', 'select 3');
	wait_for_gate($gates, 1, 1, 'a request runs', $who);
	wait_for_state($who, $ready, 'ready', 'one is ready');
	is(states_of($who, $running, $waiting, $ready), 'running waiting ready', 'one waits');
	return ($running, $waiting, $ready);
}

# all_ends(what): tests: nothing is left of them, here and at the remote
sub all_ends
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_gate($gates, 1, 0, "the remote's statement has ended $what");
	open_gate($gates, 1);
	$holder->release($held) if $held;
	$held = undef;
	wait_for_value($control, 'SELECT count(*) FROM pool_requests', 0, "no request is left $what");
	at_rest($local, $remote, $what);
	return;
}

#
# Savepoints and exception blocks
#
shut($gates, 1);
$session->query('BEGIN');
my $outer = send_request($session, 'srv', behind(1, 'select 10'));
$session->query('SAVEPOINT a');
my $released = send_request($session, 'srv', behind(1, 'select 11'));
$session->query('RELEASE a; SAVEPOINT b');
my @inside = map { send_request($session, 'srv', behind(1, 'select 12')) } 1, 2;
$session->query('SAVEPOINT c');
push @inside, send_request($session, 'srv', behind(1, 'select 13'));
$session->query('RELEASE c');
push @inside, send_request($session, 'srv', 'select 14');
wait_for_gate($gates, 1, 5, 'five requests run', $session);
wait_for_state($session, $inside[-1], 'ready', 'and one is ready');
$session->query('ROLLBACK TO b');
are_gone(\@inside,
	'ROLLBACK TO ends the requests that were made since, also in a savepoint within');
is(states_of($session, $outer, $released), 'running running',
	'but none of before, nor one of a savepoint that was released');
wait_for_gate($gates, 1, 2, 'the others are cancelled at the remote');
$session->query(q(SELECT pool_poll(0)));
$session->query('ROLLBACK TO b');
is(states_of($session, $outer, $released), 'running running',
	'an error afterwards ends none of them');
open_gate($gates, 1);
answers($session, "SELECT t FROM pool_result($outer) r(t int)", 10, 'one is answered');
answers($session, "SELECT t FROM pool_result($released) r(t int)", 11, 'and the other');
$session->query('COMMIT');

$session->query(<<'SQL');
CREATE FUNCTION blocks(OUT kept text, OUT lost text, OUT again text) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := pool_send('srv', 'select 20');
	within bigint;
	fine bigint;
BEGIN
	BEGIN
		within := pool_send('srv', 'select 21');
		PERFORM 1 FROM pool_result(before) r(a int, b int);
	EXCEPTION WHEN datatype_mismatch THEN
		lost := pool_poll(before);
	END;
	BEGIN
		fine := pool_send('srv', 'select 22');
	EXCEPTION WHEN OTHERS THEN
		NULL;
	END;
	lost := lost || ', ' || caught(format('SELECT t FROM pool_result(%s) r(t int)', within));
	kept := (SELECT t FROM pool_result(fine) r(t int));
	again := (SELECT t FROM pool_result(before) r(t int));
END $$;
SQL
my $within = qr/^22\|\w+, 42704 request \d+ does not exist \(.*\)\|20$/;
answers($session, 'SELECT * FROM blocks()', $within, 'exception blocks are savepoints');
answers($session, 'SELECT count(*), min(kept), min(again) FROM generate_series(1, 50), blocks()',
	'50|22|20', 'fifty times in a row');
at_rest($local, $remote, 'after exception blocks');

#
# The end of the transaction
#
my ($running, $waiting, $ready) = in_each_state();
my $answer = $session->query('ROLLBACK');
is($answer->{err}, '', 'a transaction that is rolled back has nothing to say of its requests');
are_gone([ $running, $waiting, $ready ], 'its requests are gone');
all_ends('after a rollback');

($running, $waiting, $ready) = in_each_state();
$session->query('SELECT 1/0; ROLLBACK');
are_gone([ $running, $waiting, $ready ], 'an error ends the requests of its transaction');
all_ends('after an error');

($running, $waiting, $ready) = in_each_state();
my $insert = send_request($session, 'srv', behind(1, 'insert into done select 1'));
wait_for_gate($gates, 1, 2, 'a statement that would write runs', $session);
$answer = $session->query('COMMIT');
is($answer->{state}, '00000', 'a transaction with requests commits');
my @warnings = $answer->{err} =~ /(WARNING:\s+57014: request \d+ .*(?:\n(?:DETAIL|HINT):.*)*)/g;
is(scalar @warnings, 3, 'with a warning for each that is not done');
my $end = 'is canceled at the end of the transaction\nDETAIL:\s+';
is(scalar(grep { /request $waiting to server "one" ${end}The statement was not sent\./ } @warnings),
	1, 'which tells of the one that waits');
is(scalar(grep { /request $running to server "srv" ${end}The remote may have/ } @warnings),
	1, 'and of the one that runs');
unlike($answer->{err}, qr/request $ready /, 'but nothing of the one that is ready');
are_gone([ $running, $waiting, $ready, $insert ], 'they are gone');
all_ends('after a commit');
is(sql($remote, 'SELECT count(*) FROM done', db => 'far'), 0,
	'what was cancelled was not executed');
is(sql($control, 'SELECT count(*) FROM here'), 1, 'what the transaction did here is there');
like($session->query(q(SELECT pool_send('srv', 'select pg_sleep(600)')))->{err},
	qr/^WARNING:  57014: .*HINT:  Wait .*in the same transaction, which needs/s,
	'a statement by itself is a transaction');
at_rest($local, $remote, 'after a statement by itself');

# What has come by then is done, though nobody has looked.
shut($gates, 1);
$session->query('BEGIN');
my $unseen = send_request($session, 'one', behind(1, 'select 1'));
wait_for_gate($gates, 1, 1, 'a request runs', $session);
open_gate($gates, 1);
wait_for_app_sessions($remote, 0, 'the remote has answered',
	condition => q(wait_event IS DISTINCT FROM 'ClientRead'));
is($session->query('COMMIT')->{err}, '', 'an answer that has come is no reason for a warning');
is(stat_of($control, 'closed_canceled', 'one'), 0, 'nor to close the connection');

# Nor is anything begun that late, although there is a connection for it.
shut($gates, 1);
sql($control, select_42('srv'));
$session->query('BEGIN; SET LOCAL pool.max_parallel = 1');
$unseen = send_request($session, 'one', behind(1, 'select 1'));
my $unsent = send_request($session, 'srv', 'insert into done values (3)');
wait_for_gate($gates, 1, 1, 'a request runs, and another one waits for its end', $session);
open_gate($gates, 1);
wait_for_app_sessions($remote, 0, 'the first is answered',
	condition => q(wait_event IS DISTINCT FROM 'ClientRead'));
like($session->query('COMMIT')->{err},
	qr/^WARNING:.* request $unsent .*\n.*The statement was not sent\.(?!.*WARNING)/s,
	'what is not begun by the commit is not sent');

# A commit that fails
$session->query(<<'SQL');
CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO late VALUES (1);
SQL
($running, $waiting, $ready) = in_each_state();
$answer = $session->query('INSERT INTO late VALUES (1); COMMIT');
is($answer->{state}, '23505', 'a commit fails');
are_gone([ $running, $waiting, $ready ], 'then, too, its requests are gone');
all_ends('after a commit that fails');

# PREPARE TRANSACTION
foreach my $state (qw(running waiting ready))
{
	$held = $holder->acquire('one');
	shut($gates, 1);
	$session->query('BEGIN');
	my $request = send_request($session, $state eq 'waiting' ? 'one' : 'srv',
		$state eq 'running' ? behind(1, 'select 1') : 'select 1');
	wait_for_state($session, $request, $state, "a request is $state");
	$answer = $session->query(q(PREPARE TRANSACTION 'p'));
	is($answer->{state}, '0A000', 'its transaction cannot be prepared');
	like($answer->{err}, qr/requests/, 'the error says why');
	are_gone([$request], 'and it is gone with it');
	all_ends("after PREPARE TRANSACTION with a request that is $state");
}
$session->query('BEGIN; SELECT count(*) FROM here');
answers($session, q(SELECT t FROM pool_result(pool_send('srv', 'select 4')) r(t int)), 4,
	'a request is fetched');
answers($session, q(PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'), '',
	'then the transaction can be prepared');

#
# Leases
#
my $lease = $session->acquire('srv');
shut($gates, 1);
my $request = send_request($session, $lease, behind(1, 'select 30'));
wait_for_state($session, $request, 'running', 'a request runs on a lease that is held');
wait_for_gate($gates, 1, 1, 'in the next transaction as well');
my %refused = (
	"SELECT pool_send($lease, 'select 1')" => '55000',
	"SELECT pool_query($lease, 'select 1')" => '55000',
	"SELECT pool_exec($lease, 'select 1')" => '55000',
	"SELECT pool_release($lease)" => '55000');
foreach my $statement (sort keys %refused)
{
	like(caught($session, $statement), qr/^55000 lease $lease has a request under way/,
		"meanwhile it is refused: $statement");
}
$session->query('BEGIN; SELECT 1; COMMIT; BEGIN; ROLLBACK; BEGIN; SELECT 1/0; ROLLBACK');
is(states_of($session, $request), 'running', 'no end of a transaction ends it');
open_gate($gates, 1);
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'it is waited for');
my $next = send_request($session, $lease, 'select 31');
answers($session, "SELECT t FROM pool_result($next) r(t int)", 31,
	'the lease takes another one before the first one is fetched');
answers($session, "SELECT t FROM pool_query($lease, 'select 32') r(t int)", 32, 'or a query');
answers($session, "SELECT t FROM pool_result($request) r(t int)", 30, 'the first one is kept');

# The remote's transaction
$session->query("SELECT pool_exec($lease, 'begin')");
$request = send_request($session, $lease, 'insert into done values (2) returning n');
$session->query('SELECT 1');
answers($session, "SELECT t FROM pool_result($request) r(t int)", 2, 'it writes');
is(sql($remote, 'SELECT count(*) FROM done', db => 'far'), 0,
	'in the transaction that is open on the remote');
$request = send_request($session, $lease, 'commit');
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'which a request commits');
is(sql($remote, 'SELECT count(*) FROM done', db => 'far'), 1, 'it is there then');

# Releasing it
$request = send_request($session, $lease, 'select 33');
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'a request is ready');
is($session->release($lease)->{state}, '00000', 'its lease is released');
are_gone([$request], 'it ends with its lease');
at_rest($local, $remote, 'after requests on a lease');

# A transaction that is rolled back ends what was sent in it
$lease = $session->acquire('srv');
shut($gates, 1);
$session->query('BEGIN');
$request = send_request($session, $lease, behind(1, 'select 34'));
wait_for_gate($gates, 1, 1, 'a request runs on a lease');
$session->query('ROLLBACK');
are_gone([$request], 'the rollback of its transaction ends it');
wait_for_gate($gates, 1, 0, 'also at the remote');
like(caught($session, "SELECT pool_query($lease, 'select 1')"), qr/^08003 /,
	'the lease has lost its connection');
$session->release($lease);
open_gate($gates, 1);

# A lease of the transaction
shut($gates, 1);
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$request = send_request($session, $lease, behind(1, 'select 35'));
wait_for_gate($gates, 1, 1, 'a request runs on a lease of the transaction');
like($session->query('COMMIT')->{err}, qr/^WARNING:\s+57014: request $request /,
	'both end with the transaction');
are_gone([$request], 'the request is gone');
all_ends('after a lease of a transaction');

# An abandoned one
$lease = $session->acquire('srv');
shut($gates, 1);
$session->query('BEGIN');
$request = send_request($session, $lease, behind(1, 'select 36'));
wait_for_gate($gates, 1, 1, 'a request runs on a lease');
answers($session, "SELECT pool_abandon($request)", '', 'it is abandoned');
wait_for_gate($gates, 1, 0, 'it is cancelled at the remote');
is($session->release($lease)->{state}, '00000', 'the lease can be released then');
$session->query('COMMIT');
all_ends('after that');

# DISCARD ALL
$lease = $session->acquire('srv');
$request = send_request($session, $lease, 'select 37');
is($session->query('DISCARD ALL')->{state}, '00000', 'DISCARD ALL is nothing to a request');
answers($session, "SELECT t FROM pool_result($request) r(t int)", 37, 'it is answered');
$session->release($lease);

#
# The end of the session
#
foreach my $end (qw(quits dies terminated))
{
	my $victim = session($local);
	my $pid = $victim->pid;

	in_each_state(session => $victim);
	$end eq 'quits' ? $victim->quit
	  : $end eq 'dies' ? $victim->die_now
	  : $control->query("SELECT pg_terminate_backend($pid)");
	wait_for_session_end($control, $pid, "the session ends: $end");
	all_ends("after a session with requests ended: $end");
}

# While it waits for them
foreach my $waits ('pool_wait(ARRAY[%s], 3)', 'pool_result(%1$s)')
{
	my $victim = session($local);
	my $pid = $victim->pid;
	my $requests = join ', ', in_each_state(session => $victim);

	$victim->begin('SELECT ' . sprintf $waits, $waits =~ /1/ ? (split /, /, $requests)[0] : $requests);
	wait_for_waiters($control, 1, 'a session waits for its requests', 'one');
	$control->query("SELECT pg_terminate_backend($pid)");
	is($victim->result->{state}, '57P01', "a session ends in $waits");
	wait_for_session_end($control, $pid, 'it is gone');
	all_ends('after that');
}

# While it reads the rows of one
sql($control, <<'SQL');
CREATE FUNCTION is_slow(n int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(7);
	RETURN true;
END $$;
CREATE DOMAIN slow_int AS int CHECK (is_slow(VALUE));
SELECT pg_advisory_lock(7);
SQL
foreach my $how (qw(cancel terminate))
{
	my $reader = session($local);

	$reader->query('BEGIN');
	my $read = send_request($reader, 'srv', 'select 5');

	$reader->query('SAVEPOINT s');
	$reader->begin("SELECT t FROM pool_result($read) r(t slow_int)");
	wait_for_value($control,
		'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $reader->pid, 'Lock',
		'a session reads rows');
	$control->query("SELECT pg_${how}_backend(" . $reader->pid . ')');
	is($reader->result->{state}, $how eq 'cancel' ? '57014' : '57P01', "then $how");
	if ($how eq 'cancel')
	{
		$reader->query('ROLLBACK TO s');
		answers($reader, "SELECT t FROM pool_result($read) r(t int)", 5, 'they can be read again');
	}
	$reader->quit;
	wait_for_session_end($control, $reader->pid, 'the session ends');
	wait_for_value($control, 'SELECT count(*) FROM pool_requests', 0, "no request is left after $how");
}
sql($control, 'SELECT pg_advisory_unlock(7)');

#
# The worker ends
#
foreach my $where ('elsewhere', 'in pool_wait()')
{
	($running, $waiting, $ready) = in_each_state();
	my $worker = worker_pid($control);

	$session->begin("SELECT count(*) FROM pool_wait(ARRAY[$running, $waiting, $ready], 3)")
	  if $where ne 'elsewhere';
	wait_for_waiters($control, 1, 'the session waits for its requests', 'one')
	  if $where ne 'elsewhere';
	kill 'TERM', $worker;
	wait_until(30, sub { my $now = worker_pid($control); $now && $now ne $worker });
	$holder->release($held);
	$held = undef;
	answers($session, "SELECT count(*) FROM pool_wait(ARRAY[$running, $waiting, $ready], 3)", 3,
		'all are done after a worker has ended') if $where eq 'elsewhere';
	is($session->result->{out}, 3, 'all are done when a worker has ended') if $where ne 'elsewhere';
	is(states_of($session, $running, $waiting, $ready), 'failed ready ready',
		"the session was $where: the one that was running has failed");
	like(caught($session, "SELECT t FROM pool_result($running) r(t int)"), qr/^08006 /,
		'with the error that its connection was lost');
	answers($session, "SELECT t FROM pool_result($waiting) r(t int)", 2,
		'the one that waited got a connection of the new worker');
	answers($session, "SELECT t FROM pool_result($ready) r(t int)", 3, 'the rows were here already');
	answers($session, 'COMMIT', '', 'nothing is left to warn of');
	all_ends("after a worker ended while the session was $where");
}

#
# Administrators
#
my %by = (
	'pool_reclaim()' => q(SELECT pool_reclaim(slot) FROM pool_connections
		WHERE server = 'srv' AND state = 'leased'),
	'pool_close()' => q(SELECT pool_close('srv')));
foreach my $what (sort keys %by)
{
	($running, $waiting, $ready) = in_each_state();
	is($control->query($by{$what})->{state}, '00000', "$what while a request runs");
	like(caught($session, "SELECT t FROM pool_result($running) r(t int)"),
		qr/^(57014|08\w\w\w|55000) /, 'it fails');
	is(states_of($session, $waiting, $ready), 'waiting ready', 'no other one does');
	$session->query('ROLLBACK');
	all_ends("after $what");
}
($running, $waiting, $ready) = in_each_state();
$control->begin(q(SELECT pool_drain('srv', '60s')));
wait_for_value($holder, q(SELECT state FROM pool_stats WHERE server = 'srv'), 'paused',
	'a pool is drained');
my $late = send_request($session, 'srv', 'select 40');
is(states_of($session, $late), 'waiting', 'a request that is sent then waits');
open_gate($gates, 1);
answers($session, "SELECT t FROM pool_result($running) r(t int)", 1,
	'the one that ran is answered');
is($control->result->{out}, 0, 'then the pool is drained');
sql($control, q(SELECT pool_resume('srv')));
answers($session, "SELECT t FROM pool_result($late) r(t int)", 40,
	'the other one when it is resumed');
$session->query('ROLLBACK');
shut($gates, 1);
all_ends('after pool_drain()');

#
# Left alone
#
# left_alone(statement, what): a test: a request runs it on the only connection, and may
# be left alone for a moment only from then on
sub left_alone
{
	my ($statement, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$session->query('RESET pool.request_timeout');
	my $alone = send_request($session, 'one', $statement);
	wait_for_state($session, $alone, 'running', $what);
	$session->query("SET pool.request_timeout = '200ms'; SELECT pool_poll($alone)");
	return $alone;
}

shut($gates, 1, 2);
$session->query('BEGIN');
$request = left_alone(behind(1, 'select 41'), 'a request has the only connection');
answers($control, select_42('one'), 42, 'a session that does not look after it loses it');
wait_for_gate($gates, 1, 0, 'its statement is cancelled');
like(caught($session, "SELECT pool_result($request)"),
	qr/^57014 request $request has lost its connection to server "one" \(Its session was in no/,
	'the error says why');

# Its answer has come, but nobody has read it.
$request = left_alone(behind(2, 'select 42'), 'a request has the connection');
open_gate($gates, 2);
answers($control, select_42('one'), 42, 'another session gets it');
like(caught($session, "SELECT pool_result($request)"), qr/^(\(42\)$|57014 )/,
	'also when the answer was there, but not taken; it may have come here still');

# In the time in which a request that is left alone loses its connection: one that is
# looked after, one on a held lease, which is the session's for as long as it likes, and
# one without a limit.  The time is such that a session that is looking after its own can
# be kept from it for seconds.
my ($careful, $owner, $free) = map { session($local) } 1 .. 3;
$_->query(q(SET pool.request_timeout = '8s')) foreach $session, $careful, $owner;
$free->query('SET pool.request_timeout = 0');
$lease = $owner->acquire('srv');
$_->query('BEGIN') foreach $careful, $free;
my $looked_after = send_request($careful, 'srv', behind(1, 'select 43'));
$careful->begin("SELECT t FROM pool_result($looked_after) r(t int)");
my $on_lease = send_request($owner, $lease, behind(1, 'select 45'));
my $unlimited = send_request($free, 'srv', behind(1, 'select 46'));
wait_for_gate($gates, 1, 3, 'a session waits for its request, two others leave theirs alone',
	$free);
$request = send_request($session, 'one', 'select 44 from pg_sleep(600)');
wait_for_state($session, $request, 'running', 'and one more does');
answers($control, select_42('one'), 42, 'which loses the connection');
open_gate($gates, 1);
is($careful->result->{out}, 43, 'but not who looks after the request');
answers($owner, "SELECT t FROM pool_result($on_lease) r(t int)", 45, 'nor who holds the lease');
answers($free, "SELECT t FROM pool_result($unlimited) r(t int)", 46, 'with 0 there is no limit');
$owner->release($lease);
$_->query('ROLLBACK') foreach $session, $careful, $free;

$_->quit foreach $session, $careful, $owner, $free, $holder;
wait_for_value($control, 'SELECT count(*) FROM pool_requests', 0, 'no request is left');
at_rest($local, $remote, 'in the end');
no_crash($local, $remote);
done_testing();
