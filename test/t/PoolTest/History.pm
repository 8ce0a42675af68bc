# PoolTest/History.pm
#	Histories: what is done to pools, and after each step a comparison of all that
#	the statistics say of them with what they should.
#
# pool() makes a pool to which nothing has happened, and step() tells by how much
# its counters have grown since the last step.  Each figure is looked at twice: in
# the wide row of pool_stats_all(), which is of one moment, and in the view that
# shows it to people.

package PoolTest::History;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;
use Time::HiRes qw(time);

use PoolTest;
use PoolTest::Statistics;

our @EXPORT = qw(
  start_history pool expect forget rename_pool expect_now row_of step unchanged count_anew
  used %failed
);

# A statement whose lease is lost, in a step.
our %failed = (acquires => 1, lost => 1, queries => 1, query_errors => 1);

my %is_counter = map { $_ => 1 } @counters;
my @gauges = qw(resetting connecting closing waiting);

my ($local, $remote);
my %want;		# what is to be said of each pool; by name, or whose pool it is
my %born;		# since when there can be a pool
my %seen;		# when it was compared last
my %untimed;	# of what its counters count, how much was counted but not timed

# start_history(): the local server and the remote one
sub start_history
{
	($local, $remote) = start_pools();
	return ($local, $remote);
}


#
# What should be there
#

# pool(name, options): a server, and what is to be said of its pool.  The options
# for and user are the mapping's, and db is the database.
sub pool
{
	my ($name, %options) = @_;
	my %how = map { $_ => delete $options{$_} } grep { exists $options{$_} } qw(for user db);

	%options = (%still, %options);
	create_server($local, $name, $remote, %how, options => \%options);
	expect($name, $name, $how{for} || $me, $options{min_size} || 0, $options{max_size});
	$want{$name}{database} = $how{db} if $how{db};
	return;
}

sub expect
{
	my ($key, $server, $user, $min, $max) = @_;

	$want{$key} = {
		database => 'postgres', server => $server, user_name => $user, state => 'ready',
		min_size => $min, max_size => $max, size_limit => $max, peak_active => 0,
		breaker => 'closed', breaker_opened_at => undef, last_error => undef,
		last_error_at => undef, stats_reset => [time], nothing_counted()
	};
	$born{$key} = $seen{$key} = time;
	$untimed{$key} = {};
	return;
}

sub nothing_counted
{
	my %times;

	foreach my $kind (keys %timed)
	{
		$times{"${kind}_$_"} = undef foreach @figures;
	}
	return ((map { $_ => 0 } @counters, @gauges), %times);
}

# forget(key...): nothing more is expected of these
sub forget
{
	delete @want{@_};
	return;
}

# rename_pool(old, new): so that a server of another database may have that name
sub rename_pool
{
	my ($old, $new) = @_;

	$_->{$new} = delete $_->{$old} foreach \%want, \%born, \%seen, \%untimed;
	return;
}

sub identity
{
	my ($key) = @_;

	return map { $want{$key}{$_} } qw(database server user_name);
}

# row_of(key): the pool's row of pool_stats_all()
sub row_of
{
	my ($key) = @_;

	return (figures_of(identity($key)))[0];
}

# expect_now(key, columns): something else from now on
sub expect_now
{
	my ($key, %columns) = @_;

	$want{$key}{$_} = $columns{$_} foreach keys %columns;
	return;
}

# should(key, row): what the row is to be, with what follows from other figures
sub should
{
	my ($key, $row) = @_;
	my %should = (limited_by => undef, %{ $want{$key} });
	my %n = map { $_ => ref $should{$_} ? $row->{$_} : $should{$_} } @counters;

	$should{closed} = 0;
	$should{closed} += $n{$_} foreach grep { /^closed_/ } @counters;
	$should{open} = $n{connects} - $should{closed};
	$should{active} = $n{acquires} - $n{releases} - $n{lost};
	$should{idle} = $should{open} - $should{active} - $should{resetting};
	$should{limited_by} = 'max_size'
	  if $should{waiting} && $should{state} eq 'ready' && $should{open} >= $should{size_limit};
	$should{utilization} = 0 + sprintf '%.1f', 100 * $should{active} / $should{size_limit};
	foreach my $kind (keys %timed)
	{
		$should{"${kind}_count"} = -($untimed{$key}{$kind} || 0);
		$should{"${kind}_count"} += $n{$_} foreach @{ $timed{$kind} };
	}
	return %should;
}

# wrong_order(row): times that cannot be of one series
sub wrong_order
{
	my ($row) = @_;
	my @wrong;

	foreach my $kind (sort keys %timed)
	{
		my ($avg, @times) = map { $row->{"${kind}_$_"} // 0 } @figures;

		push @wrong, "$kind: p50, p95, p99, max are @times, the average $avg"
		  if "@times" ne join(' ', sort { $a <=> $b } @times) || $avg > $times[3];
	}
	return @wrong;
}

# look(key): the pool's row of pool_stats_all(), and what is wrong in the statistics
sub look
{
	my ($key) = @_;
	my ($all, $shown, @wrong) = figures_of(identity($key));

	return (undef, 'no row') if !$all;

	my %should = should($key, $all);
	push @wrong, map { "pool_stats_all(): $_" }
	  compare($all, \%should, $born{$key}), wrong_order($all);
	delete @should{ 'closing', 'limited_by', 'resetting' };
	push @wrong, map { "the views: $_" }
	  compare($shown, \%should, $born{$key}), wrong_order($shown);
	return ($all, @wrong);
}

# step(what, key, changes): a test.  What has happened to the pool since the last
# one: of counters by how much they have grown ("1+": or more), of other columns
# what they are now.  "lately" is a time since the last step; of the times of wait
# and so on the least is given.
sub step
{
	my ($what, $key, %change) = @_;
	my $want = $want{$key};
	my ($row, @wrong);

	$want->{$_} = 0 foreach @gauges;
	foreach my $kind (keys %timed)
	{
		next if !grep { $change{$_} } @{ $timed{$kind} };
		my $longest = ref $want->{"${kind}_max"} ? $want->{"${kind}_max"}{least} : 0;

		$want->{"${kind}_$_"} = { least => $_ eq 'max' ? $longest : 0 } foreach @figures;
	}
	foreach my $column (keys %change)
	{
		my ($from, $to) = ($want->{$column}, $change{$column});

		$want->{$column} =
		    $is_counter{$column} && !ref $to
		  ? $to =~ /^(\d+)\+$/ ? sub { $_[0] >= $from + $1 } : $from + $to
		  : $column =~ /_(?:avg|p50|p95|p99|max)$/ ? { least => $to }
		  : defined $to && $to eq 'lately' ? [ $seen{$key} ]
		  : $to;
	}
	if (!exists $change{peak_active})
	{
		my $active = $want->{acquires} - $want->{releases} - $want->{lost}
		  || ($change{acquires} ? 1 : 0);

		$want->{peak_active} = $active if $want->{peak_active} < $active;
	}

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub { ($row, @wrong) = look($key); return !@wrong });
	is(join("\n", map { "$key: $_" } @wrong), '', $what);

	# What was not known before stays as it is now; and one failure is enough.
	foreach my $column (grep { $row && defined $row->{$_} } keys %$want)
	{
		my $kind = ref $want->{$column};

		$want->{$column} = $row->{$column}
		  if $kind eq 'ARRAY'
		  || $kind eq 'CODE' && defined $change{$column} && !ref $change{$column}
		  || @wrong && !$kind && defined $want->{$column};
	}
	$seen{$key} = time;
	return;
}

# unchanged(what): a test; all that is said still is what it was
sub unchanged
{
	my ($what) = @_;
	my @wrong;

	foreach my $key (sort keys %want)
	{
		my ($row, @found);

		wait_until($patience, sub { ($row, @found) = look($key); return !@found });
		push @wrong, map { "$key: $_" } @found;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(join("\n", @wrong), '', $what);
}

# count_anew(key...): as after a reset.  What is leased and open counts again, and
# is not timed.  Without arguments, of all pools.
sub count_anew
{
	foreach my $key (@_ ? @_ : keys %want)
	{
		my $row = row_of($key);

		%{ $want{$key} } = (%{ $want{$key} }, nothing_counted(), acquires => $row->{active},
			peak_active => $row->{active}, connects => $row->{open},
			stats_reset => [ $seen{$key} ]);
		$untimed{$key} = { wait => $row->{active}, connect => $row->{open} };
	}
	return;
}

# Statements of which each is a lease, in a step
sub used { my ($n) = @_; return (acquires => $n, releases => $n, queries => $n); }

1;
