# 003_cancel.pl
#	A session that is cancelled, timed out or left by its client while the
#	remote is busy is back at once, the remote's statement is gone, and that
#	connection serves nobody else: a cancel never hits the next one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local(client_connection_check_interval => "'100ms'");
create_server($local, 'srv', $remote,
	options => { max_size => 1, acquire_timeout => '60s' });

my $sleep = q(SELECT pool_query('srv', 'select pg_sleep(60)'));
my $million = q(SELECT count(*) FROM pool_query('srv',
	'select g, repeat(''x'', 100) from generate_series(1, 5000000) g')
	AS r(g int, x text));
my $control = session($local);
my $other = session($local);
my $soon = 10;    # seconds; pool promises one

# runs(what): the remote is at work for us
sub runs
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_remote_statement($remote, "before $what the remote runs the statement");
}

# afterwards(what, closed): the remote's statement is gone, the slot was
# closed, and the next session gets its own answer
sub afterwards
{
	my ($what, $closed) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_app_sessions($remote, 0, "after $what the remote runs nothing",
		condition => q(state = 'active'), seconds => $soon);
	is( $other->query("SELECT t FROM pool_query('srv', 'select \$1::text', '$what') AS r(t text)")
		  ->{out},
		$what,
		"after $what the next session gets its own answer");
	is(stat_of($local, 'closed_canceled + closed_holder_exited'),
		$closed, "after $what the counters show $closed closed connections");
	at_rest($local, $remote, "after $what");
	return;
}

#
# One after the other
#
my $victim = session($local);
my $result;

# On a busy machine the time may be over before the statement is at the remote, which
# then has nothing to cancel.
$victim->query(q(SELECT pool_query('srv', 'select 1')));
foreach my $timeout (500, 5000, 40_000)
{
	$victim->query("SET statement_timeout = $timeout");
	$result = $victim->query($sleep, 65);
	is($result->{state}, '57014', 'a session whose statement_timeout has passed gets an error');
	like($result->{err}, qr/statement timeout/, 'the error says that it was statement_timeout');
	cmp_ok($result->{secs}, '<', $timeout / 1000 + $soon,
		'the error of statement_timeout comes at once');
	last if stat_of($local, 'closed_canceled') > 0;
}
$victim->query('RESET statement_timeout');
afterwards('statement_timeout', 1);
cmp_ok(stat_of($local, 'cancels'), '>=', 1,
	'a cancel request is counted when statement_timeout has passed');
ok( log_count($remote, qr/canceling statement due to user request/) >= 1,
	'the remote logs that it has cancelled the statement');

$victim->begin($sleep);
runs('pg_cancel_backend');
my $start = time;
$control->query('SELECT pg_cancel_backend(' . $victim->pid . ')');
$result = $victim->result(65);
is($result->{state}, '57014', 'a session that pg_cancel_backend hits gets an error');
cmp_ok(time - $start, '<', $soon, 'the error of pg_cancel_backend comes at once');
afterwards('pg_cancel_backend', 2);
is($victim->query(q(SELECT t FROM pool_query('srv', 'select 42') AS r(t int)))->{out},
	'42', 'a session works after pg_cancel_backend has hit it');

$victim->begin($sleep);
runs('the death of its client');
my $pid = $victim->pid;
$start = time;
$victim->die_now;
wait_for_session_end($local, $pid, 'a session ends soon after its client died');
afterwards('the death of its client', 3);

$victim = session($local);
$victim->begin($sleep);
runs('pg_terminate_backend');
$control->query('SELECT pg_terminate_backend(' . $victim->pid . ')');
$result = $victim->result(65);
is($result->{state}, '57P01', 'pg_terminate_backend ends a session whose statement runs');
cmp_ok($result->{secs}, '<', 30, 'pg_terminate_backend ends the session at once');
afterwards('pg_terminate_backend', 4);

#
# While rows stream in
#
$victim = session($local);
foreach my $turn (1 .. 3)
{
	$victim->begin($million);
	runs("cancel $turn of a result");
	$start = time;
	$control->query('SELECT pg_cancel_backend(' . $victim->pid . ')');
	$result = $victim->result(65);
	is($result->{state}, '57014', "cancel $turn of a result that streams in is an error");
	cmp_ok(time - $start, '<', $soon, "cancel $turn of a result that streams in works at once");
	afterwards("cancel $turn of a result", 4 + $turn);
}

#
# A statement on a lease: the lease is over, the session is not.
#
$victim->query('BEGIN');
my $lease = $victim->query(q(SELECT pool_acquire('srv')))->{out};
like($lease, qr/^\d+$/, 'a lease is acquired in a transaction');
$victim->query('SAVEPOINT s');
$victim->begin("SELECT pool_exec($lease, 'select pg_sleep(60)')");
runs('the cancel on a lease');
$control->query('SELECT pg_cancel_backend(' . $victim->pid . ')');
is($victim->result(65)->{state}, '57014', 'a cancel of a statement on a lease is an error');
$victim->query('ROLLBACK TO s');
$result = $victim->query("SELECT pool_exec($lease, 'select 1')");
isnt($result->{state}, '00000', 'a lease whose statement was cancelled cannot be used any more');
unlike($result->{err}, qr/internal|XX000/,
	"the error of a cancelled lease is a clear one ($result->{state})");
$victim->query('ROLLBACK');
afterwards('the cancel on a lease', 8);

#
# In the queue: nothing is closed, and the others do not notice.
#
my $holder = session($local);
$lease = $holder->acquire('srv');
$victim->begin(q(SELECT pool_query('srv', 'select 1')));
wait_for_waiters($local, 1, 'a session waits for the only connection');
$control->query('SELECT pg_cancel_backend(' . $victim->pid . ')');
$result = $victim->result(65);
is($result->{state}, '57014', 'a session that waits can be cancelled');
is(stat_of($local, 'waiting'), 0, 'a session that was cancelled in the queue waits no more');
is($holder->query("SELECT t FROM pool_query($lease, 'select 8') AS r(t int)")->{out},
	'8', 'a cancel in the queue does not disturb the lease of another session');
$victim->query(q(SET statement_timeout = '300ms'));
$result = $victim->query(q(SELECT pool_query('srv', 'select 1')), 65);
is($result->{state}, '57014', 'statement_timeout holds for a session that waits');
cmp_ok($result->{secs}, '<', $soon, 'statement_timeout ends the waiting at once');
is($holder->release($lease)->{state}, '00000', 'the lease that others waited for is released');
afterwards('a cancel in the queue', 8);
$holder->quit;
$victim->quit;

#
# A few hundred cancels that race the end of short statements, while another
# session uses the same slot: it must see neither another's row nor an error.
#
sql($local, <<'SQL');
CREATE TABLE stop (now bool);
CREATE PROCEDURE race(quiet bool, INOUT good int, INOUT cancelled int)
LANGUAGE plpgsql AS $$
DECLARE
	token text;
	got text;
BEGIN
	good := 0;
	cancelled := 0;
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		token := pg_backend_pid() || '/' || good;
		BEGIN
			SELECT string_agg(t, ',') INTO got
				FROM pool_query('srv',
					'select $1::text from generate_series(1, 3)', token) AS r(t text);
			IF got IS DISTINCT FROM concat_ws(',', token, token, token) THEN
				RAISE EXCEPTION 'wrong answer to "%": "%"', token, got;
			END IF;
			good := good + 1;
		EXCEPTION WHEN query_canceled THEN
			IF quiet THEN
				RAISE EXCEPTION 'somebody else''s cancel';
			END IF;
			cancelled := cancelled + 1;
		END;
	END LOOP;
EXCEPTION WHEN query_canceled THEN	-- between two statements
	IF quiet THEN
		RAISE EXCEPTION 'somebody else''s cancel';
	END IF;
	cancelled := cancelled + 1;
END $$;
SQL

my $offset = log_offset($remote);
my $quiet = session($local);
my $racer = session($local);
my ($good, $cancelled, $calls) = (0, 0, 0);
my $racing = 'CALL race(false, 0, 0)';
my $before = stat_of($local, 'closed_canceled');
$quiet->begin('CALL race(true, 0, 0)');
$racer->begin($racing);
foreach my $round (1 .. 400)
{
	# Forty rounds, and more on a machine where many a cancel comes before the next
	# statement of its session has begun.
	last if $round > 40 && stat_of($local, 'closed_canceled') >= $before + 20;

	# The time between two cancels differs, to hit every moment of a statement.
	$control->query(sprintf <<'SQL', $racer->pid);
DO $$
BEGIN
	FOR i IN 1 .. 10 LOOP
		PERFORM pg_cancel_backend(%d), pg_sleep(random() * 0.012);
	END LOOP;
END $$
SQL
	next if $racer->busy;

	# It was hit between two statements, and has left its loop.
	$result = $racer->result;
	if ($result->{out} =~ /^(\d+)\|(\d+)$/)
	{
		$good += $1;
		$cancelled += $2;
		$calls++;
	}
	elsif ($result->{state} ne '57014')
	{
		last;
	}
	$racer->begin($racing);
}
sql($local, 'INSERT INTO stop VALUES (true)');
my $last = $racer->result(30);
my $peace = $quiet->result(30);
like($last->{state}, qr/^(00000|57014)$/, 'the session that is hit meets cancels and nothing else')
  or diag($last->{err});
if ($last->{out} =~ /^(\d+)\|(\d+)$/)
{
	$good += $1;
	$cancelled += $2;
}
note "racer: $good answers, $cancelled cancels; quiet: $peace->{out}";
is($peace->{state}, '00000', 'a session beside the one that is cancelled has no error')
  or diag($peace->{err});
like($peace->{out}, qr/^[1-9]\d*\|0$/,
	'a session beside the one that is cancelled gets answers and no cancel');
cmp_ok(stat_of($local, 'closed_canceled'), '>=', $before + 20,
	'at least 20 cancels hit statements that the remote runs');
at_rest($local, $remote, 'after the race');

no_crash($local, $remote);
done_testing();
