# Process.pm
#	What a process shows to the outside: its server's log, its descriptors, and how
#	much memory it has.

package PoolTest::Process;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use PostgreSQL::Test::Utils;

our @EXPORT = qw(log_offset log_since log_count no_crash server_titles descriptors
  memory_of);

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

# server_titles(): of all processes of servers, a line each.  Whoever looks for
# something in command lines has it in its own.
sub server_titles
{
	return join "\n",
	  grep { /^postgres: / } map { eval { slurp_file($_) } || '' } glob '/proc/[0-9]*/cmdline';
}

# descriptors(pid): what they lead to; in scalar context how many there are
sub descriptors
{
	my ($pid) = @_;
	my @targets = map { readlink($_) || '' } glob "/proc/$pid/fd/*";

	return @targets;
}

# memory_of(pid, which): in kB: VmRSS, what is in memory; VmHWM, the most of it that
# there was; RssAnon, what the process has for itself
sub memory_of
{
	my ($pid, $which) = @_;

	return slurp_file("/proc/$pid/status") =~ /^$which:\s+(\d+) kB/m ? $1 : die "no $which";
}

1;
