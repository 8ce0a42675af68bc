# 152_request_waits.pl
#	Who waits for whom, where requests are under way: two sessions crosswise over pools
#	of one connection, sessions that wait for something else meanwhile, places in a
#	queue, a cancel in each state, no descriptors left, and remotes that end in the
#	middle of rows.
#
# How long sessions meet crosswise: POOL_TEST_SECONDS.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use PoolTest::Servers;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{POOL_TEST_SECONDS} || 3;
my $remote = start_remote();
my $local = start_local();

# Before there are sessions: their descriptors would be the server's as well.
my $narrow = start_local(name => 'narrow', max_files_per_process => 76, 'pool.workers' => 4);

my %one = (max_size => 1, acquire_timeout => '120s');
create_server($local, $_, $remote, options => \%one) foreach 'a', 'b', 'c';
create_server($local, 'wide', $remote, options => { max_size => 8 });
create_caught($local);
sql($remote, 'CREATE TABLE came (n serial, who text)', db => 'far', user => 'app');
my $gates = start_gates($remote);
my $control = session($local);

#
# Crosswise
#
# Each round of crosswise(): a request to each server, and a query in between; every
# answer is looked at.  It goes on until it is told to stop.
sql($control, <<'SQL');
CREATE TABLE stop (x int);
CREATE SEQUENCE first_rounds;
CREATE FUNCTION crosswise(first text, second text, besides text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	i int := 0;
	one bigint;
	two bigint;
	answer int;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		i := i + 1;
		one := pool_send(first, 'select ' || i);
		two := pool_send(second, 'select ' || -i);
		IF besides IS NOT NULL THEN
			SELECT t INTO answer FROM pool_query(besides, 'select ' || 2 * i) AS r(t int);
			IF answer IS DISTINCT FROM 2 * i THEN
				RAISE 'asked for %, and got %', 2 * i, answer;
			END IF;
		END IF;
		IF i % 3 = 0 THEN
			PERFORM pool_wait(ARRAY[one, two], 2);
		END IF;
		SELECT t INTO answer FROM pool_result(two) AS r(t int);
		IF answer IS DISTINCT FROM -i THEN
			RAISE 'asked for %, and got %', -i, answer;
		END IF;
		SELECT t INTO answer FROM pool_result(one) AS r(t int);
		IF answer IS DISTINCT FROM i THEN
			RAISE 'asked for %, and got %', i, answer;
		END IF;
		IF i = 1 THEN
			PERFORM nextval('first_rounds');
		END IF;
	END LOOP;
	RETURN i;
END $$;
SQL
my %meetings = (
	'in the same order' => [ [qw(a b)], [qw(a b)] ],
	'in the opposite order' => [ [qw(a b)], [qw(b a)] ],
	'with a query of a third pool between' => [ [qw(a b c)], [qw(b a c)] ],
	'with a query of one of them between' => [ [qw(a b a)], [qw(b a b)] ],
	'with and without one, three sessions' => [ [qw(a b b)], [qw(b a)], [qw(b a a)] ]);
foreach my $meeting (sort keys %meetings)
{
	my (@sessions, @answers, $over);

	sql($control, q(SELECT setval('first_rounds', 1)));
	foreach my $servers (@{ $meetings{$meeting} })
	{
		my $session = session($local);
		my ($first, $second, $between) = @$servers;

		$between = $between ? "'$between'" : 'NULL';
		$session->begin("SELECT crosswise('$first', '$second', $between)");
		push @sessions, $session;
	}
	$over = time + $seconds;
	wait_until($seconds + 60, sub { time > $over
			&& sql($control, 'SELECT last_value FROM first_rounds') > @sessions });
	sql($control, 'INSERT INTO stop VALUES (1)');
	@answers = map { $_->result } @sessions;
	is(join(', ', map { $_->{err} || $_->{state} } @answers), join(', ', ('00000') x @answers),
		"sessions that meet crosswise go on: $meeting");
	cmp_ok($_->{out} || 0, '>', 0, "one of them had $_->{out} rounds") foreach @answers;
	$_->quit foreach @sessions;
	sql($control, 'DELETE FROM stop');
	at_rest($local, $remote, "after they met $meeting");
}

#
# A session that waits in pool_query() moves its requests on
#
my $session = session($local);
shut($gates, 1, 2, 3);
$session->query('BEGIN; SET pool.max_parallel = 1');
my $first = send_request($session, 'a', behind(1, 'select 1'));
my $second = send_request($session, 'wide', behind(2, 'select 2'));
wait_for_gate($gates, 1, 1, 'a request runs', $session);
is(states_of($session, $second), 'waiting', 'another one is not begun');
$session->begin('SELECT t FROM pool_query(\'c\', $$' . behind(3, 'select 3') . '$$) r(t int)');
wait_for_gate($gates, 3, 1, 'their session waits for a query');
open_gate($gates, 1);
wait_for_gate($gates, 2, 1, 'there the first is answered, and the other one begins');
open_gate($gates, 2);
wait_for_value($control, "SELECT state FROM pool_requests WHERE request = $second", 'ready',
	'and is answered, too');
ok($session->busy, 'the query is not over yet');
open_gate($gates, 3);
is($session->result->{out}, 3, 'then it is answered');
is(states_of($session, $first, $second), 'ready ready', 'the requests are ready');
answers($session, "SELECT t FROM pool_result($first) r(t int)", 1, 'the first is fetched');
answers($session, "SELECT t FROM pool_result($second) r(t int)", 2, 'the second is fetched');

# In pool_acquire(): what it waits for comes from its own request.
shut($gates, 1);
$first = send_request($session, 'a', behind(1, 'select 4'));
wait_for_gate($gates, 1, 1, 'a request has the only connection of a pool', $session);
$session->begin(q(SELECT pool_release(pool_acquire('a'))));
wait_for_waiters($control, 1, 'its session waits for that as well', 'a');
open_gate($gates, 1);
is($session->result->{state}, '00000', 'it gets it when the request is answered');
answers($session, "SELECT t FROM pool_result($first) r(t int)", 4, 'which is fetched later');
$session->query('COMMIT; RESET pool.max_parallel');

#
# Places in queues
#
my $holder = session($local);
my $rival = session($local);
my $lease = $holder->acquire('a');
$session->query('BEGIN');
$first = send_request($session, 'a', "insert into came (who) values ('early') returning 1");
$rival->begin("SELECT t FROM pool_query('a', '"
	  . "insert into came (who) values (''late'') returning 1') r(t int)");
wait_for_waiters($control, 1, 'only who is in a function waits', 'a');
is(sql($control, q(SELECT count(*) FROM pool_waiters)), 1, 'and is shown as such');
$session->begin("SELECT t FROM pool_result($first) r(t int)");
wait_for_waiters($control, 2, 'the other one comes back', 'a');
$holder->release($lease);
is($_->result->{out}, 1, 'a session has its answer') foreach $session, $rival;
is(sql($remote, 'SELECT string_agg(who, \' \' ORDER BY n) FROM came', db => 'far'), 'early late',
	'who comes back has its place again');
$session->query('COMMIT');

# Several requests of a session stand in the queues of several pools at once.
my @leases = map { $holder->acquire($_) } qw(a b c);
$session->query('BEGIN');
my @requests = map { send_request($session, $_, "select '$_'") } qw(a b c c);
$session->begin('SELECT count(*) FROM pool_wait(ARRAY[' . join(', ', @requests) . '], 4)');
wait_for_waiters($control, 4, 'a session waits in several queues');
$holder->release($_) foreach reverse @leases;
is($session->result->{out}, 4, 'it gets what comes, whatever the order');
answers($session, "SELECT t FROM pool_result($_) r(t text)", qr/^[abc]$/, 'an answer')
  foreach @requests;

# A connection that nobody waits for any more is not kept from others.
$lease = $holder->acquire('a');
$first = send_request($session, 'a', 'select 5');
answers($session, "SELECT pool_wait(ARRAY[$first], timeout => '20ms')", '', 'a session has waited');
$holder->release($lease);
answers($rival, select_42('a'), 42, 'when it has left another one gets the connection');
answers($session, "SELECT t FROM pool_result($first) r(t int)", 5, 'and it, when it comes back');

# The time to acquire stands still while the session is elsewhere.
$lease = $holder->acquire('a');
$session->query(q(SET LOCAL pool.acquire_timeout = '5s'));
$first = send_request($session, 'a', 'select 6');
answers($rival, q(SET pool.acquire_timeout = '5500ms'; SELECT caught(format('SELECT %s',
	'pool_query(''a'', ''select 1'')')) ~ '^53300'), 't',
	'another session has waited longer in vain');
is(states_of($session, $first), 'waiting', 'a session that was elsewhere meanwhile has not');
$holder->release($lease);
answers($session, "SELECT t FROM pool_result($first) r(t int)", 6, 'it has its answer');
$session->query(q(SET LOCAL pool.acquire_timeout = '100ms'));
$lease = $holder->acquire('a');
$first = send_request($session, 'a', 'select 7');
like(caught($session, "SELECT pool_result($first)"), qr/^53300 /, 'in there it has');
$holder->release($lease);

# So it has in calls that end with an error.
$lease = $holder->acquire('a');
$session->query(q(SET LOCAL pool.acquire_timeout = '1s'));
$first = send_request($session, 'a', 'select 8');
$session->query('SAVEPOINT s');
foreach (1 .. 30)
{
	# A call that is late to begin has waited for less than its time-out.
	last if states_of($session, $first) eq 'failed';
	$session->query("SET LOCAL statement_timeout = '100ms'; SELECT pool_wait(ARRAY[$first]);"
		  . ' ROLLBACK TO s');
}
is(states_of($session, $first), 'failed', 'in calls that ended with an error it has as well');
$holder->release($lease);
$session->query('COMMIT');
$rival->query('RESET pool.acquire_timeout');

#
# A cancel in each state
#
# cancelled_in(statement, server): tests: a session with requests in each state is
# cancelled in this statement, which waits; after ROLLBACK TO all of them are there
sub cancelled_in
{
	my ($statement, %how) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	shut($gates, 1, 2);
	$lease = $holder->acquire('a');
	$session->query('BEGIN');
	my $running = send_request($session, 'wide', behind(1, 'select 11'));
	my $waiting = send_request($session, 'a', 'select 12');
	my $ready = send_request($session, 'wide', 'select 13');
	wait_for_gate($gates, 1, 1, 'a request runs', $session);
	wait_for_state($session, $ready, 'ready', 'one is ready');
	$statement =~ s/ALL/ARRAY[$running, $waiting, $ready]/;
	$statement =~ s/RUNNING/$running/;
	$statement =~ s/WAITING/$waiting/;
	$session->query('SAVEPOINT s');
	$session->query(q(SET LOCAL statement_timeout = '300ms')) if $how{timeout};
	$session->begin($statement);
	wait_for_waiters($control, $how{waiters} || 1, "a session waits in $statement", 'a')
	  if !$how{timeout};
	wait_for_gate($gates, 2, 1, 'its query runs') if $how{query};
	$control->query('SELECT pg_cancel_backend(' . $session->pid . ')') if !$how{timeout};
	is($session->result->{state}, '57014', "it is cancelled in $statement");
	is(sql($control, q(SELECT waiting FROM pool_stats WHERE server = 'a')), 0, 'it waits no more');
	$session->query('ROLLBACK TO s');
	is(states_of($session, $running, $waiting, $ready), 'running waiting ready',
		'its requests are what they were');
	open_gate($gates, 1, 2);
	$holder->release($lease);
	answers($session, "SELECT t FROM pool_result($_->[0]) r(t int)", $_->[1], "$_->[1] is fetched")
	  foreach [ $running, 11 ], [ $waiting, 12 ], [ $ready, 13 ];
	$session->query('COMMIT');
	return;
}

cancelled_in('SELECT pool_wait(ALL, 3)');
cancelled_in('SELECT pool_result(RUNNING)');
cancelled_in('SELECT pool_result(WAITING)');
cancelled_in('SELECT pool_wait(ALL, 3)', timeout => 1);
cancelled_in(q(SELECT pool_query('a', 'select 1')), waiters => 2);
cancelled_in(q(SELECT pool_query('b', 'select 1 from pg_advisory_xact_lock_shared(2)')),
	query => 1);

# Not in a savepoint
shut($gates, 1);
$session->query('BEGIN');
$first = send_request($session, 'wide', behind(1, 'select 1'));
$session->begin("SELECT pool_result($first)");
wait_for_gate($gates, 1, 1, 'a request runs');
wait_for_value($control, 'SELECT wait_event_type FROM pg_stat_activity WHERE pid = '
	  . $session->pid, 'Extension', 'its session waits for it');
$control->query('SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->result->{state}, '57014', 'it is cancelled');
wait_for_gate($gates, 1, 0, 'with the transaction the request is cancelled at the remote');
open_gate($gates, 1);
$session->query('ROLLBACK');
at_rest($local, $remote, 'after cancels');

#
# The remote ends in the middle of rows
#
my $many = q(select i, repeat('x', 1000) from generate_series(1, 10000000) i);
$session->query('BEGIN');
$first = send_request($session, 'wide', $many);
$second = send_request($session, 'b', 'select 21');
$session->begin("SELECT pool_wait(ARRAY[$first])");
wait_for_value($gates, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'
	AND query LIKE 'select i, repeat%' AND state = 'active' AND backend_type = 'client backend'),
	1, 'rows are coming');
sql($gates, q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE query LIKE 'select i, repeat%' AND usename = 'app'));
is($session->result->{state}, '00000', 'a remote session that is terminated is an end as well');
is(states_of($session, $first), 'failed', 'the request has failed');
like(caught($session, "SELECT count(*) FROM pool_result($first) r(i int, t text)"),
	qr/^(57P01|08006) /, 'there is an error, and no row');
answers($session, "SELECT t FROM pool_result($second) r(t int)", 21, 'the other one is answered');

# Cancelled here in the middle of rows
$first = send_request($session, 'wide', $many);
wait_for_state($session, $first, 'running', 'it runs');
$session->query(q(SAVEPOINT s; SET LOCAL statement_timeout = '500ms'));
is($session->query("SELECT pool_result($first)")->{state}, '57014',
	'a session is cancelled among rows');
$session->query('ROLLBACK TO s');
like(states_of($session, $first), qr/^(running|failed)$/,
	'the request goes on, or has failed with that');
answers($session, "SELECT pool_abandon($first)", '', 'and can be abandoned');
wait_for_value($gates, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'
	AND query LIKE 'select i, repeat%' AND state = 'active'), 0, 'at the remote as well');
$session->query('COMMIT');

#
# No descriptors
#
my @servers = map { new_server($narrow, $remote, { max_size => 2 }) } 1 .. 16;
create_caught($narrow);
my $poor = session($narrow);
@leases = ();
foreach my $server (@servers)
{
	my $answer = $poor->query("SELECT pool_acquire('$server', hold => true)");

	last if $answer->{state} ne '00000';
	push @leases, $answer->{out};
}
like(caught($poor, "SELECT pool_send('$servers[0]', 'select 1')"), qr/^53000 .*too many open files/,
	'without a descriptor left nothing is sent');
like(caught($poor, "SELECT pool_send($leases[0], 'select 1')"), qr/^53000 .*too many open files/,
	'not even on a lease');
answers($poor, "SELECT t FROM pool_query($leases[0], 'select 31') r(t int)", 31,
	'which can be used still');
$poor->release($_) foreach @leases;

shut($gates, 1);
$poor->query('BEGIN; SET pool.max_parallel = 16');
my (@sent, $error);
foreach my $server (@servers)
{
	$error = caught($poor, "SELECT pool_send('$server', 'select " . (100 + @sent)
		  . " from pg_advisory_xact_lock_shared(1)')");
	last if $error !~ /^\d+$/ || length $error == 0;
	push @sent, $error;
	wait_for_gate($gates, 1, scalar @sent, "$server has a request", $poor);
}
cmp_ok(scalar @sent, '>=', 5, 'a session with few descriptors has several requests');
like($error, qr/^53000 .*too many open files/, 'until there are no more descriptors');
open_gate($gates, 1);
answers($poor, "SELECT t FROM pool_result($sent[$_]) r(t int)", 100 + $_, "request $_ is answered")
  foreach 0 .. $#sent;
answers($poor, "SELECT t FROM pool_result(pool_send('$servers[0]', 'select 32')) r(t int)", 32,
	'then there are descriptors again');
$poor->query('COMMIT');
$poor->quit;
wait_for_value($narrow, 'SELECT count(*) FROM pool_requests', 0, 'no request is left');
settled($narrow);
$narrow->stop;

$_->quit foreach $session, $holder, $rival;
is(sql($control, 'SELECT count(*) FROM pool_requests'), 0, 'nowhere');
at_rest($local, $remote, 'in the end');
no_crash($local, $narrow, $remote);
done_testing();
