# 178_dblink_sessions.pl
#	Many sessions with a connection by name each, in mode "transaction", over twenty
#	connections: all get their own answers, and the remote never has more sessions.
#
#	POOL_TEST_SESSIONS: how many (200).
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Loops;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = $ENV{POOL_TEST_SESSIONS} || 200;
my $connections = 20;
my $calls = 10;

# More sessions would be refused.  Beside an attempt that takes longer than a second
# there may be one more for a moment.
my $remote = start_remote(max_connections => 2 * $connections);
my $limit = $connections + 1;
sql($remote, "ALTER ROLE app CONNECTION LIMIT $limit");
my $local = start_local(
	max_connections => $sessions + 20,
	'pool_dblink.max_size' => $connections,
	'pool.acquire_timeout' => "'120s'");
my $conninfo = sprintf 'host=127.0.0.1 port=%d dbname=%s user=app password=%s', $remote->port,
  $PoolTest::remote_db, $PoolTest::password;

sql($local, <<"SQL");
CREATE EXTENSION pool_dblink;
CREATE TABLE answers (pid int, right_ones int);
CREATE FUNCTION ask(n int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	got text;
	good int := 0;
BEGIN
	FOR i IN 1 .. n LOOP
		SELECT t INTO got
			FROM dblink('mine', format('select %L from pg_sleep(0.001)',
				pg_backend_pid() || '/' || i)) AS r(t text);
		IF got = pg_backend_pid() || '/' || i THEN
			good := good + 1;
		END IF;
	END LOOP;
	INSERT INTO answers VALUES (pg_backend_pid(), good);
END \$\$;
SQL
my $script = PostgreSQL::Test::Utils::tempdir() . '/crowd.sql';
append_to_file($script, <<"SQL");
SET pool_dblink.mode = 'transaction';
SELECT dblink_connect('mine', '$conninfo');
SELECT pg_advisory_lock_shared(1);
SELECT ask($calls);
SELECT dblink_disconnect('mine');
SQL

# They begin to ask when each has its connection.
my $gate = session($local);
$gate->query('SELECT pg_advisory_lock(1)');
my ($out, $err) = ('', '');
my $crowd = start_crowd($local, $sessions, $script, \$out, \$err);
wait_for_value($gate, q(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted),
	$sessions, "$sessions sessions have a connection by name", seconds => 120);
wait_until(20, sub { app_sessions($remote) <= $connections });
cmp_ok(app_sessions($remote), '<=', $connections, "they share $connections connections");
is(sql($gate, 'SELECT sum(active) FROM pool_stats'), 0, 'of which none is leased meanwhile');
$gate->query('SELECT pg_advisory_unlock(1)');
ok($crowd->finish, 'all of them come to their end') or diag($err);
is(join("\n", $err =~ /^.*ERROR.*$/mg), '', 'no error is met');
is(sql($gate, 'SELECT count(DISTINCT pid) FROM answers'), $sessions, 'each session has asked');
is(sql($gate, 'SELECT sum(right_ones) FROM answers'),
	$sessions * $calls, 'and got its own answer to each of its questions');
is(log_count($remote, qr/too many connections/), 0,
	"the remote never had more than $limit sessions of pool");
cmp_ok(app_sessions($remote), '>', 1, 'and more than one');
settled($local);
remote_count($local, $remote);
done_testing();
