# 056_lost_places.pl
#	A lease whose connection is gone holds no place in which another connection
#	could be opened, however the connection went, and although its session does not
#	know it yet.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.workers' => 2);

#
# max_server_size: the two pools are in two workers.
#
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'shared', $remote, for => 'a',
	options => { max_size => 1, max_server_size => 1, acquire_timeout => '60s' });
sql($local, "CREATE USER MAPPING FOR b SERVER shared"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER shared TO a, b');
my ($first, $second) = map { session($local, user => $_) } 'a', 'b';
my ($lease, $pid) = acquire_lease($first, 'shared');
sql($local, "ALTER USER MAPPING FOR b SERVER shared OPTIONS (ADD min_size '1')");
is($second->query(q(SELECT pool_prewarm('shared', 0)), 20)->{out}, '0',
	'there is no place for a connection that min_size is to keep');
sql($remote, "SELECT pg_terminate_backend($pid, 10000)");
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'shared' AND user_name = 'b'),
	1, 'the worker of another pool opens it when the remote has closed the one that is leased',
	seconds => 20);
$first->query("SELECT pool_release($lease)");
sql($local, q(ALTER USER MAPPING FOR b SERVER shared OPTIONS (DROP min_size)));
$second->query(q(SELECT pool_prewarm('shared', 0)));
($lease, $pid) = acquire_lease($first, 'shared');
$second->begin(pid_query('shared'));
wait_for_waiters($local, 1, 'a session waits for the only place of max_server_size', 'shared');
sql($remote, "SELECT pg_terminate_backend($pid, 10000)");
my $answer = $second->result(20);
isnt($answer->{out}, $pid,
	'a session that waits gets a connection when the remote has closed the one that is leased');
is($answer->{state}, '00000',
	'a lease that the remote has closed is not counted by max_server_size');
is(stat_of($local, q(string_agg(user_name || open, ' ' ORDER BY user_name)), 'shared'), 'a1 b1',
	'the lease that the remote has closed is still there meanwhile');
$first->query("SELECT pool_release($lease)");
is($second->query(pid_query('shared'))->{out}, $answer->{out},
	'the new connection stays when the lease that was lost ends');
$_->quit foreach $first, $second;
sql($local, 'DROP SERVER shared CASCADE');

#
# A lease of a worker that has ended
#
my $single = new_server($local, $remote, { max_size => 1, acquire_timeout => '60s' });
my ($holder, $other) = map { session($local) } 1 .. 2;
($lease) = acquire_lease($holder, $single);
sql($local, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
	WHERE backend_type = 'pool worker'));
$answer = $other->query(pid_query($single), 20);
is($answer->{state}, '00000', 'a lease of a worker that has ended holds no place');
is($holder->query(pid_query($lease))->{state}, '08006',
	'the session that has that lease is told that its connection is lost');
$holder->query("SELECT pool_release($lease)");
is($other->query(pid_query($single))->{out}, $answer->{out},
	'the connection of the next worker stays when that lease ends');
$_->quit foreach $holder, $other;

settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
