# FaultSession.pm
#	Scenarios that bring a session to each of its fault points.  Each is a method
#	that gets what is to be armed, and arms it just before its session comes by;
#	what the sessions are told is looked at only for whose it is.

package PoolTest::FaultSession;

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

# Which points a scenario is for; the others have "statement".
my %scenario = (
	wait => [qw(acquire_joined_locked acquire_joined acquire_woken acquire_granted)],
	give => [qw(grant_locked)],
	rest => [qw(rest_locked)],
	wait_in_vain => [qw(acquire_timed_out acquire_leave_locked)],
	wait_and_be_cancelled => [qw(acquire_abandon)],
	use_new_server => [qw(acquire_pool_made acquire_configure acquire_configured)],
	validate => [qw(proof_alone_done)],
	prepare => [qw(statement_prepared prepared_stored_locked)],
	outdate => [qw(statement_stale)],
	describe => [qw(describe_begin describe_read)],
	ask_columns => [qw(columns_described)],
	try_again => [qw(run_again)],
	catch_up => [qw(backlog_noted backlog_read)],
	time_out => [qw(close_copy_closed)],
	commit => [qw(pre_commit commit)],
	roll_back => [qw(abort)],
	release_savepoint => [qw(subcommit)],
	roll_back_to_savepoint => [qw(subabort)],
	leave => [qw(exit_leases exit_forget)],
	request => [qw(request_listed request_move request_open request_start request_woken
		request_settled request_finish)],
	abandon_request => [qw(request_abandon)],
	commit_request => [qw(request_commit)],
	roll_back_request => [qw(request_abort)],
	roll_back_request_to_savepoint => [qw(request_subxact)],
	leave_request => [qw(exit_requests)],
	cancel => [qw(cancel_placed_locked cancel_placed cancel_finished)],
	drop => [qw(drop_at_commit)],
	drop_by_abort => [qw(drop_at_abort)]);
my %scenario_of;

foreach my $scenario (keys %scenario)
{
	$scenario_of{$_} = $scenario foreach @{ $scenario{$scenario} };
}

# is_passed_by_statement(point): can a plain statement raise an error there?
sub is_passed_by_statement
{
	my ($self, $point) = @_;

	return $point->{process} eq 'SESSION'
	  && $point->{kind} eq 'RAISES'
	  && !$scenario_of{ $point->{name} };
}

# come_by(point, action, n): a scenario that comes by the point does so with it
# armed; true if it was reached
sub come_by
{
	my ($self, $point, $action, $n) = @_;
	my $what = "$point $action" . ($n ? " $n" : '');
	my $scenario = $scenario_of{$point} || 'statement';
	my $offset = log_offset($self->{local});

	# What does not have to be waited for by chance is not waited for.
	foreach (1 .. 50)
	{
		$self->_ready;
		eval { $self->$scenario($what); 1 } or $action eq 'crash' or die;
		$self->_tidy($action);
		return 1 if log_count($self->{local}, qr/fault point "$point $action" is reached/, $offset);
	}
	return 0;
}

# A new connection, which another session was the first to use.
sub _renew
{
	my ($self) = @_;

	sql($self->{control}, q(SELECT pool_reconnect('srv')));
	$self->{case}->ask($self->{control}, 'srv');
	return;
}

sub statement
{
	my ($self, $what) = @_;

	$self->_renew;
	arm($self->{victim}, $what);
	$self->{case}->ask($self->{victim}, 'srv', 5);
	return;
}

# The other session has the only connection.
sub _occupy
{
	my ($self, $what) = @_;

	$self->{lease} = $self->{other}->acquire('srv');
	arm($self->{victim}, $what);
	return;
}

sub _make_wait
{
	my ($self, $who) = @_;

	$self->{case}->begin($self->{$who}, 'srv', 5);
	wait_until(20, sub {
		sql($self->{control}, q(SELECT count(*) FROM pool_waiters)) eq '1'
		  || !$self->{$who}->busy });
	return;
}

sub wait
{
	my ($self, $what) = @_;

	$self->_occupy($what);
	$self->_make_wait('victim');
	$self->{other}->release($self->{lease});
	$self->{case}->result($self->{victim});
	return;
}

sub give
{
	my ($self, $what) = @_;
	my $lease = $self->{victim}->acquire('srv');

	$self->_make_wait('other');
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->release($lease));
	$self->{case}->result($self->{other});
	return;
}

# Two sessions that come back again and again for the only connection.
sub rest
{
	my ($self, $what) = @_;
	my $loop = q(DO $$ BEGIN FOR i IN 1 .. 3000 LOOP)
	  . q( PERFORM pool_exec('srv', 'select 1'); END LOOP; END $$);

	$self->{victim}->query($loop);
	arm($self->{victim}, $what);
	$self->{case}->let_go($self->{other});
	$self->{other}->begin($loop);
	$self->{case}->saw($self->{victim}->query($loop));
	$self->{case}->saw($self->{other}->result);
	return;
}

sub wait_in_vain
{
	my ($self, $what) = @_;

	$self->_occupy($what);
	$self->{victim}->query(q(SET pool.acquire_timeout = '50ms'));
	$self->{case}->ask($self->{victim}, 'srv');
	$self->{other}->release($self->{lease});
	return;
}

sub wait_and_be_cancelled
{
	my ($self, $what) = @_;

	$self->_occupy($what);
	$self->_make_wait('victim');
	sql($self->{control}, 'SELECT pg_cancel_backend(' . $self->{victim}->pid . ')');
	$self->{case}->result($self->{victim});
	$self->{other}->release($self->{lease});
	return;
}

sub use_new_server
{
	my ($self, $what) = @_;
	my $name = 'new_' . ++$number;

	create_server($self->{local}, $name, $self->{remote}, password => $canary,
		options => { max_size => 1 });
	arm($self->{victim}, $what);
	$self->{case}->ask($self->{victim}, $name);
	sql_state($self->{local}, "DROP SERVER $name CASCADE") if $what !~ / crash/;
	return;
}

sub validate
{
	my ($self, $what) = @_;

	arm($self->{victim}, $what);
	$self->{case}->ask($self->{victim}, 'careful');
	return;
}

# A statement that the session has run twice.
sub _ripen
{
	my ($self) = @_;
	my $query = sprintf q(SELECT t FROM pool_query('srv', 'select * from outdated_%d') AS r(t int)),
	  ++$number;

	$self->_renew;
	sql($self->{remote}, "CREATE TABLE outdated_$number (a int);"
		  . " GRANT SELECT ON outdated_$number TO app", db => 'far');
	$self->{case}->saw($self->{victim}->query("$query; $query"));
	return $query;
}

sub prepare
{
	my ($self, $what) = @_;
	my $query = $self->_ripen;

	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query($query));
	return;
}

sub outdate
{
	my ($self, $what) = @_;
	my $query = $self->_ripen;

	$self->{case}->saw($self->{victim}->query($query));
	sql($self->{remote}, "ALTER TABLE outdated_$number ALTER a TYPE bigint", db => 'far');
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query($query));
	return;
}

# A statement that is known to return many rows.
sub describe
{
	my ($self, $what) = @_;
	my $many = q(SELECT max(n) FROM pool_query('srv', 'select generate_series(1, 1000)') t(n int));

	$self->{victim}->query($many);
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query($many));
	return;
}

sub ask_columns
{
	my ($self, $what) = @_;

	$self->_renew;
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query(q(SELECT pool_columns('srv', 'select 1'))));
	return;
}

sub try_again
{
	my ($self, $what) = @_;

	sql($self->{control}, q(SELECT pool_reconnect('ending')));
	sql($self->{remote}, q(SELECT setval('resets', 1, false)), db => 'far');
	arm($self->{victim}, $what);
	$self->{case}->ask($self->{victim}, 'ending');
	return;
}

# A statement on a lease after one whose rows were refused here.
sub catch_up
{
	my ($self, $what) = @_;
	my $victim = $self->{victim};
	my $lease = $victim->acquire('srv');

	arm($victim, $what);
	$self->{case}->saw($victim->query("SELECT * FROM pool_query($lease, 'select 1, 2') AS t(a int)"));
	$self->{case}->ask($victim, $lease);
	$victim->release($lease);
	return;
}

sub time_out
{
	my ($self, $what) = @_;

	arm($self->{victim}, $what);
	$self->{victim}->query(q(SET statement_timeout = '100ms'));
	$self->{case}->saw($self->{victim}->query(q(SELECT pool_exec('srv', 'select pg_sleep(5)'))));
	$self->{victim}->query('RESET statement_timeout');
	return;
}

# A transaction with a lease, which ends like that.
sub _transaction
{
	my ($self, $what, $begin, $end) = @_;
	my $victim = $self->{victim};

	$victim->query($begin);
	$self->{case}->ask($victim, $victim->query(q(SELECT pool_acquire('srv')))->{out});
	arm($victim, $what);
	$self->{case}->saw($victim->query($_)) foreach @$end;
	return;
}

sub commit { return $_[0]->_transaction($_[1], 'BEGIN', ['COMMIT']); }

sub roll_back { return $_[0]->_transaction($_[1], 'BEGIN', ['ROLLBACK']); }

sub release_savepoint
{
	return $_[0]->_transaction($_[1], 'BEGIN; SAVEPOINT s', [ 'RELEASE s', 'COMMIT' ]);
}

sub roll_back_to_savepoint
{
	return $_[0]->_transaction($_[1], 'BEGIN; SAVEPOINT s', [ 'ROLLBACK TO s', 'COMMIT' ]);
}

sub leave
{
	my ($self, $what) = @_;

	$self->{victim}->acquire('srv');
	arm($self->{victim}, $what);
	return $self->_leave($what);
}

# The session ends.
sub _leave
{
	my ($self, $what) = @_;
	my $pid = $self->{victim}->pid;

	$self->{case}->let_go($self->{victim});
	(delete $self->{victim})->quit;
	return if $what =~ / crash/;
	wait_until(20, sub {
		sql($self->{control}, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid") eq '0' });
	return;
}

# A statement that is sent and fetched.
sub request
{
	my ($self, $what) = @_;

	$self->_renew;
	arm($self->{victim}, $what);
	$self->{case}->ask_by_request($self->{victim}, 'srv');
	return;
}

# come_by_with_requests(point): a transaction in which a request is under way comes by
# the point with an error armed, in another one within a savepoint; true if it was
# reached
sub come_by_with_requests
{
	my ($self, $point) = @_;
	my $offset = log_offset($self->{local});
	my $victim;

	$self->_ready;
	$self->_renew;
	$victim = $self->{victim};
	$victim->query('BEGIN');
	my $own = 'own ' . ++$number;
	my $request = $victim->query("SELECT pool_send('careful', 'select ''$own''')")->{out};

	$victim->query('SAVEPOINT s');
	arm($victim, "$point error");
	$self->{case}->ask_by_request($victim, 'srv');
	$victim->query(q(ROLLBACK TO s; SET pool.fault_point = ''));
	my $answer = $victim->query("SELECT t FROM pool_result($request) AS r(t text)");

	$self->{case}->note_wrong("a request got $answer->{out}")
	  if $answer->{out} ne ($answer->{state} eq '00000' ? $own : '');
	$self->_tidy('error');
	return log_count($self->{local}, qr/fault point "$point error" is reached/, $offset);
}

# A transaction with a request that runs and one that waits for the only connection,
# which ends like that.
sub _requests
{
	my ($self, $what, $begin, $end) = @_;
	my $victim = $self->{victim};
	my $send = q(SELECT pool_send('srv', 'select pg_sleep(5)'));
	my $request;

	$victim->query($begin);
	$request = $victim->query($send)->{out};
	$victim->query($send);
	wait_until(20, sub { $victim->query("SELECT pool_poll($request)")->{out} eq 'running' });
	arm($victim, $what);
	foreach (@$end)
	{
		$self->{case}->saw($victim->query(sprintf $_, $request));
	}
	return;
}

sub abandon_request
{
	return $_[0]->_requests($_[1], 'BEGIN', [ 'SELECT pool_abandon(%s)', 'ROLLBACK' ]);
}

sub commit_request { return $_[0]->_requests($_[1], 'BEGIN', ['COMMIT']); }

sub roll_back_request { return $_[0]->_requests($_[1], 'BEGIN', ['ROLLBACK']); }

sub roll_back_request_to_savepoint
{
	return $_[0]->_requests($_[1], 'BEGIN; SAVEPOINT s', [ 'ROLLBACK TO s', 'COMMIT' ]);
}

sub leave_request
{
	my ($self, $what) = @_;

	$self->_requests($what, 'BEGIN', []);
	return $self->_leave($what);
}

# A statement that is cancelled by the session that has sent it.
sub cancel
{
	my ($self, $what) = @_;

	$self->_send_over_link;
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query(q{SELECT dblink_cancel_query('x')}));
	$self->_end_link;
	return;
}

sub drop
{
	my ($self, $what) = @_;
	my $name = 'new_' . ++$number;

	create_server($self->{local}, $name, $self->{remote}, password => $canary);
	$self->{case}->ask($self->{victim}, $name);
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query("DROP SERVER $name CASCADE"));
	return;
}

sub drop_by_abort
{
	my ($self, $what) = @_;
	my $name = 'new_' . ++$number;
	my $port = $self->{remote}->port;

	$self->{victim}->query("BEGIN; CREATE SERVER $name FOREIGN DATA WRAPPER pool"
		  . " OPTIONS (host '127.0.0.1', port '$port', dbname 'far');"
		  . " CREATE USER MAPPING FOR CURRENT_USER SERVER $name"
		  . " OPTIONS (user 'app', password '$canary')");
	$self->{case}->ask($self->{victim}, $name);
	arm($self->{victim}, $what);
	$self->{case}->saw($self->{victim}->query('ROLLBACK'));
	return;
}

1;
