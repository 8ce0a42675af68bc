# 030_statistics_sums.pl
#	What adds up at every moment, also under load and across resets: leases and
#	connections are where the counters say, counters only grow, and histograms,
#	counters, averages and percentiles agree.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::History;
use PoolTest::Statistics;
use Test::More;
use Time::HiRes qw(time);

my ($local, $remote) = start_history();
my $one = session($local);

# Two pools that have nothing to do with the load
my ($dead, $dead_port) = dead_port();
pool('quiet');
ask($one, 'quiet', $_) foreach 'select 1', 'select 2', 'select 1/0';
step('three statements of which one fails are one error', 'quiet',
	used(3), rows => 2, query_errors => 1, connects => 1, reused => 2);
pool('refused', port => $dead_port, retry_attempts => 3, retry_delay => '10ms',
	breaker_threshold => 0);
ask($one, 'refused');
step('a remote that refuses is attempted three times', 'refused',
	acquire_failures => 1, connect_errors => 3, retries => 2, retry_failures => 2,
	state => 'failing', last_error => qr/Connection refused/, last_error_at => 'lately');

# wrong_histograms(server): where those of a pool that was never reset do not agree
# with its counters and times
sub wrong_histograms
{
	my ($server) = @_;
	my ($row) = rows('pool_stats_all()', "server = '$server'");
	my (%buckets, @wrong);

	my $lines = call("metric, le, count, sum FROM pool_histogram('$server', 8) AS h"
		  . " WHERE database = 'postgres' AND user_name = '$me' ORDER BY metric, le");
	foreach my $line (split /\n/, $lines)
	{
		my ($metric, @bucket) = split /\|/, $line;

		push @{ $buckets{$metric} }, { le => $bucket[0], count => $bucket[1], sum => $bucket[2] };
	}
	foreach my $kind (sort keys %timed)
	{
		my @buckets = @{ $buckets{$kind} || [] };
		my $all = $buckets[-1];
		my $n = 0;

		$n += $row->{$_} foreach @{ $timed{$kind} };
		push @wrong, "$server: $kind: $n were counted and $row->{\"${kind}_count\"} timed"
		  if $n != $row->{"${kind}_count"};
		if (!$all || $all->{le} ne 'Infinity' || $all->{count} != $n)
		{
			push @wrong, "$server: $kind: $n in the row, "
			  . ($all ? "$all->{count} up to $all->{le}" : 'nothing');
			next;
		}
		next if !$n;
		push @wrong, "$server: $kind: the sum is $all->{sum}, the average of $n is "
		  . $row->{"${kind}_avg"}
		  if abs($row->{"${kind}_avg"} * $n - $all->{sum}) > 1e-6 * $all->{sum};
		foreach my $percent (50, 95, 99)
		{
			my $is = $row->{"${kind}_p$percent"};
			my $from = 0;
			my $to;

			foreach my $bucket (@buckets)
			{
				$to = $bucket->{le};
				last if $bucket->{count} * 100 >= $percent * $n;
				$from = $to;
			}
			push @wrong, "$server: $kind: $percent % of $n are up to $is, not between $from and $to"
			  if $is < $from || $is > $to;
		}
	}
	delete @buckets{ keys %timed };
	return (@wrong, map { "$server: unknown $_" } keys %buckets);
}

sql($local, <<'SQL');
CREATE TABLE stop (now bool);
CREATE PROCEDURE work(server text) LANGUAGE plpgsql AS $$
DECLARE
	lease bigint;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		BEGIN
			CASE (random() * 8)::int
				WHEN 1 THEN
					PERFORM pool_exec(server, 'set work_mem = 100');
				WHEN 2 THEN
					lease := pool_acquire(server);
					PERFORM pool_exec(lease, 'begin');
					PERFORM pool_release(lease);
				WHEN 3 THEN		-- ends with the block
					PERFORM pool_exec(pool_acquire(server), 'select 1/0');
				WHEN 4 THEN		-- ends with the transaction
					PERFORM pool_acquire(server, '1ms');
				WHEN 5 THEN
					PERFORM pool_exec(server,
						'do $x$ begin perform pg_terminate_backend(pg_backend_pid()); end $x$');
				WHEN 6 THEN
					PERFORM pool_exec(server, 'select pg_sleep(1)');
				ELSE
					PERFORM pool_query(server, 'select generate_series(1, 3)');
			END CASE;
		EXCEPTION
			WHEN query_canceled THEN NULL;
			WHEN OTHERS THEN NULL;
		END;
		COMMIT;
	END LOOP;
END $$;
SQL
my %loaded = (query_timeout => '20ms', idle_timeout => '30ms', validate_after_idle => '5ms',
	reset_query => 'DISCARD ALL', retry_attempts => 2, retry_delay => '1ms',
	retry_max_delay => '5ms', breaker_threshold => 0);
sql($remote, "CREATE ROLE $_->[0] LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT $_->[1]")
  foreach [ 'busy', -1 ], [ 'flapping', 0 ];
create_server($local, 'busy', $remote, user => 'busy',
	options => { %still, %loaded, max_size => 3, min_size => 1 });
create_server($local, 'flapping', $remote, user => 'flapping', options => { %still, %loaded });
my $at_remote = session($remote);
my @workers = map { session($local, options => '-c client_min_messages=error') } 1 .. 4;

# What has to be seen to grow
my @busy = (
	(map { "busy $_" } qw(acquires acquire_timeouts releases lost reused queries query_errors rows
		connects cancels resets closed_remote_closed closed_canceled)),
	(map { "flapping $_" } qw(acquire_failures connect_errors retries retry_successes
		retry_failures)));

# wrong_sums(row)
sub wrong_sums
{
	my ($row) = @_;
	my $retrying = $row->{retries} - $row->{retry_successes} - $row->{retry_failures};
	my %sum = (
		acquires => $row->{releases} + $row->{lost} + $row->{active},
		connects => $row->{closed} + $row->{open},
		open => $row->{active} + $row->{idle} + $row->{resetting},
		closed => 0);
	my @wrong;

	$sum{closed} += $row->{$_} foreach grep { /^closed_/ } @counters;
	push @wrong, map { "$_ is $row->{$_}, not $sum{$_}" }
	  grep { $row->{$_} != $sum{$_} } sort keys %sum;
	push @wrong, "$retrying retries are under way, of $row->{connecting}"
	  if $retrying < 0 || $retrying > $row->{connecting};

	# A lease whose remote has hung up is still one, and holds no place: it ends as lost.
	push @wrong, "at most $row->{peak_active} were leased, $row->{active} are, "
	  . "$row->{lost} were lost, and $row->{max_size} may be"
	  if $row->{peak_active} < $row->{active}
	  || $row->{peak_active} > $row->{max_size} + $row->{active} + $row->{lost};
	return @wrong;
}

# wrong_at_remote(row): the remote never has more sessions than may be
sub wrong_at_remote
{
	my ($row) = @_;
	my $there = $at_remote->query(
		"SELECT count(*) FROM pg_stat_activity WHERE usename = '$row->{server}'")->{out};

	return $there <= $row->{max_size} ? () : "$there sessions on the remote, of $row->{max_size}";
}

# flap(limit): let the remote in or keep it out, and hang up on those who are in
sub flap
{
	my ($limit) = @_;

	sql($remote, "ALTER ROLE flapping CONNECTION LIMIT $limit; SELECT pg_terminate_backend(pid)"
		  . q( FROM pg_stat_activity WHERE usename = 'flapping'));
	return;
}

# load(with resets): a test, of a look and a look again while four sessions work
sub load
{
	my ($with_resets) = @_;
	my ($looks, $resets) = (0, 0);
	my $until = time + 2;
	my $how = $with_resets ? 'with resets' : 'without resets';
	my (%last, %grown, @wrong);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$_->begin(q(CALL work('busy'))) foreach @workers[ 0 .. 2 ];
	$workers[3]->begin(q(CALL work('flapping')));
	wait_until(3 * $patience, sub {
		flap($looks % 20 > 10 ? 0 : -1) if $looks++ % 10 == 5;
		if ($with_resets && $looks % 3 == 0)
		{
			call("pool_stats_reset('$_')") foreach 'busy', 'flapping';
			$resets++;
		}
		foreach my $row (rows('pool_stats_all()', q(server IN ('busy', 'flapping'))))
		{
			my $server = $row->{server};
			my $last = $last{$server} || $row;

			push @wrong, map { "look $looks, $server: $_" } wrong_sums($row), wrong_at_remote($row);
			foreach my $column (@counters, 'closed', 'peak_active')
			{
				$grown{"$server $column"} = 1 if $row->{$column} > $last->{$column};
				push @wrong,
				  "look $looks, $server: $column was $last->{$column}, and is $row->{$column}"
				  if $row->{$column} < $last->{$column}
				  && $row->{stats_reset} == $last->{stats_reset};
			}
			$last{$server} = $row;
		}
		return $looks >= 20 && time > $until && ($with_resets || !grep { !$grown{$_} } @busy);
	});
	sql($local, 'INSERT INTO stop VALUES (true)');
	is($_->result->{err}, '', "a session under load, $how, does its work to the end")
	  foreach @workers;
	sql($local, 'TRUNCATE stop');
	is(join(', ', grep { !$grown{$_} } @busy), '',
		'all that the load is to bring about is counted') if !$with_resets;
	is(join("\n", splice @wrong, 0, 10), '',
		"the sums hold and nothing shrinks under load, in $looks looks with $resets resets");
	return;
}

load(0);
settled($local, 'every lease and connection is accounted for after the load');
is(join("\n", map { wrong_histograms($_) } 'busy', 'flapping', 'quiet', 'refused'), '',
	'histograms, counters, averages and percentiles agree');

# The views show what the function does, now that nothing is under way.
foreach my $server ('busy', 'flapping')
{
	my ($all, $shown, @wrong);

	wait_until($patience, sub {
		($all, $shown, @wrong) = figures_of('postgres', $server, $me);
		delete @$all{ 'closing', 'limited_by', 'resetting' };
		push @wrong, compare($shown, $all);
		return !@wrong;
	});
	is(join("\n", @wrong), '', "the views show of $server what pool_stats_all() returns");

	# One more may be closed between the two looks, as it was idle for too long.
	my ($closed, $reasons);
	wait_until($patience, sub {
		$closed = call("closed FROM pool_stats_all() WHERE server = '$server'");
		$reasons = call("sum(count) FROM pool_stats_closed WHERE server = '$server'");
		return $closed == $reasons;
	});
	is($reasons, $closed, "the reasons in pool_stats_closed of $server add up to closed");
}

my $holder = session($local);
my $lease = acquire($holder, 'busy');
load(1);
release($holder, $lease);
settled($local, 'a lease that all resets counted as begun is accounted for');
$_->quit foreach $holder, @workers;
sql($local, "DROP SERVER $_ CASCADE") foreach 'busy', 'flapping';
unchanged('nothing was counted for pools that were not under load');

settled($local, 'every lease and connection is accounted for at the end');
no_crash($local, $remote);

done_testing();
