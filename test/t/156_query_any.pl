# 156_query_any.pl
#	pool_query_any(): the first answer of several servers, hedges and failover, and what
#	becomes of those that lose.  What has to be slow waits for a lock at the remote.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FanOut;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my @s = create_servers($local, $remote, 's', [ 1 .. 3 ], max_size => 1,
	acquire_timeout => '60s', health_check_timeout => '1h');
my ($session, $other) = map { session($local) } 1 .. 2;
my $res;

create_servers($local, $remote, 'refused', [ 8, 9 ], port => 1, retry_attempts => 0);
sql($remote, 'CREATE TABLE log (me int); ALTER TABLE log OWNER TO app;'
	  . ' CREATE SEQUENCE seq; ALTER SEQUENCE seq OWNER TO app', db => 'far');

# Who answers, when its lock is free
my $who = "select $me, $wait";
my $long = q(hedge_after => '1h');
my $soon = q(hedge_after => '10ms');

sub any
{
	my ($servers, $statement, $more) = @_;

	return ask_any($servers, $statement, 'me int, w text', $more);
}

# counted(server): requests, hedges, hedges that won; and since() that
my %base;

sub counted
{
	my ($name) = @_;

	return sql($local, "SELECT concat_ws(' ', requests, hedges, hedges_won)"
		  . " FROM pool_stats_all() WHERE server = '$name'") || '0 0 0';
}

sub from_here { $base{$_} = [ split ' ', counted($_) ] foreach @s; return; }

sub since
{
	my ($name) = @_;
	my @now = split ' ', counted($name);

	return join ' ', map { $now[$_] - $base{$name}[$_] } 0 .. 2;
}

# is_drained(server, what): a test: the answer that nobody wants was read to its end.  If
# somebody waits for the connection meanwhile, that is given up.
sub is_drained
{
	my ($name, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local, "SELECT state FROM pool_connections WHERE server = '$name'",
		'idle', "$what: it is drained", seconds => 60);
}

# credit(server, count): as many calls as hedges have to be earned with
sub credit
{
	my ($name, $count) = @_;

	$session->query("SELECT count(*) FROM generate_series(1, $count) i, LATERAL "
		  . "pool_query_any('{$name}', 'select \$1', ARRAY[i::text]) AS t(x text)");
	return;
}

#
# One server, and the first of two
#
is($session->query(any(['s1'], $who))->{out}, '1|', 'one server');
from_here();
is($session->query(any([ 's1', 's2' ], $who, $long))->{out}, '1|', 'the first one is fast');
is(join(', ', map { since($_) } 's1', 's2'), '1 0 0, 0 0 0', 'no other one is asked');

#
# The first is slow.
#
credit('s1', 10);
my %pid = map { $_ => $session->query(pid_query($_))->{out} } @s;

from_here();
hold(1);
is($session->query(any([ 's1', 's2' ], $who, $soon))->{out}, '2|', 'the first one is slow');
is(join(', ', map { since($_) } 's1', 's2'), '1 0 0, 1 1 1',
	'a request to each, of which the second is a hedge that has won');
no_request($local, 'the first one is slow');
wait_for_value($local, q(SELECT state FROM pool_connections WHERE server = 's1'), 'resetting',
	'what has lost is drained');
leave(1);
is_drained('s1', 'the first one is slow');
is($other->query(pid_query('s1'))->{out}, $pid{s1}, 'the connection that has lost is used again');
is($session->query(pid_query('s1'))->{out}, $pid{s1}, 'by this session, too');
is($session->query(pid_query('s2'))->{out}, $pid{s2}, 'as that which has won');

# The hedge is slower than who was asked first.
credit('s1', 10);
from_here();
hold(1, 2);
$session->begin(any([ 's1', 's2' ], $who, $soon));
wait_at_locks($remote, 2, 'both are slow: both are asked');
leave(1);
is($session->result->{out}, '1|', 'both are slow: the first one answers');
is(join(', ', map { since($_) } 's1', 's2'), '1 0 0, 1 1 0',
	'both are slow: a hedge that has not won');
leave(2);
is_drained('s2', 'both are slow');
is($other->query(pid_query('s2'))->{out}, $pid{s2}, 'both are slow: what has lost is used again');

# Three, of which the last one is fast
credit('s1', 20);
from_here();
hold(1, 2);
is($session->query(any(\@s, $who, $soon))->{out}, '3|', 'two are slow: the third is asked');
is(join(', ', map { since($_) } @s), '1 0 0, 1 1 0, 1 1 1', 'two are slow: two hedges');
leave(1, 2);

# The first waits for a connection.
credit('s1', 10);
my $lease = $other->acquire('s1');
is($session->query(any([ 's1', 's2' ], $who, $soon))->{out}, '2|',
	'no connection to the first one: the second is asked');
$other->release($lease);
no_request($local, 'no connection to the first one');

#
# At most a tenth of the calls are hedged: so many of those that are saved up, and what
# these calls earn.  No connection to the first server is free.
#
credit('s1', 120);
from_here();
$lease = $other->acquire('s1');
is($session->query(any([ 's1', 's2' ], $who, $soon))->{out}, '2|', "hedge $_ of 11")
  foreach 1 .. 11;
$session->begin(any([ 's1', 's2' ], $who, $soon));
wait_for_requests($local, 's1 waiting', 'one too many');
ok(!wait_until(1, sub { !$session->busy }), 'one too many: it is not hedged');
$other->release($lease);
is($session->result->{out}, '1|', 'one too many: it waits');
is(join(', ', map { since($_) } 's1', 's2'), '12 0 0, 11 11 11',
	'what the counters say of that');

#
# Without hedge_after it goes by what statements of the pool take.
#
create_servers($local, $remote, 'long', [4], max_size => 25);
$session->query('SET pool.max_parallel = 25');
hold(4);
$session->begin(ask_all([ ('long4') x 25 ], "select $wait", 'w text'));
wait_at_locks($remote, 25, 'long ones: 25 wait');
my $enough = time + 10;
wait_until(30, sub { time > $enough });
leave(4);
$session->result;
$session->query('RESET pool.max_parallel');
cmp_ok(stat_of($local, 'query_p95', 'long4'), '>', 4000, 'long ones: they take seconds');
hold(4);
$session->begin(any([ 'long4', 's2' ], $who));
wait_at_locks($remote, 1, 'long ones: the first one is slow');
ok(!wait_until(0.5, sub { !$session->busy }), 'long ones: it is not hedged yet');
leave(4);
is($session->result->{out}, '4|', 'long ones: the first one answers');
$session->query("SELECT pool_stats_reset('long4')");
hold(4);
is($session->query(any([ 'long4', 's2' ], $who))->{out}, '2|',
	'where nothing is known it is hedged soon');
leave(4);

#
# Failover
#
from_here();
is($session->query(any([ 'refused8', 's2', 's3' ], $who, $long))->{out}, '2|',
	'the first one is down: the second is asked at once');
is(join(', ', map { since($_) } 's2', 's3'), '1 0 0, 0 0 0', 'that is no hedge');
$res = $session->query(any([ 'refused8', 'refused9' ], $who, $long));
my $alone = $session->query(select_42('refused8'));
is($res->{state}, $alone->{state}, 'all are down: the error is that of a query');
like($res->{err}, qr/refused8/, 'all are down: of the first one');
is($session->query(any([ 's1', 's2', 's3' ], "select $me, (1 / ($me / 3))::text", $long))->{out},
	'3|1', 'statements that fail: the next one is asked');
my $fail = "select $me, case when $me = 1 then (1 / ($me - 1))::text else ($wait || 'x')::int::text end";
$res = $session->query(any([ 's1', 's2' ], $fail, $long));
is($res->{state}, '22012', 'statements that fail: the first error');
$res = $session->query(any([ 's2', 's1' ], $fail, $long));
is($res->{state}, '22P02', 'statements that fail: whichever it is');
credit('s2', 20);
hold(2, 3);
$session->begin(any([ 's2', 's1', 's3' ], $fail , q(hedge_after => '10ms')));
wait_for_requests($local, 's1 failed, s2 running, s3 running', 'a hedge that fails');
leave(3);
wait_for_requests($local, 's1 failed, s2 running, s3 failed', 'and one more');
leave(2);
is($session->result->{state}, '22012', 'a hedge that fails: that error was the first');

# Killed in the middle of its rows
hold(1);
$session->begin('SELECT me, count(*) FROM (' . any([ 's1', 's2' ],
	"select $me, case when g = 3000 and $me = 1 then $wait else repeat('x', 700) end"
	  . ' from generate_series(1, 6000) g', $long) . ') t GROUP BY me');
wait_at_locks($remote, 1, 'killed in the middle of its rows');
sql($remote, q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE wait_event = 'advisory' AND usename = 'app'));
is($session->result->{out}, '2|6000', 'killed in the middle of its rows: rows of the other one only');
leave(1);

#
# It changes nothing.
#
foreach my $write (
	[ '25006', "with x as (insert into log values (1) returning me) select me, '' from x" ],
	[ '25006', q(select nextval('seq'), '') ],
	[ '25006', 'select me, $q$x$q$ from log for update' =~ s/\$q\$/'/gr ],
	[ '25001', q(select 1, set_config('transaction_read_only', 'off', true), nextval('seq')) ],
	[ '25006', q(select 1, 'a' into new_table) ],
	(map { [ '25006', $_ ] } 'insert into log values (1) returning me, 1', 'update log set me = 1'),
	(map { [ '0A000', $_ ] } 'begin', 'commit', q(set work_mem = 64), 'explain select 1', 'copy log to stdout',
		'prepare x as select 1', q(select 1, 'a'; select 2, 'b'), 'listen x',
		'create table new_table ()', "do 'begin end'", q(select 1, 'a'; commit; insert into log values (1)),
		'')
  )
{
	my ($state, $statement) = @$write;

	$res = $session->query(any([ 's1', 's2' ], $statement, $long));
	is($res->{state}, $state, "$state: $statement") or diag $res->{err};
}
is(sql($remote, q(SELECT (SELECT count(*) FROM log), is_called, to_regclass('new_table') IS NULL
	FROM seq), db => 'far'), '0|f|t', 'nothing is written');
is($session->query("SELECT pool_exec('s$_', 'insert into log values ($_)')")->{state}, '00000',
	"a statement after that may write") foreach 1 .. 2;
is($session->query(ask_any(['s1'], q(select current_setting('transaction_read_only'),
	current_setting('default_transaction_read_only'), $1 || 'x'), 'a text, b text, c text',
	q(parameters => ARRAY['p']) ))->{out}, 'on|off|px', 'it is the transaction that is READ ONLY');

#
# The connection goes from one session to another, is validated, and has statements
# prepared.
#
foreach my $options ([ 'as it is', {} ], [ 'validated', { validate_after_idle => 0 } ],
	[ 'no statement_cache', { statement_cache => 0 } ])
{
	my ($what, $add) = @$options;
	my ($right, $n) = (0, 0);

	sql($local, "ALTER SERVER s$_ OPTIONS (" . join(', ', map { "ADD $_ '$add->{$_}'" } keys %$add) . ')')
	  foreach %$add ? (1, 2) : ();
	foreach my $i (1 .. 40)
	{
		my $who_asks = $i % 4 < 2 ? $session : $other;

		$who_asks = $session if $i < 10;
		$right++ if $who_asks->query(ask_any([ 's1', 's2' ],
			q(select $1::int + 1, current_setting('transaction_read_only'), pg_backend_pid() > 0),
			'a int, b text, c bool', "parameters => ARRAY['$i'], $long"))->{out} eq $i + 1 . '|on|t';
		$n++ if $who_asks->query("SELECT pool_exec('s1', 'insert into log values (7)')")->{out} eq '1';
	}
	is("$right $n", '40 40', "$what: by turns all are answered, and may write");
	sql($local, "ALTER SERVER s$_ OPTIONS (" . join(', ', map { "DROP $_" } keys %$add) . ')')
	  foreach %$add ? (1, 2) : ();
}

#
# In exception blocks
#
sql($local, <<"SQL");
CREATE FUNCTION loops(n int) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	found int := 0;
	failed int := 0;
	answer record;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			SELECT * INTO answer FROM pool_query_any(ARRAY['s' || i % 3 + 1, 's' || (i + 1) % 3 + 1],
				\$q\$select \$1::int, 1 / (\$1::int % 5)\$q\$, ARRAY[i::text],
				CASE WHEN i % 2 = 0 THEN interval '0' END) AS t(i int, x int);
			found := found + (answer.i = i)::int;
		EXCEPTION WHEN division_by_zero THEN
			failed := failed + 1;
		END;
	END LOOP;
	RETURN concat_ws(' ', found, failed);
END \$\$;
SQL
is($session->query('SELECT loops(100)')->{out}, '80 20', 'in a loop with exceptions');
no_request($local, 'in a loop with exceptions');

#
# Cancelled in the middle, and terminated
#
credit('s1', 20);
foreach my $end ('cancel', 'terminate')
{
	my $victim = $end eq 'cancel' ? $session : session($local);

	hold(1, 2);
	$victim->begin(any([ 's1', 's2' ], $who, $soon));
	wait_for_requests($local, 's1 running, s2 running', "$end: both run");
	sql($local, "SELECT pg_${end}_backend(" . $victim->pid . ')');
	is($victim->result->{state}, $end eq 'cancel' ? '57014' : '57P01', "$end: the error");
	wait_for_requests($local, '', "$end: no request is left");
	wait_at_locks($remote, 0, "$end: what ran is cancelled");
	leave(1, 2);
}

#
# The call
#
sub refused
{
	my ($statement, $state, $text, $what) = @_;
	my $answer = $session->query($statement);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, $state, "$what: $state");
	like($answer->{err}, $text, "$what: what it says");
	return;
}

from_here();
refused(any([], $who), '22023', qr/servers/, 'no servers');
refused(any([ 's1', 'none' ], $who), '42704', qr/"none"/, 'unknown server');
refused(any([ 's1', 'NULL' ], $who), '22004', qr/servers must not contain nulls/,
	'null server');
refused(any([ 's1' ], $who, q(hedge_after => '-1s')), '22023', qr/hedge_after is out of range/,
	'negative hedge_after');
refused("SELECT * FROM pool_query_any('{s1}', NULL) AS t(a int)", '22004', qr/query/, 'null query');
sql($local, 'CREATE ROLE guest');
refused('SET ROLE guest; ' . any([ 's1' ], $who), '42501', qr/s1/, 'no rights');
$session->query('RESET ROLE');
is(join(', ', map { since($_) } @s), '0 0 0, 0 0 0, 0 0 0', 'nothing was sent');
refused(any([ 's1', 's2' ], 'select 1', $long), '42804', qr/s1/, 'columns that do not fit');

$_->quit foreach $session, $other;
at_rest($local, $remote, 'in the end');
no_request($local, 'in the end');
no_crash($local, $remote);
done_testing();
