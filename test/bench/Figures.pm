# Figures.pm
#	Reads raw.tsv, which run.sh writes, and forms medians, ratios and their spread.
#
# A ratio is that of the medians.  Its spread is from the least to the greatest ratio
# of two figures of the same round, which were measured within seconds.

package Figures;

use strict;
use warnings;

# new(file)
sub new
{
	my ($class, $name) = @_;
	my $self = bless { settings => [], ways => [], label => {}, own => {}, rounds => {} }, $class;

	open my $file, '<', $name or die "cannot open $name: $!\n";
	while (my $line = <$file>)
	{
		chomp $line;
		if ($line =~ s/^# way: //)
		{
			my ($way, $connects, $label) = split /\t/, $line;

			push @{ $self->{ways} }, $way;
			$self->{label}{$way} = $label;
			$self->{own}{$way} = $connects eq 'own';
		}
		elsif ($line =~ s/^# //)
		{
			push @{ $self->{settings} }, $line;
		}
		else
		{
			my (@cell) = split /\t/, $line;	 # of which the last is the unit
			my ($round, $value) = splice @cell, 4, 2;

			$self->{rounds}{ key(@cell) }{$round} = $value;
		}
	}
	return $self;
}

sub key { return join "\t", @_ }

# The cells that have a figure of this unit, as lists of scenario, way, sessions and
# connections, in order
sub cells
{
	my ($self, $wanted) = @_;
	my $place = 0;
	my %order = map { ($_ => $place++) } @{ $self->{ways} };
	my @cells = map { [ split /\t/ ] } keys %{ $self->{rounds} };

	return map { [ @{$_}[ 0 .. 3 ] ] }
	  sort {
		$a->[0] cmp $b->[0] || $order{ $a->[1] } <=> $order{ $b->[1] }
		  || $a->[3] <=> $b->[3] || $a->[2] <=> $b->[2]
	  }
	  grep { $_->[4] eq $wanted } @cells;
}

# Units that there are
sub units
{
	my ($self) = @_;
	my %units = map { ((split /\t/)[4] => 1) } keys %{ $self->{rounds} };

	return sort keys %units;
}

# Figures of all rounds of a cell and unit, in order of size
sub values_of
{
	my ($self, @cell) = @_;

	return sort { $a <=> $b } values %{ $self->{rounds}{ key(@cell) } // {} };
}

# median(scenario, way, sessions, connections, unit), undef if there is none
sub median
{
	my @values = values_of(@_);

	return @values ? ($values[ $#values / 2 ] + $values[ @values / 2 ]) / 2 : undef;
}

# ratio(cell, cell, unit): the ratio of the medians, the least and the greatest ratio
sub ratio
{
	my ($self, $cell, $base, $unit) = @_;
	my $of = $self->{rounds}{ key(@$cell, $unit) } // {};
	my $to = $self->{rounds}{ key(@$base, $unit) } // {};
	my @each = sort { $a <=> $b } map { $of->{$_} / $to->{$_} } grep { $to->{$_} } keys %$of;

	return if !@each;
	return ($self->median(@$cell, $unit) / $self->median(@$base, $unit), $each[0], $each[-1]);
}

# number(value): with as many digits as it is worth
sub number
{
	my ($value) = @_;
	my $digits = $value =~ /^-?\d+$/ || abs $value >= 100 ? 0 : abs $value >= 10 ? 1 : 2;
	my $text = sprintf "%.${digits}f", $value;

	1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $text;
}

1;
