# 150_requests.pl
#	Requests: what pool_send(), pool_wait(), pool_poll(), pool_result(),
#	pool_result_json() and pool_abandon() say and do, one session at a time.
#	151_request_scope has how requests end, 152_request_waits who waits for whom.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_requests' => 100);
create_server($local, 'srv', $remote, options => { max_size => 8 });
create_server($local, 'one', $remote, options => { max_size => 1 });
create_caught($local);
my $gates = start_gates($remote);
my $session = session($local);
my $watcher = session($local);
my $pid = $session->pid;

sub gone { return qr/^42704 request $_[0] does not exist/; }

# state_seen(request): what the view shows of it to others
sub state_seen
{
	my ($request) = @_;

	return sql($watcher, "SELECT pid = $pid, database, usename = current_user, server, state,"
		. " since <= clock_timestamp() FROM pool_requests WHERE request = $request");
}

#
# States
#
shut($gates, 1);
$session->query('BEGIN');
my $request = send_request($session, 'srv', behind(1, 'select 42'));
wait_for_state($session, $request, 'running', 'a request runs');
wait_for_gate($gates, 1, 1, 'its remote has the statement');
is(states_of($session, $request), 'running', 'it is running until it is answered');
is(state_seen($request), 't|postgres|t|srv|running|t', 'others see whose it is and what it does');
open_gate($gates, 1);
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'pool_wait() waits for it');
is(states_of($session, $request), 'ready', 'then it is ready');
is(state_seen($request), 't|postgres|t|srv|ready|t', 'others see that');
is(stat_of($watcher, 'active'), 0, 'it has given its connection back before it is fetched');
answers($session, "SELECT t FROM pool_result($request) r(t int)", 42, 'its row is fetched');
is(stat_of($watcher, q(requests || ' ' || queries)), '1 1', 'it was counted, as a query as well');
like(caught($session, "SELECT pool_poll($request)"), gone($request), 'it is gone then');
like(caught($session, "SELECT pool_result($request)"), gone($request), 'it is not fetched twice');
like(caught($session, "SELECT pool_abandon($request)"), gone($request), 'nor abandoned');
is(state_seen($request), '', 'others do not see it any more');
answers($session, 'COMMIT', '', 'the end of the transaction has nothing to say');

# Waiting, while somebody else has the only connection
my $holder = session($local);
my $lease = $holder->acquire('one');
$session->query('BEGIN');
$request = send_request($session, 'one', 'select 43');
is(states_of($session, $request), 'waiting', 'a request waits for a connection');
is(state_seen($request), 't|postgres|t|one|waiting|t', 'others see that');
is(sql($watcher, q(SELECT waiting FROM pool_stats WHERE server = 'one')), 0,
	'it stands in no queue while its session is elsewhere');
$holder->release($lease);
answers($session, "SELECT t FROM pool_result($request) r(t int)", 43,
	'pool_result() gets a connection for it, and waits for the answer');

# Abandoned
shut($gates, 1);
my @requests = map { send_request($session, $_, behind(1, 'select 1')) } 'srv', 'one', 'one', 'srv';
my $ready = send_request($session, 'srv', 'select 44');
my $failed = send_request($session, 'srv', 'select 1/0');
wait_for_gate($gates, 1, 3, 'three requests run', $session);
wait_for_state($session, $ready, 'ready', 'one is ready');
wait_for_state($session, $failed, 'failed', 'and one has failed');
is(states_of($session, $requests[2]), 'waiting', 'one waits');
answers($session, "SELECT pool_abandon($_)", '', 'a request is abandoned')
  foreach @requests[ 0, 2 ], $ready, $failed;
is(states_of($session, @requests, $ready, $failed),
	'cancelled running cancelled running cancelled cancelled',
	'it is cancelled then, and no other');
answers($session, "SELECT pool_abandon($requests[0])", '', 'once more does nothing');
wait_for_gate($gates, 1, 2, 'the statement is cancelled at the remote');
answers($session, "SELECT pool_wait(ARRAY[$requests[0]])", $requests[0], 'a cancelled one is done');
foreach my $cancelled (@requests[ 0, 2 ], $ready, $failed)
{
	is(caught($session, "SELECT pool_result($cancelled)"),
		"57014 request $cancelled was canceled", 'pool_result() says that it was cancelled');
}

# That was rolled back with caught(), but not to before the request was freed.
like(caught($session, "SELECT pool_poll($requests[0])"), gone($requests[0]), 'and it is gone');
open_gate($gates, 1);
answers($session, "SELECT t FROM pool_result($_) r(t int)", 1, 'the others are answered')
  foreach @requests[ 1, 3 ];
answers($session, 'COMMIT', '', 'nothing is left of them');

#
# The order of completion, n, and the timeout
#
shut($gates, 1, 2, 3);
$session->query('BEGIN');
@requests = map { send_request($session, 'srv', behind($_, "select $_")) } 1 .. 3;
wait_for_gate($gates, $_, 1, "request $_ runs", $session) foreach 1 .. 3;
my $all = 'ARRAY[' . join(', ', @requests) . ']';
my $in_order = "$requests[1]\n$requests[2]\n$requests[0]";
answers($session, "SELECT pool_wait($all, 0)", '', 'with n = 0 nothing is waited for');
answers($session, "SELECT pool_wait($all, timeout => '20ms')", '', 'nor beyond the timeout');
answers($session, "SELECT pool_wait($all, timeout => '0')", '', 'a timeout of nothing is one');
$session->begin("SELECT pool_wait($all)");
wait_for_value($watcher, "SELECT wait_event_type || ' ' || state FROM pg_stat_activity"
	  . " WHERE pid = $pid", 'Extension active', 'without one it waits');
open_gate($gates, 2);
is($session->result->{out}, $requests[1], 'until one is done');
open_gate($gates, 3);
answers($session, "SELECT pool_wait($all, 2)", "$requests[1]\n$requests[2]",
	'with n = 2 two, in the order of completion');
answers($session, "SELECT pool_wait($all, 3, '20ms')", "$requests[1]\n$requests[2]",
	'when the time is over those that are done');
answers($session, "SELECT pool_wait($all, 1)", "$requests[1]\n$requests[2]",
	'all that are done are told, if they are more than n');
open_gate($gates, 1);
answers($session, "SELECT pool_wait($all, 99)", $in_order, 'n may be greater than the array');
answers($session, "SELECT pool_wait($all, 0)", $in_order,
	'with n = 0 those that are done are told');
answers($session, "SELECT pool_wait(ARRAY[$requests[2], $requests[1], $requests[2]], 3)",
	"$requests[1]\n$requests[2]", 'a number that is there twice counts once');
answers($session, "SELECT * FROM pool_wait($all, timeout => NULL) w WHERE w > $requests[0]",
	"$requests[1]\n$requests[2]", 'a null timeout is none; in FROM it is the same');
answers($session, q(SELECT pool_wait('{}')), '', 'of no requests none is done');

# Two dimensions are an array of requests as well.
answers($session, "SELECT pool_wait(ARRAY[[$requests[0]], [$requests[1]]], 2)",
	"$requests[1]\n$requests[0]", 'an array may have two dimensions');

my %refused = (
	"SELECT pool_wait(ARRAY[$requests[0], NULL])" => '22004',
	'SELECT pool_wait(NULL)' => '22004',
	"SELECT pool_wait($all, NULL)" => '22004',
	"SELECT pool_wait($all, -1)" => '22023',
	"SELECT pool_wait(ARRAY[$requests[0], 0])" => '42704',
	'SELECT pool_wait(ARRAY[-1])' => '42704',
	"SELECT pool_wait(ARRAY[$requests[0], 9223372036854775807])" => '42704',
	'SELECT pool_poll(NULL)' => '22004',
	'SELECT pool_poll(0)' => '42704',
	'SELECT pool_abandon(NULL)' => '22004',
	'SELECT pool_abandon(-1)' => '42704',
	'SELECT pool_result(NULL)' => '22004',
	'SELECT pool_result(0)' => '42704',
	'SELECT pool_result_json(NULL)' => '22004',
	'SELECT pool_result_json(0)' => '42704',
	q(SELECT pool_send(NULL::text, 'select 1')) => '22004',
	q(SELECT pool_send('srv', NULL)) => '22004',
	q(SELECT pool_send(NULL::bigint, 'select 1')) => '22004',
	q(SELECT pool_send(0, 'select 1')) => '42704',
	q(SELECT pool_send('nowhere', 'select 1')) => '42704');
like(caught($session, $_), qr/^$refused{$_} /, "$_ is refused") foreach sort keys %refused;
answers($session, "SELECT pool_wait($all, 3)", $in_order, 'after all that the requests are there');

#
# Results
#
answers($session, 'SELECT t FROM ' . "pool_result($requests[2]) r(t int)", 3, 'in any order');
$request = send_request($session, 'srv', q(select 1, 'a' union all select 2, null order by 1));
like(caught($session, "SELECT t FROM pool_result($request) r(t int)"), qr/^42804 /,
	'a column list with too few columns is refused');
like(caught($session, "SELECT a FROM pool_result($request) r(a int, b text, c text)"), qr/^42804 /,
	'or too many');
is(states_of($session, $request), 'ready', 'the rows are there still');
answers($session, "SELECT * FROM pool_result($request) r(a int, b text)", "1|a\n2|",
	'to be read with one that fits');
$request = send_request($session, 'srv', q(select 1 as a, null as b, '{"x": 1}'::json as c));
answers($session, "SELECT pool_result_json($request)", '{"a": 1, "b": null, "c": {"x": 1}}',
	'rows are read as json');
$request = send_request($session, 'srv', 'select generate_series(1, 1000)');
answers($session, "SELECT count(*), sum(t) FROM pool_result($request) r(t int)", '1000|500500',
	'many rows are read');
$request = send_request($session, 'srv', 'select 1 where false');
answers($session, "SELECT count(*) FROM pool_result($request) r(t int)", 0, 'or none');
$request = send_request($session, 'srv', 'select generate_series(1, 3)');
answers($session, "SELECT pool_result($request)", "(1)\n(2)\n(3)", 'also without a column list');
$session->query('COMMIT');

# Rows that are being read, while reading them uses their request.
$session->query(<<'SQL');
CREATE FUNCTION uses(n int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE current_setting('test.use');
	RETURN true;
END $$;
CREATE DOMAIN using_int AS int CHECK (uses(VALUE));
BEGIN;
SQL
my $used_lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$request = send_request($session, $used_lease, 'select 1');
foreach my $use ("SELECT pool_abandon($request)", "SELECT pool_release($used_lease)",
	"SELECT t FROM pool_result($request) r(t int)")
{
	answers($session, "SELECT set_config('test.use', '$use', true) <> ''", 't', "to use: $use");
	like(caught($session, "SELECT t FROM pool_result($request) r(t using_int)"), qr/^55006 /,
		'what is being read cannot be read, abandoned, or lost with its lease');
}
answers($session, "SELECT t FROM pool_result($request) r(t int)", 1, 'it is there still');
$session->query('COMMIT');

# What pool_query() does with a statement, pool_send() and pool_result() do: the same
# rows or error.  Each runs with both, in a transaction of its own.
$session->query(<<'SQL');
CREATE FUNCTION as_query(arguments text, columns text) RETURNS text LANGUAGE sql AS $$
	SELECT caught(format('SELECT json_agg(r) FROM pool_query(%s) r(%s)', arguments, columns))
$$;
CREATE FUNCTION as_request(arguments text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	request bigint;
BEGIN
	EXECUTE format('SELECT pool_send(%s)', arguments) INTO request;
	RETURN caught(format('SELECT json_agg(r) FROM pool_result(%s) r(%s)', request, columns));
END $$;
SQL
sql($remote, <<'SQL', db => 'far', user => 'postgres');
CREATE TABLE same (a int PRIMARY KEY, b text);
INSERT INTO same VALUES (1, 'one'), (2, NULL);
CREATE FUNCTION raises() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
	RAISE 'it went wrong' USING DETAIL = 'And how.', HINT = 'Try less.', ERRCODE = 'P0123';
END $$;
GRANT ALL ON same TO app;
SQL
create_server($local, 'hasty', $remote, options => { query_timeout => '200ms' });
my @same = (
	[ 'a division by zero', q('srv', 'select 1/0'), 'a int', qr/^22012 division by zero/ ],
	[ 'an error with a detail', q('srv', 'select raises()'), 'a int',
		qr/^P0123 it went wrong \(And how\.\)/ ],
	[ 'a syntax error', q('srv', 'select from from'), 'a int', qr/^42601 / ],
	[ 'an error after some rows', q('srv', 'select 1/(500 - i) from generate_series(1, 1000) i'),
		'a int', qr/^22012 / ],
	[ 'two statements', q('srv', 'select 1; select 2'), 'a int', qr/./ ],
	[ 'an update without rows', q('srv', $$update same set b = 'x' where a = 99$$), 'a text',
		qr/^$/ ],
	[ 'an update', q('srv', $$update same set b = 'x' where a = 2$$), 'a text', qr/^$/ ],
	[ 'an update that returns rows', q('srv', $$update same set b = 'y' where a = 1 returning *$$),
		'a int, b text', qr/"y"/ ],
	[ 'SET', q('srv', 'set work_mem = 64'), 'a text', qr/^$/ ],
	[ 'an empty string', q('srv', ''), 'a text', qr/^/ ],
	[ 'COPY to the client', q('srv', 'copy same to stdout'), 'a text', qr/^0A000 / ],
	[ 'COPY from the client', q('srv', 'copy same from stdin'), 'a text', qr/^0A000 / ],
	[ 'BEGIN', q('srv', 'begin'), 'a text', qr/^25000 / ],
	[ 'a value of another type', q('srv', $$select 'abc'$$), 'a int', qr/^22P02 / ],
	[ 'query_timeout', q('hasty', 'select pg_sleep(600)'), 'a text', qr/^57014 / ],
	[ 'a parameter', q('srv', 'select $1 + 1', 41), 'a int', qr/42/ ],
	[ 'parameters of several types',
		q('srv', 'select $1, $2, $3, $4', '\x00ff'::bytea, ARRAY[1, NULL, 3], NULL::text, 1.50),
		'a bytea, b int[], c text, d numeric', qr/"a":.*00ff.*\[1,null,3\].*"c":null.*1\.50/ ],
	[ 'a null of no type', q('srv', 'select $1::int', NULL), 'a int', qr/null/ ],
	[ 'too few parameters', q('srv', 'select $1::int + $2::int', 1), 'a int', qr/^08P01 |^42/ ],
	[ 'too many parameters', q('srv', 'select 1', 1), 'a int', qr/./ ],
	[ 'an array as VARIADIC', q('srv', 'select $1 + $2', VARIADIC ARRAY[1, 2]), 'a int', qr/3/ ],
	[ 'the end of the remote session',
		q('srv', 'select pg_terminate_backend(pg_backend_pid())'), 'a bool', qr/^57P01 / ]);
foreach my $same (@same)
{
	my ($what, $arguments, $columns, $expected) = @$same;
	my ($as_query, $as_request) =
	  map { $session->query("SELECT $_(\$q\$$arguments\$q\$, '$columns')")->{out} }
	  'as_query', 'as_request';

	is($as_request, $as_query, "$what: the same from a request");
	like($as_request, $expected, "$what: what is to be expected");
}

# A notice, and the error's hint.
my $answer = $session->query(<<'SQL');
BEGIN;
SELECT pool_result(pool_send('srv', 'do $$ begin raise notice ''heard''; end $$'));
SELECT pool_result(pool_send('srv', 'select raises()'));
ROLLBACK;
SQL
like($answer->{err}, qr/NOTICE:.*heard/, 'a notice of the remote is shown');
like($answer->{err}, qr/HINT:.*Try less\./, 'an error has its hint');

#
# The server is altered or dropped
#
$lease = $holder->acquire('one');
$session->query('BEGIN');
$request = send_request($session, 'one', 'select 45');
sql($watcher, q(ALTER SERVER one OPTIONS (SET max_size '2')));
sql($watcher, select_42('one'));
answers($session, "SELECT t FROM pool_result($request) r(t int)", 45,
	'a request that waits goes by the new options of its server, which another one has brought');
$holder->release($lease);
$session->query('COMMIT');

create_server($local, 'brief', $remote, options => { max_size => 1 });
$lease = $holder->acquire('brief');
$session->query('BEGIN');
$request = send_request($session, 'brief', 'select 46');
sql($watcher, 'DROP SERVER brief CASCADE');
like(caught($session, "SELECT pool_result($request)"), qr/^42704 server "brief" does not exist/,
	'a request that waits for a server that is dropped fails');
$holder->release($lease);
$session->query('COMMIT');

create_server($local, 'brief', $remote, options => { max_size => 1 });
shut($gates, 1);
$session->query('BEGIN');
$request = send_request($session, 'brief', behind(1, 'select 47'));
wait_for_state($session, $request, 'running', 'a request runs at a server');
$watcher->query('DROP SERVER brief CASCADE');
open_gate($gates, 1);
like(caught($session, "SELECT t FROM pool_result($request) r(t int)"), qr/^(47|08...|57...) ?/,
	'that is dropped: there is an answer, or a clear error');
$session->query('COMMIT');

#
# Users
#
sql($watcher, "CREATE ROLE $_") foreach 'alice', 'bob';
sql($watcher, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
sql($remote, q(CREATE ROLE far_alice LOGIN PASSWORD 'hers'));
sql($watcher, q(CREATE USER MAPPING FOR alice SERVER srv
	OPTIONS (user 'far_alice', password 'hers')));
$session->query(<<'SQL');
CREATE FUNCTION of_alice(request bigint) RETURNS text LANGUAGE sql SECURITY DEFINER
AS 'SELECT t FROM pool_result(request) r(t text)';
CREATE FUNCTION sends() RETURNS bigint LANGUAGE sql SECURITY DEFINER
AS $$SELECT pool_send('srv', 'select current_user')$$;
ALTER FUNCTION of_alice OWNER TO alice;
ALTER FUNCTION sends OWNER TO alice;
SQL
$session->query('BEGIN; SET ROLE bob');
like(caught($session, q(SELECT pool_send('srv', 'select 1'))), qr/^42501 /,
	'who may not use the server may not send');
$session->query('SET ROLE alice');
like(caught($session, q(SELECT pool_send('one', 'select 1'))), qr/^42501 /, 'nor to another one');
$session->query('RESET ROLE');
$request = $session->query('SELECT sends()')->{out};
foreach my $function (qw(pool_poll pool_result pool_result_json pool_abandon))
{
	like(caught($session, "SELECT $function($request)"), qr/^42501 /,
		"$function() is for nobody else than who sent the request");
}
like(caught($session, "SELECT pool_wait(ARRAY[$request])"), qr/^42501 /, 'nor is pool_wait()');
answers($session, "SELECT of_alice($request)", 'far_alice', 'who sent it may use it');
$request = send_request($session, 'srv', 'select 1');
like(caught($session, "SELECT of_alice($request)"), qr/^42501 /,
	'a function of another user may not use a request');
$session->query('ROLLBACK');

# It waits, and runs as who sent it, whoever moves it on.
shut($gates, 1);
$session->query('BEGIN; SET pool.max_parallel = 1; SET ROLE alice');
@requests = map { send_request($session, 'srv', behind(1, 'select current_user')) } 1, 2;
$session->query('RESET ROLE');
my $own = send_request($session, 'srv', 'select current_user');
open_gate($gates, 1);
answers($session, "SELECT t FROM pool_result($own) r(t text)", 'app',
	'a request that had to wait runs as its own user');
$session->query('SET ROLE alice');
answers($session, "SELECT t FROM pool_result($requests[1]) r(t text)", 'far_alice',
	'so do those that another user has moved on');
$session->query('ROLLBACK; RESET ROLE; RESET pool.max_parallel');

# Rights that are gone when it begins
$lease = $holder->acquire('one');
my $second = $holder->acquire('one');
sql($watcher, q(GRANT USAGE ON FOREIGN SERVER one TO alice));
sql($watcher, q(CREATE USER MAPPING FOR alice SERVER one OPTIONS (user 'app', password 'secret')));
$session->query('BEGIN; SET pool.max_parallel = 1; SET ROLE alice');
shut($gates, 1);
my $first = send_request($session, 'srv', behind(1, 'select 1'));
$request = send_request($session, 'one', 'select 1');
sql($watcher, 'REVOKE USAGE ON FOREIGN SERVER one FROM alice');
open_gate($gates, 1);
like(caught($session, "SELECT pool_result($request)"), qr/^42501 /,
	'a request whose sender has lost the right before it began fails');
$session->query('ROLLBACK; RESET ROLE; RESET pool.max_parallel');
$holder->release($_) foreach $lease, $second;

#
# A parallel worker
#
$session->query(<<'SQL');
CREATE TABLE many AS SELECT generate_series(1, 10000) AS a;
ANALYZE many;
CREATE FUNCTION sends_in_parallel() RETURNS bigint LANGUAGE sql PARALLEL SAFE
AS $$SELECT pool_send('srv', 'select 1')$$;
CREATE FUNCTION polls_in_parallel(r bigint) RETURNS text LANGUAGE sql PARALLEL SAFE
AS $$SELECT pool_poll(r)$$;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SQL
$answer = $session->query('SELECT count(*) FROM many WHERE sends_in_parallel() > 0');
is($answer->{state}, '25000', 'a parallel worker may not send');
$session->query('BEGIN');
$request = send_request($session, 'srv', 'select 48');
$session->query('SAVEPOINT s');
$answer = $session->query("SELECT count(*) FROM many WHERE polls_in_parallel($request) = 'x'");
is($answer->{state}, '25000', 'nor look at a request of its leader');
$session->query('ROLLBACK TO s');
answers($session, "SELECT t FROM pool_result($request) r(t int)", 48, 'which the leader has still');
$session->query('COMMIT; RESET ALL');

#
# Limits
#
# More requests than may hold a connection
$session->query('BEGIN; SET pool.max_parallel = 2');
shut($gates, 1);
@requests = map { send_request($session, 'srv', behind(1, "select $_")) } 1 .. 5;
wait_for_gate($gates, 1, 2, 'with pool.max_parallel = 2 two requests run', $session);
is(states_of($session, @requests), 'running running waiting waiting waiting', 'three wait');
is(sql($watcher, q(SELECT sum(active) FROM pool_stats WHERE server = 'srv')), 2,
	'they have two connections');
open_gate($gates, 1);
$all = 'ARRAY[' . join(', ', @requests) . ']::bigint[]';
answers($session, "SELECT array_agg(w ORDER BY w) = $all FROM pool_wait($all, 5) w", 't',
	'they go on by themselves, one after the other');
answers($session, "SELECT t FROM pool_result($requests[$_ - 1]) r(t int)", $_, "answer $_")
  foreach 1 .. 5;
$session->query('COMMIT; RESET pool.max_parallel');

# 64 at once, through 8 connections
answers($session, <<'SQL', 't|64|2080', '64 requests of a session are each answered by their own');
BEGIN;
SET pool.max_parallel = 64;
CREATE TEMP TABLE sent AS
	SELECT i, pool_send('srv', 'select ' || i) AS r FROM generate_series(1, 64) i;
SELECT bool_and(t = i), count(*), sum(t) FROM sent, pool_result(r) AS x(t int);
DROP TABLE sent;
COMMIT;
SQL

# Places for all sessions together
$session->query('BEGIN; SET pool.max_parallel = 1');
$watcher->query('BEGIN');
answers($session, q(SELECT count(pool_send('srv', 'select 1')) FROM generate_series(1, 60)), 60,
	'a session has many requests');
answers($watcher, q(SELECT count(pool_send('srv', 'select 1')) FROM generate_series(1, 40)), 40,
	'another one as well');
like(caught($session, q(SELECT pool_send('srv', 'select 1'))),
	qr/^54000 too many requests \(All sessions together can have 100 of them\.\)/,
	'there are no more places for requests');
is(sql($holder, 'SELECT count(*) FROM pool_requests'), 100, 'all of them are shown');
$watcher->query('ROLLBACK');
answers($session, q(SELECT count(pool_send('srv', 'select 1')) FROM generate_series(1, 40)), 40,
	'a place that is free is used again');
$session->query('ROLLBACK; RESET pool.max_parallel');
is(sql($holder, 'SELECT count(*) FROM pool_requests'), 0, 'all of them are gone');

# The size of a result
$session->query(q(SET pool.max_result_size = '1MB'));
my $megabytes = q(select repeat('x', 1000) from generate_series(1, 20000));
my $too_large = qr/^54000 result of request \d+ from server "srv" is too large/;
$session->query('BEGIN');
$request = send_request($session, 'srv', $megabytes);
like(caught($session, "SELECT pool_result($request)"), $too_large, 'a result may be too large');
like(caught($session, "SELECT pool_poll($request)"), gone($request), 'that request is gone');
$request = send_request($session, 'srv', q(select repeat('x', 1000) from generate_series(1, 900)));
answers($session, "SELECT count(*) FROM pool_result($request) r(t text)", 900,
	'another one is not');
$request = send_request($session, 'srv', $megabytes);
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'pool_wait() raises no error');
is(states_of($session, $request), 'failed', 'the request has failed');
$session->query('COMMIT');
$session->query(q(BEGIN; SET pool.max_result_size = '1kB'));
$request = send_request($session, 'srv', q(select repeat('x', 10000)));
like(caught($session, "SELECT pool_result($request)"), $too_large,
	'also one that comes all at once');
$lease = $session->acquire('srv');
$session->query(q(SET pool.max_result_size = '1MB'));
$request = send_request($session, $lease, $megabytes);
like(caught($session, "SELECT pool_result($request)"), $too_large, 'or on a lease');
like(caught($session, "SELECT pool_query($lease, 'select 1')"), qr/^08003 /,
	'which has lost its connection');
$session->release($lease);
$session->query('SET pool.max_result_size = 0');
$request = send_request($session, 'srv', $megabytes);
answers($session, "SELECT count(*) FROM pool_result($request) r(t text)", 20000, '0 is no limit');
$session->query('COMMIT; RESET pool.max_result_size');

# On disk beyond work_mem
$session->query(q(SET work_mem = '1MB'));
my $before = memory_of($pid, 'VmHWM');
$session->query('BEGIN');
$request = send_request($session, 'srv',
	q(select repeat('x', 1000) from generate_series(1, 100000)));
answers($session, "SELECT pool_wait(ARRAY[$request])", $request, 'a result of 100 MB is here');
cmp_ok(memory_of($pid, 'VmHWM') - $before, '<', 30_000, 'it is not in memory');
answers($session, "SELECT count(*), sum(length(t)) FROM pool_result($request) r(t text)",
	'100000|100000000', 'and it is read');
cmp_ok(memory_of($pid, 'VmHWM') - $before, '<', 40_000, 'without being taken into memory');
$session->query('COMMIT');

# An error of this session while rows are kept
$session->query(q(BEGIN; SET temp_file_limit = '1MB'));
$request = send_request($session, 'srv', $megabytes);
like(caught($session, "SELECT pool_result($request)"), qr/^53400 .*temp_file_limit/,
	'temp_file_limit holds for what is kept');
$second = send_request($session, 'srv', 'select 49');
answers($session, "SELECT t FROM pool_result($second) r(t int)", 49, 'the session goes on');
like(caught($session, "SELECT pool_result($request)"), qr/^53400 /, 'without that request, which has failed');
$session->query('COMMIT; RESET temp_file_limit; RESET work_mem');

is(sql($watcher, 'SELECT count(*) FROM pool_requests'), 0, 'no request is left');
sql($watcher, 'DROP USER MAPPING FOR alice SERVER srv');
$_->quit foreach $session, $watcher, $holder;
at_rest($local, $remote, 'in the end');
no_crash($local, $remote);
done_testing();
