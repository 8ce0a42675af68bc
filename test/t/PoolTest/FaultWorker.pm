# FaultWorker.pm
#	Scenarios that bring the worker to each of its fault points.

package PoolTest::FaultWorker;

use strict;
use warnings;

use parent 'PoolTest::FaultPoints';

use PoolTest::FaultPoints;
use PoolTest::Nodes;
use PoolTest::Process;
use PoolTest::Security qw($canary);
use PoolTest::Sql;
use PoolTest::Wait;

my $number = 0;

# Which points a scenario is for; the others have "connect_and_ask".
my %scenario = (
	configure => [qw(request_answered config_noted config_kept)],
	reset => [
		qw(reset_begin reset_suspended reset_sent reset_answer reset_done reset_offered_locked)],
	fail_reset => [qw(reset_failed reset_failed_locked)],
	drain => [qw(drain_begin drain_sent drain_read drain_done)],
	drain_in_vain => [qw(drain_given_up_locked drain_given_up)],
	cancel => [qw(close_cancel)],
	cancel_leased => [qw(cancel_taken cancel_sent cancel_told_locked)],
	fail_to_connect => [qw(connect_failed connect_failed_locked)],
	leak => [qw(janitor_reclaimed)],
	lose => [qw(remote_closed_locked)],
	restart => [
		qw(worker_begin worker_listening worker_ready worker_exit worker_disown_locked
		  worker_disowned)]);
my %scenario_of;

foreach my $scenario (keys %scenario)
{
	$scenario_of{$_} = $scenario foreach @{ $scenario{$scenario} };
}

# new(case, local, remote)
sub new
{
	my ($class, $case, $local, $remote) = @_;
	my $self = $class->SUPER::new($case, $local, $remote);

	create_server($local, 'leaky', $remote, password => $canary,
		options => { leak_threshold => '100ms', leak_action => 'reclaim', max_size => 1 });
	return $self;
}

# come_by(point, action): the worker does, with the point armed; true if it was
# reached
sub come_by
{
	my ($self, $point, $action) = @_;
	my $scenario = $scenario_of{$point} || 'connect_and_ask';
	my $offset = log_offset($self->{local});
	my $reached;

	foreach (1 .. 3)
	{
		$self->_ready;
		eval { $self->$scenario("$point $action"); 1 } or $action eq 'crash' or die;
		$reached = wait_until(10, sub {
			log_count($self->{local}, qr/fault point "$point $action" is reached/, $offset) });
		disarm_worker($self->{local});
		$self->_tidy($action);
		last if $reached;
	}
	return $reached;
}

sub _ends { return 'worker'; }

sub _arm
{
	my ($self, $what) = @_;

	return arm_worker($self->{local}, $what);
}

sub connect_and_ask
{
	my ($self, $what) = @_;

	$self->{case}->ask($self->{victim}, 'srv');
	$self->_arm($what);
	$self->{control}->query(q(SELECT pool_reconnect('srv')));
	$self->{case}->ask($self->{victim}, 'srv', 5);
	return;
}

sub configure
{
	my ($self, $what) = @_;
	my $name = 'wanted_' . ++$number;

	create_server($self->{local}, $name, $self->{remote}, password => $canary,
		options => { max_size => 1 });
	$self->_arm($what);
	$self->{case}->ask($self->{victim}, $name);
	return;
}

sub fail_to_connect
{
	my ($self, $what) = @_;
	my $name = 'wrong_' . ++$number;

	create_server($self->{local}, $name, $self->{remote}, password => "$canary-not",
		options => { max_size => 1 });
	$self->_arm($what);
	$self->{case}->ask($self->{victim}, $name);
	sql_state($self->{local}, "DROP SERVER $name CASCADE") if $what !~ / crash/;
	return;
}

# A lease whose connection the worker resets.
sub _return_used
{
	my ($self, $server, $what) = @_;
	my $victim = $self->{victim};

	sql($self->{remote}, q(SELECT setval('resets', 2)), db => 'far');
	$victim->query('BEGIN');
	$self->{case}->ask($victim, $victim->query("SELECT pool_acquire('$server')")->{out});
	sql($self->{remote}, q(SELECT setval('resets', 1, false)), db => 'far');
	$self->_arm($what);
	$victim->query('COMMIT');
	return;
}

sub reset { return $_[0]->_return_used('srv', $_[1]); }

sub fail_reset { return $_[0]->_return_used('ending', $_[1]); }

# A statement that nobody wants any more when it is cancelled
sub _leave_unread
{
	my ($self, $what, $statement) = @_;

	$self->_arm($what);
	$self->{victim}->query(q(SET pool.fault_unwanted = on; SET statement_timeout = '100ms'));
	$self->{case}->saw($self->{victim}->query("SELECT pool_exec('srv', '$statement')"));
	$self->{victim}->query('RESET pool.fault_unwanted; RESET statement_timeout');
	return;
}

sub drain { return $_[0]->_leave_unread($_[1], 'select pg_sleep(0.3)'); }

sub drain_in_vain
{
	return $_[0]->_leave_unread($_[1],
		q(select repeat(''x'', 1000) from pg_sleep(0.3), generate_series(1, 2000)));
}

sub cancel
{
	my ($self, $what) = @_;

	$self->_arm($what);
	$self->{victim}->query(q(SET statement_timeout = '100ms'));
	$self->{case}->saw($self->{victim}->query(q(SELECT pool_exec('srv', 'select pg_sleep(5)'))));
	$self->{victim}->query('RESET statement_timeout');
	return;
}

sub cancel_leased
{
	my ($self, $what) = @_;

	$self->_send_over_link;
	$self->_arm($what);
	$self->{case}->saw($self->{victim}->query(q{SELECT dblink_cancel_query('x')}));
	$self->_end_link;
	return;
}

sub leak
{
	my ($self, $what) = @_;

	$self->_arm($what);
	$self->{victim}->query(q(BEGIN; SELECT pool_acquire('leaky')));
	return;
}

sub lose
{
	my ($self, $what) = @_;

	$self->{case}->ask($self->{victim}, 'srv');
	my $pid = sql($self->{control},
		q(SELECT remote_pid FROM pool_connections WHERE server = 'srv'));
	$self->_arm($what);
	sql($self->{remote}, "SELECT pg_terminate_backend($pid)");
	return;
}

sub restart
{
	my ($self, $what) = @_;

	$self->{case}->ask($self->{victim}, 'srv');
	$self->_arm($what);
	sql($self->{control}, 'SELECT pg_terminate_backend(' . worker_pid($self->{control}) . ')');
	return;
}

1;
