# Process.pm
#	What a process shows to the outside: its server's log, its descriptors, and what
#	is in its memory.

package PoolTest::Process;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use PostgreSQL::Test::Utils;

our @EXPORT = qw(log_offset log_since log_count no_crash descriptors in_memory);

sub log_offset
{
	my ($node) = @_;

	return -s $node->logfile;
}

sub log_since
{
	my ($node, $offset) = @_;

	return slurp_file($node->logfile, $offset || 0);
}

sub log_count
{
	my ($node, $pattern, $offset) = @_;
	my $matches = () = log_since($node, $offset) =~ /$pattern/g;

	return $matches;
}

# no_crash(node...): nothing died that should not, and no slot went astray
sub no_crash
{
	my (@nodes) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $node (@nodes)
	{
		my @found = grep {
			/PANIC: |TRAP: |terminated by signal|pool slot .* cannot go/
		} split /\n/, slurp_file($node->logfile);

		is(join("\n", @found), '', 'no crash in the log of ' . $node->name);
	}
	return;
}

# descriptors(pid): what they lead to; in scalar context how many there are
sub descriptors
{
	my ($pid) = @_;
	my @targets = map { readlink($_) || '' } glob "/proc/$pid/fd/*";

	return @targets;
}

# in_memory(pid, pattern): how often that is in the memory of the process; nothing if
# it cannot be read here
sub in_memory
{
	my ($pid, $pattern) = @_;
	my $n = 0;

	open my $maps, '<', "/proc/$pid/maps" or return;
	open my $mem, '<:raw', "/proc/$pid/mem" or return;
	while (my $line = <$maps>)
	{
		my ($from, $to) = $line =~ /^([0-9a-f]+)-([0-9a-f]+) rw-p/ or next;
		my $data = '';

		sysseek $mem, hex($from), 0 or next;
		defined sysread($mem, $data, hex($to) - hex($from)) or next;
		$n += () = $data =~ /$pattern/g;
	}
	return $n;
}

1;
