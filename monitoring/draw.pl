# draw.pl URL [SECONDS [NAME=VALUE]...]
#	The panels of dashboard.json as one SVG on standard output, from what the
#	Prometheus at URL knows of the last hour, or of so many seconds: a picture for who
#	has no Grafana at hand.  It asks for the dashboard's own expressions.  A variable of
#	it is set to a regular expression (server=srv); to=EPOCH ends the time elsewhere than
#	now, and panels=6 draws the first six.
#
# It knows the kinds of panels, the units and the options that the dashboard has, and
# no more.  Where a value is no number (0 / 0), a line has a gap.

use strict;
use warnings;
use utf8;

use FindBin;
use HTTP::Tiny;
use JSON::PP;
use List::Util qw(first max min sum0);
use POSIX qw(ceil floor log10 strftime);

# In pixels: the page, a unit of height of the grid, and around the plot of a panel
my ($page, $unit_height, $gap) = (1000, 28, 10);
my %margin = (left => 58, right => 12, top => 36, bottom => 40);
my $steps = 160;

my @palette = split / /,
  "#2a6f97 #d08c60 #5b8e4b #8c5fa8 #c2a83e #4fa3a5 #b5495b #6b6b6b #94b447 #3d5a80";
my %color = (green => '#5b8e4b', yellow => '#e0b83c', red => '#c0392b');

my ($url, $seconds, @variables) = @ARGV;
die "usage: draw.pl URL [SECONDS [NAME=REGEX]...]\n" if !$url;
$seconds ||= 3600;
my %variable = map { split /=/, $_, 2 } @variables;
my $to = delete $variable{to} || time;
my $from = $to - $seconds;
my $step = $seconds / $steps;

open my $file, '<', "$FindBin::RealBin/dashboard.json" or die "cannot read the dashboard: $!";
my $dashboard = decode_json(do { local $/; <$file> });
my @panels = @{ $dashboard->{panels} };
$#panels = delete($variable{panels}) - 1 if $variable{panels};
my @shapes;
my ($x, $y, $wide, $high);		# of the plot that is drawn

foreach my $panel (@panels)
{
	my $grid = $panel->{gridPos};
	my $height = $grid->{h} * $unit_height;
	my $width = $grid->{w} / 24 * $page;
	my ($left, $top) = ($grid->{x} / 24 * $page, $grid->{y} * $unit_height);
	my %draw = (
		'timeseries' => \&lines,
		'heatmap' => \&cells,
		'state-timeline' => \&states,
		'gauge' => \&bars);

	($x, $y) = ($left + $margin{left}, $top + $margin{top});
	$wide = $width - $margin{left} - $margin{right};
	$high = $height - $margin{top} - $margin{bottom};
	shape('rect', x => $left + $gap / 2, y => $top + $gap / 2, width => $width - $gap,
		height => $height - $gap, fill => '#fff', stroke => '#d5d8db', rx => 3);
	text($left + $gap + 4, $top + 22, 'start', $panel->{title}, 'font-weight' => 'bold');
	$draw{ $panel->{type} }->($panel, series($panel));
}

my $bottom = max(map { $_->{gridPos}{y} + $_->{gridPos}{h} } @panels);
binmode STDOUT, ':encoding(UTF-8)';
printf qq{<svg xmlns="http://www.w3.org/2000/svg"\n\twidth="%d" height="%d" viewBox="0 0 %d %d"\n},
  ($page, $bottom * $unit_height) x 2;
print "\tfont-family=\"sans-serif\" font-size=\"12\" fill=\"#333\">\n<title>Dashboard</title>\n";
print qq{<rect width="100%" height="100%" fill="#f4f5f6"/>\n}, map { "$_\n" } @shapes;
print "</svg>\n";

# series(panel): for each its name, and its values by the number of the step
sub series
{
	my ($panel) = @_;
	my @series;

	foreach my $target (@{ $panel->{targets} })
	{
		foreach my $found (ask($target->{expr}))
		{
			my $name = $target->{legendFormat} =~ s/\{\{(\w+)\}\}/$found->{metric}{$1} \/\/ ''/ger;
			my @values;

			foreach my $sample (@{ $found->{values} })
			{
				my ($time, $value) = @$sample;

				$values[ int(($time - $from) / $step + 0.5) ] = $value
				  if $value !~ /NaN|Inf/;
			}
			push @series, { name => $name, values => \@values };
		}
	}
	return @series;
}

# ask(expression): what Prometheus knows of it, with the dashboard's variables replaced
sub ask
{
	my ($expression) = @_;
	# At least four scrapes of 15 seconds, as Grafana has it, if the range is that long
	my $interval = int max(4 * $step, min(60, $seconds / 20));

	$expression =~ s/\$__rate_interval/${interval}s/g;
	$expression =~ s/\$__range/${seconds}s/g;
	$expression =~ s/\$(\w+)/$variable{$1} \/\/ '.*'/ge;
	my $answer = HTTP::Tiny->new->post_form("$url/api/v1/query_range",
		{ query => $expression, start => $from, end => $to, step => $step });
	my $json = eval { decode_json($answer->{content}) } or die "$url: $answer->{content}\n";
	die "$expression: $json->{error}\n" if $json->{status} ne 'success';
	return @{ $json->{data}{result} };
}

# Kinds of panels

sub lines
{
	my ($panel, @series) = @_;
	my $defaults = $panel->{fieldConfig}{defaults};
	my $log = ($defaults->{custom}{scaleDistribution}{type} // '') eq 'log';
	my (@below, $i);

	foreach my $series (@series)
	{
		my %own = properties($panel, $series->{name});
		my $stacking = $own{'custom.stacking'} || $defaults->{custom}{stacking} || {};

		$series->{color} = $own{color} ? $color{ $own{color}{fixedColor} } : $palette[ $i++ % @palette ];
		$series->{dash} = $own{'custom.lineStyle'} && join ' ', @{ $own{'custom.lineStyle'}{dash} };
		next if ($stacking->{mode} || 'none') ne 'normal';
		$series->{below} = [@below];
		foreach my $at (0 .. $#{ $series->{values} })
		{
			next if !defined $series->{values}[$at];
			$below[$at] = $series->{values}[$at] += $below[$at] || 0;
		}
	}
	my @all = grep { defined && (!$log || $_ > 0) } map { @{ $_->{values} } } @series;
	my $place = $log ? log_axis($defaults->{unit}, @all) : linear_axis($defaults, @all);

	time_axis();
	# What is stacked from the top on, so that none hides the lines below it
	foreach my $series ((grep { $_->{below} } reverse @series), grep { !$_->{below} } @series)
	{
		draw_line($series, $place, $log);
	}
	legend(map { [ $_->{name}, $_->{color} ] } @series);
	return;
}

sub draw_line
{
	my ($series, $place, $log) = @_;
	my @piece;

	foreach my $at (0 .. $steps)
	{
		my $value = $series->{values}[$at];

		if (defined $value && (!$log || $value > 0))
		{
			my $below = $series->{below} ? $series->{below}[$at] || 0 : 0;

			push @piece, [ at($at), $place->($value), $place->($below) ];
		}
		elsif (@piece)
		{
			draw_piece($series, splice @piece);
		}
	}
	draw_piece($series, @piece) if @piece;
	return;
}

# draw_piece(series, [x, y, y of what is below]...): a line, filled where it is stacked
sub draw_piece
{
	my ($series, @points) = @_;
	my $line = 'M' . join 'L', map { sprintf '%.1f %.1f', @$_[ 0, 1 ] } @points;
	my $floor = join 'L', map { sprintf '%.1f %.1f', @$_[ 0, 2 ] } reverse @points;

	shape('path', d => "${line}L${floor}Z", fill => $series->{color}, 'fill-opacity' => 0.5)
	  if $series->{below};
	# A single value would be no line.
	$line .= 'h1.5' if @points == 1;
	shape('path', d => $line, fill => 'none', stroke => $series->{color},
		'stroke-width' => 1.6, $series->{dash} ? ('stroke-dasharray' => $series->{dash}) : ());
	return;
}

# Buckets are cumulative: a cell is what is in one, and not in the one below.  It is as
# wide as some steps: they overlap anyway, as the ranges of rates do.
sub cells
{
	my ($panel, @series) = @_;
	my $wider = 4;
	my @buckets = sort { $a->{name} <=> $b->{name} } @series;
	my $row = @buckets ? $high / @buckets : $high;
	my (%count, $i);

	foreach my $bucket (0 .. $#buckets)
	{
		foreach my $at (grep { $_ % $wider == 0 } 0 .. $steps - 1)
		{
			my $value = $buckets[$bucket]{values}[$at] or next;
			my $below = $bucket ? $buckets[ $bucket - 1 ]{values}[$at] || 0 : 0;

			$count{"$bucket $at"} = $value - $below if $value > $below;
		}
	}
	my $most = max(values %count) || 1;
	foreach my $cell (sort keys %count)
	{
		my ($bucket, $at) = split / /, $cell;

		shape('rect', x => at($at), y => $y + $high - ($bucket + 1) * $row,
			width => at($at + $wider) - at($at), height => $row - 1, fill => '#2a6f97',
			'fill-opacity' => sprintf '%.2f', 0.12 + 0.88 * sqrt($count{$cell} / $most));
	}
	foreach my $bucket (grep { $_ % 3 == 0 } 0 .. $#buckets)
	{
		text($x - 5, $y + $high - ($bucket + 0.5) * $row + 4, 'end', label($buckets[$bucket]{name}, 's'));
	}
	time_axis();
	legend([ sprintf('at most %s a second in a cell', label($most, 'short')), '#2a6f97' ]);
	return;
}

sub states
{
	my ($panel, @series) = @_;
	my %state = %{ $panel->{fieldConfig}{defaults}{mappings}[0]{options} };
	my $row = @series ? min(26, $high / @series) : $high;
	my $top = $y;

	foreach my $series (@series)
	{
		my $begin;

		foreach my $at (0 .. $steps)
		{
			my $value = $series->{values}[$at];
			my $next = $series->{values}[ $at + 1 ];

			next if !defined $value;
			$begin //= $at;
			next if defined $next && $next == $value && $at < $steps;
			shape('rect', x => at($begin), y => $top + 2, width => at($at + 1) - at($begin),
				height => $row - 5, fill => $color{ $state{$value}{color} }, 'fill-opacity' => 0.8);
			$begin = undef;
		}
		text($x - 5, $top + $row / 2 + 4, 'end', $series->{name} =~ s/ .*//r);
		$top += $row;
	}
	time_axis();
	legend(map { [ $_->{text}, $color{ $_->{color} } ] } @state{ sort keys %state });
	return;
}

# The last value of each, against the greatest that there can be
sub bars
{
	my ($panel, @series) = @_;
	my $defaults = $panel->{fieldConfig}{defaults};
	my $row = @series ? min(48, ($high + 30) / @series) : 0;
	my ($left, $length, $top) = ($x - $margin{left} + 20, $wide + $margin{left} - 20, $y + 14);

	foreach my $series (@series)
	{
		my $value = (grep { defined } @{ $series->{values} })[-1] // next;
		my $reached = first { !defined $_->{value} || $value >= $_->{value} }
		  reverse @{ $defaults->{thresholds}{steps} };

		text($left, $top, 'start', $series->{name});
		text($left + $length, $top, 'end', label($value, $defaults->{unit}), 'font-weight' => 'bold');
		shape('rect', x => $left, y => $top + 5, width => $length, height => 12, fill => '#e6e8ea');
		shape('rect', x => $left, y => $top + 5, width => $length * min(1, $value / $defaults->{max}),
			height => 12, fill => $color{ $reached->{color} });
		$top += $row;
	}
	return;
}

# Axes and legends

# linear_axis(defaults, value...): draws it, and returns what places a value
sub linear_axis
{
	my ($defaults, @values) = @_;
	my $most = $defaults->{max} || max(@values) || 1;
	my $tick = 10**floor(log10($most / 3));

	$tick *= first { $most / ($tick * $_) <= 4 } 1, 2, 5, 10, 20;
	$tick = max(1, $tick) if defined $defaults->{decimals};
	$most = $tick * ceil($most / $tick - 1e-9);
	my $place = sub { return $y + $high * (1 - $_[0] / $most) };

	grid($place->($_ * $tick), label($_ * $tick, $defaults->{unit})) foreach 0 .. $most / $tick + 0.5;
	return $place;
}

sub log_axis
{
	my ($unit, @values) = @_;
	my $low = @values ? floor(log10(min(@values))) : -3;
	my $top = @values ? max($low + 1, ceil(log10(max(@values)))) : 0;
	my $place = sub {
		return $y + $high if $_[0] <= 0;
		return $y + $high * (1 - (log10($_[0]) - $low) / ($top - $low));
	};

	grid($place->(10**$_), label(10**$_, $unit)) foreach $low .. $top;
	return $place;
}

sub grid
{
	my ($at, $label) = @_;

	shape('path', d => sprintf('M%.1f %.1fh%.1f', $x, $at, $wide), stroke => '#e6e8ea');
	text($x - 5, $at + 4, 'end', $label);
	return;
}

sub time_axis
{
	my $every = first { $seconds / $_ <= $wide / 65 } 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 86400;
	my $format = $every < 60 ? '%H:%M:%S' : '%H:%M';

	for (my $time = $every * ceil($from / $every); $time <= $to; $time += $every)
	{
		my $at = $x + $wide * ($time - $from) / $seconds;

		shape('path', d => sprintf('M%.1f %.1fv4', $at, $y + $high), stroke => '#999');
		text($at, $y + $high + 16, 'middle', strftime($format, gmtime $time))
		  if $at < $x + $wide - 10;
	}
	return;
}

# legend([name, color]...)
sub legend
{
	my @entries = @_;
	my $at = $x;

	foreach my $entry (@entries)
	{
		my ($name, $color) = @$entry;
		my $length = 20 + 6.5 * length $name;

		last if $at + $length > $x + $wide + $margin{right};
		shape('rect', x => $at, y => $y + $high + 22, width => 9, height => 9, fill => $color);
		text($at + 13, $y + $high + 31, 'start', $name);
		$at += $length;
	}
	return;
}

# properties(panel, name): what the panel sets for the series of that name only
sub properties
{
	my ($panel, $name) = @_;

	return map { $_->{id} => $_->{value} } map { @{ $_->{properties} } }
	  grep { $_->{matcher}{options} eq $name } @{ $panel->{fieldConfig}{overrides} };
}

# label(value, unit): as short as it can be read
sub label
{
	my ($value, $unit) = @_;
	my %suffix = (ops => '/s', rowsps => '/s', s => ' s');

	return $value if $value =~ /Inf/;
	return short(100 * $value) . ' %' if $unit eq 'percentunit';
	return short($value * 1e6) . ' µs' if $unit eq 's' && $value > 0 && $value < 0.001;
	return short($value * 1e3) . ' ms' if $unit eq 's' && $value > 0 && $value < 1;
	return short($value) . ($suffix{$unit} // '');
}

sub short
{
	my ($value) = @_;

	return sprintf('%.3g', $value / 1e6) . ' M' if $value >= 1e6;
	return sprintf('%.3g', $value / 1e3) . ' k' if $value >= 1e4;
	return sprintf '%.4g', $value;
}

# Shapes

# at(step): where it is
sub at
{
	my ($step_number) = @_;

	return $x + $wide * min(1, $step_number * $step / $seconds);
}

sub text
{
	my ($at, $height, $anchor, $text, %more) = @_;

	$text =~ s/&/&amp;/g;
	$text =~ s/</&lt;/g;
	push @shapes, sprintf '<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>', $at, $height,
	  $anchor, join('', map { qq{ $_="$more{$_}"} } sort keys %more), $text;
	return;
}

sub shape
{
	my ($name, @attributes) = @_;
	my $text = "<$name";

	while (my ($key, $value) = splice @attributes, 0, 2)
	{
		$value = sprintf('%.1f', $value) =~ s/\.0$//r if $key =~ /^(?:x|y|width|height)$/;
		$text .= qq{ $key="$value"};
	}
	push @shapes, "$text/>";
	return;
}
