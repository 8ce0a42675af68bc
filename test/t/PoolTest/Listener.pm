# Listener.pm
#	Remotes that are none: ports at which connections can be made, but nobody
#	answers, or somebody hangs up.  What they count is how often pool tried.
#
# accept_all() and hang_up() are for a socket of the test itself (mute_remote()),
# whose queue takes connections while the test does something else.  What
# start_listener() starts is a process of its own, which can count, and hang up,
# while the test waits for sessions.

package PoolTest::Listener;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use PoolTest::Child;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT = qw(
  accept_all hang_up
  start_listener came_to begin_to_hang_up stop_listeners
);

my @children;

# accept_all(listener): the connections that are in its queue now; they end when
# the caller forgets them
sub accept_all
{
	my ($listener) = @_;
	my @clients;

	$listener->blocking(0);
	while (my $client = $listener->accept)
	{
		push @clients, $client;
	}
	return @clients;
}

# hang_up(listener, until): takes each connection and hangs up on it, until the
# code, which gets the times at which they came, is content; returns the times
sub hang_up
{
	my ($listener, $until) = @_;
	my @times;

	while (!$until->(@times))
	{
		next if !IO::Select->new($listener)->can_read(0.01);
		my $client = $listener->accept;

		push @times, clock_gettime(CLOCK_MONOTONIC);
		close $client;
	}
	return @times;
}

# start_listener(hangs up): a process that takes every connection and counts it;
# it hangs up at once, or keeps it without an answer
sub start_listener
{
	my ($hangs_up) = @_;
	my $listen = IO::Socket::INET->new(Listen => 500, LocalAddr => '127.0.0.1', Blocking => 0)
	  or die "cannot listen: $!";
	my $file = "$PostgreSQL::Test::Utils::tmp_check/listener." . $listen->sockport;

	append_to_file($file, '');
	push @children, start_child(sub { _listen($listen, $file, $_[0], $hangs_up) });
	return { pid => $children[-1], port => $listen->sockport, file => $file };
}

# came_to(listener): how many connections that process has taken
sub came_to
{
	my ($listener) = @_;

	return -s $listener->{file};
}

# begin_to_hang_up(listener): on those that it keeps, and on all that come
sub begin_to_hang_up
{
	my ($listener) = @_;

	kill 'USR1', $listener->{pid};
	return;
}

# stop_listeners(): all such processes
sub stop_listeners
{
	stop_child(@children);
	@children = ();
	return;
}

# In the process of a listener: until the test has ended
sub _listen
{
	my ($listen, $file, $goes_on, $hangs_up) = @_;
	my $all = IO::Select->new($listen);

	local $SIG{USR1} = sub { $hangs_up = 1; };
	while ($goes_on->())
	{
		foreach my $socket ($all->can_read(0.05))
		{
			next if $socket != $listen && sysread $socket, my $waste, 100;
			if ($socket != $listen)
			{
				$all->remove($socket);
				close $socket;
			}
			while ($socket == $listen && (my $client = $listen->accept))
			{
				append_to_file($file, 'x');
				$all->add($client);
			}
		}
		foreach my $socket ($hangs_up ? $all->handles : ())
		{
			next if $socket == $listen;
			$all->remove($socket);
			close $socket;
		}
	}
	return;
}

1;
