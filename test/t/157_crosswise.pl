# 157_crosswise.pl
#	Many servers, and sessions that ask them crosswise: over pools of one connection each,
#	for POOL_TEST_SECONDS, nobody waits for ever, and nothing is lost.  A session without
#	descriptors says so, and loses nothing either.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FanOut;
use Test::More;

my $seconds = $ENV{POOL_TEST_SECONDS} || 10;
my $remote = start_remote(max_connections => 110);
my $local = start_local('pool.max_connections' => 200, 'pool.max_pools' => 100,
	'pool.workers' => 4, max_files_per_process => 300);

#
# Crosswise.  Each statement has a token, so that an answer of another one is seen.
#
my @s = create_servers($local, $remote, 's', [ 1 .. 4 ], max_size => 1,
	acquire_timeout => '1h');

sql($local, <<'SQL');
CREATE TABLE stop ();
CREATE SEQUENCE first_calls;
CREATE FUNCTION ask(kind int, servers text[], token text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	requests bigint[];
	n int;
BEGIN
	CASE kind
	WHEN 0 THEN
		SELECT count(*) INTO STRICT n FROM pool_query_all(servers, 'select $1', ARRAY[token])
			AS t(server text, sqlstate text, error text, x text)
		WHERE x = token AND sqlstate IS NULL;
	WHEN 1 THEN
		SELECT count(*) INTO STRICT n
		FROM pool_query_all(servers, 'select $1, repeat(''x'', 100000)', ARRAY[token], parallel => 2)
			AS t(server text, sqlstate text, error text, x text, y text)
		WHERE x = token AND length(y) = 100000 AND sqlstate IS NULL;
	WHEN 2 THEN
		SELECT array_agg(pool_send(s, 'select $1', token)) INTO requests FROM unnest(servers) s;
		SELECT count(*) INTO n FROM unnest(requests) r, LATERAL pool_result(r) AS t(x text)
		WHERE x = token;
	WHEN 3 THEN
		-- The first is under way while the session waits for others.
		requests := ARRAY[pool_send(servers[1], 'select $1', token)];
		SELECT count(*) INTO n FROM unnest(servers[2:]) s,
			LATERAL pool_query(s, 'select $1', token) AS t(x text) WHERE x = token;
		n := n + (SELECT count(*) FROM pool_result(requests[1]) AS t(x text) WHERE x = token);
	WHEN 4 THEN
		SELECT array_agg(pool_send(s, 'select $1', token)) INTO requests FROM unnest(servers) s;
		SELECT count(*) INTO n FROM pool_query_all(servers, 'select $1', ARRAY[token])
			AS t(server text, sqlstate text, error text, x text)
		WHERE x = token AND sqlstate IS NULL;
		SELECT count(*) INTO n FROM pool_wait(requests, n) r, LATERAL pool_result(r) AS t(x text)
		WHERE x = token;
	WHEN 5 THEN
		SELECT count(*) * cardinality(servers) INTO n
		FROM pool_query_any(servers, 'select $1', ARRAY[token], interval '1ms') AS t(x text)
		WHERE x = token;
	ELSE
		BEGIN
			PERFORM pool_send(s, 'select $1', token) FROM unnest(servers) s;
			PERFORM * FROM pool_query_all(servers, 'select 1 / 0')
				AS t(server text, sqlstate text, error text, x int);
		EXCEPTION WHEN division_by_zero THEN
			n := cardinality(servers);
		END;
	END CASE;
	RETURN n;
END $$;
CREATE PROCEDURE asks(me int, servers text[], kinds int) LANGUAGE plpgsql AS $$
DECLARE
	calls int := 0;
	n int;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		n := ask(calls % kinds, servers, me || ' ' || calls);
		IF n IS DISTINCT FROM cardinality(servers) THEN
			RAISE 'kind %: % of % answers', calls % kinds, n, cardinality(servers);
		END IF;
		calls := calls + 1;
		IF calls = 1 THEN
			PERFORM nextval('first_calls');
		END IF;
		COMMIT;
	END LOOP;
	RAISE NOTICE 'calls: %', calls;
END $$;
SQL

# crosswise(seconds, kinds, servers...): a session for each, and how often they asked
sub crosswise
{
	my ($time, $kinds, @of_each) = @_;
	my @sessions = map { session($local) } @of_each;
	my $end = time + $time;
	my ($calls, $least) = (0);

	sql($local, q(SELECT setval('first_calls', 1)));
	$sessions[$_]->begin("CALL asks($_, " . list_of(@{ $of_each[$_] }) . ", $kinds)")
	  foreach 0 .. $#of_each;
	wait_until($time + 60, sub {
		return grep({ !$_->busy } @sessions)
		  || time > $end && sql($local, 'SELECT last_value FROM first_calls') > @sessions });
	sql($local, 'INSERT INTO stop DEFAULT VALUES');
	my @answers = map { $_->result(120) } @sessions;
	sql($local, 'DELETE FROM stop');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $what = @sessions . " sessions, $kinds kinds of calls";

	is(join("\n", map { $_->{state} eq '00000' ? () : "$_->{state}: $_->{err}" } @answers), '',
		"$what: no error, and all end");
	foreach my $n (map { $_->{err} =~ /calls: (\d+)/ ? $1 : 0 } @answers)
	{
		$calls += $n;
		$least = $n if !defined $least || $n < $least;
	}
	cmp_ok($least, '>', 0, "$what: all asked");
	note "$calls calls, of one session at least $least";
	no_request($local, $what);
	settled($local, $what);
	$_->quit foreach @sessions;
	return;
}

crosswise($seconds / 4, 1, [ 's1', 's2' ], [ 's2', 's1' ]);
crosswise($seconds / 4, 7, [ 's1', 's2' ], [ 's2', 's1' ]);
crosswise($seconds / 2, 7, map { [ map { "s$_" } @$_ ] } [ 1, 2, 3, 4 ], [ 4, 3, 2, 1 ], [ 2, 1, 4 ],
	[ 1, 2 ], [ 2, 1 ], [ 3, 3, 1 ], [ 3, 1, 2, 4 ], [ 4, 2 ]);

# A request is moved on while its session waits for a connection to another server.
my ($sender, $next, $holder) = map { session($local) } 1 .. 3;

foreach my $how ('pool_query', 'pool_query_all')
{
	my $lease = $holder->acquire('s2');

	hold(1);
	$sender->query('SET pool.request_timeout = 0; BEGIN');
	my $request = $sender->query("SELECT pool_send('s1', \$q\$select 42, $wait\$q\$)")->{out};
	wait_at_locks($remote, 1, "$how: the request runs");
	$sender->begin($how eq 'pool_query' ? select_42('s2') : ask_all(['s2'], 'select 42', 'n int'));
	$next->begin(select_42('s1'));
	wait_for_waiters($local, 2, "$how: both sessions wait");
	leave(1);
	is($next->result(30)->{out}, 42, "$how: the request has given its connection back");
	$holder->release($lease);
	is($sender->result(30)->{state}, '00000', "$how: its session goes on");
	is($sender->query("SELECT * FROM pool_result($request) AS t(n int, w text)")->{out}, '42|',
		"$how: the request was answered meanwhile");
	$sender->query('COMMIT');
}
$_->quit foreach $sender, $next, $holder;

#
# 64 servers at a time
#
my @many = create_servers($local, $remote, 'm', [ 1 .. 64 ], max_size => 1,
	acquire_timeout => '60s');
my $session = session($local);

$session->query('SET pool.max_parallel = 64');
is($session->query('SELECT count(*), count(DISTINCT server), sum(me), count(error) FROM ('
	  . ask_all(\@many, "select $me", 'me int', 'parallel => 64') . ') q')->{out},
	'64|64|2080|0', '64 servers');
hold(1 .. 64);
$session->begin(ask_all(\@many, "select $wait", 'w text', 'parallel => 64'));
wait_at_locks($remote, 64, '64 servers: all run at a time');
leave(1 .. 64);
is(scalar(split /\n/, $session->result->{out}), 64, '64 servers: all answer');

#
# Descriptors: a session has a third of them for connections, of which each takes one.
#
$session->quit;
sql($local, q(ALTER SYSTEM SET max_files_per_process = 165));
sql($local, q(ALTER SYSTEM SET pool.workers = 8));
$local->restart;
$session = session($local);
$session->query('SET pool.max_parallel = 64');
my $before = descriptors($session->pid);

foreach my $how ('raise', 'row')
{
	hold(1 .. 64);
	my $answer = $session->query(ask_all(\@many, "select $wait", 'w text',
		"on_error => '$how', parallel => 64"));

	is($answer->{state}, '53000', "few descriptors, $how: an error of the session");
	like($answer->{err}, qr/HINT:.*max_files_per_process/, "few descriptors, $how: which it says");
	no_request($local, "few descriptors, $how");
	wait_at_locks($remote, 0, "few descriptors, $how: what was sent is cancelled");
	leave(1 .. 64);
}
is($session->query("SELECT count(*), sum(x::int) FROM pool_query_all(" . list_of(@many)
	  . q{, 'select $1', '{7}', parallel => 40)}
	  . ' AS t(server text, sqlstate text, error text, x text)')->{out}, '64|448',
	'few descriptors: 40 at a time go on');
cmp_ok(scalar(my @now = descriptors($session->pid)), '<=', $before + 55,
	'few descriptors: few are kept');

$session->quit;
at_rest($local, $remote, 'in the end');
no_crash($local, $remote);
done_testing();
