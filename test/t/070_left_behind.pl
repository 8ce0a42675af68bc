# 070_left_behind.pl
#	What remains when a session is done with something: a lease in which nothing was
#	sent says nothing about the remote, one with hold outlives DISCARD ALL, and a
#	password that was to be sent to the worker does not stay in memory.
#
# Runs in the plain round only.
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Memory;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $session = session($local);

#
# A lease in which nothing was sent
#
create_server($local, 'srv', $remote,
	options => { max_size => 1, retry_attempts => 1, breaker_threshold => 1,
		breaker_timeout => '1s', breaker_successes => 3, acquire_timeout => '10s' });
create_server($local, 'other', $remote);
sql($remote, 'ALTER ROLE app CONNECTION LIMIT 0');
wait_until(30, sub {
	$session->query(select_42('srv'));
	return stat_of($local, 'breaker') eq 'open';
});
is(stat_of($local, 'breaker'), 'open', 'the breaker opens when the remote refuses connections');
sql($remote, 'ALTER ROLE app CONNECTION LIMIT -1');
my $unused = q(SELECT pool_release(pool_acquire('srv')));
ok(wait_until(30, sub { return $session->query($unused)->{err} eq '' }),
	'a connection is made when the remote allows it again');
is($session->query($unused)->{err}, '', "lease $_ of that connection is released unused")
  foreach 1 .. 5;
make_worker_look(session($local), 'other');
is(stat_of($local, 'breaker'), 'half_open',
	'leases that were not used are no successes by which the breaker closes');
is($session->query(select_42('srv'))->{out}, '42', "statement $_ is answered") foreach 1 .. 2;
wait_for_value($local, q(SELECT breaker FROM pool_stats WHERE server = 'srv'), 'closed',
	'statements that are answered are successes by which the breaker closes');

#
# DISCARD ALL, as a pooler in front of this server sends it
#
my $lease = $session->acquire('srv');
is($session->query("SELECT pool_exec($lease, 'create temporary table mine (x int)')")->{err}, '',
	'a session leaves something in the remote session of its lease');
is($session->query('DISCARD ALL')->{err}, '', 'the session discards all');
is(sql($local, q(SELECT pid FROM pool_connections WHERE state = 'leased')), $session->pid,
	'a lease with hold is still there after DISCARD ALL');
is($session->query("SELECT pool_exec($lease, 'insert into mine values (1)')")->{out}, '1',
	'what a lease with hold left in its remote session is still there after DISCARD ALL');
is($session->release($lease)->{err}, '',
	'a lease with hold can be released after DISCARD ALL');

#
# Passwords
#
my $canary = 'canary' . int(rand(1e9)) . 'X';

# messages(): how many messages to the worker with that password are in the memory
# of the session.  What the catalogs have, and their cache, looks different.
sub messages
{
	return in_private_memory($session->pid, qr/password\0$canary\0user\0/);
}

my $path = '-c search_path=';
sql($remote, "CREATE ROLE guarded LOGIN PASSWORD '$canary'");
create_server($local, 'secret', $remote, user => 'guarded', password => $canary,
	options => { options => $path . 'x' x 5000, dbname => 'postgres' });
create_server($local, 'long', $remote, user => 'guarded', password => $canary,
	options => { options => $path . 'x' x 200_000 });
SKIP:
{
	skip 'the memory of a session cannot be read here', 8 if !memory_is_readable($session->pid);

	my $worker = worker_pid($local);
	kill 'STOP', $worker;
	$session->begin(select_42('secret'));
	wait_for_value($local, 'SELECT wait_event_type FROM pg_stat_activity WHERE pid = '
		. $session->pid, 'Extension', 'a session waits for a worker that is stopped');
	cmp_ok(messages(), '>', 0,
		'a session that waits for the worker has the message with the password in memory');
	sql($local, 'SELECT pg_cancel_backend(' . $session->pid . ')');
	is($session->result->{state}, '57014', 'the session is canceled');
	is(messages(), 0, 'a message that was sent in vain does not stay in memory');
	kill 'CONT', $worker;

	is($session->query(select_42('secret'))->{err}, '', 'the password is right');
	is(messages(), 0, 'a message that was answered does not stay in memory');
	is($session->query(select_42('long'))->{state}, '54000',
		'options that are too long for a message are an error');
	is(messages(), 0, 'a message that is too long to be sent does not stay in memory');
}

$session->quit;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
