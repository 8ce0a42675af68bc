# latency.pl settle seconds log...
#	Figures of a run of pgbench from its log of transactions: those that ended in the
#	given seconds, after those in which it settled.  Only the first script counts (the
#	other is a pause).  The longest one is looked for among all that began before the
#	end of that time.

use strict;
use warnings;

my ($settle, $seconds, @logs) = @ARGV;
my (@took, @begin, @end);

foreach my $log (@logs)
{
	open my $file, '<', $log or die "cannot open $log: $!\n";
	while (<$file>)
	{
		my (undef, undef, $time, $script, $epoch, $us) = split;

		next if !defined $us || $time !~ /^\d+$/ || $script != 0;
		push @took, $time / 1000;
		push @end, $epoch + $us / 1e6;
		push @begin, $end[-1] - $time / 1e6;
	}
}
exit if !@took;

my ($start) = sort { $a <=> $b } @begin;
my $from = $start + $settle;
my $until = $from + $seconds;
my @late = grep { $end[$_] >= $from && $begin[$_] < $until } 0 .. $#took;
my $count = grep { $end[$_] < $until } @late;
my @sorted = sort { $a <=> $b } @took[@late];

exit if !$count;
printf "%.1f\tper s\n", $count / $seconds;
printf "%.3f\tp50 ms\n", $sorted[ @sorted * 0.5 ];
printf "%.3f\tp99 ms\n", $sorted[ @sorted * 0.99 ];
printf "%.3f\tmax ms\n", $sorted[-1];
