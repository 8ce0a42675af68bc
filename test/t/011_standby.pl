# 011_standby.pl
#	A hot standby pools connections of its own, before and after promotion; and
#	a base backup has nothing of the pool's in it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my ($local, $remote) = start_pair(max_size => 2);
my $ask = q(SELECT x FROM pool_query('srv', 'select 6 * 7') AS t(x int));

# wal_level minimal is what a test node has otherwise.
$local->append_conf('postgresql.conf', "wal_level = replica\nmax_wal_senders = 4\n");
$local->restart;
is(sql($local, $ask), '42', 'primary: works');
$local->backup('base');
ok(!-e $local->backup_dir . '/base/pg_stat_tmp/pool.1.sock', 'base backup: no socket in it');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($local, 'base', has_streaming => 1);
$standby->start;
is(sql($standby, 'SELECT pg_is_in_recovery()'), 't', 'standby: in recovery');
is(sql($standby, $ask), '42', 'standby: works');
is(stat_of($standby, 'open'), '1', 'standby: over a connection of its own');
is(app_sessions($remote), '2', 'standby: beside that of the primary');

# What the primary alters, the standby follows.
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '7')));
$local->wait_for_catchup($standby);
is(sql($standby, $ask), '42', 'standby: works after ALTER SERVER');
is(stat_of($standby, 'max_size'), '7', 'standby: by the new options');

$standby->promote;
is(sql($standby, 'SELECT pg_is_in_recovery()'), 'f', 'promoted');
is(sql($standby, $ask), '42', 'promoted: works');
sql($standby, q(ALTER SERVER srv OPTIONS (SET max_size '3')));
is(sql($standby, $ask), '42', 'promoted: works after ALTER SERVER');
is(stat_of($standby, 'max_size'), '3', 'promoted: by the new options');
settled($standby, 'promoted: settled');

$standby->stop;
wait_for_value($remote, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'", 1,
	'stopped: only the connection of the primary is left');
no_crash($local);
no_crash($standby);
done_testing;
