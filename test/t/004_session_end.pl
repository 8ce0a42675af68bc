# 004_session_end.pl
#	A session that ends without saying so - terminated, timed out, left by its
#	client, killed - leaves nothing behind: no lease, no place in the queue, no
#	transaction on the remote.  After each kind of end another session must get
#	the only connection, and find the remote's row neither locked nor changed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local(
	restart_after_crash => 'on',
	client_connection_check_interval => "'100ms'");
create_server($local, 'srv', $remote,
	options => { max_size => 1, acquire_timeout => '60s', breaker_timeout => '1min' });
sql($remote, 'CREATE TABLE accounts (id int, balance int);'
	. 'INSERT INTO accounts VALUES (1, 100)', db => 'far', user => 'app');

my $big = q(SELECT count(*) FROM pool_query('srv',
	'select g, repeat(''x'', 100) from generate_series(1, 5000000) g')
	AS r(g int, x text));
my $control = session($local);

sub terminate
{
	my ($session) = @_;

	return $control->query('SELECT pg_terminate_backend(' . $session->pid . ')');
}

# gone(pid, what): the local session is
sub gone
{
	my ($pid, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_session_end($local, $pid, "the session ends: $what");
}

# afterwards(what): after that another session can use the only connection, and finds the
# row neither locked nor changed
sub afterwards
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($state, $err, $out) = sql_state($local,
		q(SELECT balance FROM pool_query('srv', 'select balance from accounts
			where id = 1 for update nowait') AS r(balance int)));

	is($err eq '' ? $out : $err, 100,
		"after $what the next session finds the row unlocked and unchanged");
	at_rest($local, $remote, "after $what");
	return;
}

# A session that holds the connection, in a remote transaction, and its lease
sub holder
{
	my $session = session($local);
	my $lease = $session->acquire('srv');

	$session->query("SELECT pool_exec($lease, 'begin'),"
		. " pool_exec($lease, 'update accounts set balance = 0')");
	return ($session, $lease);
}

#
# Terminated
#
my $session = session($local);
$session->begin($big);
wait_for_remote_statement($remote, 'a session receives rows before it is terminated');
terminate($session);
is($session->result->{state}, '57P01', 'a session that receives rows can be terminated');
afterwards('a termination within a result');
is(stat_of($local, 'closed_holder_exited + closed_canceled + closed_error'),
	1, 'a termination within a result closes the connection');

my ($holder, $lease) = holder();
$session = session($local);
$session->begin(q(SELECT pool_query('srv', 'select 1')));
my $next = session($local);
wait_for_waiters($local, 1, 'a session waits before it is terminated');
$next->begin(q(SELECT t FROM pool_query('srv', 'select 2') AS r(t int)));
wait_for_waiters($local, 2, 'a second session waits behind the one to be terminated');
terminate($session);
is($session->result->{state}, '57P01', 'a session that waits can be terminated');
wait_for_waiters($local, 1, 'a session that was terminated in the queue leaves its place');
is($holder->query("SELECT pool_exec($lease, 'rollback'), pool_release($lease)")->{state},
	'00000', 'a termination in the queue does not disturb the lease of another session');
is($next->result->{out}, '2', 'a session behind one that was terminated in the queue is served');
$next->quit;
$holder->quit;
afterwards('a termination in the queue');

($holder, $lease) = holder();
is(app_sessions($remote, q(state = 'idle in transaction')),
	1, 'a lease that is held has a transaction open on the remote');
terminate($holder);
gone($holder->pid, 'terminated while it held a lease');
afterwards('a termination of the session that held the lease');

# In a transaction, with a lease that ends with it
$session = session($local);
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$session->query("SELECT pool_exec($lease, 'begin'),"
	. " pool_exec($lease, 'update accounts set balance = 0')");
terminate($session);
gone($session->pid, 'terminated with a lease that ends with its transaction');
afterwards('a termination in a transaction with a lease');

#
# Timed out
#
($holder, $lease) = holder();
$holder->query(q(SET idle_session_timeout = '1s'));
gone($holder->pid, 'idle_session_timeout has passed');
afterwards('idle_session_timeout');

#
# Left by the client
#
($holder, $lease) = holder();
$holder->die_now;
gone($holder->pid, 'its client died while it was idle with a lease');
afterwards('the death of a client whose session was idle with a lease');

$session = session($local);
$session->begin($big);
wait_for_remote_statement($remote, 'a session receives rows before its client dies');
$session->die_now;
gone($session->pid, 'its client died within a result');
afterwards('the death of a client within a result');

($holder, $lease) = holder();
$session = session($local);
$session->begin(q(SELECT pool_query('srv', 'select 1')));
wait_for_waiters($local, 1, 'a session waits before its client dies');
$session->die_now;
gone($session->pid, 'its client died while it waited');
is(stat_of($local, 'waiting'), 0, 'a session whose client died waits no more');
$holder->release($lease);
afterwards('the death of a client whose session waited');

# And one that ends as it should, with a lease that it has forgotten
$holder->acquire('srv');
$holder->quit;
afterwards('the end of a session that did not release its lease');
is(stat_of($local, 'acquire_timeouts + acquire_failures'), 0, 'no session had to give up waiting');

no_crash($local, $remote);

#
# Killed: the whole server starts anew, and so does pool.
#
foreach my $where ('with a lease', 'at work', 'waiting')
{
	($holder, $lease) = holder();
	my $victim = $holder;

	if ($where eq 'at work')
	{
		# Rows under way: a remote that only sleeps would not notice before it
		# wakes, and nobody is left to cancel it.
		(my $stream = $big) =~ s/'srv'/$lease/;
		$holder->begin($stream);
		wait_for_remote_statement($remote,
			'the remote runs a statement of the session to be killed');
	}
	elsif ($where eq 'waiting')
	{
		$victim = session($local);
		$victim->begin(q(SELECT pool_query('srv', 'select 1')));
		wait_for_waiters($local, 1, 'the session to be killed waits');
	}

	my $offset = log_offset($local);
	my $deaths = () = slurp_file($local->logfile) =~ /terminated by signal 9/g;
	kill 'KILL', $victim->pid;
	undef $control;
	wait_for_value($local,
		'SELECT coalesce(sum(acquires + connects + connect_errors), 0) FROM pool_stats',
		0, "the server restarts with counters at zero after a session was killed $where",
		seconds => 60);
	like(log_since($local, $offset), qr/all server processes terminated; reinitializing/,
		"the restart after a session was killed $where was one after a crash");
	wait_for_app_sessions($remote, 0,
		"the remote has no statement and no transaction of the session killed $where",
		condition => q(state <> 'idle'));
	afterwards("the kill of a session $where");
	is(stat_of($local, 'connects'), 1, "connects counts anew after a session was killed $where");
	is(app_sessions($remote), 1, "the remote has only the new session after one was killed $where");
	is(log_count($local, qr/terminated by signal/), $deaths + 1,
		"no other process died when a session was killed $where");
	is(log_count($local, qr/PANIC: |TRAP: |pool slot .* cannot go/),
		0, "the log has no crash of pool after a session was killed $where");
	$_->die_now foreach ($victim, $holder);
}

no_crash($remote);
done_testing();
