# Memory.pm
#	What is in the memory of a server's processes, as /proc shows it to a process of
#	the same user (where it does: memory_is_readable()).

package PoolTest::Memory;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(memory_is_readable processes_of in_private_memory in_shared_memory);

sub memory_is_readable
{
	my ($pid) = @_;

	return scalar _regions($pid, sub { return 1; });
}

# processes_of(node): the pids of all its processes, the postmaster first
sub processes_of
{
	my ($node) = @_;
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @children = grep {
		my $stat = eval { slurp_file("/proc/$_/stat") } || '';
		$stat =~ /^\d+ \(.*\) \S (\d+) /s && $1 == $postmaster;
	} map { m{(\d+)$} } glob '/proc/[0-9]*';

	return ($postmaster, @children);
}

# in_private_memory(pid, pattern): how often it is there; what the process has to
# itself, freed memory and stacks included
sub in_private_memory
{
	my ($pid, $pattern) = @_;
	my $n = 0;

	$n += () = $_->[1] =~ /$pattern/g
	  foreach _regions($pid, sub { return $_[0] =~ /^rw.p/ && $_[1] !~ /^\[v/; });
	return $n;
}

# in_shared_memory(node, pattern): where it is: the names of allocations, as
# pg_shmem_allocations has them, and of files that are mapped
sub in_shared_memory
{
	my ($node, $pattern) = @_;
	my ($postmaster) = processes_of($node);
	my @allocations = map { [ split /\|/ ] } split /\n/, sql($node,
		q(SELECT off, off + allocated_size, name FROM pg_shmem_allocations
			WHERE off IS NOT NULL ORDER BY off));
	my $end = (sort { $b <=> $a } map { $_->[1] } @allocations)[0];
	my %found;

	foreach my $region (_regions($postmaster, sub { return $_[0] =~ /^rw.s/; }))
	{
		my ($name, $data) = @$region;

		# The main segment is the one that has all of them; what has no name of
		# its own there has the one before it, of which it is a part.
		while ($data =~ /$pattern/g)
		{
			my $at = $-[0];
			my ($in) = grep { $_->[0] <= $at && $at < $_->[1] } @allocations;

			$found{ length $data < $end ? $name : $in ? $in->[2] : 'unnamed' }++;
		}
	}
	return sort keys %found;
}

# The name and the content of those parts of memory that the code, given
# permissions and name, wants
sub _regions
{
	my ($pid, $wanted) = @_;
	my @regions;

	open my $maps, '<', "/proc/$pid/maps" or return;
	open my $mem, '<:raw', "/proc/$pid/mem" or return;
	while (my $line = <$maps>)
	{
		my ($from, $to, $rights, $name) =
		  $line =~ /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/
		  or next;
		my $data = '';

		next if !$wanted->($rights, $name);
		sysseek $mem, hex $from, 0 or next;
		defined sysread($mem, $data, hex($to) - hex($from)) or next;
		push @regions, [ $name, $data ];
	}
	return @regions;
}

1;
