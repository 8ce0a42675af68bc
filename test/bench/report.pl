# report.pl raw.tsv
#	Tables and aims, in Markdown, from the raw data that run.sh writes.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Figures;

my $figures = Figures->new(@ARGV ? $ARGV[0] : die "usage: report.pl raw.tsv\n");
my %title = (
	point => 'Point queries',
	think => 'Point queries, with a pause of each session now and then',
	own => 'As many connections as sessions',
	cache => 'Copies that a session keeps',
	session => 'A new session for each query',
	update => 'Updates of a row',
	tls => 'Point queries over TLS',
	'fanout-point' => 'A row from each of eight servers, all of them in one query',
	'dblink-call' => 'dblink and pool_dblink, a connection string in each query',
	'dblink-named' => 'dblink and pool_dblink, connections by name',
	'idle-0' => 'Five sessions at work beside no idle one',
	'idle-100' => 'Beside 100 idle sessions with copies',
	'idle-300' => 'Beside 300',
	'idle-1000' => 'Beside 1,000');
my @titles = qw(point think own cache session update tls fanout-point dblink-call dblink-named
  idle-0 idle-100 idle-300 idle-1000);

# The way that the others are compared with, where it is not "pool".
my %base_way =
  (tls => 'pool-tls', 'dblink-call' => 'dblink-call', 'dblink-named' => 'dblink');
my %in_tables = map { ($_ => 1) } 'per s', 'p50 ms', 'p99 ms', 'max ms', 'failed', 'wait p99 ms',
  'wait max ms', 'without hand-over';

settings();
failures();
rate_table($_) foreach @titles;
other_table();
aims();

sub settings
{
	print "### Settings\n\n| what | value |\n|---|---|\n";
	print map { s/: / | /r =~ s/^(.*)$/| $1 |\n/r } @{ $figures->{settings} };
	return;
}

# What no figure should hide
sub failures
{
	foreach my $cell ($figures->cells('failed'))
	{
		printf "\n**%s, %s: sessions of %d on %d connections failed.**\n", @$cell;
	}
	return;
}

# A row for each way and number of connections, a column for each number of sessions:
# rates and their ratio to pool's on the fewest connections, and the times of a call
sub rate_table
{
	my ($scenario) = @_;
	my (%rows, @rows, %columns, %base);

	foreach my $cell (grep { $_->[0] eq $scenario } $figures->cells('per s'))
	{
		my (undef, $way, $sessions, $connections) = @$cell;
		my $row = $figures->{label}{$way} . ' | ' . ($figures->{own}{$way} ? 'own' : $connections);

		push @rows, $row if !$rows{$row};
		$rows{$row}{$sessions} = $cell;
		$columns{$sessions} = 1;
		$base{$sessions} //= $cell if $way eq ($base_way{$scenario} || 'pool');
	}
	return if !@rows;

	my @columns = sort { $a <=> $b } keys %columns;
	my $whose = $scenario =~ /^dblink/ ? "dblink's" : "pool's";
	my $head = join ' | ', 'way', 'connections',
	  map { Figures::number($_) . ($_ == 1 ? ' session' : ' sessions') } @columns;

	$head = "\n| $head |\n" . '|---' x (@columns + 2) . "|\n";
	print "\n### $title{$scenario}\n\n",
	  "Queries a second; ratio to $whose (least and greatest of a round).\n$head";
	foreach my $row (@rows)
	{
		print_row($row, map { rate($rows{$row}{$_}, $base{$_}) } @columns);
	}

	# Of new sessions pgbench times only what comes after connecting.
	return if $scenario eq 'session';
	print "\nTime of a query in ms: median / 99 % / longest.\n$head";
	foreach my $row (grep { has($rows{$_}, 'max ms') } @rows)
	{
		print_row($row, map { times_of($rows{$row}{$_}) } @columns);
	}
	return if !grep { has($rows{$_}, 'wait max ms') } @rows;
	print "\nWait for a connection in ms: 99 % / longest; share of leases without a hand-over.\n",
	  $head;
	foreach my $row (grep { has($rows{$_}, 'wait max ms') } @rows)
	{
		print_row($row, map { waits_of($rows{$row}{$_}) } @columns);
	}
	return;
}

# Whether one of a row's cells has a figure of this unit
sub has
{
	my ($cells, $unit) = @_;

	return grep { defined $figures->median(@$_, $unit) } values %$cells;
}

sub print_row
{
	print '| ' . join(' | ', @_) . " |\n";
	return;
}

sub rate
{
	my ($cell, $base) = @_;

	return '' if !$cell;
	my $text = Figures::number($figures->median(@$cell, 'per s'));
	my ($ratio, $least, $greatest) = $base ? $figures->ratio($cell, $base, 'per s') : ();

	return $text if !$ratio || "@$cell" eq "@$base";
	return sprintf '%s; %.2f (%.2f–%.2f)', $text, $ratio, $least, $greatest;
}

sub times_of
{
	my ($cell) = @_;

	return '' if !$cell || !defined $figures->median(@$cell, 'max ms');
	return join ' / ', map { Figures::number($_) } $figures->median(@$cell, 'p50 ms'),
	  $figures->median(@$cell, 'p99 ms'), ($figures->values_of(@$cell, 'max ms'))[-1];
}

sub waits_of
{
	my ($cell) = @_;

	return '' if !$cell || !defined $figures->median(@$cell, 'wait max ms');
	return sprintf '%s / %s; %.3f', Figures::number($figures->median(@$cell, 'wait p99 ms')),
	  Figures::number(($figures->values_of(@$cell, 'wait max ms'))[-1]),
	  $figures->median(@$cell, 'without hand-over') // 0;
}

# All that is not in the tables above, a line for each
sub other_table
{
	my @lines;

	foreach my $unit (grep { !$in_tables{$_} } $figures->units)
	{
		foreach my $cell ($figures->cells($unit))
		{
			my @values = $figures->values_of(@$cell, $unit);

			push @lines, sprintf "| %s | %s | %s | %s | %s | %s (%s–%s) |\n", $cell->[0],
			  $figures->{label}{ $cell->[1] }, $cell->[2], $cell->[3], $unit,
			  map { Figures::number($_) } $figures->median(@$cell, $unit), @values[ 0, -1 ];
		}
	}
	print "\n### Other figures\n\nMedian, least and greatest of the rounds.\n\n",
	  "| scenario | way | sessions | connections | what | figure |\n|---|---|---|---|---|---|\n",
	  sort @lines
	  if @lines;
	return;
}

# aim(what, wanted, figure...): a line of the table; the figure may have a spread
sub aim
{
	my ($what, $relation, $wanted, $value, $least, $greatest) = @_;
	my $text = 'not measured';
	my $verdict = '';

	if (defined $value)
	{
		$text = sprintf abs $value < 10 ? '%.2f' : '%.1f', $value;
		$text .= sprintf ' (%.2f–%.2f)', $least, $greatest if defined $least;
		$verdict = ($relation eq '≥' ? $value >= $wanted : $value <= $wanted) ? 'met' : 'missed'
		  if $wanted ne '';
	}
	print "| $what | $text | $relation $wanted | $verdict |\n";
	return;
}

# Rates of two cells of a scenario
sub rates
{
	my ($scenario, $way, $sessions, $connections, @base) = @_;

	return $figures->ratio([ $scenario, $way, $sessions, $connections ],
		[ $scenario, @base ], 'per s');
}

# A ratio the other way round: of times, where rates are measured
sub inverse
{
	my ($ratio, $least, $greatest) = @_;

	return $ratio ? (1 / $ratio, 1 / $greatest, 1 / $least) : ();
}

sub aims
{
	my @failed = $figures->values_of('point', 'pool', 1000, 20, 'failed');
	my %bouncer = ('pgbouncer-reset' => 'reset between clients', pgbouncer => 'no reset');

	print "\n### Aims\n\nFigures of the tables above; an aim that is missed says so.\n\n",
	  "| aim | figure | wanted | |\n|---|---|---|---|\n";
	aim('16 sessions on 5 connections / 5 on 5', '≥', 0.9,
		rates('point', 'pool', 16, 5, 'pool', 5, 5));
	aim('1 session: median time / that of the floor', '≤', 1.1,
		$figures->ratio([ 'point', 'pool', 1, 5 ], [ 'point', 'floor', 1, 1 ], 'p50 ms'));
	aim('1 session: median time / dblink, a connection of its own', '≤', 0.95,
		$figures->ratio([ 'point', 'pool', 1, 5 ], [ 'point', 'dblink', 1, 1 ], 'p50 ms'));
	foreach my $case ([ 16, 1 ], [ 100, 1.2 ])
	{
		my ($sessions, $wanted) = @$case;

		aim("$sessions on 5 / dblink on $sessions of its own", '≥', $wanted,
			rates('point', 'pool', $sessions, 5, 'dblink', $sessions, $sessions));
		aim("$sessions on 5 / dblink through PgBouncer, $bouncer{$_}", '≥', 1.2,
			rates('point', 'pool', $sessions, 5, $_, $sessions, 5))
		  foreach sort keys %bouncer;
	}
	aim('16 on 20 / dblink on 16 of its own', '≥', 1.4,
		rates('point', 'pool', 16, 20, 'dblink', 16, 16));
	aim('16 on 20 / PL/Proxy', '≥', 1.5, rates('point', 'pool', 16, 20, 'plproxy', 16, 16));
	aim('1,000 on 20 / 20 on 20', '≥', 0.5, rates('point', 'pool', 1000, 20, 'pool', 20, 20));
	aim('1,000 on 20: rounds in which a session failed', '≤', 0,
		defined $figures->median('point', 'pool', 1000, 20, 'per s') ? scalar @failed : undef);
	aim('1,000 on 20: longest wait for a connection, ms', 'is told', '',
		($figures->values_of('point', 'pool', 1000, 20, 'wait max ms'))[-1]);
	aim('5 at work, 1,000 idle with copies / none idle', '≥', 0.95,
		$figures->ratio([ 'idle-1000', 'pool', 5, 5 ], [ 'idle-0', 'pool', 5, 5 ], 'per s'));
	foreach my $sessions (32, 100)
	{
		aim("$sessions on $sessions: leases without a hand-over", '≥', 0.99,
			$figures->median('own', 'pool', $sessions, $sessions, 'without hand-over'));
		aim("$sessions on $sessions / dblink", '≥', 1,
			rates('own', 'pool', $sessions, $sessions, 'dblink', $sessions, $sessions));
	}
	aim('LATERAL: dblink, named / pool, in time', '≥', 1.5,
		$figures->ratio([ 'lateral', 'dblink', 1, 1 ], [ 'lateral', 'pool', 1, 5 ], 'ms'));
	aim('a million rows: time / dblink', '≤', 0.65,
		$figures->ratio([ 'million', 'pool', 1, 5 ], [ 'million', 'dblink', 1, 1 ], 'ms'));
	aim('a new session for each query: time / without a remote', '≤', 1.15,
		inverse(rates('session', 'pool', 1, 5, 'empty', 1, 1)));
	aim('lease and release in C: median, µs', '≤', 0.5,
		$figures->median('lease', 'pool', 1, 1, 'p50 us'));
	aim('lease and release in C: 99 %, µs', '≤', 5,
		$figures->median('lease', 'pool', 1, 1, 'p99 us'));
	foreach my $sessions (16, 100)
	{
		aim("TLS, $sessions on 5 / dblink through PgBouncer, $bouncer{$_}", '≥', 1,
			rates('tls', 'pool-tls', $sessions, 5, "$_-tls", $sessions, 5))
		  foreach sort keys %bouncer;
	}
	aim('worker: kB a connection', '≤', 64,
		$figures->median('memory', 'pool', 1, 100, 'kB a connection'));
	aim('worker: kB a connection, TLS', '≤', 64,
		$figures->median('memory', 'pool-tls', 1, 100, 'kB a connection'));
	aim('64 servers that take 100 ms each / one, in time', '≤', 1.5,
		$figures->ratio([ 'fanout', 'pool', 1, 64 ], [ 'fanout', 'pool', 1, 1 ], 'ms'));
	aim('a row from each of 8 servers / PL/Proxy', '≥', 1.5,
		rates('fanout-point', 'pool', 1, 8, 'plproxy', 1, 1));
	aim('session: kB a request', '≤', 64,
		$figures->median('fanout', 'pool', 1, 64, 'kB a request'));
	aim('session: kB a copy', '≤', 32,
		$figures->median('memory', 'pool', 1, 100, 'kB a copy'));
	return;
}
