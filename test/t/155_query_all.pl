# 155_query_all.pl
#	pool_query_all(): one statement on several servers at a time, of which some fail,
#	are slow, or end in the middle of their rows.  What has to be slow waits for a lock
#	at the remote.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FanOut;
use PoolTest::HostileServer;
use PoolTest::Wire;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my @s = create_servers($local, $remote, 's', [ 1 .. 4 ], max_size => 2,
	acquire_timeout => '60s');
my ($session, $other) = map { session($local) } 1 .. 2;
my ($res, $err);

sql($remote, 'CREATE TABLE log (me int, what text); ALTER TABLE log OWNER TO app',
	db => 'far');

# What each server has committed, by name of what it was for
sub logged
{
	my ($what) = @_;

	return sql($remote, "SELECT string_agg(me::text, ' ' ORDER BY me) FROM log WHERE what = '$what'",
		db => 'far');
}

sub detail_of { return $_[0]->{err} =~ /^DETAIL:  (.*)$/m ? $1 : ''; }

#
# One of three is down.
#
my $mute = mute_remote();
create_servers($local, $remote, 'mute', [5], port => $mute->sockport,
	acquire_timeout => '1s', sslmode => 'disable');
create_servers($local, $remote, 'refused', [6], port => 1, retry_attempts => 0);
foreach my $down ('mute5', 'refused6')
{
	my $alone = $other->query(select_42($down));

	$res = $session->query(ask_all([ 's1', 's2', $down ], 'select count(*) from log', 'n int',
		q(on_error => 'row')));
	like(rows_of($res), qr/^$down\|$alone->{state}\|[^|]+\| s1\|\|\|0 s2\|\|\|0$/,
		"$down: two counts, and an error, which is that of a query alone");
	isnt($alone->{state}, '00000', "$down: it is one");
	cmp_ok($res->{secs}, '<', 40, "$down: in about the time that it has, not in that of others");
}

#
# A statement that fails on the second server, while the first is done, the third runs,
# and the fourth was not asked.
#
# fails(statement, what, more): asks the four, and comes to the moment before that
sub fails
{
	my ($statement, $what, $more) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	hold(2, 3);
	$session->begin(ask_all(\@s, $statement, 'w text, n int', "parallel => 2, $more"));
	wait_for_requests($local, 's2 running, s3 running', "$what: one is done, two run");
	wait_at_locks($remote, 2, "$what: two wait");
	return;
}

sub insert
{
	my ($what) = @_;

	return "insert into log values ($me, '$what') returning $wait, 1 / ($me - 2)";
}

fails(insert('raise'), 'raise', q(on_error => 'raise'));
leave(2);
$res = $session->result;
is($res->{state}, '22012', 'raise: the error is that of the server');
like($res->{err}, qr/ERROR:  22012: division by zero/, 'raise: with its words');
is( detail_of($res),
	'Committed on: "s1".  Canceled on: "s4".  Not known of: "s3".',
	'raise: which servers committed, were not asked, and of which it is not known');
like($res->{err}, qr/^CONTEXT:.*(?:\n\s.*)*server "s2"/m, 'raise: of which server it is');
wait_at_locks($remote, 0, 'raise: what ran ends, though the lock is held');
leave(3);
is(logged('raise'), '1', 'raise: that is true');
no_request($local, 'raise');

fails(insert('row'), 'row', q(on_error => 'row'));
leave(2, 3);
is(rows_of($session->result), 's1||||-1 s2|22012|division by zero|| s3||||1 s4||||0',
	'row: a row for the server that fails, nulls where it has no values');
is(logged('row'), '1 3 4', 'row: the others commit');

fails(insert('skip'), 'skip', q(on_error => 'skip'));
leave(2, 3);
$res = $session->result;
is(rows_of($res), 's1||||-1 s3||||1 s4||||0', 'skip: rows of the others');
like($res->{err}, qr/WARNING:  22012: .*"s2".*division by zero/, 'skip: and a warning');
is(logged('skip'), '1 3 4', 'skip: the others commit');

# The same, and its connection is lost.
foreach my $how ('raise', 'row', 'skip')
{
	my $killed = "select pg_terminate_backend(pid) from pg_stat_activity a"
	  . " where usename = 'app' and wait_event = 'advisory' and exists (select from pg_locks l"
	  . ' where l.pid = a.pid and objid = 2 and not granted)';

	fails("insert into log values ($me, 'killed $how') returning $wait, 1",
		"killed, $how", "on_error => '$how'");
	is(sql($remote, $killed), 't', "killed, $how: its process is ended");
	leave(3) if $how ne 'raise';
	$res = $session->result;
	if ($how eq 'raise')
	{
		is($res->{state}, '57P01', 'killed, raise: the error is that of the server');
		like(detail_of($res),
			qr/Committed on: "s1".  Canceled on: "s4".  Not known of: "s2", "s3".$/,
			'killed, raise: of itself it is not known, either');
		wait_at_locks($remote, 0, 'killed, raise: what ran ends, though the lock is held');
		leave(3);
	}
	leave(2);
	is(rows_of($res), 's1||||1 s3||||1 s4||||1', 'killed, skip: rows of the others')
	  if $how eq 'skip';
	like($res->{err}, qr/WARNING:  57P01: .*"s2"/, 'killed, skip: and a warning')
	  if $how eq 'skip';
	like(rows_of($res), qr/^s1\|\|\|\|1 s2\|57P01\|terminating [^|]*\|\| s3\|\|\|\|1 s4\|\|\|\|1$/,
		'killed, row: a row for the server that fails')
	  if $how eq 'row';
	wait_at_locks($remote, 0, "killed, $how: nothing runs any more");
}
is(join(', ', map { logged("killed $_") } 'raise', 'row', 'skip'), '1, 1 3 4, 1 3 4',
	'killed: what was committed');

# In the middle of its rows, of which there are more than go into one read
my $many = "select case when g = 3000 and $me = 2 then $wait else repeat('x', 700) end, g"
  . ' from generate_series(1, 6000) g';

foreach my $end ('killed', 'an error')
{
	my $statement = $end eq 'killed' ? $many : $many =~ s/, g from/, 1 \/ (5000 - g * ($me - 1)) from/r;

	hold(2);
	$session->begin('SELECT server, sqlstate, count(error), count(n) FROM ('
		  . ask_all([ 's1', 's2', 's3' ], $statement, 'w text, n int', q(on_error => 'row'))
		  . ') t GROUP BY server, sqlstate');
	wait_for_requests($local, 's2 running', "in the middle of its rows, $end: it is there");
	wait_at_locks($remote, 1, "in the middle of its rows, $end: it waits");
	terminate_app_sessions($remote) if $end eq 'killed';
	leave(2);
	if ($end eq 'killed')
	{
		is(rows_of($session->result), 's1||0|6000 s2|57P01|1|0 s3||0|6000',
			"in the middle of its rows, $end: none of its rows");
	}
	else
	{
		# g * 2 of the third is 5000 at 2500: it fails, too
		is(rows_of($session->result), 's1||0|6000 s2|22012|1|0 s3|22012|1|0',
			"in the middle of its rows, $end: none of its rows");
	}
}

# The error comes, and the end of the answer after what other servers say, and after the
# statement that has sent it.
my $go_on = "$PostgreSQL::Test::Utils::tmp_check/go_on";
my $late = start_hostile_server(
	far => sub {
		my ($c) = @_;

		$c->let_in;
		while (my @asked = $c->ask)
		{
			my $own = grep { /^P.*select 'late'/s } @asked;
			my $answer = $c->answer(\@asked,
				$own ? report('E', 'ERROR', '22012', 'this is late') : ());
			my $end = $own ? substr $answer, -6, 6, '' : '';

			$c->put($answer);
			next if !$own;
			wait_until(60, sub { return -e $go_on });
			$c->put($end);
		}
	});
create_servers($local, $remote, 'late', [7], port => $late, sslmode => 'disable');
hold(1, 2);
$session->begin(ask_all([ 'late7', 's1', 's2' ], "select 'late', $wait", 'a text, w text',
	q(on_error => 'row')));
wait_at_locks($remote, 2, 'a late end: two wait');
wait_for_requests($local, 'late7 running, s1 running, s2 running', 'a late end: all run');
leave(1);
wait_for_requests($local, 'late7 running, s2 running', 'a late end: one is done');
append_to_file($go_on, '');
wait_for_requests($local, 's2 running', 'a late end: it comes');
leave(2);
is(rows_of($session->result), 'late7|22012|this is late|| s1|||late| s2|||late|',
	'a late end: the error is whole');
unlink $go_on;
my $request = $session->query("BEGIN; SELECT pool_send('late7', 'select ''late''')")->{out};
ok(wait_until(30, sub { $session->query("SELECT pool_poll($request)")->{out} eq 'running' }),
	'a late end: the request runs');
$session->query("SELECT pool_poll($request), repeat('x', i) FROM generate_series(1, 1000) i");
append_to_file($go_on, '');
$res = $session->query("SELECT * FROM pool_result($request) AS t(a text)");
like($res->{err}, qr/ERROR:  22012: this is late/, 'a late end: that of a request, too');
$session->query('ROLLBACK');
sql($local, 'DROP SERVER late7 CASCADE');
stop_hostile_servers();

#
# How many at a time
#
# at_a_time(servers, more, list, what): what the requests are when all wait that can
sub at_a_time
{
	my ($servers, $more, $running, $list, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	hold(1 .. 4);
	$session->begin(ask_all($servers, "select $wait", 'w text', $more));
	wait_at_locks($remote, $running, "$what: $running wait at the remote");
	wait_for_requests($local, $list, "$what: and these are all");
	leave(1 .. 4);
	is(rows_of($session->result), join(' ', map { "$_|||" } sort @$servers), "$what: all come");
	return;
}

at_a_time(\@s, 'parallel => 1', 1, 's1 running', 'parallel 1');
at_a_time(\@s, 'parallel => 2', 2, 's1 running, s2 running', 'parallel 2');
at_a_time([ ('s1') x 4 ], 'parallel => 4', 2,
	's1 running, s1 running, s1 waiting, s1 waiting', 'more than max_size');
at_a_time([ ('s1') x 2, 's2' ], '', 3, 's1 running, s1 running, s2 running', 'one server twice');
$session->query('SET pool.max_parallel = 3');
at_a_time(\@s, 'parallel => 1000', 3, 's1 running, s2 running, s3 running', 'pool.max_parallel');
$session->query('RESET pool.max_parallel');

is($session->query('SELECT string_agg(server, $$ $$) FROM (' . ask_all([ @s, @s ], 'select 1',
	'n int', 'parallel => 1') . ') t')->{out}, join(' ', @s, @s),
	'one after the other: in the order of the call');

# Rows come in the order of completion.
hold(1 .. 3);
$session->begin('SELECT string_agg(server, $$ $$) FROM (' . ask_all([ 's1', 's2', 's3' ],
	"select $wait", 'w text') . ') t');
wait_at_locks($remote, 3, 'order: three wait');
leave(3);
wait_for_requests($local, 's1 running, s2 running', 'order: one is done');
leave(1);
wait_for_requests($local, 's2 running', 'order: another one is done');
leave(2);
is($session->result->{out}, 's3 s1 s2', 'order: that of completion');

#
# Time-outs, of which one is for the whole call
#
# They are such that s1 can be late.
hold(2);
$session->begin(ask_all([ 's1', 's2' ], "select $wait", 'w text',
	q(on_error => 'row', timeout => '6s')));
$other->begin(ask_all([ 's1', 's2', 's3' ], "select $wait", 'w text',
	q(on_error => 'row', timeout => '6s', parallel => 1)));
like(rows_of($session->result), qr/^s1\|\|\| s2\|57014\|[^|]*timeout[^|]*running[^|]*\|$/,
	'timeout while it runs: an error of its server');
$res = $other->result;
wait_at_locks($remote, 0, 'timeout while it runs: it is cancelled');
like(rows_of($res), qr/^s1\|\|\| s2\|57014\|[^|]*\| s3\|57014\|[^|]*waiting[^|]*\|$/,
	'timeout before it was asked: an error of that server, too');
$res = $session->query(ask_all([ 's1', 's2' ], "select $wait", 'w text', q(timeout => '6s')));
is($res->{state}, '57014', 'timeout, raise: 57014');
like(detail_of($res), qr/Committed on: "s1".*Not known of: "s2"/, 'timeout, raise: the lists');
leave(2);

my @leases = map { $other->acquire('s2') } 1 .. 2;
$res = $session->query(ask_all([ 's1', 's2' ], 'select 1', 'n int',
	q(on_error => 'row', timeout => '6s')));
like(rows_of($res), qr/^s1\|\|\|1 s2\|53300\|could not acquire a connection [^|]*leased[^|]*\|$/,
	'timeout while it waits for a connection: an error of its server, which tells why');
$res = $session->query(ask_all([ 's1', 's2' ], 'select 1', 'n int', q(timeout => '0')));
is($res->{state}, '57014', 'timeout 0: it is over at once');
$session->begin(ask_all([ 's1', 's2' ], 'select 1', 'n int'));
wait_for_requests($local, 's2 waiting', 'no timeout: it waits');
$other->release($_) foreach @leases;
is(rows_of($session->result), 's1|||1 s2|||1', 'no timeout: until there is a connection');

#
# The call
#
$res = $session->query(ask_all([ 's1', 's2' ], "update log set what = 'row' where me = 4"));
is(rows_of($res), 's1|| s2||', 'a statement without rows: a row for each server');
is(rows_of($session->query(ask_all([ 's1', 's2' ], "update log set what = 'row' where me = 4",
	'n int, t text'))), 's1||||  s2||||' =~ s/  / /r, 'without rows: nulls for what the query has');
is(rows_of($session->query(ask_all([ 's1' ], 'select where false', ''))), '',
	'a query without rows gives none');
is(rows_of($session->query(ask_all([], 'select 1', 'n int'))), '', 'no servers, no rows');
is(rows_of($session->query(ask_all([ 's1', 's2' ], "select $me, \$1::int + 1, \$2, \$3",
	'me int, a int, b text, c text', q(parameters => ARRAY['41', NULL, 'x "y"'])))),
	's1|||1|42||x "y" s2|||2|42||x "y"', 'parameters, of which one is null');
is(rows_of($session->query(ask_all([ 's1', 's2' ],
	"insert into log values ($me, 'several'); select 7", 'n int'))),
	's1|||7 s2|||7', 'several statements: the rows of the last one');
$res = $session->query(ask_all([ 's1', 's2' ],
	"insert into log values ($me, 'several, failed'); select 1 / ($me - 1)", 'n int',
	q(on_error => 'row')));
is(rows_of($res), 's1|22012|division by zero| s2|||1', 'several statements of which one fails');
is(logged('several') . ', ' . logged('several, failed'), '1 2, 2',
	'several statements are one transaction');
is(rows_of($session->query('SELECT * FROM pool_query_all_json(' . list_of('s1', 's2') . ', '
	  . "\$q\$select $me as me, 1 / ($me - 2) as x, null as nothing, 'a' as \"A\"\$q\$, on_error => 'row')")),
	's1|||{"A": "a", "x": -1, "me": 1, "nothing": null} s2|22012|division by zero|',
	'as JSON');
is(rows_of($session->query(q(SELECT server, sqlstate, error, result IS NULL
	FROM pool_query_all_json('{s1}', 'update log set me = me')))), 's1|||t', 'as JSON without rows');

# What is wrong with a call is raised before anything is sent.

sql($local, 'CREATE ROLE nobody LOGIN; CREATE ROLE guest LOGIN');
sql($local, "GRANT USAGE ON FOREIGN SERVER s1, s2 TO guest; "
	  . "CREATE USER MAPPING FOR guest SERVER s1 OPTIONS (user 'app', password 'secret')");
my $insert = "insert into log values ($me, 'never') returning 1";

sub refused
{
	my ($statement, $state, $text, $what) = @_;
	my $answer = $session->query($statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, $state, "$what: $state");
	like($answer->{err}, $text, "$what: what it says");
	return;
}

refused(ask_all([ 's1', 'none' ], $insert, 'n int'), '42704', qr/"none"/, 'unknown server');
refused(ask_all([ 's1', 'NULL' ], $insert, 'n int'), '22004', qr/servers must not contain nulls/,
	'null server');
refused(ask_all(['s1'], $insert, 'n int', q(on_error => 'ignore')), '22023',
	qr/"ignore".*HINT:.*raise, row, skip/s, 'on_error');
refused(ask_all(['s1'], $insert, 'n int', 'on_error => NULL'), '22004', qr/null/,
	'null on_error');
refused(ask_all(['s1'], $insert, 'n int', 'parallel => 0'), '22023', qr/parallel/, 'parallel');
refused(ask_all(['s1'], $insert, 'n int', q(timeout => '-1s')), '22023', qr/timeout/,
	'negative timeout');
refused("SELECT * FROM pool_query_all(NULL, 'select 1') AS t(server text, sqlstate text, error text)",
	'22004', qr/servers/, 'null servers');
refused(q(SELECT * FROM pool_query_all('{s1}', NULL) AS t(server text, sqlstate text, error text)),
	'22004', qr/query/, 'null query');
foreach my $list ('server text', 'server text, sqlstate text', 'server int, sqlstate text, error text',
	'server text, sqlstate text, n int', 'server text, sqlstate int, error text, n int')
{
	refused("SELECT * FROM pool_query_all('{s1,s2}', 'insert into log values (0, ''never'')') AS t($list)",
		'42804', qr/column/, "column list ($list)");
}
refused("SET ROLE guest; " . ask_all([ 's1', 's2' ], $insert, 'n int'), '42704', qr/mapping/,
	'no mapping');
refused("SET ROLE guest; " . ask_all([ 's1', 's3' ], $insert, 'n int'), '42501', qr/s3/,
	'no rights');
refused("SET ROLE nobody; " . ask_all([ 's1' ], $insert, 'n int'), '42501', qr/./, 'nobody');
$session->query('RESET ROLE');
is(logged('never'), '', 'nothing was sent');

# Only the answer tells that the query's columns do not fit.
$res = $session->query(ask_all([ 's1', 's2' ], 'select 1, 2', 'n int'));
is($res->{state}, '42804', 'too few columns: 42804');
like($res->{err}, qr/server "s[12]"/, 'too few columns: of which server');
$res = $session->query(ask_all([ 's1', 's2' ], q(select 'x'), 'n int', q(on_error => 'row')));
is($res->{state}, '22P02', 'a value that is none of its type is an error of this session');
no_request($local, 'errors of the session');

#
# In PL/pgSQL
#
sql($local, <<"SQL");
CREATE FUNCTION loops(n int) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	r record;
	rows int := 0;
	failed int := 0;
	fits bool := true;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			FOR r IN SELECT * FROM pool_query_all('{s1,s2,s3,s4}',
				\$q\$select \$1::int, 1 / (\$1::int % 5), $me\$q\$, ARRAY[i::text],
				on_error => CASE WHEN i % 2 = 0 THEN 'raise' ELSE 'row' END)
				AS t(server text, sqlstate text, error text, i int, x int, me int)
			LOOP
				fits := fits AND coalesce(r.i = i AND r.server = 's' || r.me,
					r.sqlstate = '22012' AND i % 10 = 5);
				rows := rows + 1;
			END LOOP;
		EXCEPTION WHEN division_by_zero THEN
			failed := failed + 1;
		END;
	END LOOP;
	RETURN concat_ws(' ', rows, failed, fits);
END \$\$;
SQL
is($session->query(q(SELECT loops(100)))->{out}, '360 10 t', 'in a loop with exceptions');
is( $session->query(<<'SQL')->{out}, 420, 'for each row of a query');
SELECT sum(n) FROM generate_series(1, 20) i,
	LATERAL pool_query_all('{s1,s2}', 'select $1::int', ARRAY[i::text])
		AS t(server text, sqlstate text, error text, n int)
SQL
$res = $session->query('BEGIN; ' . ask_all([ 's1', 's2' ], 'select 1', 'n int') . '; SAVEPOINT a; '
	  . ask_all([ 's1', 's2' ], "select 1 / ($me - 1)", 'n int') . '; ROLLBACK TO a; '
	  . ask_all([ 's1', 's2' ], 'select 2', 'n int') . '; COMMIT');
is(join(' ', sort split /\n/, $res->{out}), 's1|||1 s1|||2 s2|||1 s2|||2', 'after ROLLBACK TO');
is(() = $res->{err} =~ /ERROR:/g, 1, 'after ROLLBACK TO: one error');
no_request($local, 'PL/pgSQL');

#
# Cancelled and terminated in the middle: one is done, one runs, one waits, one was not
# asked.
#
foreach my $end ('cancel', 'terminate', 'die')
{
	my $victim = $end eq 'cancel' ? $session : session($local);

	@leases = map { $other->acquire('s3') } 1 .. 2;
	hold(2);
	$victim->begin(ask_all(\@s, "insert into log values ($me, '$end') returning $wait", 'w text',
		'parallel => 2'));
	wait_for_requests($local, 's2 running, s3 waiting', "$end: one runs, one waits");
	wait_at_locks($remote, 1, "$end: one runs");
	if ($end eq 'die') { kill 'KILL', $victim->{run}{KIDS}[0]{PID}; }
	else { sql($local, "SELECT pg_${end}_backend(" . $victim->pid . ')'); }
	is($victim->result->{state}, $end eq 'cancel' ? '57014' : '57P01', "$end: the error")
	  if $end ne 'die';
	sql($local, 'SELECT pg_terminate_backend(' . $victim->pid . ')') if $end eq 'die';
	wait_for_requests($local, '', "$end: no request is left");
	wait_at_locks($remote, 0, "$end: what ran is cancelled");
	leave(2);
	$other->release($_) foreach @leases;
	is(logged($end), 1, "$end: what was done is committed");
	settled($local, "$end: nothing is under way");
}

#
# More rows than go into memory: what the session has for itself stays small.
#
my $big = session($local);
$big->query("SET work_mem = '1MB'");
$big->query(ask_all(\@s, 'select 1', 'n int'));
my $memory = memory_of($big->pid, 'VmHWM');
is($big->query('SELECT count(*), sum(length(x)), count(DISTINCT server) FROM ('
	  . ask_all(\@s, q(select repeat('x', 1000) from generate_series(1, 25000)), 'x text') . ') t')
	  ->{out}, '100000|100000000|4', '100 MB come');
cmp_ok(memory_of($big->pid, 'VmHWM') - $memory, '<', 25_000,
	'100 MB: of which few are in memory (kB)');

$_->quit foreach $session, $other, $big;
at_rest($local, $remote, 'in the end');
no_request($local, 'in the end');
no_crash($local, $remote);
done_testing();
