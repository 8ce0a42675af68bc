# Soak.pm
#	The machinery of 024_soak.pl and 107_stress.pl: sessions that are kept at work
#	and replaced when they are lost, faults that hit them and the remote, and the
#	errors that these faults explain.
#
#	What the sessions met is counted by "kind|SQLSTATE|message": those inside
#	churn() by the workload's table, those of their own statements, whose kind is
#	"session", here.

package PoolTest::Soak;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use PoolTest;
use PoolTest::SoakCatalog;
use PoolTest::Workload;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(
  start_soak start_sessions look_after_sessions stop_sessions go_on_with before_each_call
  terminate_here terminate_there restart_remote due add_explained
  some_session kill_client expect_all_lost lose_sessions
  worker_figures sockets_of all_closed
  stuck_sessions add_up met_report unexplained met_count
);

my ($local, $remote);

# start_soak(settings): both servers, with the workload; the remote's log tells to
# the millisecond when it accepts connections again
sub start_soak
{
	my (%conf) = @_;

	$remote = start_remote(log_line_prefix => "'%n [%p] %q%a '");
	$local = start_local(
		max_connections => 80,
		synchronous_commit => 'off',
		%conf);
	create_workload($local, $remote);
	return ($local, $remote);
}

#
# The sessions
#

my (@sessions, %met, %terminated, %killed);
my $started = 0;

# start_sessions(count): all at work
sub start_sessions
{
	my ($count) = @_;

	@sessions = map { _new_session() } 1 .. $count;
	$_->begin(_work()) foreach @sessions;
	return;
}

# look_after_sessions(): all at work again; those that were lost are replaced
sub look_after_sessions
{
	foreach my $session (@sessions)
	{
		next if $session->busy;
		$session = _new_session() if !_collect($session);
		$session->begin(_work());
	}
	return;
}

# stop_sessions(): they end what they do; returns those that are left.  One that
# was told to terminate may have answered once more, and is not.
sub stop_sessions
{
	sql($local, 'INSERT INTO stop VALUES (true)');
	@sessions = grep { _collect($_, 60) && !$terminated{ $_->pid } } @sessions;
	$_->begin('SET statement_timeout = 0; SELECT forget_across(), forget_link()')
	  foreach @sessions;
	@sessions = grep { _collect($_, 60) } @sessions;
	return @sessions;
}

# go_on_with(count): so many sessions are at work again: those that were stopped,
# and new ones for the rest
sub go_on_with
{
	my ($count) = @_;

	sql($local, 'TRUNCATE stop');
	push @sessions, _new_session() while @sessions < $count;
	$_->begin(_work()) foreach @sessions;
	return;
}

sub _new_session
{
	$started++;
	return session($local, options => '-c client_min_messages=error');
}

# before_each_call(code): what it returns is put before each call
my $before = sub { return ''; };

sub before_each_call
{
	($before) = @_;
	return;
}

# Several calls, so that a session has something to do while nobody looks after
# it.  Some have little time, which ends at any moment.
sub _work
{
	return join ";\n", map {
		sprintf '%sSET statement_timeout = %d; CALL churn(%.1f)', $before->(),
		  rand() < 0.2 ? 20 + rand 400 : 0, 1 + rand 4;
	} 1 .. 5;
}

# _collect(session, seconds): what has come of its work; false if it has ended
sub _collect
{
	my ($session, $patience) = @_;
	my $result = $session->result($patience);

	_note_errors($result) if !$killed{ $session->pid };
	return $result->{state} =~ /^(?:00000|57014)$/;
}

# What went wrong with a session's own statements; or with itself, if it did not
# answer or was lost without an SQLSTATE
sub _note_errors
{
	my ($result) = @_;

	while ($result->{err} =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): (.*)/g)
	{
		$met{"session|$1|$2"}++;
	}
	$met{"session|$result->{state}|$result->{err}"}++
	  if $result->{state} =~ /^(?:timeout|lost)$/;
	return;
}

#
# The faults
#

# terminate_here(session): one of those at work, in that session; how many
sub terminate_here
{
	my ($control) = @_;
	my $pid = $sessions[ int rand @sessions ]->pid;

	$terminated{$pid} = 1;
	return $control->query("SELECT pg_terminate_backend($pid)")->{out} eq 't' ? 1 : 0;
}

# some_session(): any of those at work
sub some_session
{
	return $sessions[ int rand @sessions ];
}

# kill_client(): of one of those at work
sub kill_client
{
	my $session = some_session();

	$killed{ $session->pid } = 1;
	return $session->die_now;
}

# expect_all_lost(): the server is about to crash, and tells nobody why
sub expect_all_lost
{
	$killed{ $_->pid } = 1 foreach @sessions;
	return;
}

# lose_sessions(): see that it has
sub lose_sessions
{
	_collect($_, 60) foreach @sessions;
	$_->quit foreach @sessions;
	@sessions = ();
	return;
}

# terminate_there(): one of the remote's sessions; how many
sub terminate_there
{
	return sql($remote, <<'SQL');
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM (SELECT pid FROM pg_stat_activity WHERE usename = 'app' ORDER BY random() LIMIT 1) a
SQL
}

# restart_remote(mode): how many seconds after it accepts connections again a
# session is served that has never used the pool
sub restart_remote
{
	my ($mode) = @_;
	my $probe = _new_session();
	my $offset;

	$remote->stop($mode);
	$offset = log_offset($remote);
	$probe->begin(q(SET statement_timeout = '60s'; SELECT probe()));
	$remote->start;
	my $result = $probe->result(90);
	my ($accepts) = log_since($remote, $offset) =~
	  /^(\d+\.\d+) .*database system is ready to accept connections/m;
	my $took = $result->{out} ? max(0, $result->{out} - $accepts) : 99;

	$probe->quit;
	diag("no answer after a restart: $result->{err}") if !$result->{out};
	note sprintf('%s restart: served after %.0f ms', $mode, $took * 1000);
	return $took;
}

# due(fault, seconds): has its time come?  Then it comes again after so many
# seconds.
my %next;

sub due
{
	my ($what, $every) = @_;

	$next{$what} = time + $every if !$next{$what};
	return 0 if time < $next{$what};
	$next{$what} = time + $every;
	return 1;
}

#
# The errors that the faults explain.  Of a cancel none comes from the remote:
# that would be one that hit another session's statement.
#

my $any = qr/^/;
my $lease = qr/^(?:commit|rollback|undone|long|held|leased|across|fetched)$/;
my $named = qr/^dl_(?:named|cursor|send|cancel)$/;
my $srv = qr/server "(?:srv|hasty|dN)"/;
my @explained = (
	@explained_changes,

	# Here, a session is terminated, and a statement takes too long.
	[ qr/^session$/, '57P01', qr/^terminating connection due to administrator command$/ ],
	[ qr/^session$/, '57014', qr/^canceling statement due to statement timeout$/ ],

	# The remote's session is terminated, or all of them, since the remote stops.
	# What it says before it goes is seen, or it is not: then it is 08006, before
	# the statement was sent (in a lease that was used before), in the proof, or
	# after that.
	[ $any, '57P01', qr/^terminating connection due to administrator command$/ ],
	[ $any, '08006', qr/^connection to the remote (?:was lost|is out of step)$/ ],
	[ $any, '08006', qr/^could not send the statement to the remote$/ ],
	[ $any, '08006', qr/^connection to $srv failed$/ ],
	(map {
		(   [ $_, '08006', qr/^connection of lease N to $srv was lost$/ ],
			[ $_, '57P01', qr/^remote has ended the connection of lease N to $srv$/ ])
	} $lease, $named),

	# It is down, stopping or starting, and nobody is there or says so.
	[ $any, '08001', qr/^could not connect to $srv$/ ],
	[ $any, '57P03', qr/^could not connect to $srv$/ ],

	# It stops, or its session is terminated, while that begins.
	[ $any, '57P01', qr/^could not connect to $srv$/ ],

	# There was no connection in time: of 30 ms; of 5 s on a busy machine.
	# They are leased, or the remote is down, or says itself why it takes none.
	[ $any, qr/^(?:53300|08001|57P0[13])$/,
		qr/^could not acquire a connection to $srv within N ms$/ ],

	# A lease that lasted for too long was reclaimed; in the very moment in which
	# it was used again, nobody knows what became of the statement.
	[ $lease, '08003', qr/^connection of lease N to $srv was reclaimed$/ ],
	[ $lease, '08006', qr/^connection of lease N to $srv was reclaimed$/ ],

	# A request was left alone for too long.  Servers that are asked together have
	# little time, all of them or the one that has a limit of its own; and some fail in
	# the middle of their rows.
	[ qr/^unattended$/, '57014', qr/^request N has lost its connection to $srv$/ ],
	[ qr/^all_/, '57014', qr/^canceling remote statement on $srv due to timeout$/ ],
	[ qr/^(?:all_|any$)/, '57014',
		qr/^canceling remote statement on server "hasty" due to query_timeout$/ ],
	[ qr/^all_(?:raise|row)$/, '22012', qr/^division by zero$/ ],

	# dblink's functions say so when a connection was lost or cannot be had.
	[ qr/^dl_/, '08001', qr/^could not establish connection$/ ],
	[ qr/^dl_/, '08003', qr/^connection "x" (?:was lost|not available)$/ ],

	# What libpq says, which a row has after the message.
	[ qr/^all_row$/, '08006', qr/^connection to the remote was lost: / ]);

# add_explained([ kind, SQLSTATE, message ]...): by faults of the test's own
sub add_explained
{
	push @explained, @_;
	return;
}

sub _is_explained
{
	my ($kind, $state, $message) = @_;

	return scalar grep {
		$kind =~ $_->[0] && $state =~ /^$_->[1]$/ && $message =~ $_->[2]
	} @explained;
}

# stuck_sessions(): how many did not answer
sub stuck_sessions
{
	return scalar grep { /^session\|timeout/ } keys %met;
}

# add_up(): what happened inside churn() is added to what the sessions met
sub add_up
{
	foreach my $line (
		split /\n/,
		sql($local, 'SELECT sum(n), kind, state, message FROM met GROUP BY 2, 3, 4'))
	{
		my ($n, $what) = split /\|/, $line, 2;

		$met{$what} += $n;
	}
	sql($local, 'TRUNCATE met');
	return;
}

# met_report(): all of it, to be read
sub met_report
{
	return join "\n", "sessions: $started", map { "$_: $met{$_}" } sort keys %met;
}

# unexplained(): the errors that no fault explains
sub unexplained
{
	my @errors = grep { (split /\|/)[1] ne '00000' } keys %met;

	return sort grep { !_is_explained(split /\|/, $_, 3) } @errors;
}

# met_count(pattern): how often that was met
sub met_count
{
	my ($pattern) = @_;

	return sum0(map { $met{$_} } grep { /$pattern/ } keys %met);
}

#
# What the processes have
#

# worker_figures(): its process, how many files it has open, and its memory in kB
sub worker_figures
{
	my $pid = worker_pid($local);

	return ($pid, scalar descriptors($pid), memory_of($pid, 'VmRSS'));
}

# sockets_of(session): how many it has open
sub sockets_of
{
	my ($session) = @_;

	return scalar grep { /^socket:/ } descriptors($session->pid);
}

# all_closed(what): a test: soon no pool has a connection
sub all_closed
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		'SELECT sum(open + connecting + closing) FROM pool_stats_all()', 0, $what,
		seconds => 30);
}

1;
