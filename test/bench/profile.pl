# profile.pl local.symbols remote.symbols
#	Tables of what perf found: by kind of work, and the functions that took most.

use strict;
use warnings;

my @sides = ('here', 'on the remote');

# The first that fits: name, library, what is in the function's name
my @kinds = (
	[ 'kernel: sleep, wake up, switch', 'kernel', qw(sched wake futex epoll poll switch select idle
			wait enqueue dequeue timer) ],
	[ 'kernel: sockets and network', 'kernel', qw(tcp sock skb net ip_ unix send recv loopback
			_iter) ],
	[ 'kernel: the rest', 'kernel' ],
	[ 'pool', 'pool\.so' ],
	[ 'libpq', 'libpq' ],
	[ 'encryption', 'lib(ssl|crypto)' ],
	[ 'memory', '.', qw(alloc pfree AllocSet MemoryContext free memcpy memset memmove) ],
	[ 'functions without a name (static, and no symbols)', '.', '^without a name' ],
	[ 'parse, rewrite, plan', 'postgres', qw(yy lex parse transform rewrite plan cost path rel_
			clause expr eval_const walker mutator query node analyze restrict opt_ copyObj) ],
	[ 'transactions, snapshots, locks', 'postgres', qw(Transaction Snapshot Xact Lock
			ResourceOwner Proc) ],
	[ 'catalogs, caches, settings', 'postgres', qw(Cat Cache hash_ relation_ get_ lookup fmgr
			guc option) ],
	[ 'execution, tables, indexes', 'postgres', qw(Exec heap index _bt Buffer Portal tuple slot
			scan page tts_) ],
	[ 'messages and text', '.', qw(pq printtup printf text str command ready secure socket recv send
			pgstat set_ps) ],
	[ 'the rest', '.' ]);

my (%share, @top);

foreach my $side (0, 1)
{
	my %functions;

	open my $file, '<', $ARGV[$side] or die "cannot open $ARGV[$side]: $!\n";
	while (<$file>)
	{
		my ($percent, $library, $function) =
		  /^\s*([\d.]+)%?\s*\|\s*(\S+)\s*\|\s*(?:\[\S\])?\s*(.*\S)/ or next;
		$function = 'without a name' if $function =~ /^0x/;
		my ($kind) = grep { fits($library, $function, @$_) } @kinds;

		$share{ $kind->[0] }[$side] += $percent;
		$functions{"$function ($library)"} += $percent;
	}
	$top[$side] = [
		map { [ $functions{$_}, s/^(\w+) \(/`$1` (/r ] }
		sort { $functions{$b} <=> $functions{$a} } keys %functions
	];
}

print "\n| kind of work | $sides[0], % | $sides[1], % |\n|---|---|---|\n";
foreach my $kind (grep { $share{$_} } map { $_->[0] } @kinds)
{
	printf "| %s | %.1f | %.1f |\n", $kind, map { $share{$kind}[$_] // 0 } 0, 1;
}
print "\n| function $sides[0] | % | function $sides[1] | % |\n|---|---|---|---|\n";
foreach my $place (0 .. 14)
{
	my @line = map { $top[$_][$place] // [ 0, '' ] } 0, 1;

	printf "| %s | %.1f | %s | %.1f |\n", map { @$_[ 1, 0 ] } @line if grep { $_->[1] } @line;
}

sub fits
{
	my ($library, $function, undef, $in, @words) = @_;

	return 0 if $library !~ /$in/;
	return !@words || grep { $function =~ /$_/i } @words;
}
