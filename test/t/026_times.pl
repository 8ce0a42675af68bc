# 026_times.pl
#	Percentiles are within 10 per cent of the exact ones: of series that are known,
#	and of statements whose time is known.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

# The computation by itself.
my $dir = PostgreSQL::Test::Utils::tempdir;
my ($include) = run_command([ 'pg_config', '--includedir-server' ]);
system_or_bail(
	'cc', '-O1', '-D_GNU_SOURCE', "-I$include", "-I$FindBin::RealBin/../../src",
	'-o', "$dir/histogram", "$FindBin::RealBin/histogram.c", '-lm');
my ($output, $errors) = run_command([ "$dir/histogram" ]);
unlike($output, qr/wrong/, 'each time is in the bucket that bounds it');
my %worst;
foreach my $line (split /\n/, $output)
{
	my ($name, $what, $exact, $computed) = split / /, $line;

	if ($name eq 'edge')
	{
		is($computed, $exact, "what took up to $what s is counted exactly");
	}
	elsif ($what =~ /^[\d.]+$/)
	{
		my $error = abs($computed - $exact) / $exact;

		$worst{$name} = $error if $error >= ($worst{$name} // 0);
	}
	else
	{
		is($computed, $exact, "the $what of the series $name is exact");
	}
}
is(scalar keys %worst, 5, 'percentiles of five series are computed');
cmp_ok($worst{$_}, '<', 0.0625 + 1e-9,
	sprintf 'percentiles of the series %s are off by at most %.1f %%', $_, $worst{$_} * 100)
  foreach sort keys %worst;

# Statements that sleep for 20 ms, 40 ms, ... 400 ms: what a busy machine adds
# makes them longer, never shorter.  How long they took is measured around them, too.
my $remote = start_remote();
my $local = start_local();
create_server($local, 'srv', $remote, options => { max_size => 1 });
sql($local, q(SELECT pool_prewarm('srv', 1); SELECT pool_stats_reset('srv')));
my @took = sort { $a <=> $b } split /,/, sql($local, <<'SQL');
CREATE FUNCTION took() RETURNS SETOF numeric LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz;
BEGIN
	FOR i IN 1 .. 20 LOOP
		began := clock_timestamp();
		PERFORM pool_query('srv', 'select pg_sleep($1)', i * 0.02::float8);
		RETURN NEXT 1000 * extract(epoch FROM clock_timestamp() - began);
	END LOOP;
END $$;
SELECT string_agg(ms::text, ',') FROM took() AS ms;
SQL

# time_of(metric, expression): of the row of pool_stats_times
sub time_of
{
	my ($metric, $expression) = @_;

	return sql($local,
		"SELECT $expression FROM pool_stats_times WHERE server = 'srv' AND metric = '$metric'");
}
my %exact = (p50 => 200, p95 => 380, p99 => 400, max => 400);
my %longest = (p50 => $took[9], p95 => $took[18], p99 => $took[19], max => $took[19]);
foreach my $what ('query', 'lease')
{
	foreach my $which (sort keys %exact)
	{
		my $ms = time_of($what, $which);

		cmp_ok($ms, '>=', $exact{$which} * 0.9,
			"the $which of $what, which is $ms, is not less than the statements slept");
		cmp_ok($ms, '<=', $longest{$which} * 1.1,
			"the $which of $what, which is $ms, is not much more than the statements took");
	}
}
is(time_of('query', 'p50 <= p95 AND p95 <= p99 AND p99 <= max'), 't',
	'the percentiles of statements are in order');
is(time_of('query', 'count'), 20, 'the number of statements that were timed is right');
is(stat_of($local, 'query_p95'), time_of('query', 'p95'),
	'pool_stats and pool_stats_times have the same percentile of statements');
is(stat_of($local, 'wait_p95'), time_of('wait', 'p95'),
	'pool_stats and pool_stats_times have the same percentile of waits');
my $sum = sql($local,
	q(SELECT sum FROM pool_histogram('srv') WHERE metric = 'query' AND le = 'Infinity'));
cmp_ok(abs(time_of('query', 'avg') * 20 - $sum), '<', 0.001,
	'the average is the sum of the histogram by the number of statements');

# The histogram has the same.
is( sql($local, q(SELECT count FROM pool_histogram('srv', 8)
		WHERE metric = 'query' AND le = 'Infinity')),
	20, 'the last bucket counts all statements');
is( sql($local, q(SELECT bool_and(good) FROM (SELECT count >= lag(count, 1, 0::bigint) OVER w
			AND le > lag(le, 1, 0::float8) OVER w AS good
		FROM pool_histogram('srv', 8) WINDOW w AS (PARTITION BY metric ORDER BY le)) AS t)),
	't', 'counts and bounds of a histogram grow from bucket to bucket');
is( sql($local, q(SELECT string_agg(concat_ws(' ', metric, n, total), ', ' ORDER BY metric)
		FROM (SELECT metric, count(*) AS n, max(count) AS total
			FROM pool_histogram('srv') GROUP BY metric) AS t)),
	'connect 29 0, lease 29 20, query 29 20, wait 29 20',
	'each histogram has a bucket for each doubling of the time');
is(sql($local, q(SELECT count(*) FROM pool_histogram('srv', 8))), 4 * 225,
	'each histogram has eight buckets for each doubling if that is wanted');
my ($state, $err) = sql_state($local, q(SELECT * FROM pool_histogram('srv', 3)));
is($state, '22023', 'three buckets for each doubling are refused');
($state) = sql_state($local, q(SELECT * FROM pool_histogram('nothing')));
is($state, '42704', 'a histogram of a server that does not exist is refused');

# It can be turned off.
sql($local, q(SET pool.track_timing = off; SELECT pool_query('srv', 'select 1')));
is(sql($local, q(SELECT max(count) FROM pool_histogram('srv'))), 20,
	'nothing is timed while pool.track_timing is off');
is(stat_of($local, 'queries'), 21, 'statements are counted while pool.track_timing is off');

no_crash($local, $remote);

done_testing();
