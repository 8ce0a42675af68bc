# 074_stale_wants.pl
#	A pool that cannot want a place any more keeps none free: one that was
#	dropped while a lease of it goes on, and one that still has an older limit
#	than the other pools of its server.  What such a pool wanted is settled before
#	the next one asks.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_connections' => 6);

#
# A dropped pool that had wanted a place
#
create_server($local, $_, $remote, options => { max_size => 6, acquire_timeout => '20s' })
  foreach 'a', 'b', 'c';
my ($first, $second, $third, $waiter) = map { session($local) } 1 .. 4;
my @leases = map { (acquire_lease($first, 'a'))[0] } 1 .. 5;
my ($lease) = acquire_lease($second, 'b');
$waiter->begin(pid_query('b'));
wait_for_value($local, q(SELECT limited_by FROM pool_stats_all() WHERE server = 'b'),
	'pool.max_connections', 'a pool wants a place when there is none');
sql($local, 'DROP SERVER b CASCADE');
is($waiter->result->{state}, '42704', 'a session that waits learns that its server was dropped');
$first->query("SELECT pool_release($_)") foreach @leases;
is_deeply([ map { $third->query(q(SELECT pool_acquire('c')), 30)->{state} } 1 .. 2 ],
	[ ('00000') x 2 ], 'another pool gets the places up to its share');
$third->query('BEGIN');
is_deeply(
	[ map { $third->query(q(SELECT pool_acquire('c')), 30)->{state} } 1 .. 4 ],
	[ ('00000') x 4 ],
	'another pool gets more than its share when the pool that wanted the rest was dropped');
$third->query('COMMIT');
$second->query("SELECT pool_release($lease)");
sql($local, "DROP SERVER $_ CASCADE") foreach 'a', 'c';
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0, 'all connections are closed');

#
# A pool that has not heard of a new max_server_size
#
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'shared', $remote, for => 'a',
	options => { max_size => 20, max_server_size => 2, acquire_timeout => '20s' });
sql($local, "CREATE USER MAPPING FOR b SERVER shared"
	  . " OPTIONS (user 'app', password '$PoolTest::password', min_size '2');"
	  . ' GRANT USAGE ON FOREIGN SERVER shared TO a, b; ALTER ROLE a SUPERUSER');
my ($greedy, $modest) = map { session($local, user => $_) } 'a', 'b';
acquire_lease($greedy, 'shared') foreach 1 .. 2;
is($modest->query(q(SELECT pool_prewarm('shared', 0)), 20)->{state},
	'00000', 'the second pool of the server is known');
wait_for_value($local,
	q(SELECT limited_by FROM pool_stats_all() WHERE server = 'shared' AND user_name = 'b'),
	'max_server_size', 'the second pool wants a place for its min_size');
sql($local, q(ALTER SERVER shared OPTIONS (SET max_server_size '4')));
is($greedy->query(q(SELECT pool_acquire('shared', hold => true)), 30)->{state}, '00000',
	'a raised max_server_size helps a pool although another one has not heard of it');

$_->quit foreach $first, $second, $third, $waiter, $greedy, $modest;
settled($local);
no_crash($local, $remote);

done_testing();
