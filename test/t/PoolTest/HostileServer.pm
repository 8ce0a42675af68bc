# HostileServer.pm
#	A remote that is malformed, slow or mad in a way that a test has written down.
#	Each connection is served by a process of its own, which runs the play of the
#	database that the client asks for: code that gets the connection.  So one port
#	is as many remotes as a test has plays.
#
#	A play may call
#
#		$c->put(bytes...)	send them
#		$c->let_in(...)		AuthenticationOk, parameters, BackendKeyData and
#							ReadyForQuery; or what is given in their place, by name
#		$c->ask()			wait for what the client asks, up to a Sync, Flush or simple
#							query; returns the messages, nothing when it has gone
#		$c->answer(query)	the good answer to that
#		$c->serve()			good answers until the client goes
#		$c->stall()			say nothing, until the client goes
#
#	and hangs up when it returns.

package PoolTest::HostileServer;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use POSIX ();
use PoolTest::Child;
use PoolTest::Nodes qw(mute_remote);
use PoolTest::Wire;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_hostile_server be_good stop_hostile_servers);

my @children;

# start_hostile_server(plays): by database; a cancel request runs the play "cancel",
# if there is one.  Returns the port.
sub start_hostile_server
{
	my (%plays) = @_;
	my $listen = mute_remote();

	push @children, start_child(sub { _listen($listen, \%plays, @_) });
	return $listen->sockport;
}

sub _listen
{
	my ($listen, $plays, $goes_on) = @_;

	local $SIG{CHLD} = 'IGNORE';
	while ($goes_on->())
	{
		next if !IO::Select->new($listen)->can_read(0.1);
		my $client = $listen->accept or next;

		start_child(
			sub {
				close $listen;
				bless({ client => $client, input => '' }, __PACKAGE__)->_begin($plays);
			});
		close $client;
	}
	return;
}

sub _good_file
{
	my ($port) = @_;

	return "$PostgreSQL::Test::Utils::tmp_check/good.$port";
}

# be_good(port): whatever is asked for, from now on the remote is a good one
sub be_good
{
	my ($port) = @_;

	append_to_file(_good_file($port), '');
	return;
}

# stop_hostile_servers(): no new connections are served; those that there are go on
# until their clients go
sub stop_hostile_servers
{
	stop_child(@children);
	@children = ();
	return;
}

# A request for encryption is refused first.
sub _begin
{
	my ($c, $plays) = @_;
	my ($length, $code) = (8, 0);

	do
	{
		substr $c->{input}, 0, $length, '' if $code;
		$c->put('N') if $code;
		$c->_read(8) or return;
		($length, $code) = unpack 'NN', $c->{input};
		$c->_read($length) or return;
	} while ($code == 80877103);
	my %asked = split /\0/, substr $c->{input}, 8, $length - 9;
	my $play = $plays->{ $code == 80877102 ? 'cancel' : $asked{database} || '' };

	substr $c->{input}, 0, $length, '';
	$play = sub { $c->let_in; $c->serve }
	  if -e _good_file($c->{client}->sockport) && $code != 80877102;
	$play->($c) if $play;
	return;
}

# _read(count): at least so many bytes; false if the client has gone
sub _read
{
	my ($c, $count) = @_;

	while (length $c->{input} < $count)
	{
		sysread $c->{client}, $c->{input}, 65536, length $c->{input} or return 0;
	}
	return 1;
}

sub put
{
	my ($c, @bytes) = @_;
	my $data = join '', @bytes;

	while (length $data)
	{
		my $sent = syswrite $c->{client}, $data or POSIX::_exit(0);
		substr $data, 0, $sent, '';
	}
	return;
}

sub let_in
{
	my ($c, %other) = @_;

	$c->put(start_up(%other));
	return;
}

sub ask
{
	my ($c) = @_;
	my @asked;

	while ($c->_read(5))
	{
		my $length = 1 + unpack 'x N', $c->{input};

		$c->_read($length) or last;
		push @asked, substr $c->{input}, 0, $length, '';
		return @asked if $asked[-1] =~ /^[SQH]/;
		last if $asked[-1] =~ /^X/;
	}
	return;
}

# answer(messages, statement): what the remote answers to them, with these messages
# after ParseComplete and BindComplete of the test's own statement
sub answer
{
	my ($c, $asked, @statement) = @_;
	my ($answer, $sql) = ('', '');

	foreach (@$asked)
	{
		my $type = substr $_, 0, 1;
		my ($nonce) = $sql =~ /set_config\('application_name', '([^']*)'/;
		my $rows = $nonce // ($sql =~ /^select/i ? 'done' : undef);

		my $own = @statement && $sql =~ /^select '/i;

		$sql = (split /\0/, substr $_, 5)[1] // '' if $type eq 'P';
		$answer .= message($type eq 'P' ? '1' : '2', '') if $type =~ /[PB]/;
		$answer .= $rows ? columns('a') : message('n', '') if $type eq 'D' && !$own;
		$answer .= message('Z', 'I') if $type eq 'S';
		next if $type ne 'E';
		$answer .= $own ? join('', @statement)
		  : ($rows ? row($rows) : '') . complete('SELECT 1');
	}
	return $answer;
}

sub serve
{
	my ($c) = @_;

	while (my @asked = $c->ask)
	{
		$c->put($c->answer(\@asked));
	}
	return;
}

sub stall
{
	my ($c) = @_;

	1 while sysread $c->{client}, my $waste, 65536;
	return;
}

1;
