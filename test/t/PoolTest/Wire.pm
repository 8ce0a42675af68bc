# Wire.pm
#	Messages of the protocol, as a remote sends them.

package PoolTest::Wire;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(message messages start_up columns row complete report);

# message(type, body, length): the length may be a lie
sub message
{
	my ($type, $body, $length) = @_;

	return pack('a N', $type, $length || 4 + length $body) . $body;
}

# messages(bytes): each message
sub messages
{
	my ($bytes) = @_;
	my @messages;

	while (length $bytes)
	{
		my $length = 1 + unpack 'x N', $bytes;

		push @messages, substr $bytes, 0, $length, '';
	}
	return @messages;
}

# start_up(other): what a client is sent that is let in; other: what takes the place
# of "ok", "parameters", "key" or "ready"
sub start_up
{
	my (%other) = @_;
	my %setting = (
		server_version => '15.0',
		client_encoding => 'UTF8',
		DateStyle => 'ISO, MDY',
		IntervalStyle => 'postgres',
		integer_datetimes => 'on',
		standard_conforming_strings => 'on');
	my %part = (
		ok => message('R', pack 'N', 0),
		parameters => join('', map { message('S', "$_\0$setting{$_}\0") } sort keys %setting),
		key => message('K', pack 'NN', $$, 4711),
		ready => message('Z', 'I'),
		%other);

	return join '', @part{ 'ok', 'parameters', 'key', 'ready' };
}

# columns(name...): RowDescription, all of type text
sub columns
{
	return message('T', pack 'n' . 'Z*NnNnNn' x @_, scalar @_,
		map { ($_, 0, 0, 25, -1, -1, 0) } @_);
}

# row(value...): DataRow
sub row
{
	return message('D', pack 'n(N/a*)*', scalar @_, @_);
}

# complete(tag): CommandComplete
sub complete
{
	my ($tag) = @_;

	return message('C', "$tag\0");
}

# report(type, severity, SQLSTATE, text, place): a notice or an error; the place in
# its own code a backend always adds, and others do not ('')
sub report
{
	my ($type, $severity, $state, $text, $place) = @_;

	$place //= "Fx.c\0L1\0Rsome_function\0";
	return message($type, "S$severity\0V$severity\0C$state\0M$text\0$place\0");
}

1;
