# 009_error_paths.pl
#	What goes wrong in the middle: a lease whose connection cannot be replaced, a
#	time-out during a handover, options of another user's pool, a host that was
#	tried before, an error after the last row, a reset that the remote refuses.
#	Each state is made with the help of a second session or of the remote, and
#	then the next statements must get their own answers or a clear error.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2);
my $session = session($local);
my $other = session($local);

# A lease is acquired, its connection dies before its first statement, and the
# place goes to others meanwhile: the error is caught in a block, and the
# next statement on the lease must find that out, too.
my @holders = map { session($local) } 1 .. 2;
my $lease = $session->acquire('srv');
my $held = $holders[0]->acquire('srv');
my $pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE pid = "
	  . $session->pid);
sql($remote, "SELECT pg_terminate_backend($pid)");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE closing_reason"
	  . " = 'remote_closed'", 1, 'pool sees that the connection of a lease is dead');
my $third = $holders[1]->query(q(SELECT pool_acquire('srv', timeout => '20s', hold => true)));
like($third->{out}, qr/^\d+$/, 'another session gets the place of a dead connection');
$session->query(q(SET pool.acquire_timeout = '500ms'));
my $answer = $session->query("DO \$\$ BEGIN PERFORM pool_exec($lease, 'select 1');"
	  . " EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught %', SQLSTATE; END \$\$");
is($answer->{state}, '00000',
	'the error of the first statement on a dead connection can be caught');
like($answer->{err}, qr/caught 53300/,
	'the first statement on a dead connection fails for want of another one');
$answer = $session->query("SELECT pool_exec($lease, 'select 1')");
is($answer->{state}, '08003',
	'the second statement on that lease says that it has lost its connection');
is($session->release($lease)->{state}, '00000', 'a lease without a connection can be released');
$_->quit foreach @holders;
$session->query('RESET pool.acquire_timeout');
settled($local, 'after the lost connection nothing is under way, and the sums hold');

# query_timeout holds for a statement that goes out with a handover, as for one
# on the session's own copy of a connection.
create_server($local, 'hasty', $remote, options => { query_timeout => '1s', max_size => 1 });
$other->query(q(SELECT pool_query('hasty', 'select 1')));
foreach my $how ('handover', 'own copy')
{
	$answer = $session->query(q(SELECT pool_query('hasty', 'select pg_sleep(60)')));
	is($answer->{state}, '57014', "query_timeout holds for a statement on a connection by $how");
	like($answer->{err}, qr/query_timeout/,
		"the error on a connection by $how names query_timeout");
	wait_for_app_sessions($remote, 0, "query_timeout ends the remote's statement by $how",
		condition => q(query LIKE '%pg_sleep(60)%'));
	$session->query(q(SELECT pool_query('hasty', 'select 1')));
}

# Such a remote is slow, not silent: its statement is cancelled until it ends.
sql($remote, <<'SQL', db => 'far', user => 'app');
CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(60);
EXCEPTION WHEN query_canceled THEN
	PERFORM pg_sleep(60);
END $$;
SQL
$other->query(q(SELECT pool_query('hasty', 'select 1')));
$answer = $session->query(q(SELECT pool_query('hasty', 'select stubborn()')));
is($answer->{state}, '57014', 'query_timeout holds for a statement that catches its cancel');
wait_for_app_sessions($remote, 0, 'a statement that catches its cancel is cancelled again',
	condition => q(query LIKE '%stubborn()%'));

# Two mappings of one server, PUBLIC's and a role's own that is made while that
# role waits: nobody may ever be connected as the other.
sql($remote, "CREATE ROLE $_ LOGIN PASSWORD 'secret'") foreach 'far_public', 'far_alice';
sql($remote, "GRANT CONNECT ON DATABASE far TO $_") foreach 'far_public', 'far_alice';
sql($local, $_) foreach 'CREATE ROLE alice LOGIN', 'CREATE ROLE bob LOGIN',
  "CREATE SERVER shared FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', port '"
  . $remote->port . "', dbname 'far', max_size '1')",
  'GRANT USAGE ON FOREIGN SERVER shared TO alice, bob',
  "CREATE USER MAPPING FOR PUBLIC SERVER shared OPTIONS (user 'far_public', password 'secret')";
my $alice = session($local, user => 'alice');
my $bob = session($local, user => 'bob');
my $who = q(SELECT w FROM pool_query('shared', 'select current_user::text') AS t(w text));
my $bobs = $bob->acquire('shared');
$alice->begin($who);
wait_for_waiters($local, 1, 'alice waits in the pool of PUBLIC', 'shared');
sql($local,
	"CREATE USER MAPPING FOR alice SERVER shared OPTIONS (user 'far_alice', password 'secret')");
sql($local, "ALTER SERVER shared OPTIONS (ADD connect_timeout '9s')");
sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
$answer = $alice->result(30);
like($answer->{out}, qr/^far_(alice|public)$/,
	'alice gets an answer when she has a mapping of her own and the worker ends');
$bob->release($bobs);
foreach my $round (1 .. 3)
{
	is($bob->query($who)->{out}, 'far_public',
		"turn $round: bob is connected as the role of PUBLIC");
	is($alice->query($who)->{out}, 'far_alice', "turn $round: alice is connected as her own role");
}

# The key to cancel is that of the host that is used, not of one tried before.
my $standby = start_remote(name => 'readonly');
$standby->append_conf('postgresql.conf', 'default_transaction_read_only = on');
$standby->reload;
create_server($local, 'two', $remote, options => {
	host => '127.0.0.1,127.0.0.1',
	port => $standby->port . ',' . $remote->port,
	target_session_attrs => 'read-write' });
is($session->query(q(SELECT pool_query('two', 'select 1')))->{out}, '(1)',
	'the second host is connected');
$session->query(q(SET statement_timeout = '500ms'));
is($session->query(q(SELECT pool_query('two', 'select pg_sleep(61)')))->{state}, '57014',
	'statement_timeout holds on the second host');
$session->query('RESET statement_timeout');
wait_for_app_sessions($remote, 0, 'the cancel ends the statement on the second host',
	condition => q(query LIKE '%pg_sleep(61)%'));

# An error after ReadyForQuery: the connection is not what it was, and must not
# go to anyone without a reset, nor stay with this session as it is.
create_server($local, 'trusting', $remote, options => { reset_query => '', max_size => 1 });
foreach my $server ('srv', 'trusting')
{
	is($session->query("SELECT pool_query('$server', 'set datestyle = german; select 1')")->{state},
		'55000', "a statement that changes DateStyle on $server is an error");
	foreach my $who ($session, $other, $session)
	{
		is($who->query("SELECT d FROM pool_query('$server', 'select date ''2024-02-01''')"
				. ' AS t(d date)')->{out},
			'2024-02-01', "the next statement on $server finds the usual DateStyle");
	}
}

# Without a reset query the handover is proven all the same.
foreach my $round (1 .. 5)
{
	is($_->query(q(SELECT x FROM pool_query('trusting', 'select 7') AS t(x int)))->{out}, '7',
		"handover $round without a reset query gets its own answer")
	  foreach $session, $other;
}
is(stat_of($local, 'closed_proof_failed', 'trusting'), '0',
	'no handover without a reset query fails its proof');

# What a remote has against the reset is told.
create_server($local, 'mistyped', $remote, options => { reset_query => 'DISCARD EVERYTHING' });
$answer = $session->query(q(SELECT pool_query('mistyped', 'select 1')));
is($answer->{state}, '42601',
	'a reset query that the remote refuses is an error with its SQLSTATE');
like($answer->{err}, qr/syntax error/,
	'the error of a refused reset query has the words of the remote');

# pg_cancel_backend() on the worker does nothing.
$pid = worker_pid($local);
sql($local, "SELECT pg_cancel_backend($pid)");
is($session->query(q(SELECT pool_query('srv', 'select 1')))->{out}, '(1)',
	'the worker serves after pg_cancel_backend()');
is(worker_pid($local), $pid, 'the worker is the same after pg_cancel_backend()');

# A temporary table of CREATE TABLE AS, whose tag is that of SELECT.
is($session->query(q(SELECT pool_exec('srv', 'select 1 as a into temp t')))->{state}, '00000',
	"SELECT INTO a temporary table works, turn $_") foreach 1 .. 2;

$_->quit foreach $session, $other, $alice, $bob;
settled($local);
no_crash($local, $remote);
done_testing;
