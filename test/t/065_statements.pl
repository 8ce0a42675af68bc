# 065_statements.pl
#	What bounds a statement, and what is told of one that could not be run.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $session = session($local);

sub server { return new_server($local, $remote, {@_}); }

# The remote sessions of a pool with as many idle connections
sub fill
{
	my ($server, $connections) = @_;
	my @leases = map { [ acquire_lease($session, $server) ] } 1 .. $connections;

	$session->release($_->[0]) foreach @leases;
	settled($local, "$connections connections of $server are idle");
	return map { $_->[1] } @leases;
}

#
# query_timeout, when the remotes of idle connections do not answer
#
sub run_while_stopped
{
	my ($statement, $validate_after_idle) = @_;
	my $server = server(
		query_timeout => '2s',
		health_check_timeout => '40s',
		validate_after_idle => $validate_after_idle,
		health_check_interval => 0);
	my @stopped = fill($server, 2);
	my $answer;

	kill 'STOP', @stopped;
	$answer = $session->query("SELECT pool_exec('$server', '$statement')", 30);
	kill 'CONT', @stopped;
	$session->result if $answer->{state} eq 'timeout';
	return $answer;
}

my $answer = run_while_stopped('select 1; select 2', '1h');
is($answer->{state}, '57014',
	'query_timeout holds for a string of several statements when the remote does not answer');
like($answer->{err}, qr/DETAIL: .*was not sent/,
	'the error tells that a string of several statements was not sent');
is(run_while_stopped($_, 0)->{out},
	1, "query_timeout bounds a validation, after which another connection runs: $_")
  foreach 'select 1', 'select 1; select 2';

#
# A reset that somebody wrote: it is bounded by health_check_timeout, and blamed
# when it goes wrong, and no statement is sent after it.
#
my %reset = (
	'takes too long' => [ 'select pg_sleep(100)', '08006', 'within 1000 ms' ],
	'begins a transaction' => [ 'begin', '08006', '"reset_query" has left a transaction open' ],
	'fails' => [ 'select 1/0', '22012', 'did not accept the reset .*division by zero' ]);
$remote->safe_psql('far', 'CREATE TABLE done (a text); GRANT ALL ON done TO app');
foreach my $what (sort keys %reset)
{
	foreach my $how ('a statement', 'a command', 'a string of several statements')
	{
		my ($query, $state, $blame) = @{ $reset{$what} };
		my $server = server(
			reset_query => $query,
			health_check_timeout => $what eq 'takes too long' ? '1s' : '1min');
		my $insert = "insert into done values (''$what'')";
		my %statement = (
			'a statement' => $insert,
			'a command' => "explain analyze $insert",
			'a string of several statements' => "$insert; select 1");
		my $answer = $session->query("SELECT pool_exec('$server', '$statement{$how}')", 30);

		$session->result if $answer->{state} eq 'timeout';
		is($answer->{state}, $state, "a reset that $what fails $how");
		like($answer->{err}, qr/DETAIL: .*$blame/, "a reset that $what is blamed for $how");
		like($answer->{err}, qr/HINT: .*not executed/,
			"the error tells that $how was not executed");
	}
}
is(sql($remote, 'SELECT count(*) FROM done', db => 'far'),
	0, 'no statement is executed after a reset that went wrong');

#
# query_timeout and WHEN OTHERS, as the manual has it
#
my $slow = server(query_timeout => '100ms');
my $block = "DO \$x\$ BEGIN PERFORM pool_exec('$slow', 'select pg_sleep(100)');";
is($session->query("$block EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught'; END \$x\$")->{state},
	'57014', 'WHEN OTHERS does not catch query_timeout');
like(
	$session->query("$block EXCEPTION WHEN query_canceled OR OTHERS THEN "
		  . "RAISE NOTICE 'caught %', SQLSTATE; END \$x\$")->{err},
	qr/caught 57014/, 'WHEN query_canceled catches query_timeout');
like(
	$session->query("SET statement_timeout = '300ms';"
		  . "ALTER SERVER $slow OPTIONS (DROP query_timeout);"
		  . "$block EXCEPTION WHEN query_canceled OR OTHERS THEN "
		  . "IF SQLERRM NOT LIKE '%query_timeout' "
		  . "THEN RAISE; END IF; END \$x\$; RESET statement_timeout")->{err},
	qr/57014: .*statement timeout/, 'a time-out of the session can be told from query_timeout');

#
# What is refused before anything is sent
#
my $any = server();
my $before = stat_of($local, 'acquires', $any);
$answer = $session->query(<<"SQL");
DO \$x\$
DECLARE
	b bytea := convert_to(repeat('x', 270000000), 'UTF8');
BEGIN
	PERFORM pool_exec('$any', 'select 1', b, b, b, b);
END \$x\$
SQL
is($answer->{state}, '54000', 'parameters of more than a gigabyte are refused')
  or diag($answer->{err});
is(stat_of($local, 'acquires', $any), $before,
	'no connection is acquired for what is refused at once');

# A type that has another OID on the remote, or none
sql($local, 'CREATE TYPE local_range AS RANGE (subtype = int4)');
is($session->query("SELECT t FROM pool_query('$any', 'select \$1', local_range(1, 3)) AS r(t text)")
	->{out}, '[1,3)', 'a parameter of a type of our own is sent without its OID');

# A value about a role, which is not here
is($session->query("SELECT j ->> 'a' FROM pool_query_json('$any', "
	  . q{'select ''app=r/app''::aclitem as a') j})->{out},
	'app=r/app', 'a value about a role of the remote is text here');

# A function that says of itself what it should not
sql($local, <<'SQL');
CREATE FUNCTION use(lease bigint) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS
$$ BEGIN RETURN pool_exec(lease, 'select 1'); END $$;
CREATE TABLE one AS SELECT 1 AS a;
SQL
$answer = $session->query(<<"SQL");
BEGIN;
SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL parallel_leader_participation = off;
SELECT pool_acquire('$any') AS lease \\gset
SELECT sum(use(:lease * a)) FROM one;
ROLLBACK;
SQL
is($answer->{state}, '25000', 'a lease is refused in a parallel worker');
like($answer->{err}, qr/parallel worker/, 'the error names the parallel worker as the reason');

#
# Styles that a statement sets for itself alone
#
my %style = (
	DateStyle => {
		values => [ 'SQL, DMY', 'German', 'Postgres, DMY' ],
		types => {
			date => '2024-02-03',
			timestamp => '2024-02-03 04:05',
			timestamptz => '2024-02-03 04:05',
			'date[]' => '{2024-02-03}',
			daterange => '[2024-02-03,2024-02-05)',
			tstzmultirange => '{[2024-02-03 04:05,2024-02-05 06:07)}' } },
	IntervalStyle => {
		values => [ 'sql_standard', 'iso_8601', 'postgres_verbose' ],
		types => { interval => '-1 day -02:03:04', 'interval[]' => '{"1 mon -1 day"}' } });

foreach my $setting (sort keys %style)
{
	my ($values, $types) = @{ $style{$setting} }{ 'values', 'types' };

	foreach my $value (@$values)
	{
		foreach my $type (sort keys %$types)
		{
			$answer = $session->query("SELECT t FROM pool_query('$any', "
				  . "'select \$1, set_config(''$setting'', ''$value'', true)', "
				  . "'$types->{$type}'::$type) AS r(t $type, s text)");
			is($answer->{state}, '55000',
				"$type is refused in a statement that sets $setting to $value for itself")
			  or diag($answer->{err}, $answer->{out});
		}
	}
}

# What the connection's own styles write is let through.
my %values = (
	date => [ '2024-02-03', '12345-02-03', '0099-02-03', '0044-03-15 BC', 'infinity', '-infinity' ],
	timestamptz => [ '2024-02-03 04:05:06.789+05:30', '0044-03-15 04:05+00 BC', 'infinity' ],
	timestamp => [ '2024-02-03 04:05:06.789', '294276-12-31 23:59:59.999999', '-infinity' ],
	'date[]' => [ '{}', '{2024-02-03,NULL,infinity}', '[0:1]={2024-02-03,2024-02-04}' ],
	'timestamp[]' =>
	  [ '{{"2024-02-03 04:05:06"},{NULL}}', '[-1:0]={"2024-02-03 04:05",-infinity}' ],
	daterange => [ 'empty', '[2024-02-03,)', '(,)', '[2024-02-03,infinity)' ],
	tsmultirange => [ '{}', '{["2024-02-03 04:05:06","2024-02-04 04:05:06"),[infinity,]}' ],
	interval => [ '0', '04:05:06.789', '-04:05:06', '1 mon', '-1 year -2 mons +3 days -04:05:06' ],
	'interval[]' => [ '{}', '{04:05:06,"1 mon -1 day",NULL}', '[2:2]={"1 day"}' ]);
foreach my $type (sort keys %values)
{
	my $list = join ', ', map { "('$_'::$type)" } @{ $values{$type} };
	$answer = $session->query("SET timezone = 'Asia/Kolkata'; "
		  . "SELECT bool_and(v IS NOT DISTINCT FROM "
		  . "(SELECT t FROM pool_query('$any', 'select \$1', v) AS r(t $type))) "
		  . "FROM (VALUES $list) AS v(v)");
	is($answer->{out}, 't', "values of type $type come back as they were sent")
	  or diag($answer->{err});
}

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
