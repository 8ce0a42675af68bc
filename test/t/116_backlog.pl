# 116_backlog.pl
#	Rows of a lease that are refused here, in the middle of their answer: the error
#	costs nothing, neither the lease nor the remote's transaction, and no row,
#	notice or error of the old answer is in the next one.  What cannot be read to its
#	end in the next statement's time, or is cancelled, ends the connection, and the
#	lease says why.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use Test::More;

my ($local, $remote) = start_pair(max_size => 4, query_timeout => '60s');
my $session = session($local);
my $number = 0;

create_server($local, 'single', $remote, options => { max_size => 1, statement_cache => 64 });
create_server($local, 'hasty', $remote, options => { max_size => 1, query_timeout => '2s' });
sql($remote, <<'SQL', db => 'far');
CREATE TABLE kept (a text);
GRANT ALL ON kept TO app;
CREATE FUNCTION note(i int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF i = 90000 THEN RAISE NOTICE 'of another statement'; END IF;
	RETURN i;
END $$;
SQL
sql($local, <<'SQL');
CREATE DOMAIN small AS int CHECK (VALUE < 500);
CREATE FUNCTION rest(i int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(60);
	RETURN true;
END $$;
CREATE DOMAIN lazy AS int CHECK (rest(VALUE));
SQL

# ask(lease, statement, columns)
sub ask
{
	my ($lease, $statement, $columns) = @_;

	$columns ||= 't text';
	return "SELECT * FROM pool_query($lease, \$q\$$statement\$q\$) AS r($columns)";
}

# many(what): 100000 rows; i is their number
sub many { return "select $_[0] from generate_series(1, 100000) i"; }

# owns(lease, what): a test: the next statement has an answer of its own
sub owns
{
	my ($lease, $what) = @_;
	my $own = 'own ' . ++$number;
	my $answer = $session->query(ask($lease, "select '$own'"));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is("$answer->{state} $answer->{out}$answer->{err}", "00000 $own", $what);
}

# is_lost(lease, detail, what): a test: the lease has no connection, and says why
sub is_lost
{
	my ($lease, $detail, $what) = @_;
	my $answer = $session->query(ask($lease, 'select 1'));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return like("$answer->{state} $answer->{err}",
		qr/^08003 .*has lost its connection.*$detail/s, $what);
}

# refuse(lease): leaves 100000 rows, or what the statement has, to be read
sub refuse
{
	my ($lease, $statement, $columns) = @_;

	return $session->query(ask($lease, $statement || many('i, i'), $columns || 'a int'));
}

#
# Each error, in a transaction and in a lease that outlives it
#
my $binary = many('i');
my @errors = (
	[ '42804', 'too many columns', 'select 1, 2' ],
	[ '42804', 'too many columns, of no rows', 'select 1, 2 where false' ],
	[ '42804', 'too many columns, of many rows', many('i, i') ],
	[ '42804', 'too many columns of a command', 'insert into kept select null where false returning a, a' ],
	[ '22P02', 'a text for a number', many(q(case i when 50000 then 'x' else i::text end)) ],
	[ '22P02', 'the last value', many(q(case i when 100000 then 'x' else i::text end)) ],
	[ '22003', 'a number that is too large', many('i::bigint * 50000') ],
	[ '23514', 'what the domain does not allow', many('i'), 'a small' ],
	[ '23514', 'the same in binary format', $binary, 'a small', $binary ],
	[ '22P05', 'a character that is none', many(q('"\u0000"')), 'a jsonb' ],
	[ '55000', 'another style', q(select set_config('datestyle', 'german', true), date '2000-12-31' from)
		  . ' generate_series(1, 10000)', 't text, d date', undef, 'set local datestyle = iso' ],
	[ '22021', 'another encoding', q(select set_config('client_encoding', 'latin1', true),)
		  . ' chr(233) from generate_series(1, 10000)', 't text, a text', undef,
		'set local client_encoding = utf8' ],
	[ '53400', 'many rows of one of several statements', many(q(repeat('x', 100))) . '; select 1',
		'a text' ]);

foreach my $scope ('false', 'true')
{
	foreach (@errors)
	{
		my ($state, $what, $statement, $columns, $before, $after) = @$_;
		my $token = 'kept ' . ++$number;
		my $lease;

		$what .= $scope eq 'true' ? ' on hold' : ' in a transaction';
		$session->query('BEGIN') if $scope eq 'false';
		$lease =
		  $session->query("SELECT pool_acquire('srv', hold => $scope)")->{out};
		$session->query(ask($lease, $before, 'a int')) if $before;
		$session->query("SELECT pool_exec($lease, 'begin')");
		$session->query("SELECT pool_exec($lease, 'insert into kept values (''$token'')')");
		$session->query('SAVEPOINT s') if $scope eq 'false';
		$session->query(q(SET work_mem = '64kB'; SET temp_file_limit = '100kB'))
		  if $state eq '53400';
		is(refuse($lease, $statement, $columns)->{state}, $state, "$what is an error");
		$session->query('ROLLBACK TO s') if $scope eq 'false';
		$session->query('RESET work_mem; RESET temp_file_limit');
		$session->query("SELECT pool_exec($lease, '$after')") if $after;
		owns($lease, "the next statement has its own answer after $what");
		is($session->query("SELECT pool_exec($lease, 'commit')")->{state},
			'00000', "the remote's transaction commits after $what");
		is(sql($remote, "SELECT count(*) FROM kept WHERE a = '$token'", db => 'far'),
			1, "all of it is there after $what");
		$session->release($lease);
		$session->query('COMMIT') if $scope eq 'false';
	}
}
at_rest($local, $remote, 'after each error');

#
# A thousand in exception blocks
#
my $answer = $session->query(<<'SQL');
BEGIN;
SELECT pool_acquire('srv') AS lease \gset
SELECT pool_exec(:lease, 'begin') > -1;
SELECT set_config('test.lease', :'lease', false) > '';
DO $$
DECLARE
	lease bigint := current_setting('test.lease');
	own text;
	caught int := 0;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		BEGIN
			IF i % 2 = 0 THEN
				PERFORM * FROM pool_query(lease, 'select i, $1 from generate_series(1, 300) i',
					'old ' || i) AS t(a text);
			ELSE
				PERFORM * FROM pool_query(lease, 'insert into kept select $1 from'
					|| ' generate_series(1, 2) returning a', 'old ' || i) AS t(a int);
			END IF;
		EXCEPTION WHEN datatype_mismatch OR invalid_text_representation THEN
			caught := caught + 1;
		END;
		SELECT t INTO STRICT own FROM pool_query(lease, 'select $1', 'own ' || i) AS r(t text);
		IF own IS DISTINCT FROM 'own ' || i THEN
			RAISE EXCEPTION '% instead of own %', own, i;
		END IF;
	END LOOP;
	RAISE NOTICE 'caught %', caught;
END $$;
SELECT pool_exec(:lease, 'commit') > -1;
COMMIT;
SQL
like($answer->{err}, qr/^NOTICE:  (?:00000: )?caught 1000\n?/, 'a thousand errors are caught');
is(sql($remote, q(SELECT count(*) FROM kept WHERE a LIKE 'old %'), db => 'far'), 1000,
	'what was executed is committed');

#
# What is in the rest of the answer
#
my $lease = $session->acquire('srv');
my $fail = many('i, 1 / (90000 - i)');
my $counts = q(queries || ' ' || query_errors);
my ($queries, $failed) = split ' ', stat_of($local, $counts);
refuse($lease, $fail);
owns($lease, 'an error in the rest is not the next statement\'s');
is(stat_of($local, $counts), join(' ', $queries + 2, $failed + 1),
	'a statement counts once, and as one that has failed');
$session->query("SELECT pool_exec($lease, 'begin')");
refuse($lease, $fail);
is($session->query(ask($lease, 'select 1'))->{state}, '25P02',
	'the transaction in which it came has failed');
is($session->query("SELECT pool_exec($lease, 'rollback')")->{state}, '00000',
	'it is rolled back');
owns($lease, 'the lease goes on then');
refuse($lease, many('note(i), i'));
owns($lease, 'a notice in the rest is not shown');

# A cursor
$session->query("SELECT pool_exec($lease, 'begin; declare c cursor for"
	  . " select i from generate_series(1, 1000) i')");
refuse($lease, 'fetch 10 from c', 'a int, b int');
is($session->query(ask($lease, 'fetch 1 from c'))->{out}, 11, 'a cursor is where it was');
$session->query("SELECT pool_exec($lease, 'commit')");

# A request
$session->query('BEGIN; SAVEPOINT s');
refuse($lease);
$session->query('ROLLBACK TO s');
my $request = $session->query("SELECT pool_send($lease, 'select ''asked''')")->{out};
is($session->query("SELECT t FROM pool_result($request) r(t text)")->{out}, 'asked',
	'a request has its own answer');
$session->query('COMMIT');

# Errors one after the other, and a description
refuse($lease) foreach 1 .. 3;
owns($lease, 'several errors in a row cost nothing');
refuse($lease);
owns(q('srv'), 'another statement of the session goes on');
owns($lease, 'and the lease, too');

# COPY
$session->query(q(SET work_mem = '64kB'; SET temp_file_limit = '100kB'));
is(refuse($lease, many(q(repeat('x', 100))) . '; copy (select 1) to stdout', 'a text')->{state},
	'53400', 'an error comes before a COPY');
$session->query('RESET work_mem; RESET temp_file_limit');
is_lost($lease, 'goes on with a COPY', 'a COPY in the rest ends the connection');
is_lost($lease, 'failed before its answer', 'the lease says so again');
$session->release($lease);

# How much is read
$lease = $session->acquire('srv');
refuse($lease, q(select i, repeat('x', 1000000) from generate_series(1, 50) i));
owns($lease, '50 MB are read');
refuse($lease, q(select i, repeat('x', 1000000) from generate_series(1, 90) i));
is_lost($lease, 'More than 64 MB', '90 MB are not');
$session->release($lease);

# A reset that went with the statement is rolled back with it.
my $other = session($local);
my $name = q(select application_name from pg_stat_activity where pid = pg_backend_pid());
$other->query(ask(q('single'), $name));
$lease = $session->acquire('single');
refuse($lease, $fail);
like($session->query(ask($lease, $name))->{out}, qr/ ${\ $session->pid }$/,
	'the handover is proven again after an error in the rest');
$session->release($lease);

# Before it is proven nobody knows what there is to be read.
foreach my $point (qw(proof_sent proof_reset_read))
{
	$other->query(ask(q('single'), $name));
	$lease = $session->acquire('single');
	arm($session, "$point error");
	is($session->query(ask($lease, 'select 1'))->{state}, 'XX000', "$point fails in a lease");
	disarm($session);
	is_lost($lease, 'failed before', 'the lease has lost its connection then');
	$session->release($lease);
}
$other->quit;

# What is prepared is not counted on any more.
my $prepared = 'select a from kept where false';

$session->query(ask(q('single'), $prepared)) foreach 1 .. 4;
$lease = $session->acquire('single');
my $hits = stat_of($local, 'statement_hits', 'single');
$session->query(ask($lease, $prepared));
is(stat_of($local, 'statement_hits', 'single'), ++$hits, 'a statement is prepared');
refuse($lease);
is($session->query(ask($lease, $prepared))->{state}, '00000', 'after an error it runs');
is(stat_of($local, 'statement_hits', 'single'), $hits, 'nothing counts as prepared then');
$session->release($lease);

#
# The lease ends with a rest
#
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$session->query("SELECT pool_exec($lease, 'begin; insert into kept values (''lost'')')");
$session->query('SAVEPOINT s');
refuse($lease);
$session->query('ROLLBACK TO s');
like($session->query('COMMIT')->{err}, qr/ends with an open transaction/,
	'a warning says that the remote transaction is rolled back');
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$session->query('SAVEPOINT s');
refuse($lease);
$session->query('ROLLBACK TO s');
is($session->query('COMMIT')->{err}, '', 'without one there is no warning');
$lease = $session->acquire('single');
$session->query("SELECT pool_exec($lease, 'begin')");
$session->release($lease);
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('single')))->{out};
$session->query('SAVEPOINT s');
refuse($lease);
$session->query('ROLLBACK TO s');
is($session->query('COMMIT')->{err}, '', 'nor for one of an earlier lease');
my $closed = stat_of($local, 'closed_error');
$lease = $session->acquire('srv');
refuse($lease);
is($session->release($lease)->{state}, '00000', 'the lease is released');
wait_for_value($local, q(SELECT closed_error FROM pool_stats_all() WHERE server = 'srv'),
	$closed + 1, 'its connection is closed');
owns(q('srv'), 'another one takes its place');
my $leaver = session($local);
$lease = $leaver->acquire('srv');
$leaver->query(ask($lease, many('i, i'), 'a int'));
my $pid = $leaver->pid;
sql($local, "SELECT pg_terminate_backend($pid)");
wait_for_session_end($local, $pid, 'a session ends with a rest');
$leaver->die_now;
at_rest($local, $remote, 'after leases that ended with a rest');

#
# It cannot be read
#
my $slow = 'select i, case i when 90000 then pg_sleep(60)::text end from'
  . ' generate_series(1, 90001) i';
my %asleep = (condition => q(query LIKE '%pg_sleep(60)%'));

# A statement that waits for the rest is cancelled.
$lease = $session->acquire('srv');
is(refuse($lease, $slow)->{state}, '42804', 'an error comes at once');
$session->begin(ask($lease, 'select 1'));
wait_for_value($local, q(SELECT wait_event IN ('PoolQuery', 'Extension'))
	  . ' FROM pg_stat_activity WHERE pid = ' . $session->pid, 't', 'the next statement waits for the rest');
sql($local, 'SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->result->{state}, '57014', 'and can be cancelled');
is_lost($lease, 'canceled', 'the lease has lost its connection then');
$session->release($lease);
wait_for_app_sessions($remote, 0, 'the statement ends at the remote', %asleep);

# So it is with one that is cancelled while a value is read.
$lease = $session->acquire('srv');
$session->query(q(SET statement_timeout = '200ms'));
is(refuse($lease, many('i'), 'a lazy')->{state}, '57014', 'a check takes too long');
$session->query('RESET statement_timeout');
is_lost($lease, 'canceled', 'a lease is not kept after a time-out');
$session->release($lease);

# query_timeout
$lease = $session->acquire('hasty');
my $backend = $session->query(ask($lease, 'select pg_backend_pid()'))->{out};
is(refuse($lease, q(select i, repeat('x', 1000000) from generate_series(1, 40) i))->{state},
	'42804', 'the remote cannot send all');
kill 'STOP', $backend;
$answer = $session->query(ask($lease, 'select 1'));
kill 'CONT', $backend;
is($answer->{state}, '57014', 'query_timeout holds for the rest');
like($answer->{err}, qr/The rest of the answer to an earlier statement did not come within 2000 ms/,
	'the error says for what the time was too short');
is_lost($lease, 'canceled', 'the connection is closed');
$session->release($lease);

# It holds for the rest and the statement together.
$lease = $session->acquire('hasty');
refuse($lease, 'select i, case i when 9000 then pg_sleep(1.5)::text end from'
	  . ' generate_series(1, 9001) i');
is($session->query(ask($lease, 'select pg_sleep(1.5)'))->{state}, '57014',
	'the rest and the statement have one query_timeout');
$session->release($lease);

# The remote ends its session.
$lease = $session->acquire('srv');
$backend = $session->query(ask($lease, 'select pg_backend_pid()'))->{out};
refuse($lease, $slow);
sql($remote, "SELECT pg_terminate_backend($backend)");
$answer = $session->query(ask($lease, 'select 1'));
like("$answer->{state} $answer->{err}", qr/^57P01 .*The statement was not sent/s,
	'the next statement is told that the remote has ended its session');
is_lost($lease, 'found to be lost', 'the lease says what was found');
$session->release($lease);

# The worker ends.
$lease = $session->acquire('srv');
refuse($lease, $slow);
sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
$answer = $session->query(ask($lease, 'select 1'));
like("$answer->{state} $answer->{err}",
	qr/^08006 .*connection of lease $lease to server "srv" was lost.*The statement was not sent/s,
	'the next statement is told that the connection is lost');
is_lost($lease, 'found to be lost', 'the lease is lost with the worker');
$session->release($lease);
wait_for_app_sessions($remote, 0, 'nothing runs at the remote', %asleep);

# The lease is reclaimed.
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$session->query("SELECT pool_exec($lease, 'begin')");
$session->query('SAVEPOINT s');
refuse($lease);
$session->query('ROLLBACK TO s');
sql($local, q(SELECT pool_close('srv')));
$answer = $session->query(ask($lease, 'select 1'));
like("$answer->{state} $answer->{err}", qr/^08003 .*was reclaimed/,
	'a lease that was reclaimed says so');
$session->query('ROLLBACK TO s');
is_lost($lease, 'It was reclaimed', 'and again');
$session->query('ROLLBACK TO s');
is($session->query('COMMIT')->{err}, '', 'its rest is nothing to be warned of any more');

# An error while the rest is read
foreach my $point (qw(run_allowed run_begin run_woken run_row run_before_end run_done
	backlog_read))
{
	$lease = $session->acquire('srv');
	refuse($lease);
	arm($session, "$point error");
	is($session->query(ask($lease, 'select 1'))->{state}, 'XX000', "$point fails in a rest");
	disarm($session);
	$answer = $session->query(ask($lease, q(select 'own')));
	like("$answer->{state} $answer->{out}", qr/^(?:00000 own|08003 )$/,
		"after that the lease works, or has lost its connection") or diag($answer->{err});
	$session->release($lease);
}

# What a connection of dblink's holds libpq is asked for between two statements.
sql($local, 'CREATE EXTENSION pool_dblink');
$session->query(q{SET pool_dblink.mode = 'session'; SELECT dblink_connect('x', 'srv')});
$session->query(q(SET work_mem = '64kB'; SET temp_file_limit = '100kB'));
is($session->query(q{SELECT * FROM dblink('x', 'select repeat(''x'', 100) from}
		  . q{ generate_series(1, 100000)') AS t(a text)})->{state}, '53400',
	'a result of dblink is too large');
$session->query('RESET work_mem; RESET temp_file_limit');
is($session->query(q{SELECT * FROM dblink('x', 'select 1') AS t(a text)})->{state}, '08003',
	'its connection is lost');
$session->query(q{SELECT dblink_disconnect('x')});
owns(q('srv'), 'the pool goes on');

$session->quit;
at_rest($local, $remote, 'in the end');
no_crash($local, $remote);
done_testing();
