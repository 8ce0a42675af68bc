# 004_session_end.pl
#	A session that ends without saying so - terminated, timed out, left by its
#	client, killed - leaves nothing behind: no lease, no place in the queue, no
#	transaction on the remote.

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
	options => { max_size => 1, acquire_timeout => '60s' });
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

sub gone
{
	my ($pid, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		"SELECT count(*) FROM pg_stat_activity WHERE pid = $pid",
		0, "$what: the session has ended");
}

# afterwards(what): another session can use the only connection, and finds the
# row neither locked nor changed
sub afterwards
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($state, $err, $out) = sql_state($local,
		q(SELECT balance FROM pool_query('srv', 'select balance from accounts
			where id = 1 for update nowait') AS r(balance int)));

	is($err eq '' ? $out : $err, 100, "$what: the next session gets its answer");
	settled($local, "$what: settled");
	remote_count($local, $remote, "$what: sessions on the remote");
	return;
}

# A session that holds the connection, in a remote transaction, and its lease
sub holder
{
	my (%how) = @_;
	my $session = session($local, %how);
	my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};

	$session->query("SELECT pool_exec($lease, 'begin'),"
		. " pool_exec($lease, 'update accounts set balance = 0')");
	return ($session, $lease);
}

#
# Terminated
#
my $session = session($local);
$session->begin($big);
ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
	'mid-result: rows are coming');
terminate($session);
is($session->result->{state}, '57P01', 'mid-result: terminated');
afterwards('mid-result');
is(stat_of($local, 'closed_holder_exited + closed_canceled + closed_error'),
	1, 'mid-result: the connection was closed');

my ($holder, $lease) = holder();
$session = session($local);
$session->begin(q(SELECT pool_query('srv', 'select 1')));
my $next = session($local);
wait_for_value($local, 'SELECT waiting FROM pool_stats', 1, 'in the queue: it waits');
$next->begin(q(SELECT t FROM pool_query('srv', 'select 2') AS r(t int)));
wait_for_value($local, 'SELECT waiting FROM pool_stats', 2, 'in the queue: and another');
terminate($session);
is($session->result->{state}, '57P01', 'in the queue: terminated');
wait_for_value($local, 'SELECT waiting FROM pool_stats', 1, 'in the queue: one is left');
is($holder->query("SELECT pool_exec($lease, 'rollback'), pool_release($lease)")->{state},
	'00000', 'in the queue: the holder is not disturbed');
is($next->result->{out}, '2', 'in the queue: the other is served');
$next->quit;
$holder->quit;
afterwards('in the queue');

($holder, $lease) = holder();
is(app_sessions($remote, q(state = 'idle in transaction')),
	1, 'holding: a transaction is open on the remote');
terminate($holder);
gone($holder->pid, 'holding');
afterwards('holding');

# In a transaction, with a lease that ends with it
$session = session($local);
$session->query('BEGIN');
$lease = $session->query(q(SELECT pool_acquire('srv')))->{out};
$session->query("SELECT pool_exec($lease, 'begin'),"
	. " pool_exec($lease, 'update accounts set balance = 0')");
terminate($session);
gone($session->pid, 'in a transaction');
afterwards('in a transaction');

#
# Timed out
#
($holder, $lease) = holder(options => '-c idle_session_timeout=1s');
gone($holder->pid, 'idle_session_timeout');
afterwards('idle_session_timeout');

#
# Left by the client
#
($holder, $lease) = holder();
$holder->die_now;
gone($holder->pid, 'client killed, idle');
afterwards('client killed, idle');

$session = session($local);
$session->begin($big);
ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
	'client killed, mid-result: rows are coming');
$session->die_now;
gone($session->pid, 'client killed, mid-result');
afterwards('client killed, mid-result');

($holder, $lease) = holder();
$session = session($local);
$session->begin(q(SELECT pool_query('srv', 'select 1')));
wait_for_value($local, 'SELECT waiting FROM pool_stats', 1, 'client killed, in the queue: it waits');
$session->die_now;
gone($session->pid, 'client killed, in the queue');
is(stat_of($local, 'waiting'), 0, 'client killed, in the queue: nobody waits');
$holder->query("SELECT pool_release($lease)");
afterwards('client killed, in the queue');

# And one that ends as it should, with a lease that it has forgotten
$holder->query(q(SELECT pool_acquire('srv', hold => true)));
$holder->quit;
afterwards('quit while holding');
is(stat_of($local, 'acquire_timeouts + acquire_failures'), 0, 'nobody had to give up');

no_crash($local, $remote);

#
# Killed: the whole server starts anew, and so does pool.
#
foreach my $where ('holding', 'at work', 'waiting')
{
	($holder, $lease) = holder();
	my $victim = $holder;

	if ($where eq 'at work')
	{
		# Rows under way: a remote that only sleeps would not notice before it
		# wakes, and nobody is left to cancel it.
		(my $stream = $big) =~ s/'srv'/$lease/;
		$holder->begin($stream);
		ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
			'killed at work: the remote is, too');
	}
	elsif ($where eq 'waiting')
	{
		$victim = session($local);
		$victim->begin(q(SELECT pool_query('srv', 'select 1')));
		wait_for_value($local, 'SELECT waiting FROM pool_stats', 1,
			'killed waiting: it waits');
	}

	my $offset = log_offset($local);
	my $deaths = () = slurp_file($local->logfile) =~ /terminated by signal 9/g;
	kill 'KILL', $victim->pid;
	undef $control;
	wait_for_value($local, 'SELECT coalesce(sum(acquires + connects + connect_errors), 0) FROM pool_stats',
		0, "killed $where: restarted, with its counters at zero", seconds => 60);
	like(log_since($local, $offset), qr/all server processes terminated; reinitializing/,
		"killed $where: it was a crash restart");
	wait_for_value($remote,
		q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'),
		0, "killed $where: the remote has no statement and no transaction of ours");
	afterwards("killed $where");
	is(stat_of($local, 'connects'), 1, "killed $where: counting anew");
	is(app_sessions($remote), 1, "killed $where: the old session is gone");
	is(log_count($local, qr/terminated by signal/), $deaths + 1,
		"killed $where: only that one died");
	is(log_count($local, qr/PANIC: |TRAP: |pool slot .* cannot go/),
		0, "killed $where: nothing else in the log");
	$_->die_now foreach ($victim, $holder);
}

no_crash($remote);
done_testing();
