# FakeRemote.pm
#	A remote that speaks the protocol, takes the messages in their order, as a
#	backend does, and ends where it is told to; it counts what it was sent and
#	what it has executed.
#
# A statement tells in a comment what is to happen: "/* plan 7: fatal 3 */" is
# plan number 7.  The messages that come with the statement are numbered from 0.
#
#	fine			all are answered
#	fatal N			before message N the session ends with a FATAL
#	pooler N		the same, as a pooler between the two would say it
#	cut K			all are executed, but only K bytes of the answer arrive
#	fatal N cut K	both
#
# A plan is for the first time that its statement comes; the second time all is
# fine, unless the plan ends with "always".
#
# Or a script of the test says what is sent.  It is called for each message that
# comes, and gets the answer that a backend would give, the text of the statement,
# the type of the message and what play_fake() named last.  It returns what is sent
# instead, and perhaps something more that is sent only when the test says so, by
# fake_goes_on().  After an error messages are skipped up to the next Sync.

package PoolTest::FakeRemote;

use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use IO::Socket::INET;
use PoolTest::Child;
use PoolTest::Wait;
use PoolTest::Wire;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  start_fake_remote fake_counts fake_answer_length play_fake fake_goes_on stop_fake_remote
);

# start_fake_remote(script): a process that takes connections at {port}
sub start_fake_remote
{
	my ($script) = @_;
	my $listen = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
	  or die "cannot listen: $!";
	my $self = {
		port => $listen->sockport,
		file => "$PostgreSQL::Test::Utils::tmp_check/fake." . $listen->sockport
	};

	append_to_file($self->{file}, '');
	$self->{pid} = start_child(sub { _serve($listen, $self->{file}, $_[0], $script) });
	return $self;
}

# fake_counts(remote): for each plan how often its statement came, and how often
# it was executed: "came, executed"
sub fake_counts
{
	my ($self) = @_;
	my %count;

	foreach my $line (split /\n/, slurp_file($self->{file}))
	{
		my ($what, $plan) = split / /, $line;
		$count{$plan}{$what}++;
	}
	return map { $_ => join ', ', map { $_ || 0 } @{ $count{$_} }{ 'came', 'executed' } }
	  keys %count;
}

# fake_answer_length(remote, plan): the bytes of the first answer to its statement
sub fake_answer_length
{
	my ($self, $plan) = @_;

	return (slurp_file($self->{file}) =~ /^answered $plan (\d+)$/m)[0];
}

# play_fake(remote, name): what its script is told from now on
sub play_fake
{
	my ($self, $name) = @_;

	unlink "$self->{file}.name";
	append_to_file("$self->{file}.name", $name);
	return;
}

# fake_goes_on(remote): as soon as its script has answered with something for later,
# sends that; true when it was sent
sub fake_goes_on
{
	my ($self) = @_;

	wait_until(20, sub { return -e "$self->{file}.rest" }) or return 0;
	append_to_file("$self->{file}.go", '');
	return wait_until(20, sub { return !-e "$self->{file}.go" });
}

sub stop_fake_remote
{
	my ($self) = @_;

	stop_child($self->{pid});
	return;
}

sub _serve
{
	my ($listen, $file, $goes_on, $script) = @_;
	my $all = IO::Select->new($listen);
	my (%input, %started, %came, %script_of);

	while ($goes_on->())
	{
		if (-e "$file.go")
		{
			_send_rest($_) foreach values %script_of;
			unlink "$file.rest", "$file.go";
		}
		foreach my $socket ($all->can_read(0.1))
		{
			if ($socket == $listen)
			{
				$all->add(scalar $listen->accept);
				next;
			}
			my $open = sysread $socket, $input{$socket}, 1_000_000, length($input{$socket} || '');

			if ($open && !$started{$socket})
			{
				$open = _start($socket, \$input{$socket}, \$started{$socket});
			}
			elsif ($open && $script)
			{
				$script_of{$socket} ||= { run => $script, query => '', socket => $socket };
				$open = _follow($script_of{$socket}, \$input{$socket}, $file);
			}
			elsif ($open)
			{
				$open = _answer($socket, \$input{$socket}, $file, \%came);
			}
			next if $open;
			$all->remove($socket);
			delete $input{$socket};
			delete $started{$socket};
			delete $script_of{$socket};
			close $socket;
		}
	}
	return;
}

# What comes before the first query; false ends the connection
sub _start
{
	my ($socket, $input, $started) = @_;

	if ($$input =~ s/^p....//s)
	{
		$$input = '';
		$$started = 1;
		syswrite $socket, start_up();
		return 1;
	}
	my (undef, $code) = unpack 'NN', $$input;
	$$input = '';
	return 0 if $code == 80877102;    # a cancel request
	syswrite $socket, $code == 80877103 ? 'N' : message('R', pack 'N', 3);
	return 1;
}

sub _end_session
{
	my ($pooler) = @_;

	return report('E', 'FATAL', '57P01', 'terminating connection due to administrator command',
		$pooler ? '' : "Fpostgres.c\0L3191\0RProcessInterrupts\0");
}

# The answer to one message, and whether it executes the statement with the plan
sub _step
{
	my ($type, $body, $query) = @_;

	if ($type eq 'P')
	{
		($$query) = (split /\0/, $body)[1];
		return message('1', '');
	}
	return message('2', '') if $type eq 'B';
	return message('Z', 'I') if $type eq 'S';
	my $value = $$query =~ /set_config\('application_name', '([^']*)'/i ? $1
	  : $$query =~ /^select/i ? 'done' : undef;
	return $value ? columns('a') : message('n', '') if $type eq 'D';
	return ($value ? row($value) : '')
	  . complete($value ? 'SELECT 1' : uc((split ' ', $$query)[0]));
}

# Answers all messages that have come up to a Sync; false ends the connection
sub _answer
{
	my ($socket, $input, $file, $came) = @_;
	my ($number, $plan, $times) = ('', 'fine', 0);
	my ($query, $out, @messages) = ('', '');

	for (my $rest = $$input; length $rest;)
	{
		return 1 if length $rest < 5;
		my ($type, $length) = unpack 'aN', $rest;
		return 1 if length $rest < 1 + $length;
		return 0 if $type eq 'X';
		push @messages, [ $type, substr $rest, 5, $length - 4 ];
		substr $rest, 0, 1 + $length, '';
	}
	return 1 if $messages[-1][0] ne 'S';

	# A statement that follows the proof after a Sync may come a moment later.
	my ($found) = grep { $_->[1] =~ /plan \d+: / } @messages;
	return 1 if !$found && grep { $_->[1] =~ /application_name/ } @messages;
	$$input = '';
	if ($found)
	{
		($number, $plan) = $found->[1] =~ /plan (\d+): ([^*]*?) \*/;
		append_to_file($file, "came $number\n");
		$plan = 'fine' if $came->{$number}++ && $plan !~ /always/;
	}
	foreach my $i (0 .. $#messages)
	{
		if ($plan =~ /^(fatal|pooler) $i\b/)
		{
			$out .= _end_session($1 eq 'pooler');
			last;
		}
		$out .= _step(@{ $messages[$i] }, \$query);
		append_to_file($file, "executed $number\n")
		  if $messages[$i][0] eq 'E' && $query =~ /plan \d+: /;
	}
	append_to_file($file, "answered $number " . length($out) . "\n") if $number;
	syswrite $socket, $plan =~ /cut (\d+)/ ? substr $out, 0, $1 : $out;
	return $plan eq 'fine';
}

# Answers each message that has come as the script says; false ends the connection
sub _follow
{
	my ($script, $input, $file) = @_;
	my $name = -e "$file.name" ? slurp_file("$file.name") : '';
	my $out = '';

	$script->{rest} = '';
	while (length $$input >= 5)
	{
		my ($type, $length) = unpack 'aN', $$input;
		last if length $$input < 1 + $length;
		my $body = substr $$input, 5, $length - 4;

		substr $$input, 0, 1 + $length, '';
		return 0 if $type eq 'X';
		next if $script->{failed} && $type ne 'S';
		my $usual = _step($type, $body, \$script->{query});
		my ($answer, $rest) = $script->{run}->($usual, $script->{query}, $type, $name);

		$script->{failed} = $answer =~ /^E/;
		$out .= $answer;
		$script->{rest} .= $rest if defined $rest;
	}
	syswrite $script->{socket}, $out;
	append_to_file("$file.rest", '') if length $script->{rest};
	return 1;
}

sub _send_rest
{
	my ($script) = @_;

	syswrite $script->{socket}, $script->{rest} if length $script->{rest};
	$script->{rest} = '';
	return;
}

1;
