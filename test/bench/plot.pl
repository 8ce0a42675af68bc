# plot.pl raw.tsv
#	Point queries a second by number of sessions, as SVG: a bar for the median of
#	each way, a line from the least to the greatest round.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use Figures;

my $figures = Figures->new(@ARGV ? $ARGV[0] : die "usage: plot.pl raw.tsv\n");
my @cells = grep { $_->[0] eq 'point' && $_->[1] !~ /^floor-/ } $figures->cells('per s');
my ($left, $wide, $line) = (390, 430, 18);
my ($x, $y) = ($left, 0);
my $most = 1;
my @shapes;

foreach my $cell (@cells)
{
	my @values = $figures->values_of(@$cell, 'per s');

	$most = $values[-1] if $values[-1] > $most;
}
my %seen;
foreach my $sessions (sort { $a <=> $b } grep { !$seen{$_}++ } map { $_->[2] } @cells)
{
	$y += 2 * $line;
	text(10, $y, 'start',
		Figures::number($sessions) . ($sessions == 1 ? ' session' : ' sessions'),
		' font-weight="bold"');
	bar($_) foreach grep { $_->[2] == $sessions } @cells;
}
$y += $line;

print qq{<svg xmlns="http://www.w3.org/2000/svg"\n};
printf qq{\twidth="%d" height="%d" viewBox="0 0 %d %d"\n}, ($left + $wide + 80, $y) x 2;
print "\tfont-family=\"sans-serif\" font-size=\"12\">\n";
print "<title>Point queries a second</title>\n";
print qq{<rect width="100%" height="100%" fill="#fff"/>\n};
print @shapes, "</svg>\n";

sub text
{
	my ($at, $height, $anchor, $text, $more) = @_;

	$text =~ s/[`]//g;
	$text =~ s/&/&amp;/g;
	push @shapes, sprintf qq{<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>\n}, $at, $height,
	  $anchor, $more // '', $text;
	return;
}

sub bar
{
	my ($cell) = @_;
	my (undef, $way, undef, $connections) = @$cell;
	my @values = $figures->values_of(@$cell, 'per s');
	my ($least, $median, $greatest) =
	  map { $x + $_ / $most * $wide } $values[0], $figures->median(@$cell, 'per s'), $values[-1];
	my $color = $way =~ /^pool/ ? '#2a6f97' : $way eq 'floor' ? '#999999' : '#d08c60';
	my $label = $figures->{label}{$way};

	$label .= " on $connections" if !$figures->{own}{$way};
	$y += $line;
	text($x - 6, $y, 'end', $label);
	push @shapes, sprintf qq{<rect x="%d" y="%d" width="%.1f" height="12" fill="%s"/>\n}, $x,
	  $y - 10, $median - $x, $color;
	push @shapes, sprintf qq{<path d="M%.1f %dH%.1f" stroke="#222"/>\n}, $least, $y - 4, $greatest;
	text($greatest + 6, $y, 'start', Figures::number($figures->median(@$cell, 'per s')));
	return;
}
