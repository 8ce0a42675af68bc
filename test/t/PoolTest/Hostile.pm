# Hostile.pm
#	A remote that lets everybody in and then sends, before it says that it is ready,
#	what a test wants, again and again until it is cut off or is told to stop.

package PoolTest::Hostile;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use POSIX ();
use PoolTest::Nodes qw(mute_remote);

our @EXPORT = qw(start_hostile stop_hostile message);

my @children;

# message(type, body, length): of the protocol; the length may be a lie
sub message
{
	my ($type, $body, $length) = @_;

	return pack('a N', $type, $length || 4 + length $body) . $body;
}

# start_hostile(first, again, times): a process that sends "first" when a client
# has begun, then "again" so many times, and then hangs up; returns its port.
# "again" may be code, which gets the number of the time and the socket.
sub start_hostile
{
	my ($first, $again, $times) = @_;
	my $listen = mute_remote();
	my $parent = $$;
	my $pid = fork;

	die "cannot fork: $!" if !defined $pid;
	if (!$pid)
	{
		local $SIG{TERM} = 'DEFAULT';
		local $SIG{PIPE} = 'IGNORE';

		# Whoever reads the test's output waits for its end.
		open STDOUT, '>', '/dev/null' or die $!;
		open STDERR, '>', '/dev/null' or die $!;
		while (getppid() == $parent)
		{
			next if !IO::Select->new($listen)->can_read(0.1);
			my $client = $listen->accept or next;

			_serve($client, $first, $again, $times);
			close $client;
		}
		POSIX::_exit(0);
	}
	push @children, $pid;
	return $listen->sockport;
}

# stop_hostile(): all such processes
sub stop_hostile
{
	kill 'TERM', @children;
	waitpid $_, 0 foreach @children;
	@children = ();
	return;
}

# A request for encryption is refused first.
sub _serve
{
	my ($client, $first, $again, $times) = @_;
	my $encryption = 80877103;

	sysread $client, my $begin, 10000 or return;
	if (length $begin == 8 && unpack('x4 N', $begin) == $encryption)
	{
		syswrite $client, 'N';
		sysread $client, $begin, 10000 or return;
	}
	syswrite $client, message('R', pack 'N', 0) . $first;
	foreach my $n (1 .. $times)
	{
		my $data = ref $again ? $again->($n, $client) : $again;

		while (length $data)
		{
			my $sent = syswrite $client, $data or return;
			substr $data, 0, $sent, '';
		}
	}
	return;
}

1;
