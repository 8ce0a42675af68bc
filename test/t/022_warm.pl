# 022_warm.pl
#	pool.warm_databases: pools are filled when the server starts, and after a worker
#	was replaced, without any session calling.  There are pools in two of three
#	databases that are to be filled, and some that are not; the remote's sessions
#	and the local log tell what was done.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.workers' => 2, max_worker_processes => 16,
	'pool.warm_databases' => q('postgres, "Other Db", missing'));

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
my $app = "user 'app', password '$PoolTest::password'";
sql($local, "CREATE USER MAPPING FOR b SERVER srv OPTIONS ($app, min_size '3');"
	  . "CREATE USER MAPPING FOR stranger SERVER srv OPTIONS ($app);"
	  . "CREATE USER MAPPING FOR public SERVER srv OPTIONS ($app)");
create_server($local, 'lazy', $remote, for => 'a');
create_server($local, 'bad', $remote, for => 'a', options => { min_size => 1 });
sql($local, 'ALTER USER MAPPING FOR a SERVER bad OPTIONS (DROP password);'
	  . 'GRANT USAGE ON FOREIGN SERVER lazy, bad TO a');

my $offset = log_offset($local);
$local->restart;
wait_for_app_sessions($remote, 7,
	'two connections are opened in each database, and three for a mapping with min_size 3');
my $log = sub { return log_since($local, $offset); };
ok( wait_until(20, sub { $log->() =~ /FATAL:  database "missing" does not exist\n.*CONTEXT:.*pool\.warm_databases/ }),
	'the log tells of a database in pool.warm_databases that does not exist');
ok( wait_until(20, sub { $log->() =~ /ERROR:  password is required\n.*server "bad"/ }),
	'the log tells of a user mapping that cannot be used');
is(scalar(() = $log->() =~ /ERROR:/g), 1, 'the log has no other error');
wait_for_value($local, q(SELECT string_agg(concat_ws(' ', database, server, user_name, min_size, idle,
			acquires), E'\n' ORDER BY database, server, user_name)
		FROM pool_stats),
	"Other Db srv a 2 2 0\npostgres srv a 2 2 0\npostgres srv b 3 3 0",
	'only pools with min_size in pool.warm_databases are filled, without an acquire');
wait_for_value($local,
	q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool warmer'), 0,
	'the processes that filled the pools have ended', seconds => 20);

# The first to call is the one whom it was filled for.
my $session = session($local);
is($session->query('SET ROLE a; ' . select_42('srv'))->{out}, '42',
	'the first session of the role gets an answer');
is(sql($local, 'SELECT sum(connects) FROM pool_stats'), '7',
	'the first session of the role needs no other connection');

# After a worker was replaced.
my $ended = q(SELECT sum(count) FROM pool_stats_closed WHERE reason = 'worker_exited');
foreach my $worker (split /\n/, worker_pid($local))
{
	my $before = sql($local, $ended);

	sql($local, "SELECT pg_terminate_backend($worker)");
	ok(wait_until(30, sub { sql($local, $ended) > $before }),
		'a worker that is terminated closes its connections');
	wait_for_value($local, 'SELECT sum(idle) FROM pool_stats', 7,
		'the pools of a worker that was replaced are filled again', seconds => 60);
}
is(sql($local, $ended), 7, 'each worker had some of the connections');
wait_for_app_sessions($remote, 7,
	'after all workers were replaced there are as many connections as before');

# A wrong list, and no place for another process.
$session->quit;
my ($state, $err) = sql_state($local, q(ALTER SYSTEM SET pool.warm_databases = 'a,,b'));
is($state, '22023', 'a wrong list of databases is refused');
like($err, qr/List syntax is invalid/, 'the error says what is wrong with a list of databases');
$local->append_conf('postgresql.conf', "max_worker_processes = 2\npool.workers = 1");
$offset = log_offset($local);
$local->restart;
my $no_place = qr/WARNING:  could not start a process to warm the pools of database "postgres"\n/;
ok( wait_until(20, sub { $log->() =~ /$no_place.*HINT:  Raise max_worker_processes/ }),
	'the log tells when there is no place for a process that fills pools');
no_crash($local, $remote);

done_testing();
