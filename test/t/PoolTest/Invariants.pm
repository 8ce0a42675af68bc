# Invariants.pm
#	What must hold after every case of a test that makes things go wrong, whatever
#	the case was.  Each is one test in hold():
#
#	A	every statement is answered by its own token: none is missing or comes
#		twice, none is another statement's, in rows, errors and notices
#	B	nothing is under way in any pool, nobody waits, and the sums hold
#	C	the remote has as many sessions as pool has connections, all idle
#	D	worker and sessions have the descriptors that they had
#	E	every connection of the pool looks as it did when it was new
#	F	others have noticed nothing: neither those who use the same pool nor a
#		session that holds a lease of another one; the server did not restart,
#		unless the case is that it does: then its remote sessions and its counters
#		are gone
#	G	the password is in no log, view, error or title of a process
#
#	my ($local, $remote) = start_invariant_pair(options => { max_size => 1 });
#	my $case = PoolTest::Invariants->new($local, $remote);
#	my $session = $case->open_session;
#	... what goes wrong; its statements by way of $case->ask and the like ...
#	$case->hold('after that');

package PoolTest::Invariants;

use strict;
use warnings;

use parent 'PoolTest::Tokens';

use Exporter qw(import);
use Test::More;

use PoolTest::Checks;
use PoolTest::Nodes;
use PoolTest::Process;
use PoolTest::Security qw($canary);
use PoolTest::Sql;
use PoolTest::Tokens qw(make_token_function);
use PoolTest::Wait;

use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_invariant_pair add_bystander);

# Long enough for a busy machine; what is promised is five seconds.
my $patience = 30;

# Everything that one session could leave behind for the next.  What the pool has
# prepared itself is no session's.
my $picture = <<'SQL';
SELECT 'setting ' || name || ' = ' || setting FROM pg_settings
	WHERE name <> 'application_name' AND name NOT LIKE 'plpgsql.%'
UNION ALL SELECT 'user ' || session_user || ', role ' || current_user
UNION ALL SELECT 'own setting ' || coalesce(current_setting('test.left', true), '')
UNION ALL SELECT 'prepared statement ' || name FROM pg_prepared_statements
	WHERE name !~ '^pool_[0-9a-f]{32}$'
UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> ''
UNION ALL SELECT 'listens to ' || c FROM pg_listening_channels() c
UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'lock ' || locktype FROM pg_locks
	WHERE pid = pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid')
ORDER BY 1
SQL

# start_invariant_pair(how): a local server and a remote one, whose password is
# one that can be looked for, with the pools "srv" and "bystander"; how: "options"
# of the one, options of the "bystander", settings of "local" and "remote"
sub start_invariant_pair
{
	my (%how) = @_;
	my $remote = start_remote(%{ $how{remote} || {} });
	my $local = start_local(
		log_min_messages => 'debug1', restart_after_crash => 'on', %{ $how{local} || {} });

	sql($remote, "ALTER ROLE app PASSWORD '$canary'");
	create_server($local, 'srv', $remote, options => $how{options}, password => $canary);
	add_bystander($local, $remote, options => $how{bystander});
	return ($local, $remote);
}

# add_bystander(local, remote): what else new() needs: the pool of those who have
# nothing to do with it, and what answers with tokens
sub add_bystander
{
	my ($local, $remote, %how) = @_;

	create_server($local, 'bystander', $remote, password => $canary, %how);
	make_token_function($remote);
	return;
}

# new(local, remote, how): before the first case; the pool "srv", or how->{server},
# must not have been used yet
sub new
{
	my ($class, $local, $remote, %how) = @_;
	my $self = bless {
		local => $local, remote => $remote, server => 'srv', %how,
		sessions => [], $class->no_tokens }, $class;

	$self->{far} = session($remote);
	$self->{logs} = { map { $_->name => 0 } $local, $remote };
	$self->_come_back;
	($self->{picture}) = $self->_look_at(1);
	wait_for_value($self->{look},
		q(SELECT count(*) FROM pool_connections WHERE state NOT IN ('idle', 'leased')), 0,
		'nothing is under way before the first case');
	$self->{fds} = $self->_worker_descriptors;
	return $self;
}

# Sessions of this module, which a restart of the server ends.
sub _come_back
{
	my ($self) = @_;

	$self->{look} = session($self->{local});
	$self->{bystander} = session($self->{local});
	$self->{started} = $self->_started;
	$self->_hold_lease;
	return;
}

sub _hold_lease
{
	my ($self) = @_;

	$self->{lease} = $self->{bystander}->acquire('bystander');
	return;
}

# renew(how): what the case itself has ended by right: a session on the remote, and
# the bystander's lease, unless the server is restarting ("crash" in how)
sub renew
{
	my ($self, %how) = @_;

	$self->{far}->quit;
	$self->{far} = session($self->{remote});
	return if $how{crash};
	$self->{bystander}->release($self->{lease}) if $self->{lease};
	return $self->_hold_lease;
}

# A process of the server that every restart replaces.
sub _started
{
	my ($self) = @_;

	return sql($self->{look},
		q(SELECT pid || ' ' || backend_start FROM pg_stat_activity)
		  . q( WHERE backend_type = 'checkpointer'));
}


#
# D
#

# How many descriptors of each kind a process has, of those that are not files.
sub _kinds
{
	my ($pid) = @_;
	my %n = (socket => 0, epoll => 0, other => 0);

	foreach (descriptors($pid))
	{
		$n{ /^socket:/ ? 'socket' : /eventpoll/ ? 'epoll' : 'other' }++
		  if m{^(socket|pipe|anon_inode):|^/dev/};
	}
	return \%n;
}

# Those of the workers without the ones of their connections: a socket, and of an
# encrypted connection the session's pair as well.
sub _worker_descriptors
{
	my ($self) = @_;
	my $open = sql($self->{look}, q(SELECT count(*) FROM pool_connections));
	my $tls = sql($self->{look},
		q(SELECT count(*) FROM pool_connections WHERE tls_version IS NOT NULL));
	my %sum = (socket => -$open - 2 * $tls, epoll => 0, other => 0);

	foreach my $pid (split /\n/, worker_pid($self->{look}))
	{
		my $kinds = _kinds($pid);

		$sum{$_} += $kinds->{$_} foreach keys %sum;
	}
	return join ', ', map { "$sum{$_} $_" } sort keys %sum;
}

# Those of a session without the ones of its copies: sockets that a worker has, too.
sub _session_descriptors
{
	my ($self, $pid) = @_;
	my %of_workers = map { $_ => 1 } map { descriptors($_) } split /\n/, worker_pid($self->{look});
	my $kinds = _kinds($pid);
	my $copies = grep { /^socket:/ && $of_workers{$_} } descriptors($pid);

	return join ', ', $kinds->{socket} - $copies . ' sockets', "$kinds->{epoll} epoll",
	  "$kinds->{other} other";
}

# open_session(how): a session that is to notice nothing but its own errors; how as
# for PoolTest::Session
sub open_session
{
	my ($self, %how) = @_;
	my $session = session($self->{local}, %how);

	# What a session opens once, with its first copy and its first request.
	$self->ask($session, $self->{server});
	$self->ask_by_request($session, $self->{server});
	push @{ $self->{sessions} },
	  { session => $session, fds => $self->_session_descriptors($session->pid) };
	return $session;
}

# let_go(session): it ends, or is no longer looked at
sub let_go
{
	my ($self, $session) = @_;

	$self->{sessions} = [ grep { $_->{session} != $session } @{ $self->{sessions} } ];
	return;
}

# What is wrong with the descriptors just now; '' if nothing is.
sub _wrong_descriptors
{
	my ($self) = @_;
	my $fds = $self->_worker_descriptors;
	my @wrong = $fds eq $self->{fds} ? () : ("worker: $fds, not $self->{fds}");

	foreach my $watched (@{ $self->{sessions} })
	{
		my $pid = $watched->{session}->pid;

		$fds = $self->_session_descriptors($pid);
		push @wrong, "session $pid: $fds, not $watched->{fds}" if $fds ne $watched->{fds};
	}
	return join "\n", @wrong;
}


#
# E
#

# _look_at(n): what is to be seen in n connections of the pool at once, of each a
# list of lines; or the error
sub _look_at
{
	my ($self, $n) = @_;
	my $quoted = $picture =~ s/'/''/gr;
	my $leases = $self->_must("SELECT pool_acquire('$self->{server}', hold => true)"
		  . " FROM generate_series(1, $n)") =~ tr/\n/,/r;
	my $rows = $self->_must("SELECT l, t FROM unnest(ARRAY[$leases]::bigint[]) l,"
		  . " pool_query(l, '$quoted') AS r(t text)");
	my %seen;

	$self->_must("SELECT pool_release(l) FROM unnest(ARRAY[$leases]::bigint[]) l");
	push @{ $seen{$1} }, $2 while $rows =~ /^(\d+)\|(.*)$/gm;
	return %seen ? values %seen : [$rows];
}

# What connections have that a new one had not, or do not have.
sub _left_behind
{
	my ($self, $connections) = @_;
	my @new = @{ $self->{picture} };
	my @wrong;

	foreach my $lines ($self->_look_at($connections))
	{
		my %old = map { $_ => 1 } @new;
		my %now = map { $_ => 1 } @$lines;

		push @wrong, map { "there is $_" } grep { !$old{$_} } @$lines;
		push @wrong, map { "there is no $_" } grep { !$now{$_} } @new;
	}
	return join "\n", @wrong;
}

sub _must
{
	my ($self, $statement) = @_;
	my $result = $self->saw($self->{look}->query($statement));

	return $result->{state} eq '00000' ? $result->{out} : $result->{err};
}


#
# G
#

# The places where the password is.
sub _places_of_password
{
	my ($self) = @_;
	my %text = (errors => $self->all_seen);

	foreach my $node ($self->{local}, $self->{remote})
	{
		my $before = $self->{logs}{ $node->name };

		$self->{logs}{ $node->name } = log_offset($node);
		$text{ 'log of ' . $node->name } = log_since($node, $before);
	}
	$text{$_} = sql($self->{look}, "SELECT * FROM $_")
	  foreach qw(pool_stats_all() pool_connections pool_waiters pg_stat_activity);
	$text{titles} = server_titles();
	return join ', ', grep { $text{$_} =~ /canary/ } sort keys %text;
}


#
# F, and all together
#

# After a restart of the server; returns what is wrong with it.
sub _restarted
{
	my ($self) = @_;
	my $before = $self->{started};
	my ($pools, $there, @wrong);

	# A session that comes before the server goes down would not stay.
	wait_until(
		2 * $patience,
		sub {
			my ($state, $err, $out) = sql_state($self->{local},
				q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'checkpointer')
				  . qq( AND pid || ' ' || backend_start <> '$before'));
			return $state eq '00000' && $out eq '1';
		}) or push @wrong, 'the server has not restarted';
	wait_until(2 * $patience, sub {
		(sql_state($self->{local}, q(SELECT count(*) FROM pg_stat_activity WHERE backend_type)
			  . q( = 'pool worker' AND wait_event_type = 'Extension')))[2] eq '1' })
	  or push @wrong, 'there is no worker that is ready';
	$pools = sql($self->{local}, 'SELECT count(*) FROM pool_stats_all()');
	push @wrong, "$pools pools have outlived the restart" if $pools != 0;
	wait_until($patience, sub { ($there = app_sessions($self->{far})) == 0 })
	  or push @wrong, "$there remote sessions have outlived the restart";
	$self->{sessions} = [];
	$self->_come_back;
	return @wrong;
}

# What others have noticed.  With its worker a lease ends, but with an error.
sub _noticed
{
	my ($self, $worker_ended) = @_;
	my $fine = $worker_ended ? qr/^(00000|08...)$/ : qr/^00000$/;
	my $answer = $self->ask($self->{bystander}, $self->{lease});
	my @wrong;

	push @wrong, "the bystander's lease: $answer->{err}" if $answer->{state} !~ $fine;
	$answer = $self->{bystander}->release($self->{lease});
	push @wrong, "its release: $answer->{err}" if $answer->{state} ne '00000';
	push @wrong, 'the server has restarted' if $self->_started ne $self->{started};
	return @wrong;
}

# hold(when, how): the tests A to G; "crash" in how: the case restarts the server,
# "worker": it ends the worker
sub hold
{
	my ($self, $when, %how) = @_;
	my ($wrong, $answer, @noticed);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	@noticed = $self->_restarted if $how{crash};
	push @noticed, $self->_noticed($how{worker});
	wait_for_value($self->{look}, 'SELECT count(*) FROM pool_requests', 0,
		"B: no request is left $when", seconds => $patience);
	settled($self->{look}, "B: nothing is under way $when, and the sums hold", $patience);
	remote_count($self->{look}, $self->{far}, "C: the remote has the sessions of pool $when");
	foreach my $watched (@{ $self->{sessions} })
	{
		$answer = $self->ask($watched->{session}, $self->{server});
		push @noticed, 'session ' . $watched->{session}->pid . ": $answer->{err}"
		  if $answer->{state} ne '00000';
	}
	my $idle = sql($self->{look},
		"SELECT count(*) FROM pool_connections WHERE server = '$self->{server}'") || 1;
	is($self->_left_behind($idle), '', "E: every connection looks like a new one $when");
	wait_until($patience, sub { ($wrong = $self->_wrong_descriptors) eq '' });
	is($wrong, '', "D: worker and sessions have the descriptors $when that they had");
	is(join("\n", @noticed), '', "F: others have noticed nothing $when");
	is($self->wrong_answers, '', "A: each statement gets its own answer $when");
	is($self->_places_of_password, '', "G: the password is nowhere to be seen $when");
	$self->_hold_lease;
	return;
}

1;
