# 025_each_setting.pl
#	Settings whose effect no other test would miss: how long a session waits, by
#	the option acquire_timeout and by its own setting, what the log says of
#	connections, and how many pools there can be.
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
my $local = start_local();
my $session = session($local);
my $other = server();

sub server { return new_server($local, $remote, {@_}); }

#
# acquire_timeout, and what a session says of its own
#
my $held = server(max_size => 1, acquire_timeout => '200ms');
my $unbounded = server(max_size => 1, acquire_timeout => '40s');
my $holder = session($local);
$holder->query("SELECT pool_acquire('$_', timeout => '60s', hold => true)")
  foreach $held, $unbounded;
my $answer = $session->query(pid_query($held), 20);
$session->result if $answer->{state} eq 'timeout';
like($answer->{err}, qr/53300: could not acquire a connection to server "$held" within \d+ ms/,
	'a session that waits for longer than acquire_timeout gets an error');
cmp_ok($answer->{secs}, '>=', 0.2, 'a session waits for acquire_timeout');
$session->query(q(SET pool.acquire_timeout = '300ms'));
$answer = $session->query(pid_query($unbounded), 20);
$session->result if $answer->{state} eq 'timeout';
is($answer->{state}, '53300', 'pool.acquire_timeout counts instead of a longer option');
cmp_ok($answer->{secs}, '>=', 0.3, 'a session waits for pool.acquire_timeout');
$answer = $session->query(pid_query($held), 20);
cmp_ok($answer->{secs}, '>=', 0.3, 'pool.acquire_timeout counts instead of a shorter option');
$session->query('RESET pool.acquire_timeout');
$holder->quit;

#
# pool.log_connections: the worker takes note of a reload in its own time.
#
my $logged = server();
my $address = '127.0.0.1:' . $remote->port;

# lines(): one more connection is made and closed; what the log says of the first
sub lines
{
	my $offset = log_offset($local);
	my $pid = $session->query(pid_query($logged))->{out};
	my $log;

	$session->query("SELECT pool_reconnect('$logged')");
	wait_until(10,
		sub { sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$logged'") == 0 });
	make_worker_look($session, $other);
	$log = log_since($local, $offset);
	return join ' ', grep { $log =~ /$_/ }
	  map { qq($_ $address, remote process $pid) } qq(connected pool for server "$logged" to),
	  qq(disconnected pool for server "$logged" from);
}
is(lines(), '', 'with pool.log_connections off by default the log has no line for a connection');
foreach my $value ('on', 'off', 'on')
{
	my $wanted = $value eq 'on' ? 2 : 0;

	sql($local, "ALTER SYSTEM SET pool.log_connections = $value");
	sql($local, 'SELECT pg_reload_conf()');
	ok(wait_until(20, sub { my @found = lines() =~ /connected pool/g; return @found == $wanted; }),
		"after pool.log_connections was set to $value the log has $wanted lines for a connection");
}
sql($local, 'ALTER SYSTEM RESET pool.log_connections');

#
# pool.max_pools
#
my $few = start_local(name => 'few', 'pool.max_pools' => 2);
create_server($few, $_, $remote) foreach 'one', 'two', 'three';
is(sql($few, "SELECT pool_query('$_', 'select 1')"), '(1)',
	"with pool.max_pools 2 there can be pool $_")
  foreach 'one', 'two';
my ($state, $error) = sql_state($few, pid_query('three'));
is($state, '53400', 'with pool.max_pools 2 there is no third pool');
like($error, qr/HINT:.*close idle connections with pool_reconnect\(\)/,
	'and the hint says how to make room');
sql($few, "SELECT pool_reconnect('one')");
ok(wait_until(20, sub { (sql_state($few, pid_query('three')))[0] eq '00000' }), 'which does');

settled($few);
$session->quit;
settled($local);
$few->stop;
remote_count($local, $remote);
no_crash($local, $remote, $few);

done_testing();
