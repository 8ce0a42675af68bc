# 014_tls_relay.pl
#	The relay between sessions and encrypted remotes: it holds back who is too
#	fast, keeps nobody else waiting, mixes up no results, and lets go of its
#	descriptors.  Sessions and remotes are stopped by signals while others go on;
#	/proc tells what the worker has.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Tls;
use Test::More;

my $tls = start_tls_remote(make_certificates());
my $local = start_local();

# A session that reads slowly holds back the remote, does not fill the worker's
# memory, and keeps nobody waiting.
my $worker = worker_pid($local);

my $busy = new_server($local, $tls, { max_size => 1, retry_attempts => 3 });
my $ask = select_42($busy);
my $slow = session($local);
my $other = session($local);
is($_->query($ask)->{out}, '42', 'a session gets an answer over TLS') foreach $slow, $other;
is(sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$busy'"),
	'1', 'two sessions share a connection');

# By then it has closed what it answered the sessions over.
wait_for_value($local, "SELECT resets > 0 FROM pool_stats_all() WHERE server = '$busy'", 't',
	'the worker has reset the connection');
my $before = memory_of($worker, 'VmRSS');
my $descriptors = descriptors($worker);
sql($local, "ALTER SERVER $busy OPTIONS (SET max_size '4')");

# Its rows do not come before it is stopped, or all of them might have come by then.
my $gate = session($tls, db => $PoolTest::remote_db);
$gate->query('SELECT pg_advisory_lock(1)');
$slow->begin(<<"SQL");
SELECT count(*), sum(length(t))
FROM pool_query('$busy', 'select repeat(''x'', 10000)
	from (select pg_advisory_xact_lock(1) offset 0) l, generate_series(1, 30000)') AS r(t text)
SQL
wait_for_remote_statement($tls, 'a session waits for its rows');
kill 'STOP', $slow->pid;
$gate->quit;
my $blocked = q(SELECT count(*) FROM pg_stat_activity
	WHERE usename = 'app' AND wait_event = 'ClientWrite');
wait_for_value($tls, $blocked, 1, 'a session that reads slowly holds back the remote');
is($other->query($ask)->{out}, '42',
	'another session gets answers while one reads slowly');
cmp_ok(memory_of($worker, 'VmRSS') - $before, '<', 20_000,
	'the worker keeps little of what a session does not read');
kill 'CONT', $slow->pid;
is($slow->result->{out}, '30000|300000000', 'a session that reads slowly loses nothing');

# The other way round.
$slow->query('BEGIN');
my $lease = $slow->query("SELECT pool_acquire('$busy')")->{out};
my $target = $slow->query(
	"SELECT pid FROM pool_query($lease, 'select pg_backend_pid()') AS t(pid int)")->{out};
kill 'STOP', $target;
$slow->begin(<<"SQL");
SELECT n FROM pool_query($lease, 'select length(\$1)', repeat('y', 100000000)) AS r(n int)
SQL
wait_for_value($local,
	'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $slow->pid,
	'Extension', 'a remote that reads slowly holds back the session');
is($other->query($ask)->{out}, '42',
	'another session gets answers while a remote reads slowly');
cmp_ok(memory_of($worker, 'VmRSS') - $before, '<', 20_000,
	'the worker keeps little of what a remote does not read');
kill 'CONT', $target;
is($slow->result->{out}, '100000000', 'a remote that reads slowly loses nothing');
$slow->query('COMMIT');

# Both ends write at once and nobody reads for a while.
is( $slow->query(
		"SELECT length(t) FROM pool_query('$busy', 'select repeat(\$1, 3)',"
		  . " repeat('z', 20000000)) AS r(t text)")->{out},
	'60000000',
	'a large parameter and a large result go both ways');

# Many at once over few connections.
my @crowd = map { session($local) } 1 .. 8;
$_->begin(<<"SQL") foreach @crowd;
DO \$\$
DECLARE
	got record;
BEGIN
	FOR i IN 1..20 LOOP
		SELECT count(*) AS n, sum(length(t)) AS len, min(t) AS low, max(t) AS high INTO got
		FROM pool_query('$busy', format('select repeat(%L, 100) from generate_series(1, 2000)',
			pg_backend_pid()))
			AS r(t text);
		ASSERT got.n = 2000 AND got.low = got.high
			AND got.low = repeat(pg_backend_pid()::text, 100);
		SELECT t AS n INTO got
		FROM pool_query('$busy', 'select \$1::text', pg_backend_pid() || '/' || i) AS r(t text);
		ASSERT got.n = pg_backend_pid() || '/' || i;
	END LOOP;
END \$\$
SQL
is($_->result->{err}, '',
	'a session of many gets results that do not mix with others') foreach @crowd;
$_->quit foreach @crowd;
settled($local, 'after large results nothing is under way, and the sums hold');


# Descriptors come back when connections are closed.
sql($local, "ALTER SERVER $busy OPTIONS (ADD application_name 'new')");
is($other->query($ask)->{out}, '42', 'a connection of an altered server is replaced');
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$busy'",
	1, 'one connection is left when it is replaced');
ok(wait_until(10, sub { return descriptors($worker) == $descriptors; }),
	'the worker has as many descriptors for the new connection as for the old one');

$_->quit foreach $slow, $other;
settled($local);
no_crash($local, $tls);

# A worker that may not open enough files says so, and goes on.
my $few = start_local(name => 'few', max_files_per_process => 64);
create_server($few, 'srv', $tls, options => { max_size => 50, sslmode => 'require' });
sql_state($few, q(SET pool.acquire_timeout = '5s'; SELECT pool_prewarm('srv', 50)));
ok(wait_until(20, sub { return stat_of($few, 'last_error') =~ /too many files are open/ }),
	'a worker that has too many open files says so');
is(sql($few, q(SELECT pool_query('srv', 'select 1'))), '(1)',
	'the connections of a worker without descriptors work');
settled($few);
no_crash($few);
done_testing();
