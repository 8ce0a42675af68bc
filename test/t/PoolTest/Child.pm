# Child.pm
#	Processes that a test starts to play a part of their own.

package PoolTest::Child;

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();

our @EXPORT = qw(start_child stop_child);

# start_child(code): a process that runs the code and ends; returns its pid.  The code
# gets a function that is true as long as there is the test.
sub start_child
{
	my ($code) = @_;
	my $parent = $$;
	my $pid = fork;

	die "cannot fork: $!" if !defined $pid;
	return $pid if $pid;
	local $SIG{TERM} = 'DEFAULT';
	local $SIG{PIPE} = 'IGNORE';
	eval {
		_leave_pipes();
		$code->(sub { return getppid() == $parent });
	};
	warn $@ if $@;
	POSIX::_exit($@ ? 1 : 0);
}

# stop_child(pid...)
sub stop_child
{
	my (@pids) = @_;

	kill 'TERM', @pids;
	waitpid $_, 0 foreach @pids;
	return;
}

# Whoever reads the test's output waits until nobody has it open, and so does a psql
# that the test has started with its input; and there are copies of such handles.
sub _leave_pipes
{
	my @pipes = grep { (readlink("/proc/self/fd/$_") || '') =~ /^pipe:/ }
	  map { m{(\d+)$} } glob '/proc/self/fd/*';

	open my $null, '+<', '/dev/null' or die "cannot open /dev/null: $!";
	foreach my $pipe (@pipes)
	{
		POSIX::dup2(fileno $null, $pipe) or die "cannot leave a pipe: $!";
	}
	return;
}

1;
