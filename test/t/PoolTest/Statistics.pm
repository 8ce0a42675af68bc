# PoolTest/Statistics.pm
#	What the tests of statistics share: what is counted and timed, the rows of the
#	views, and short names for what they do to pools again and again.

package PoolTest::Statistics;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;
use Socket;
use Test::More;
use Time::HiRes qw(time);

use PoolTest;

our @EXPORT = qw(
  start_pools rows compare figures_of ask acquire release call comes_true has_been_idle
  remote_sleeps remote_pid dead_port $me @counters %timed @figures %still $patience $sleep
);

our $me;				# the user, who is a superuser
our $patience = 20;		# seconds
our $sleep = 'select pg_sleep(60)';

# What counts events, and what each kind of time is the time of.  "closed" and some
# others follow from these.
our @counters = qw(
  acquires acquire_timeouts acquire_failures releases lost reused leaks leaks_reclaimed
  queries query_errors rows connects connect_errors retries retry_successes retry_failures
  breaker_trips scale_ups scale_downs cancels resets validations validation_failures
  health_checks health_check_failures statement_hits statement_parses statement_evictions
  statement_invalidations requests hedges hedges_won closed_idle_timeout closed_max_lifetime
  closed_config_changed closed_reconnect closed_admin closed_reclaimed closed_surplus
  closed_evicted closed_dropped closed_remote_closed closed_canceled closed_error
  closed_unclean closed_proof_failed closed_reset_failed closed_check_failed
  closed_holder_exited closed_handover_failed closed_worker_exited
  closed_unattended);
our %timed = (
	wait => ['acquires'],
	connect => ['connects'],
	query => ['queries'],
	lease => [ 'releases', 'lost' ]);
our @figures = qw(avg p50 p95 p99 max);

# Options that keep a pool from doing anything by itself, also where the remote is slow:
# no attempt is made beside another one, and no connection is given up.
our %still = (
	max_size => 2, idle_timeout => 0, max_lifetime => 0, health_check_interval => 0,
	validate_after_idle => '1h', leak_threshold => 0, reset_query => '',
	acquire_timeout => '60s', retry_jitter => 0, breaker_timeout => '1h',
	health_check_timeout => '1min');

my ($local, $remote, $control);

# start_pools(): the local server and the remote one
sub start_pools
{
	$remote = start_remote();
	$local = start_local();
	$control = session($local);
	$me = sql($local, 'SELECT current_user');
	return ($local, $remote);
}


#
# What is there
#

my @stats_times = qw(breaker_opened_at last_error_at stats_reset);
my %times_in = (
	'pool_stats_all()' => \@stats_times,
	pool_stats => \@stats_times,
	pool_connections => [ 'since', 'opened' ],
	pool_waiters => ['since']);

# rows_query(view, condition): its rows as JSON, with times as seconds since the epoch
sub rows_query
{
	my ($from, $condition) = @_;
	my $times = join ', ', map { "'$_', extract(epoch FROM v.$_)" } @{ $times_in{$from} || [] };

	return "SELECT to_jsonb(v) || jsonb_build_object($times) AS v FROM $from AS v WHERE $condition";
}

sub decoded
{
	my ($query) = @_;
	my $answer = $control->query($query);

	die $answer->{err} if $answer->{state} ne '00000';
	return map { decode_json($_) } split /\n/, $answer->{out};
}

# rows(view, condition): as they are now
sub rows
{
	my ($from, $condition) = @_;

	return decoded(rows_query($from, $condition));
}

# compare(row, expected, since): what is wrong with the row.  Of every column
# something is expected: a text, a pattern, NULL (undef), a time since then ([ then ]),
# milliseconds that are not more than there were since ({ least => number }), or
# what the code likes.
sub compare
{
	my ($row, $want, $since) = @_;
	my @wrong;

	foreach my $column (sort keys %$row)
	{
		my ($is, $should) = ($row->{$column}, $want->{$column});
		my $kind = ref $should;
		my $good =
		    !defined $should ? !defined $is
		  : !defined $is ? 0
		  : $kind eq 'Regexp' ? $is =~ $should
		  : $kind eq 'ARRAY' ? $is >= $should->[0] && $is <= time
		  : $kind eq 'HASH' ? $is >= $should->{least} && $is <= 1000 * (time - $since) + 1
		  : $kind eq 'CODE' ? $should->($is)
		  : $is eq $should;
		my $what =
		    !defined $should ? 'NULL'
		  : $kind eq 'ARRAY' ? "between $should->[0] and " . time
		  : $kind eq 'HASH' ? "at least $should->{least}"
		  : $should;

		if (!exists $want->{$column})
		{
			push @wrong, "nothing is expected of $column";
		}
		elsif (!$good)
		{
			push @wrong, "$column is " . ($is // 'NULL') . ", not $what";
		}
	}
	return (@wrong, map { "there is no column $_" } grep { !exists $row->{$_} } sort keys %$want);
}

my @stats_views =
  ('pool_stats_all()', map { "pool_stats$_" } '', '_times', '_closed', '_events');

# figures_of(database, server, user_name): the pool's row of pool_stats_all(), the
# same from the views, and what does not fit together in these
sub figures_of
{
	my %of;

	@of{qw(database server user_name)} = @_;
	my $condition = join ' AND ', map { "v.$_ = '$of{$_}'" } sort keys %of;
	my ($found) = decoded('SELECT jsonb_build_object(' . join(', ', map {
		"'$_', (SELECT jsonb_agg(q.v) FROM (" . rows_query($_, $condition) . ') AS q)'
	} @stats_views) . ')');
	my ($all, $stats, $times, $closed, $events) = map { $found->{$_} || [] } @stats_views;
	my %shown = %{ $stats->[0] || {} };
	my @listed;

	foreach my $row (@$times)
	{
		push @listed, map { [ "$row->{metric}_$_", $row->{$_} ] } 'count', @figures;
	}
	push @listed, map { [ "closed_$_->{reason}", $_->{count} ] } @$closed;
	push @listed, map { [ $_->{event}, $_->{count} ] } @$events;

	# Two of the times are in pool_stats, too.
	my %twice = map { $_ => 1 } 'wait_p95', 'query_p95';
	my @wrong = map { @$_ > 1 ? 'more than one row' : () } $all, $stats;
	foreach my $figure (@listed)
	{
		my ($name, $value) = @$figure;

		push @wrong, "$name is in two places"
		  if exists $shown{$name}
		  && !(delete $twice{$name} && ($shown{$name} // '-') eq ($value // '-'));
		$shown{$name} = $value;
	}
	return ($all->[0], \%shown, @wrong);
}


#
# What the tests do to pools
#

# ask(session, server, statement)
sub ask
{
	my ($session, $server, $statement) = @_;

	$statement = 'select 1' if !defined $statement;
	return $session->query("SELECT pool_exec('$server', '$statement')");
}

# acquire(session, server): a lease
sub acquire
{
	my ($session, $server) = @_;

	return $session->query("SELECT pool_acquire('$server', hold => true)")->{out};
}

sub release
{
	my ($session, $lease) = @_;

	return $session->query("SELECT pool_release($lease)");
}

# call(expression): the administrator's
sub call
{
	my ($expression) = @_;

	return $control->query("SELECT $expression")->{out};
}

# comes_true(condition): a test only if it does not
sub comes_true
{
	my ($condition) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_until($patience, sub { call($condition) eq 't' }) || fail("$condition comes true");
}

# has_been_idle(server, time): its connections are idle for longer than that
sub has_been_idle
{
	my ($server, $time) = @_;

	return comes_true("bool_and(state = 'idle' AND clock_timestamp() - since > '$time')"
		  . " FROM pool_connections WHERE server = '$server'");
}

sub remote_sleeps
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '$sleep'", 1,
		'the remote runs the statement that sleeps');
}

# remote_pid(server): of its only connection
sub remote_pid
{
	my ($server) = @_;

	return call("remote_pid FROM pool_connections WHERE server = '$server'");
}

# dead_port(): a socket and its port, which refuses connections, and is silent as
# soon as it is listened to
sub dead_port
{
	my $dead;

	socket($dead, PF_INET, SOCK_STREAM, 0) && bind($dead, sockaddr_in(0, INADDR_LOOPBACK))
	  or die "cannot bind: $!";
	return ($dead, (sockaddr_in(getsockname $dead))[0]);
}

1;
