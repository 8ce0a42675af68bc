# Http.pm
#	The process that serves metrics, and clients of it that speak HTTP by hand.

package PoolTest::Http;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

use PoolTest::Wait;

our @EXPORT = qw(metrics_port metrics_pid http_connect http_rest http_ask http_get samples);

# metrics_port(): one that nobody has, for pool.metrics_listen
sub metrics_port
{
	return PostgreSQL::Test::Cluster::get_free_port();
}

# metrics_pid(local): of the process that serves metrics, or undef.  It is connected to
# no database, so no view has it.
sub metrics_pid
{
	my ($local) = @_;
	my $postmaster = (split /\n/, slurp_file($local->data_dir . '/postmaster.pid'))[0];

	foreach my $dir (glob '/proc/[0-9]*')
	{
		my ($stat, $title) = map { _read("$dir/$_") } 'stat', 'cmdline';

		return $dir =~ s{/proc/}{}r
		  if $stat =~ /\) \S $postmaster / && $title =~ /pool metrics/;
	}
	return;
}

# Of a process that may end meanwhile.
sub _read
{
	my ($file) = @_;

	open my $handle, '<', $file or return '';
	local $/ = undef;
	return scalar(<$handle>) // '';
}

# http_connect(port): a socket, or undef if nobody listens
sub http_connect
{
	my ($port) = @_;

	return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 30);
}

# http_rest(socket, seconds): what comes until the other side closes, and whether it
# has closed in that time
sub http_rest
{
	my ($socket, $seconds) = @_;
	my $deadline = time + ($seconds || 60);
	my $select = IO::Select->new($socket);
	my $text = '';

	while (time < $deadline)
	{
		next if !$select->can_read(0.05);
		my $got = sysread $socket, $text, 65536, length $text;
		return ($text, 1) if !$got;
	}
	return ($text, 0);
}

# http_ask(port, bytes): the answer to these bytes, head and all; '' if there is none
sub http_ask
{
	my ($port, $bytes) = @_;
	my $socket = http_connect($port) or return '';

	local $SIG{PIPE} = 'IGNORE';
	syswrite $socket, $bytes;
	return (http_rest($socket))[0];
}

# http_get(port, path, method): status, body, and head of the answer
sub http_get
{
	my ($port, $path, $method) = @_;
	my $answer = http_ask($port, ($method || 'GET') . " $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
	my ($head, $body) = split /\r\n\r\n/, $answer, 2;

	return ('none', '', '') if !defined $head || $head !~ m{^HTTP/1\.1 (\d+)};
	return ($1, $body, $head);
}

# samples(text): by name and labels
sub samples
{
	my ($text) = @_;

	return map { /^(\S.*) (\S+)$/ ? ($1 => $2) : () } grep { !/^#/ } split /\n/, $text;
}

1;
