# 009_error_paths.pl
#	What goes wrong in the middle: a lease whose connection cannot be replaced, a
#	time-out during a handover, options of another user's pool, a host that was
#	tried before, an error after the last row, a reset that the remote refuses.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2);
my $session = session($local);
my $other = session($local);

# A lease is taken, its connection dies before its first statement, and the
# place is taken by others meanwhile: the error is caught in a block, and the
# next statement on the lease must find that out, too.
my @holders = map { session($local) } 1 .. 2;
sql($local, "ALTER SERVER srv OPTIONS (ADD acquire_timeout '500ms')");
my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
my $held = $holders[0]->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
my $pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE pid = "
	  . $session->query('SELECT pg_backend_pid()')->{out});
sql($remote, "SELECT pg_terminate_backend($pid)");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE closing_reason"
	  . " = 'remote_closed'", 1, 'lease: its connection is dead');
like($holders[1]->query(q(SELECT pool_acquire('srv', timeout => '20s', hold => true)))->{out}, qr/^\d+$/,
	'lease: another session gets its place');
my $answer = $session->query("DO \$\$ BEGIN PERFORM pool_exec($lease, 'select 1');"
	  . " EXCEPTION WHEN OTHERS THEN RAISE NOTICE 'caught %', SQLSTATE; END \$\$");
is($answer->{state}, '00000', 'lease: the first statement fails, and is caught');
like($answer->{err}, qr/caught 53300/, 'lease: for want of a connection');
$answer = $session->query("SELECT pool_exec($lease, 'select 1')");
is($answer->{state}, '08003', 'lease: the second one says that it has lost its connection');
is($session->query("SELECT pool_release($lease)")->{state}, '00000', 'lease: it can be released');
$_->quit foreach @holders;
sql($local, 'ALTER SERVER srv OPTIONS (DROP acquire_timeout)');
settled($local, 'lease: settled');

# query_timeout holds for a statement that goes out with a handover, as for one
# on the session's own connection.
create_server($local, 'hasty', $remote, options => { query_timeout => '1s', max_size => 1 });
$other->query(q(SELECT pool_query('hasty', 'select 1')));
foreach my $how ('handover', 'own connection')
{
	$answer = $session->query(q(SELECT pool_query('hasty', 'select pg_sleep(60)')));
	is($answer->{state}, '57014', "query_timeout: $how");
	like($answer->{err}, qr/query_timeout/, "query_timeout: $how, the reason");
	wait_for_value($remote, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE"
		  . " '%pg_sleep(60)%' AND usename = 'app'", 0, "query_timeout: $how, gone on the remote");
	$session->query(q(SELECT pool_query('hasty', 'select 1')));
}

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
my $bobs = $bob->query(q(SELECT pool_acquire('shared', hold => true)))->{out};
$alice->begin($who);
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'shared'), 1,
	'mappings: alice waits in the pool of PUBLIC');
sql($local, "CREATE USER MAPPING FOR alice SERVER shared OPTIONS (user 'far_alice', password 'secret')");
sql($local, "ALTER SERVER shared OPTIONS (ADD connect_timeout '9s')");
sql($local, q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pool worker'));
$answer = $alice->result(30);
like($answer->{out}, qr/^far_(alice|public)$/, 'mappings: alice gets an answer');
$bob->query("SELECT pool_release($bobs)");
foreach my $round (1 .. 3)
{
	is($bob->query($who)->{out}, 'far_public', "mappings: bob is who PUBLIC is, $round");
	is($alice->query($who)->{out}, 'far_alice', "mappings: alice is who she is, $round");
}

# The key to cancel is that of the host that was taken, not of one tried before.
my $standby = start_remote(name => 'readonly');
$standby->append_conf('postgresql.conf', 'default_transaction_read_only = on');
$standby->reload;
sql($local, "CREATE SERVER two FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1,127.0.0.1', port '"
	  . $standby->port . ',' . $remote->port . "', dbname 'far', target_session_attrs 'read-write')");
sql($local, "CREATE USER MAPPING FOR CURRENT_USER SERVER two OPTIONS (user 'app', password 'secret')");
$session->query(q(SET statement_timeout = '500ms'));
is($session->query(q(SELECT pool_query('two', 'select pg_sleep(61)')))->{state}, '57014',
	'second host: cancelled');
$session->query('RESET statement_timeout');
wait_for_value($remote, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE"
	  . " '%pg_sleep(61)%' AND usename = 'app'", 0, 'second host: gone there');

# An error after ReadyForQuery: the connection is not what it was, and must not
# go to anyone without a reset, nor stay with this session as it is.
create_server($local, 'trusting', $remote, options => { reset_query => '', max_size => 1 });
foreach my $server ('srv', 'trusting')
{
	is($session->query("SELECT pool_query('$server', 'set datestyle = german; select 1')")->{state},
		'55000', "$server: a format changed in the statement");
	foreach my $who ($session, $other, $session)
	{
		is($who->query("SELECT d FROM pool_query('$server', 'select date ''2024-02-01''') AS t(d date)")->{out},
			'2024-02-01', "$server: and not for the next");
	}
}

# Without a reset query the handover is proven all the same.
foreach my $round (1 .. 5)
{
	is($_->query(q(SELECT x FROM pool_query('trusting', 'select 7') AS t(x int)))->{out}, '7',
		"no reset: handover $round")
	  foreach $session, $other;
}
is(stat_of($local, 'closed_proof_failed', 'trusting'), '0', 'no reset: none failed');

# What a remote has against the reset is told.
create_server($local, 'mistyped', $remote, options => { reset_query => 'DISCARD EVERYTHING' });
$answer = $session->query(q(SELECT pool_query('mistyped', 'select 1')));
is($answer->{state}, '08006', 'reset refused: error');
like($answer->{err}, qr/syntax error/, 'reset refused: the reason');

# pg_cancel_backend() on the worker does nothing.
$pid = sql($local, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
sql($local, "SELECT pg_cancel_backend($pid)");
is($session->query(q(SELECT pool_query('srv', 'select 1')))->{out}, '(1)', 'worker: still serves');
is(sql($local, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker')), $pid,
	'worker: the same as before');

# A temporary table of CREATE TABLE AS, whose tag is that of SELECT.
is($session->query(q(SELECT pool_exec('srv', 'select 1 as a into temp t')))->{state}, '00000',
	"SELECT INTO: $_") foreach 1 .. 2;

$_->quit foreach $session, $other, $alice, $bob;
settled($local, 'at the end: settled');
no_crash($local);
no_crash($remote);
done_testing;
