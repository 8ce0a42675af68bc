# Prepared.pm
#	What the tests of prepared statements share.  The worker resets a connection
#	that was used and is idle for a second, and with that all that is prepared goes:
#	on a busy machine that can come between any two steps.  So what depends on it is
#	attempted a few times, each time with statements that nobody has run before.

package PoolTest::Prepared;

use strict;
use warnings;

use Test::More;

use PoolTest::Nodes;
use PoolTest::Sql;

my $number = 0;

sub new
{
	my ($class, $local, $remote) = @_;

	return bless { local => $local, remote => $remote, control => session($local) }, $class;
}

# server(name, options): over the remote
sub server
{
	my ($self, $name, %options) = @_;

	create_server($self->{local}, $name, $self->{remote}, options => \%options);
	return;
}

# text(pattern): a statement that was not there before, as a literal; %d in the
# pattern is its number
sub text
{
	my ($self, $pattern) = @_;

	$number++;
	return sprintf('$_$' . $pattern . '$_$', $number);
}

sub number { return $number; }

# The parts of the reset and the proof's SELECT
sub own { return 10; }

# attempt(what, code): a test: one of a few attempts returns true, and all that was
# must() be was so in each of them
sub attempt
{
	my ($self, $what, $code) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach (1 .. 10)
	{
		my $done = eval { $code->() };

		die $@ if $@ && $@ ne "not what must be\n";
		return fail($what) if $@;
		return pass($what) if $done;
	}
	diag($self->{last} // '');
	return fail($what);
}

# must(found, expected): what has to be in each attempt, whichever way was taken
sub must
{
	my ($self, $found, $expected) = @_;

	return 1 if $found eq $expected;
	diag("$found, not $expected");
	die "not what must be\n";
}

# run(session, server, statement, times): the first column of what comes
sub run
{
	my ($self, $session, $server, $statement, $times) = @_;
	my $query = "SELECT t FROM pool_query('$server', $statement) AS r(t text);";
	my $answer = $session->query($query x ($times || 1));

	$self->{last} = $answer->{err} if $answer->{err} ne '';
	return join ' ', split /\n/, $answer->{out};
}

# count(counter, server): of statement_hits and its siblings
sub count
{
	my ($self, $counter, $server) = @_;

	return stat_of($self->{control}, "statement_$counter", $server);
}

# start(server): count from here
sub start
{
	my ($self, $server) = @_;

	$self->{from}{$server} = [ $self->count('hits', $server), $self->count('parses', $server) ];
	return;
}

# seen(server): what was counted since
sub seen
{
	my ($self, $server) = @_;
	my ($hits, $parses) = @{ $self->{from}{$server} };

	return $self->{last} = sprintf('%d hits, %d parses', $self->count('hits', $server) - $hits,
		$self->count('parses', $server) - $parses);
}

# prepared(session, server): how many statements the connection has prepared
sub prepared
{
	my ($self, $session, $server) = @_;

	return $self->run($session, $server,
		q($_$select count(*) from pg_prepared_statements -- not prepared itself$_$));
}

1;
