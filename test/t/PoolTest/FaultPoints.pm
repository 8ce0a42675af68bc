# FaultPoints.pm
#	The fault points of src/base/fault.h: how to arm them, and how to come by one
#	after the other.  The scenarios are in FaultSession.pm and FaultWorker.pm, which
#	inherit from this.

package PoolTest::FaultPoints;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use PoolTest::Nodes;
use PoolTest::Process;
use PoolTest::Security qw($canary);
use PoolTest::Sql;
use PoolTest::Wait;

our @EXPORT = qw(fault_points arm disarm arm_worker disarm_worker);

# fault_points(local): all of them, each with its name, its process (SESSION,
# WORKER, START) and its kind (RAISES, QUIET, SILENT)
sub fault_points
{
	my ($local) = @_;
	my @points;

	foreach (split /, /, sql($local, 'SHOW pool.fault_points'))
	{
		my ($name, $process, $kind) = split / /;

		push @points, { name => $name, process => $process, kind => $kind };
	}
	return @points;
}

# arm(session, what): what: "name action [n]"
sub arm
{
	my ($session, $what) = @_;

	return sql($session, "SET pool.fault_point = '$what'");
}

sub disarm
{
	my ($session) = @_;

	return arm($session, '');
}

# arm_worker(local, what): by the configuration, and waits until the worker has
# read it, unless the point is one of its start
sub arm_worker
{
	my ($local, $what) = @_;
	my $offset = log_offset($local);

	$local->append_conf('postgresql.conf', "pool.fault_point = '$what'");
	$local->reload;
	wait_until(30, sub { log_count($local, qr/fault point "\Q$what\E" is armed/, $offset) })
	  or die "the worker has not read $what"
	  if $what ne '' && $what !~ /^worker_(?:begin|listening|ready)/;
	return;
}

sub disarm_worker
{
	my ($local) = @_;

	return arm_worker($local, '');
}


#
# A way is an object that has scenarios, and sessions for them: "victim" and
# "other", which are watched, and "control".
#

# new(case, local, remote): the case is that of PoolTest::Invariants
sub new
{
	my ($class, $case, $local, $remote) = @_;
	my $self = bless { case => $case, local => $local, remote => $remote }, $class;

	create_server($local, 'careful', $remote, password => $canary,
		options => { validate_after_idle => 0, max_size => 1 });
	create_server($local, 'ending', $remote, password => $canary,
		options => { reset_query => 'select end_once()', max_size => 1 });
	sql($remote, <<'SQL', db => 'far', user => 'postgres');
CREATE SEQUENCE resets;
GRANT USAGE ON SEQUENCE resets TO app;
CREATE FUNCTION end_once() RETURNS bool LANGUAGE sql
AS $$SELECT nextval('resets') = 1 AND pg_terminate_backend(pg_backend_pid())$$;
SQL
	return $self;
}

# The sessions, as far as they have not ended.
sub _ready
{
	my ($self) = @_;

	foreach my $who (qw(victim other))
	{
		$self->{$who} = $self->{case}->open_session if !$self->{$who};
	}
	$self->{control} = session($self->{local}) if !$self->{control};
	return;
}

# The session has ended, or is to end.
sub _forget
{
	my ($self, $who) = @_;
	my $session = delete $self->{$who};

	$self->{case}->let_go($session);
	$session->die_now;
	return;
}

# fail_at(point, action, n): tests: a scenario comes by there, and all holds then.
# After a failure there are two cases more: others would wait in vain, too, for
# what is lost.
sub fail_at
{
	my ($self, $point, $action, $n) = @_;
	my $when = "$point $action" . ($n ? " the ${n}th time" : '');

	die 'enough has failed'
	  if !Test::More->builder->is_passing && $self->{failing}++ >= 2;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($self->come_by($point, $action, $n), "$when is reached");
	$self->{case}->hold("after $when",
		$action eq 'crash' ? (crash => 1) : ($self->_ends => 1));
	return;
}

# A statement that runs over a connection "x" of dblink's.
sub _send_over_link
{
	my ($self) = @_;

	sql($self->{local}, 'CREATE EXTENSION IF NOT EXISTS pool_dblink');
	$self->{victim}->query(q{SELECT dblink_connect('x', 'srv')});
	$self->{victim}->query(q{SELECT dblink_send_query('x', 'select pg_sleep(5)')});
	wait_until(20, sub {
		app_sessions($self->{remote},
			q(query = 'select pg_sleep(5)' AND state = 'active')) eq '1' });
	return;
}

# It has an answer, and the connection goes back.
sub _end_link
{
	my ($self) = @_;

	foreach (
		q(SET pool.fault_point = ''),
		q{SELECT * FROM dblink_get_result('x') AS r(t text)},
		q{SELECT dblink_disconnect('x')})
	{
		my $answer = $self->{victim}->query($_);

		last if $answer->{state} eq 'lost' || $answer->{state} =~ /^57P/;
		$self->{case}->saw($answer);
	}
	return;
}

# What besides the session's own statement ends when its process does.
sub _ends { return 'nothing'; }

# What a scenario leaves: sessions in transactions, with leases, or ended.
sub _tidy
{
	my ($self, $action) = @_;

	delete @$self{qw(victim other control)} if $action eq 'crash';
	foreach my $who (grep { $self->{$_} } qw(victim other))
	{
		my $answer =
		  $self->{$who}->query("ROLLBACK; SET pool.fault_point = ''; RESET pool.acquire_timeout");

		$self->_forget($who) if $answer->{state} eq 'lost' || $answer->{state} =~ /^57P/;
	}
	return;
}

1;
