# 141_explain.pl
#	What EXPLAIN, auto_explain and pg_stat_statements say of remote statements, and
#	how an administrator gets a better estimate and statistics of each: all that
#	doc/monitoring.md promises of it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local(
	shared_preload_libraries => "'pool, pg_stat_statements, auto_explain'",
	'pg_stat_statements.track' => 'top');
create_server($local, 'srv', $remote, options => { max_size => 1, acquire_timeout => '60s' });
sql($local, <<'SQL');
CREATE EXTENSION pg_stat_statements;
CREATE FUNCTION report(n int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT sum(a) FROM pool_query('srv',
		'select g from generate_series(1, $1) g, pg_sleep(0.02)', n) AS t(a int));
END $$;
CREATE FUNCTION customers() RETURNS TABLE (id int, name text) LANGUAGE sql ROWS 50 AS $$
	SELECT * FROM pool_query('srv', 'select 1, ''a''') AS t(id int, name text)
$$;
SQL
my $session = session($local);
my $query = q(SELECT * FROM pool_query('srv',
	'select g from generate_series(1, $1) g, pg_sleep(0.02)', 5) AS t(a int));

#
# EXPLAIN
#
my $call = q(pool_query('srv'::text, 'select g from generate_series(1, $1) g, pg_sleep(0.02)'::text, 5));
my $before = stat_of($local, 'queries', 'srv');
my $plan = $session->query("EXPLAIN (VERBOSE) $query")->{out};
like($plan, qr/Function Scan on public\.pool_query t /, 'a function scan');
like($plan, qr/Function Call: \Q$call\E/, 'with the server, the text and its parameters');
is(stat_of($local, 'queries', 'srv'), $before, 'nothing was sent for that');
$plan = $session->query("EXPLAIN (ANALYZE) $query")->{out};
my ($time, $rows) = $plan =~ /actual time=([\d.]+)\S* rows=(\d+)/;
is($rows, 5, 'ANALYZE has the rows that came');
cmp_ok($time, '>=', 20, 'and the time that the remote took');
$plan = decode_json($session->query("EXPLAIN (ANALYZE, VERBOSE, FORMAT json) $query")->{out});
is($plan->[0]{Plan}{'Function Call'}, $call, 'so has JSON');
is($plan->[0]{Plan}{'Actual Rows'}, 5, 'with the rows');

# Estimates
sub estimate
{
	my ($from) = @_;
	my ($found) = $session->query("EXPLAIN SELECT * FROM $from")->{out} =~ /rows=(\d+)/;

	return $found;
}
my $from = q(pool_query('srv', 'select 1') AS t(a int));
is(estimate($from), 1000, 'a thousand rows are expected of each statement');
is(estimate('customers()'), 50, 'of a function around it as many as its ROWS says');
$session->query('ALTER FUNCTION pool_query(text, text) ROWS 10');
is(estimate($from), 10, 'and of all, as many as an administrator says');

#
# auto_explain
#
$session->query('SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;'
	  . ' SET auto_explain.log_analyze = on; SET auto_explain.log_verbose = on');
my $offset = log_offset($local);
is($session->query('SELECT report(5)')->{out}, '15', 'a function queries a remote');
my $log = log_since($local, $offset);
$session->query('SET auto_explain.log_min_duration = -1');
my $scan = qr/->  Function Scan on public\.pool_query t .*actual time=([\d.]+)\S* rows=5.*\n.*\n/;
like($log, qr/LOG:  duration: [\d.]+ ms  plan:(?:\n\t.*)+$scan\t\s+Function Call: \Q$call\E/,
	'auto_explain logs the plan of what it runs, with the call');
cmp_ok(($log =~ $scan)[0] // 0, '>=', 20, 'and its time');
like($log, qr/CONTEXT:  .*PL\/pgSQL function report\(integer\) line 3 at RETURN/s, 'and where it was');

#
# pg_stat_statements
#
sub calls
{
	return $session->query('SELECT sum(calls), count(*) FROM pg_stat_statements'
		  . " WHERE query ~ '^SELECT .*$_[0]'")->{out};
}
$session->query('SELECT pg_stat_statements_reset()');
$session->query("SELECT pool_exec('srv', 'select $_')") foreach 1, 2, 2;
is(calls('pool_exec[(]'), '3|1', 'pg_stat_statements takes all texts for one statement');
like( $session->query(q(SELECT query FROM pg_stat_statements WHERE query ~ 'pool_exec'))->{out},
	qr/pool_exec\(\$1, \$2\)/,
	'whose text says neither server nor query');
$session->query('SELECT * FROM customers()') foreach 1, 2;
is(calls('customers[(]'), '2|1', 'a function around it has an entry of its own');

$session->quit;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);
done_testing();
