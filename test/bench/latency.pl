# latency.pl settle seconds log...
#	Figures of a run of pgbench from its log of transactions: those that ended in the
#	given seconds, after each session has had an answer and they have settled for a
#	while.  Only the first script counts (the other is a pause).  Times are those of
#	all that began before the end of the seconds and had not ended when they began.

use strict;
use warnings;

my ($settle, $seconds, @logs) = @ARGV;
my (@took, @begin, @end, %first);

foreach my $log (@logs)
{
	open my $file, '<', $log or die "cannot open $log: $!\n";
	while (<$file>)
	{
		my ($client, undef, $time, $script, $epoch, $us) = split;

		next if !defined $us || $time !~ /^\d+$/ || $script != 0;
		push @took, $time / 1000;
		push @end, $epoch + $us / 1e6;
		push @begin, $end[-1] - $time / 1e6;
		$first{$client} //= $end[-1];
	}
}
exit if !@took;

my ($settled) = sort { $b <=> $a } values %first;
my $from = $settled + $settle;
my $until = $from + $seconds;
my @late = grep { $end[$_] >= $from && $begin[$_] < $until } 0 .. $#took;
my $count = grep { $end[$_] < $until } @late;
my @sorted = sort { $a <=> $b } @took[@late];

exit if !$count;
printf "%.1f\tper s\n", $count / $seconds;
printf "%.3f\tp50 ms\n", $sorted[ @sorted * 0.5 ];
printf "%.3f\tp99 ms\n", $sorted[ @sorted * 0.99 ];
printf "%.3f\tmax ms\n", $sorted[-1];
