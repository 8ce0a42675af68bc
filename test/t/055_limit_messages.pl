# 055_limit_messages.pl
#	What keeps a session from a connection is what the error names, and the
#	statistics and the log: the limit that is reached, who holds its places, and
#	what to change.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_connections' => 4);
my $offset = log_offset($local);

sub server { return new_server($local, $remote, {@_}); }

# refused(session, server, limit, role): the error of an acquire, while another session
# of that role waits, too; and a test: what the statistics name as the limit meanwhile
sub refused
{
	my ($session, $name, $limit, $role) = @_;
	my $waiter = session($local, user => $role);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$waiter->begin(pid_query($name));
	wait_for_value($local,
		"SELECT string_agg(limited_by, ' ') FROM pool_stats_all() WHERE server = '$name'",
		$limit, "$limit is what limits the pool", seconds => 20);
	$session->query(q(SET pool.acquire_timeout = '200ms'));
	my $answer = $session->query(pid_query($name), 20);
	sql($local, 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
	$waiter->result(20);
	$waiter->quit;
	return $answer->{err};
}

sub hold
{
	my ($session, $name, $n) = @_;

	return $session->query("SELECT pool_acquire('$name', hold => true)"
		  . " FROM generate_series(1, $n)", 20);
}

my ($mine, $other) = map { session($local) } 1 .. 2;

#
# max_size
#
my $single = server(max_size => 1);
hold($other, $single, 1);
my $err = refused($mine, $single, 'max_size');
like($err, qr/53300: could not acquire a connection to server "$single" within \d+ ms/,
	'a session that waits for too long is told so');
like($err,
	qr/The pool has leased 1 of at most 1 connections\.  The number of other .* is 1\.$/m,
	'the error tells that all connections of max_size are leased');
like($err, qr/HINT: +Raise max_size of the server, or look in pool_connections/,
	'the hint is to raise max_size');
is(stat_of($local, 'limited_by', $single), '', 'nothing limits a pool in which nobody waits');
$err = refused($other, $single, 'max_size');
like($err, qr/leased 1 of at most 1 connections\..*This session itself has leased 1\./,
	'a session that holds the only connection itself is told so');
like($err,
	qr/HINT: +Raise max_size of the server, or call pool_release\(\) for a lease of this/,
	'the hint is to release it');
$_->quit foreach $mine, $other;

#
# pool.max_connections
#
($mine, $other) = map { session($local) } 1 .. 2;
my ($full, $starved) = map { server() } 1 .. 2;
hold($other, $full, 3);
hold($mine, $full, 1);
$err = refused($mine, $starved, 'pool.max_connections');
like($err,
	qr/DETAIL: +Of the 4 connections that pool\.max_connections allows, 4 are taken and 4 leased\./,
	'the error tells that all connections of pool.max_connections are leased');
like($err, qr/This session itself has leased 1\.$/m,
	'the error tells how many of these the session has leased itself');
unlike($err, qr/max_size/, 'the error does not blame max_size');
$mine->quit;
$mine = session($local);
hold($other, $full, 1);
$err = refused($mine, $starved, 'pool.max_connections');
like($err,
	qr/HINT: +Raise pool\.max_connections and restart the server, or look in pool_connections/,
	'the hint is to raise pool.max_connections');
my $reached = qr/cannot open a connection: pool\.max_connections is reached/;
ok( wait_until(20, sub {
		log_since($local, $offset) =~ /LOG: .*pool for server "$starved" $reached/;
	}),
	'the log tells that pool.max_connections is reached');
wait_for_value($local, "SELECT count(limited_by) FROM pool_stats_all() WHERE server = '$starved'",
	0, 'the limit is not named any more when nobody waits');
$other->quit;

#
# max_server_size and pool.max_role_connections
#
$other = session($local);
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'common', $remote, for => 'a', options => { max_server_size => 1 });
create_server($local, 'others', $remote, for => 'a');
sql($local, "CREATE USER MAPPING FOR b SERVER common"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER common TO a, b; GRANT USAGE ON FOREIGN SERVER others TO a');
my ($first, $second) = map { session($local, user => $_) } 'a', 'b';
hold($first, 'common', 1);
$err = refused($second, 'common', 'max_server_size', 'b');
like($err,
	qr/Of the 1 connections that max_server_size allows the server, 1 are taken and 1 leased\./,
	'the error tells that all connections of max_server_size are leased');
like($err, qr/HINT: +Raise max_server_size of the server, or look/,
	'the hint is to raise max_server_size');
hold($first, 'others', 1);
$err = refused($first, 'others', 'pool.max_role_connections', 'a');
like($err,
	qr/Of the 2 connections that pool\.max_role_.* allows role "a", 2 are taken and 2 leased\./,
	'the error tells that the role has all its connections leased');
like($err,
	qr/session itself has leased 2\..*HINT: +Raise pool\.max_role_connections, or call pool_rel/s,
	'the hint is to release a lease, or to raise pool.max_role_connections');

#
# No limit at all
#
my $mute = mute_remote();
my $silent = server(host => '127.0.0.1', port => $mute->sockport, connect_timeout => '1h',
	max_size => 1);
$other->query(q(SET pool.acquire_timeout = '200ms'));
$err = $other->query(pid_query($silent), 20)->{err};
like($err, qr/08001/, 'a connection that is slow to open is a time-out');
unlike($err, qr/Raise/, 'where a connection is only slow to open the hint is not to raise a limit');
sql($local, "DROP SERVER $silent CASCADE");

$_->quit foreach $first, $second, $mine, $other;
close $mute;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
