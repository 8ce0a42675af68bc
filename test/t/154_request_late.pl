# 154_request_late.pl
#	Requests of a session that comes back late, or is in another call: what has come
#	meanwhile is not late, what is late is not sent, and an error in whatever call is
#	the request's own.  Requests go to another connection once, and are watched again
#	after there were no descriptors.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FakeRemote;
use PoolTest::Requests;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_requests' => 100);
my $fake = start_fake_remote();

create_server($local, 'srv', $remote, options => { max_size => 8 });
create_server($local, 'one', $remote,
	options => { max_size => 1, acquire_timeout => '10min', validate_after_idle => '1h' });
create_server($local, 'short', $remote, options => { max_size => 1, query_timeout => '6s' });
create_server($local, 'hurried', $remote,
	options => { max_size => 1, query_timeout => '6s', reset_query => 'select 1' });

# Without a reset, or the worker would have what lies idle reset, while its remote is
# stopped.
create_server($local, 'proven', $remote,
	options => { max_size => 1, health_check_timeout => '6s', reset_query => '' });
sql($local, "CREATE SERVER fake FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
	  . "port '$fake->{port}', dbname 'fake', max_size '4'); CREATE USER MAPPING FOR CURRENT_USER "
	  . q(SERVER fake OPTIONS (user 'app', password 'secret')));
sql($remote, 'CREATE TABLE late (a int); CREATE SEQUENCE turns; GRANT ALL ON late, turns TO app',
	db => 'far', user => 'postgres');
create_caught($local);
my $gates = start_gates($remote);
my ($session, $other, $third) = map { session($local) } 1 .. 3;

# Longer than the timeouts of 6 s that are to be over then
my $elsewhere = 'SELECT pg_sleep(6.5)';

# remote_pid(session, server): the process that answers it
sub remote_pid
{
	my ($of, $server) = @_;

	return $of->query(pid_query($server))->{out};
}

# wait_for_idle(pid, what): a test: the remote has answered what came
sub wait_for_idle
{
	my ($pid, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($gates,
		"SELECT state FROM pg_stat_activity WHERE pid = $pid", 'idle', $what);
}

#
# What came while the session was elsewhere is not late
#
my %pid = map { $_ => remote_pid($session, $_) } 'short', 'hurried', 'proven';
$session->query('BEGIN');
my $answered = send_request($session, 'short', 'select 42');

# Proofs that go alone, since another session has used the connection last, and because
# of the reset query, or of a string of two statements
remote_pid($other, $_) foreach 'hurried', 'proven';
my $proven = send_request($session, 'hurried', 'select 43');
kill 'STOP', $pid{proven};
my $stopped = send_request($session, 'proven', 'select 0; select 44');
$session->query($elsewhere);
wait_for_idle($pid{short}, 'a request is answered while its session is elsewhere');
wait_for_idle($pid{hurried}, 'and so is a proof');

# In one call, or the answer would be there when it is looked for
answers($session, "SELECT t FROM pool_result($proven) r(t int)", 43,
	'query_timeout stands still until the statement is sent');
answers($session, "SELECT t FROM pool_result($answered) r(t int)", 42,
	'query_timeout does not take an answer away');
is(states_of($session, $stopped), 'running',
	'health_check_timeout stands still while the session is elsewhere');
kill 'CONT', $pid{proven};
answers($session, "SELECT t FROM pool_result($stopped) r(t int)", 44,
	'the proof has its time when the session is back');
answers($session, 'COMMIT', '', 'nothing is left of these');

#
# What is late is not sent
#
sql($local, <<'SQL');
CREATE FUNCTION nap(v int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(6.5);
	PERFORM pg_advisory_xact_lock_shared(1);
	RETURN true;
END $$;
CREATE DOMAIN napped AS int CHECK (nap(VALUE));
SQL
my $watcher = session($local);
remote_pid($session, 'one');
my $lease = $other->acquire('one');
sql($watcher, 'SELECT pg_advisory_lock(1)');
$session->begin(q(SELECT server, sqlstate, a FROM pool_query_all('{srv,one}',
	'insert into late values (1) returning a', on_error => 'row', timeout => '6s')
	r(server text, sqlstate text, error text, a napped)));
wait_for_value($third, q(SELECT count(*) FROM pg_locks
	WHERE NOT granted AND locktype = 'advisory' AND objid = 1), 1,
	'the first row is looked at until the timeout is over', seconds => 30);
$other->release($lease);
sql($watcher, 'SELECT pg_advisory_unlock(1)');
is($session->result->{out}, "srv||1\none|57014|",
	'a server that had no connection until then fails');
settled($local);
is(sql($gates, 'SELECT count(*) FROM late'), 1, 'and has executed nothing');

#
# An error of a request that comes in another call, and is caught there
#
sql($local, <<'SQL');
CREATE FUNCTION poke(v int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM pool_query('srv', 'select 1 from pg_advisory_xact_lock_shared(2)') t(a int);
	RETURN true;
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE 'caught %', sqlstate;
	RETURN true;
END $$;
CREATE DOMAIN poked AS int CHECK (poke(VALUE));
SQL

# The remote that comes second answers when the row of the first one is being read.
my $in_turn = <<'SQL';
WITH turn AS MATERIALIZED (SELECT nextval('turns') % 2 AS n),
	gate AS MATERIALIZED (SELECT CASE n WHEN 0 THEN pg_advisory_xact_lock_shared(1)::text END, n
		FROM turn)
SELECT g, repeat('x', 1000) FROM gate, generate_series(1, CASE n WHEN 0 THEN 20000 ELSE 1 END) g
SQL
$in_turn =~ s/'/''/g;
shut($gates, 1, 2);
$session->query(q(SET work_mem = '64kB'; SET temp_file_limit = '100kB'));
create_server($local, 'another', $remote, options => { max_size => 1 });
$session->begin("SELECT sqlstate, a, count(*) FROM pool_query_all('{srv,another}', '$in_turn',"
	  . q{ on_error => 'row') r(server text, sqlstate text, error text, a poked, b text)}
	  . ' GROUP BY 1, 2 ORDER BY 1');
wait_for_gate($gates, 2, 1, 'a row is being read, with a query');
open_gate($gates, 1);
my $answer = $session->result;
is($answer->{out}, "53400||1\n|1|1", 'a request that cannot keep its rows fails by itself')
  or diag($answer->{err});
like($answer->{err}, qr/NOTICE:.*caught 53400/, 'the query that noticed it has raised it');
open_gate($gates, 2);
$session->query('RESET work_mem; RESET temp_file_limit');

# Not found any more while it waits for a connection
shut($gates, 2);
$lease = $other->acquire('another');
$session->begin(q(SELECT server, sqlstate, a FROM pool_query_all('{srv,another}', 'select 1',
	on_error => 'row') r(server text, sqlstate text, error text, a poked)));
wait_for_gate($gates, 2, 1, 'a row is being read once more');
sql($third, 'DROP USER MAPPING FOR CURRENT_USER SERVER another');
$other->release($lease);
$answer = $session->result;
like($answer->{out}, qr/^another\|42704\|$/m, 'a request whose user mapping is dropped fails')
  or diag($answer->{err});
like($answer->{out}, qr/^srv\|\|1$/m, 'the row that was being read is there');
open_gate($gates, 2);
settled($local);

#
# Sockets cannot be watched any more
#
$lease = $session->acquire('srv');
shut($gates, 1, 2);
$session->query('BEGIN');
my $stays = send_request($session, $lease, behind(1, 'select 45'));
$session->query('COMMIT; BEGIN');
my $ends = send_request($session, 'srv', behind(2, 'select 46'));
wait_for_gate($gates, 1, 1, 'a request on a lease runs', $session);
wait_for_gate($gates, 2, 1, 'and another one', $session);
my $worker = worker_pid($local);
kill 'STOP', $worker;    # it keeps the socket open
sql($remote, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
	WHERE query ~ 'select 46' AND usename = 'app'));
answers($session, "SELECT pool_wait(ARRAY[$ends])", $ends, 'the remote of a request ends');
my $limits = 'prlimit --pid ' . $session->pid . ' --nofile';
my $before = qx($limits --noheadings --raw --output SOFT);
chomp $before;
system("$limits=5:") == 0 or die 'prlimit has failed';
$answer = $session->query("SELECT pool_wait(ARRAY[$stays])");
is($answer->{state}, '53000', 'no descriptor is left to watch the others with');
system("$limits=$before:") == 0 or die 'prlimit has failed';
kill 'CONT', $worker;
$session->query('ROLLBACK');
open_gate($gates, 1, 2);
answers($session, "SELECT pool_wait(ARRAY[$stays])", $stays,
	'they are watched again as soon as there is one');
answers($session, "SELECT t FROM pool_result($stays) r(t int)", 45, 'and answered');
$session->release($lease);
settled($local);

#
# Another connection, once
#
my $number = 0;
foreach my $plan ('fatal 3', 'fatal 3 always')
{
	$number++;
	$session->query(q(SELECT pool_reconnect('fake'); BEGIN));
	my $request = send_request($session, 'fake', "select 'x' /* plan $number: $plan */");
	$answer = $session->query("SELECT t FROM pool_result($request) r(t text)");
	is($answer->{state} eq '00000' ? $answer->{out} : $answer->{state},
		$plan =~ /always/ ? '57P01' : 'done', "a remote that ends in the proof: $plan");
	$session->query('ROLLBACK');
}
is_deeply({ fake_counts($fake) }, { 1 => '2, 1', 2 => '2, 0' },
	'a request goes to another connection only once');

$_->quit foreach $session, $other, $third, $watcher, $gates;
settled($local);
stop_fake_remote($fake);
no_crash($local, $remote);

done_testing();
