# Gate.pm
#	A process between pool and a remote, which lets connections through or plays an
#	outage: as a remote that is starting up, or as a network that loses packets.
#	What was lost stays lost: a connection that came then is never answered, not
#	even when the outage is over.

package PoolTest::Gate;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use PoolTest::Child;
use PoolTest::Wire;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

our @EXPORT = qw(start_gate set_gate gate_arrivals stop_gate);

# start_gate(remote): open; with the port to go to
sub start_gate
{
	my ($remote) = @_;
	my $listen = IO::Socket::INET->new(Listen => 500, LocalAddr => '127.0.0.1')
	  or die "cannot listen: $!";
	my $file = "$PostgreSQL::Test::Utils::tmp_check/gate." . $listen->sockport;
	my $gate = { port => $listen->sockport, file => $file };

	append_to_file("$file.came", '');
	set_gate($gate, 'open');
	$gate->{pid} = start_child(sub { _serve($gate, $listen, $remote->port, @_) });
	return $gate;
}

# set_gate(gate, mode): open, starting or lost, from now on; what was connected is
# cut.  Returns the time.
sub set_gate
{
	my ($gate, $mode) = @_;

	unlink "$gate->{file}.next";
	append_to_file("$gate->{file}.next", $mode);
	rename "$gate->{file}.next", "$gate->{file}.mode" or die "cannot rename: $!";
	return time;
}

# gate_arrivals(gate): the mode and the time of each connection that came, in order
sub gate_arrivals
{
	my ($gate) = @_;

	return map { [split] } split /\n/, slurp_file("$gate->{file}.came");
}

sub stop_gate
{
	my ($gate) = @_;

	stop_child($gate->{pid});
	return;
}

sub _serve
{
	my ($gate, $listen, $port, $goes_on) = @_;
	my $all = IO::Select->new($listen);
	my (%peer, @lost);
	my $starting = report('E', 'FATAL', '57P03', 'the database system is starting up', '');
	my $mode = '';

	while ($goes_on->())
	{
		my $now = slurp_file("$gate->{file}.mode");

		if ($now ne $mode)
		{
			$mode = $now;
			%peer = ();
			$all = IO::Select->new($listen);
		}
		foreach my $from ($all->can_read(0.01))
		{
			if ($from == $listen)
			{
				my $near = $listen->accept or next;

				append_to_file("$gate->{file}.came", "$mode " . time . "\n");
				push @lost, $near if $mode eq 'lost';
				$all->add($near) if $mode eq 'starting';
				next if $mode ne 'open';

				my $far = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
				  or next;

				@peer{ $near, $far } = ($far, $near);
				$all->add($near, $far);
			}
			elsif (sysread $from, my $data, 65536)
			{
				my $to = $peer{$from};
				my $asks = !$to && length $data == 8;    # for encryption

				syswrite $to || $from, $to ? $data : $asks ? 'N' : $starting;
				$all->remove($from) if !$to && !$asks;
			}
			else
			{
				my $to = delete $peer{$from};

				delete $peer{$to} if $to;
				$all->remove(grep { $_ } $from, $to);
			}
		}
	}
	return;
}

1;
