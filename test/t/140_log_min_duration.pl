# 140_log_min_duration.pl
#	pool.log_min_duration: the log gets a line for each remote statement that took so
#	long, whatever became of it, with its text and values; nobody but the log does.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_server($local, 'srv', $remote, options => { max_size => 1, acquire_timeout => '60s' });
create_server($local, 'cached', $remote, options => { max_size => 1 });
sql($local, <<'SQL');
CREATE ROLE nobody;
GRANT SET ON PARAMETER client_min_messages TO nobody;
CREATE FUNCTION calls() RETURNS bigint LANGUAGE plpgsql AS
$$ BEGIN RETURN pool_exec('srv', 'select 1 as inside'); END $$;
SQL

my $session = session($local);
my $other = session($local);

# logged(query): what the log says of the statements of a query: the lines
sub logged
{
	my ($query, $who) = @_;
	my $offset = log_offset($local);

	$who ||= $session;
	$who->query($query);
	return grep { /duration:|DETAIL|CONTEXT|STATEMENT/ } split /\n/,
	  log_since($local, $offset);
}

# lines(query): only those that the setting asks for
sub lines { return grep { /duration:/ } logged(@_); }

# runs(statement, what): a test: the remote is at work on this one, and not on one that
# it still has to cancel
sub runs
{
	my ($statement, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, 1, $what,
		condition => "state = 'active' AND query = '$statement'", seconds => 20);
}

my $times = qr/duration: (\d+\.\d{3}) ms  wait: (\d+\.\d{3}) ms/;

#
# Off, and from which duration on
#
is(lines(select_42('srv')), 0, 'off by default');
$session->query('SET pool.log_min_duration = 0');
my ($line) = lines(select_42('srv'));
like($line, qr/LOG:  remote statement on server "srv": $times  rows: 1  statement: select 42$/,
	'0 logs each statement');
$session->query(q(SET pool.log_min_duration = '1h'));
is(lines(select_42('srv')), 0, 'one that took less is not logged');
$session->query(q(SET pool.log_min_duration = '50ms'));
($line) = lines(q(SELECT pool_query('srv', 'select pg_sleep(0.06)')));
like($line, qr/$times/, 'one that took longer is');
my ($duration) = ($line // '') =~ $times;
cmp_ok($duration // 0, '>=', 60, 'and the remote its time');

#
# The wait for the connection counts, and is told apart
#
my $lease = $other->acquire('srv');
my $offset = log_offset($local);
$session->begin(select_42('srv'));
wait_for_waiters($local, 1, 'a session waits for the connection', 'srv');
wait_until(20, sub {
	sql($local, q(SELECT bool_and(clock_timestamp() - since > interval '60ms') FROM pool_waiters))
	  eq 't' });
$other->release($lease);
is($session->result->{out}, '42', 'it is served in the end');
my ($waited) = (log_since($local, $offset) =~ $times)[1];
cmp_ok($waited // 0, '>=', 60, 'its wait is in the log');
$session->query('SET pool.log_min_duration = 0');
$other->query(select_42('srv'));
is((grep { /DETAIL:  The remote process is \d+, and was reset before/ } logged(select_42('srv'))),
	1, 'so is a handover');

#
# Which statements, and what of them
#
my $pid = sql($local, q(SELECT remote_pid FROM pool_connections WHERE server = 'srv'));
is((grep { /DETAIL:  The remote process is $pid/ } logged(select_42('srv'))),
	1, 'which process it was on the remote');
is( join(' ', map { /rows: (\d+)/ } lines(
			q(SELECT pool_query('srv', 'select generate_series(1, 7)');
			SELECT pool_exec('srv', 'create table t as select generate_series(1, 5) a');
			SELECT pool_exec('srv', 'delete from t where a < 4');
			SELECT pool_query_json('srv', 'select 1 as a');
			SELECT pool_exec('srv', 'select 1; select 2')))),
	'7 5 3 1 2', 'rows that came, or were affected');
is( join("\n", lines(q(
			BEGIN;
			SELECT pool_acquire('srv') AS lease \gset
			SELECT pool_exec(:lease, 'select ''on a lease''');
			SELECT pool_exec(:lease, 'select ''again''');
			COMMIT))) =~ s/.*statement: //gr,
	"select 'on a lease'\nselect 'again'", 'statements on a lease are, its own begin and end are not');
$line = join "\n", logged('SELECT calls()');
like($line, qr/select 1 as inside/, 'one that a function sends');
like($line, qr/CONTEXT:  .*select 1 as inside|CONTEXT:  PL\/pgSQL function calls/, 'with where that is');
unlike($line, qr/STATEMENT/, 'and without the text twice');

# By name, and described: 1000 rows and more come in binary format.
is(scalar(lines(join ';', (q(SELECT pool_exec('cached', 'select $1', 1))) x 5)), 5,
	'those that go by name');
my $large = q(SELECT count(*) FROM pool_query('srv', 'select generate_series(1, 2000)') AS t(a int));
is( join(' ', map { /rows: (\d+)/ } lines("$large; $large; $large")),
	'2000 2000 2000',
	'those that are described before they are executed');

#
# Parameters
#
my $params = q(SELECT pool_exec('srv', 'select $1, $2, $3, $4, $5', 7, 'it''s long'::text, NULL::int,
	'\xdeadbeef00'::bytea, '{1,2}'::int[]));
my $is = sub { return join '', map { /Parameters: (.*)/ ? $1 : '' } logged($_[0]) };
is($is->($params),
	q($1 = '7', $2 = 'it''s long', $3 = NULL, $4 = '\xdeadbeef00', $5 = (36 bytes in binary format)),
	'all parameters, by default');
$session->query('SET log_parameter_max_length = 4');
is($is->($params),
	q($1 = '7', $2 = 'it''s...', $3 = NULL, $4 = '\xde...', $5 = (36 bytes in binary format)),
	'cut as log_parameter_max_length says');
$session->query('SET log_parameter_max_length = 0');
is($is->($params), '', 'or none');
$session->query('RESET log_parameter_max_length');
my $fails = q(SELECT pool_exec('srv', 'select 1 / $1', 0));
is($is->($fails), '', 'none of a statement that failed');
$session->query('SET log_parameter_max_length_on_error = -1');
is($is->($fails), q($1 = '0'), 'unless log_parameter_max_length_on_error says so');

# The line has to fit into a string, whatever the log adds.
$offset = log_offset($local);
is($session->query(q(SELECT pool_exec('srv', 'select 1 --' || repeat('x', 70000000))))->{state},
	'00000', 'a huge statement is executed');
my ($huge) = log_since($local, $offset) =~ /select 1 --(x+)/;
cmp_ok(length($huge // ''), '<', 68_000_000, 'and logged, but for its end');
cmp_ok(length($huge // ''), '>', 60_000_000, 'of which nobody would read more');
undef $huge;

#
# Those that did not go well
#
($line) = lines(q(SELECT pool_exec('srv', 'select 1/0')));
like($line, qr/rows: 0  error: 22012  statement: select 1\/0/, 'an error of the remote');
($line) = lines(q(SELECT * FROM pool_query('srv', 'select ''x''') AS t(a int)));
like($line, qr/error: 22P02  statement: select 'x'/, 'an error of this session in the middle');
($line) = lines(q(SELECT pool_exec('srv', 'begin')));
like($line, qr/error: 25000  statement: begin/, 'one that left a transaction open');
$offset = log_offset($local);
$session->begin(q(SELECT pool_exec('srv', 'select pg_sleep(60)')));
runs('select pg_sleep(60)', 'the remote is at work');
sql($local, 'SELECT pg_cancel_backend(' . $session->pid . ')');
is($session->result->{state}, '57014', 'a statement is canceled');
like(log_since($local, $offset), qr/error: 57014  statement: select pg_sleep\(60\)/, 'and logged');
$offset = log_offset($local);
$session->begin(q(SELECT pool_exec('srv', 'select pg_sleep(61)')));
runs('select pg_sleep(61)', 'the remote is at work again');
terminate_app_sessions($remote);
is($session->result->{state}, '57P01', 'the connection is lost');
like(log_since($local, $offset), qr/error: 57P01  statement: select pg_sleep\(61\)/, 'and logged');
$offset = log_offset($local);
$other->query('SET pool.log_min_duration = 0');
$other->begin(q(SELECT pool_exec('srv', 'select pg_sleep(62)')));
runs('select pg_sleep(62)', 'the remote is at work for another session');
sql($local, 'SELECT pg_terminate_backend(' . $other->pid . ')');
is($other->result->{state}, '57P01', 'that is terminated');
unlike(log_since($local, $offset), qr/duration:/, 'what it did is not logged');
$other->quit;

#
# Who sees it
#
my $answer = $session->query("SET client_min_messages = log; $params; $fails");
unlike($answer->{err}, qr/duration:/, 'no client sees it');
like($answer->{err}, qr/22012/, 'but its error');
is($session->query('SET ROLE nobody; SET pool.log_min_duration = 0')->{state},
	'42501', 'a user cannot turn it on');
is($session->query('SET pool.log_min_duration = -1')->{state}, '42501', 'nor off');
$session->query('RESET ROLE');

$session->quit;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);
done_testing();
