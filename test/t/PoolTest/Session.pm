# Session.pm
#	A psql session that is fed statement by statement, and may be left waiting for
#	an answer, quit, or die.

package PoolTest::Session;

use strict;
use warnings;

use IPC::Run;
use Time::HiRes qw(time usleep);

# new(node, how): how: db, user, options (for PGOPTIONS)
sub new
{
	my ($class, $node, %how) = @_;
	my $connstr = $node->connstr($how{db} || 'postgres');
	my $self = bless { in => '', out => '', err => '', count => 0 }, $class;

	$connstr .= " user=$how{user}" if $how{user};
	$connstr .= " options='$how{options}'" if $how{options};
	$self->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $connstr ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	$self->{pid} = $self->query('SELECT pg_backend_pid()')->{out};
	die "no session: $self->{last}{err}" if $self->{pid} !~ /^\d+$/;
	return $self;
}

sub pid { return $_[0]->{pid}; }

# state_in(messages): SQLSTATE of the last error
sub state_in
{
	my ($messages) = @_;
	my @states = $messages =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): /g;

	# What psql says of its own connection, and no warning of a server's by name.
	return @states ? $states[-1] : $messages =~ /connection to server (?!")|server closed/
	  ? 'lost'
	  : '00000';
}

# begin(statements): send them, and do not wait
sub begin
{
	my ($self, $statements) = @_;

	$self->{count}++;
	$self->{started} = time;
	$self->{in} .= "$statements\n;\n\\echo <$self->{count}>\n\\warn <$self->{count}>\n";
	$self->_pump;
	return;
}

# result(seconds): what became of them: out, err, state, secs; state is
# "timeout" if the deadline passed, and "lost" if the session was lost without
# an SQLSTATE
sub result
{
	my ($self, $seconds) = @_;
	my $mark = "<$self->{count}>\n";
	my $deadline = time + ($seconds || $ENV{PG_TEST_TIMEOUT_DEFAULT} || 60);
	my $ended = 0;
	my $state;

	while (1)
	{
		my $going = $self->_pump;

		last if $self->{out} =~ /$mark/ && $self->{err} =~ /$mark/;
		if (!$going)
		{
			last if $ended++;
			next;
		}
		if (time > $deadline)
		{
			$state = 'timeout';
			last;
		}
		usleep(3_000);
	}
	my %result = (
		out => $self->{out},
		err => $self->{err},
		secs => time - $self->{started});
	s/$mark//, s/\n\z// for $result{out}, $result{err};
	$result{state} = $state || state_in($result{err});
	$result{state} = 'lost' if $ended && $result{state} eq '00000';
	if (($state || '') ne 'timeout')
	{
		$self->{out} = '';
		$self->{err} = '';
	}
	$self->{last} = \%result;
	return \%result;
}

sub query
{
	my ($self, $statements, $seconds) = @_;

	$self->begin($statements);
	return $self->result($seconds);
}

# acquire(server): a lease that outlives transactions; nothing if there was an
# error
sub acquire
{
	my ($self, $server) = @_;

	return $self->query("SELECT pool_acquire('$server', hold => true)")->{out};
}

sub release
{
	my ($self, $lease) = @_;

	return $self->query("SELECT pool_release($lease)");
}

# busy(): has it not answered yet?  False also when the session was lost.
sub busy
{
	my ($self) = @_;
	my $mark = "<$self->{count}>\n";

	return 0 if !$self->_pump;
	return $self->{out} !~ /$mark/ || $self->{err} !~ /$mark/;
}

# seen(pattern): has that come on standard output since begin()?
sub seen
{
	my ($self, $pattern) = @_;

	$self->_pump;
	return $self->{out} =~ /$pattern/;
}

sub _pump
{
	my ($self) = @_;

	return 0 if !$self->{run};
	local $SIG{PIPE} = 'IGNORE';
	eval { $self->{run}->pump_nb; 1 } or return 0;
	return $self->{run}->pumpable;
}

# quit(): the client ends its session
sub quit
{
	my ($self) = @_;

	return if !$self->{run};
	local $SIG{PIPE} = 'IGNORE';
	$self->{in} .= "\\q\n";
	eval { $self->{run}->finish; };
	delete $self->{run};
	return;
}

# die_now(): the client dies, without a word to the server
sub die_now
{
	my ($self) = @_;

	return if !$self->{run};
	eval { $self->{run}->kill_kill(grace => 0); };
	eval { $self->{run}->finish; };
	delete $self->{run};
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);

	$self->die_now;
	return;
}

1;
