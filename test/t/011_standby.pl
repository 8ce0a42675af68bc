# 011_standby.pl
#	A hot standby pools connections of its own, before and after promotion, in which
#	a lease goes on; and a base backup has nothing of the pool's in it.  The standby
#	is made from that backup, follows an ALTER SERVER of the primary, and is promoted.
#
# Runs in the plain round only.

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
is(sql($local, $ask), '42', 'the primary gets an answer');
$local->backup('base');
ok(!-e $local->backup_dir . '/base/pg_stat_tmp/pool.1.sock',
	'a base backup has no socket of a worker in it');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($local, 'base', has_streaming => 1);
$standby->start;
is(sql($standby, 'SELECT pg_is_in_recovery()'), 't', 'the standby is in recovery');
is(sql($standby, $ask), '42', 'a standby gets an answer');
is(stat_of($standby, 'open'), '1', 'a standby has a connection of its own');
is(app_sessions($remote), '2',
	'the remote has a session of the standby beside that of the primary');

# What the primary alters, the standby follows.
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '7')));
$local->wait_for_catchup($standby);
is(sql($standby, $ask), '42', 'a standby gets an answer after ALTER SERVER');
is(stat_of($standby, 'max_size'), '7', 'a standby uses the options of ALTER SERVER on the primary');

# A lease goes on through the promotion, and so does what it has begun on the remote.
my $session = session($standby);
my $lease = $session->acquire('srv');
is($session->query("SELECT pool_exec($lease, 'begin; create temporary table t (a int)')")->{err},
	'', 'a session of the standby has begun something in a lease');
$standby->promote;
is($session->query("SELECT pool_exec($lease, 'insert into t values (1)')")->{out}, '1',
	'a lease goes on when the standby is promoted');
$session->quit;
is(sql($standby, 'SELECT pg_is_in_recovery()'), 'f', 'the standby is promoted');
is(sql($standby, $ask), '42', 'a promoted server gets an answer');
sql($standby, q(ALTER SERVER srv OPTIONS (SET max_size '3')));
is(sql($standby, $ask), '42', 'a promoted server gets an answer after ALTER SERVER');
is(stat_of($standby, 'max_size'), '3',
	'a promoted server uses the options of its own ALTER SERVER');
settled($standby);

$standby->stop;
wait_for_app_sessions($remote, 1, 'a standby that stops leaves only the session of the primary');
no_crash($local, $standby);
done_testing;
