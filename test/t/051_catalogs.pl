# 051_catalogs.pl
#	No pool is left whose server, mapping or database is no more, also where
#	nobody tells of the drop: on a hot standby, and after COMMIT PREPARED.  Each
#	pool has a min_size, so nothing else would ever close it; each time one that
#	has its rows stays as it is.  And what looks for such pools is in nobody's way.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $remote = start_remote();
my $local = start_local(
	'pool.catalog_check_interval' => '300ms',
	max_prepared_transactions => 2,
	max_worker_processes => 3,
	max_logical_replication_workers => 0,
	log_min_messages => 'debug1',
	wal_level => 'replica',
	max_wal_senders => 4);
my $pools = q(SELECT string_agg(concat_ws(' ', database, server, idle), ', '
	ORDER BY database, server) FROM pool_stats);
my $connects = q(SELECT connects FROM pool_stats WHERE server = 'stay');

# fill(node, database, server): its pool gets its one connection
sub fill
{
	my ($node, $db, $server) = @_;

	return sql($node, "SELECT pool_prewarm('$server', 1)", db => $db);
}

sub new_pool
{
	my ($db, $server) = @_;

	create_server($local, $server, $remote, db => $db, options => { min_size => 1 });
	fill($local, $db, $server);
	return;
}

sub new_database
{
	my ($db) = @_;

	sql($local, "CREATE DATABASE $db");
	sql($local, 'CREATE EXTENSION pool', db => $db);
	return;
}

#
# Prepared transactions
#
new_pool('postgres', 'stay');
new_pool('postgres', 'gone');
sql($local, q(BEGIN; DROP SERVER gone CASCADE; PREPARE TRANSACTION 'p'));
wait_for_value($local, $pools, 'postgres gone 1, postgres stay 1',
	'a drop that is prepared closes no pool');
sql($local, q(COMMIT PREPARED 'p'));
wait_for_value($local, $pools, 'postgres stay 1',
	'a drop that was prepared and is committed leaves no pool', seconds => 60);

#
# A standby
#
new_database('other');
new_pool('other', 'lost');
new_pool('postgres', 'gone');
$local->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($local, 'base', has_streaming => 1);
$standby->start;
fill($standby, 'postgres', 'stay');
fill($standby, 'postgres', 'gone');
fill($standby, 'other', 'lost');
my $all = 'other lost 1, postgres gone 1, postgres stay 1';
wait_for_value($standby, $pools, $all, 'a standby has pools of its own');
sql($local, 'DROP SERVER gone CASCADE');
wait_for_value($standby, $pools, 'other lost 1, postgres stay 1',
	'DROP SERVER on the primary leaves no pool on the standby', seconds => 60);
sql($local, 'DROP DATABASE other');
wait_for_value($standby, $pools, 'postgres stay 1',
	'DROP DATABASE on the primary leaves no pool on the standby', seconds => 60);
is(sql($standby, $connects), 1, 'a pool of the standby that has its rows stays as it is');
# But for a process that was looking at it just then, which PostgreSQL ends.
unlike(log_since($standby),
	qr/FATAL:  (?!terminating (?:connection|background worker .*) due to conflict with recovery)/,
	'the log of the standby has no line for a database that is gone');
$standby->stop;
wait_for_value($local, $pools, 'postgres stay 1', 'the primary has closed the same pools');

#
# In nobody's way: commands that want a database for themselves, while its pools
# are looked at all the time; and a database that lets nobody in.
#
new_database('mine');
new_pool('mine', 'lost');
foreach my $command ('CREATE DATABASE copy TEMPLATE mine', 'ALTER DATABASE mine RENAME TO yours',
	'ALTER DATABASE yours RENAME TO mine', 'DROP DATABASE copy')
{
	is((sql_state($local, $command))[0], '00000',
		"$command works while the pools of the database are looked at");
}

# One whose catalogs are locked keeps no other from being looked at.
my $locker = session($local, db => 'mine');
new_pool('postgres', 'gone');
sql($local, q(BEGIN; DROP SERVER gone CASCADE; PREPARE TRANSACTION 'p'));
$locker->query('BEGIN; LOCK pg_user_mapping');
wait_for_value($local, q(SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'pool checker' AND wait_event_type = 'Lock'), 1,
	'a lock on a catalog keeps the pools of its database from being looked at', seconds => 60);
sql($local, q(COMMIT PREPARED 'p'));
wait_for_value($local, $pools, 'mine lost 1, postgres stay 1',
	'a lock on a catalog of another database keeps no pool open', seconds => 60);
$locker->quit;

sql($local, 'ALTER DATABASE mine ALLOW_CONNECTIONS false');
my $offset = log_offset($local);

# checks(count): so many processes have begun since
sub checks
{
	my ($count) = @_;

	return wait_until(
		60,
		sub {
			my @begun =
			  log_since($local, $offset) =~ /starting background worker process "pool checker"/g;
			return @begun >= $count;
		});
}

# One for the databases, and one for each of two of them: after that all know of it.
ok(checks(4), 'pools are looked at while the database ceases to let anybody in');
$offset = log_offset($local);
ok(checks(8), 'pools are looked at again and again');
is(sql($local, $pools), 'mine lost 1, postgres stay 1',
	'the pool of a database that lets nobody in stays as it is');
unlike(log_since($local, $offset), qr/FATAL|ERROR/,
	'the log has no error from looking at the pools');

#
# No place for the process, which first looks for the databases, and then is
# started anew for each: with one place of two it gets no further than that.
#
# look_every(interval): 1h is never
sub look_every
{
	my ($interval) = @_;

	sql($local, "ALTER SYSTEM SET pool.catalog_check_interval = '$interval'");
	sql($local, 'SELECT pg_reload_conf()');
	return if $interval ne '1h';
	return wait_for_value($local,
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool checker'), 0,
		"with pool.catalog_check_interval $interval no process looks at the pools");
}
# hold_place(session): it does not let go of a place that a query in parallel takes
sub hold_place
{
	my ($session) = @_;
	my $pid = $session->pid;
	my $workers = "SELECT count(*) FROM pg_stat_activity WHERE leader_pid = $pid"
	  . q( AND backend_type = 'parallel worker');

	# Named differently by version.
	$session->query(q(SELECT set_config(name, 'on', false) FROM pg_settings
		WHERE name IN ('force_parallel_mode', 'debug_parallel_query')));
	return wait_until(
		60,
		sub {
			$session->begin('SELECT pg_sleep(600)');
			return 1 if wait_until(3, sub { sql($local, $workers) == 1 });
			sql($local, "SELECT pg_cancel_backend($pid)");
			$session->result;
			return 0;
		});
}

my $no_place = qr/WARNING:  could not start a process to compare the pools with the catalogs\n/;
foreach my $held (1, 2)
{
	my @holders = map { session($local) } 1 .. $held;

	new_pool('postgres', 'gone');
	sql($local, q(BEGIN; DROP SERVER gone CASCADE; PREPARE TRANSACTION 'p'));
	look_every('1h');
	is(scalar(grep { hold_place($_) } @holders), $held,
		"$held of 2 places for processes are used");
	$offset = log_offset($local);
	sql($local, q(COMMIT PREPARED 'p'));
	look_every('300ms');
	ok( wait_until(60,
			sub { log_since($local, $offset) =~ /$no_place.*HINT:  Raise max_worker_processes/s }),
		"with $held of 2 places used the log tells that pools cannot be looked at");
	ok(checks(5), 'a process to look at the pools is tried again and again') if $held == 1;
	is(sql($local, $pools), 'mine lost 1, postgres gone 1, postgres stay 1',
		"with $held of 2 places used no pool is closed");
	is(scalar(() = log_since($local, $offset) =~ /$no_place/g), 1,
		"with $held of 2 places used the log tells it once");
	sql($local, 'SELECT pg_terminate_backend(' . $_->pid . ', 10000)') foreach @holders;
	wait_for_value($local, $pools, 'mine lost 1, postgres stay 1',
		"after $held of 2 places were used the pool is closed", seconds => 60);
}
is(sql($local, $connects), 1, 'a pool that has its rows stays as it is all the time');
is(sql($local, q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pool worker')), 1,
	'the worker goes on');

sql($local, 'DROP DATABASE mine');
sql($local, 'DROP SERVER stay CASCADE');
wait_for_app_sessions($remote, 0, 'in the end the remote has no session');
no_crash($local, $remote, $standby);
done_testing();
