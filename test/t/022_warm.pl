# 022_warm.pl
# pool.warm_databases: pools are filled when the server starts, and after the
#	worker was replaced, without anybody calling.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.workers' => 2, max_worker_processes => 16,
	'pool.warm_databases' => q('postgres, "Other Db", missing'));
my $count = q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app');

sql($local, 'CREATE DATABASE "Other Db"');
sql($local, 'CREATE DATABASE cold');
sql($local, 'CREATE ROLE a; CREATE ROLE b; CREATE ROLE stranger');
foreach my $db ('postgres', 'Other Db', 'cold')
{
	$local->safe_psql($db, 'CREATE EXTENSION IF NOT EXISTS pool');
	create_server($local, 'srv', $remote, db => $db, for => 'a', options => { min_size => 2 });
	$local->safe_psql($db, 'GRANT USAGE ON FOREIGN SERVER srv TO a, b');
}

# A mapping with a min_size of its own, and some that are not to be filled.
sql($local, "CREATE USER MAPPING FOR b SERVER srv"
	  . " OPTIONS (user 'app', password '$PoolTest::password', min_size '3');"
	  . "CREATE USER MAPPING FOR stranger SERVER srv OPTIONS (user 'app', password '$PoolTest::password');"
	  . "CREATE USER MAPPING FOR public SERVER srv OPTIONS (user 'app', password '$PoolTest::password')");
create_server($local, 'lazy', $remote, for => 'a');
create_server($local, 'bad', $remote, for => 'a', options => { min_size => 1 });
sql($local, 'ALTER USER MAPPING FOR a SERVER bad OPTIONS (DROP password); GRANT USAGE ON FOREIGN SERVER lazy, bad TO a');

my $offset = log_offset($local);
$local->restart;
wait_for_value($remote, $count, 7, 'two in each database, three for the second mapping');
my $log = sub { return log_since($local, $offset); };
ok( wait_until(20, sub { $log->() =~ /FATAL:  database "missing" does not exist/ }),
	'the log tells of a database that does not exist');
ok(wait_until(20, sub { $log->() =~ /ERROR:  password is required\n.*server "bad"/ }),
	'and of a mapping that cannot be used');
is(scalar(() = $log->() =~ /ERROR:/g), 1, 'and of nothing else');
is( sql($local, q(SELECT string_agg(concat_ws(' ', database, server, user_name, min_size, idle, acquires), E'\n'
		ORDER BY database, server, user_name) FROM pool_stats)),
	"Other Db srv a 2 2 0\npostgres srv a 2 2 0\npostgres srv b 3 3 0",
	'nothing else is open, and nobody has called');
ok(wait_until(20, sub { sql($local, q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool warmer')) == 0 }),
	'those who did it are gone');

# The first to call is the one whom it was filled for.
my $session = session($local);
is($session->query(q(SET ROLE a; SELECT t FROM pool_query('srv', 'select 42') AS r(t int)))->{out}, '42', 'in use');
is(sql($local, 'SELECT sum(connects) FROM pool_stats'), '7', 'without another connection');

# After a worker was replaced.
foreach my $worker (split /\n/, sql($local, q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker')))
{
	my $before = sql($local, 'SELECT sum(closed_worker_exited) FROM pool_stats');

	sql($local, "SELECT pg_terminate_backend($worker)");
	ok(wait_until(30, sub { sql($local, 'SELECT sum(closed_worker_exited) FROM pool_stats') > $before }),
		'a worker ends');
	wait_for_value($local, 'SELECT sum(idle) FROM pool_stats', 7, 'the next one has its pools filled as well');
}
is(sql($local, 'SELECT sum(closed_worker_exited) FROM pool_stats'), 7, 'each had some');
wait_for_value($remote, $count, 7, 'no more and no less');

# A wrong list, and no place for another process.
$session->quit;
my ($state, $err) = sql_state($local, q(ALTER SYSTEM SET pool.warm_databases = 'a,,b'));
is($state, '22023', 'a wrong list is refused');
like($err, qr/List syntax is invalid/, 'with the reason');
$local->append_conf('postgresql.conf', "max_worker_processes = 2\npool.workers = 1");
$offset = log_offset($local);
$local->restart;
ok( wait_until(20, sub { $log->() =~ /WARNING:  could not start a process to warm the pools of database "postgres"\n.*HINT:  Raise max_worker_processes/ }),
	'no place for another process: the log tells');
no_crash($local, $remote);

done_testing();
