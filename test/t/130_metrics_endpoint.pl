# 130_metrics_endpoint.pl
#	The metrics over HTTP: what is answered, which values the setting takes, and what
#	becomes of the process when its port is taken, it ends, or the server stops.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Http;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($lib) = run_command([ 'pg_config', '--pkglibdir' ]);
plan skip_all => 'the module for metrics was not built' if !-e "$lib/pool_metrics.so";

my $port = metrics_port();
my $remote = start_remote();
my $local = start_local('pool.metrics_listen' => "'127.0.0.1:$port'");
create_server($local, 'srv', $remote, options => { max_size => 2 });

#
# What is answered
#
is(sql($local, q(SELECT pool_query('srv', 'select 1'))), '(1)', 'a statement runs');
ok(wait_until(30, sub { return (http_get($port, '/healthz'))[0] eq '200' }),
	'the pool is in health');
my ($status, $body, $head) = http_get($port, '/metrics');
is($status, '200', 'GET /metrics');
like($head, qr{^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r?$}m,
	'its type is that of the exposition format');
my $pipeline = http_connect($port);
syswrite $pipeline, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" x 2;
my ($answers) = http_rest($pipeline, 20);
is(scalar(() = $answers =~ /^HTTP/mg), 1, 'a connection is for one request');
my %of_server = samples(sql($local, 'SELECT pool_metrics()'));
my %of_endpoint = samples($body);
is_deeply([ sort keys %of_endpoint ], [ sort keys %of_server ],
	'the series are those of pool_metrics()');
is($of_endpoint{'pg_pool_queries_total{database="postgres",server="srv",user="'
	  . sql($local, 'SELECT current_user') . '"}'},
	1, 'a figure is there');

($status, $body, $head) = http_get($port, '/metrics', 'HEAD');
is("$status $body", '200 ', 'HEAD has no body');
like($head, qr/^Content-Length: \d+\r?$/m, 'and says how long it would be');
($status, $body) = http_get($port, '/healthz');
is("$status $body", "200 ok\n", 'GET /healthz');
foreach my $method (qw(POST PUT DELETE OPTIONS TRACE PATCH get))
{
	($status, undef, $head) = http_get($port, '/metrics', $method);
	is($status, '405', "$method is refused");
	like($head, qr/^Allow: GET, HEAD\r?$/m, "and the answer to $method says what is allowed");
}
is((http_get($port, $_))[0], '404', "there is no $_")
  foreach '/', '/metric', '/metrics/', '/metrics/../etc/passwd', '//metrics', '/healthz/x';
is((http_get($port, '/metrics?name=x'))[0], '200', 'parameters do not matter');
like(http_ask($port, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
		  . 'x' x 100000),
	qr{^(HTTP/1\.1 405|$)}, 'a body is not read');
is(() = http_ask($port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" x 3) =~ m{HTTP/1\.1}g,
	1, 'of three requests in one connection the first is answered');

# No thread, and no library of the module in any other process.
my $pid = metrics_pid($local);
is(() = glob("/proc/$pid/task/*"), 1, 'the process has one thread');
like(slurp_file("/proc/$pid/maps"), qr/libmicrohttpd/, 'it has loaded the library');
unlike(slurp_file("/proc/$_/maps"), qr/libmicrohttpd|pool_metrics/, 'process ' . $_ . ' has not')
  foreach (split /\n/, slurp_file($local->data_dir . '/postmaster.pid'))[0], worker_pid($local);

#
# /healthz follows the pool's worker
#
my $worker = worker_pid($local);
my ($postmaster) = split /\n/, slurp_file($local->data_dir . '/postmaster.pid');

kill 'STOP', $postmaster;    # which starts no other worker then
kill 'TERM', $worker;
ok(wait_until(30, sub { ($status, $body) = http_get($port, '/healthz'); return $status eq '503' }),
	'without the worker the pool is not in health');
kill 'CONT', $postmaster;
is($body, "pool worker 1 does not run\n", 'and the answer says which one is missing');
ok(wait_until(30, sub { return (http_get($port, '/healthz'))[0] eq '200' }),
	'with the next worker it is');

#
# The process ends, and another one comes; a reload leaves it alone
#
$local->reload;
is((http_get($port, '/metrics'))[0], '200', 'after a reload it answers');
is(metrics_pid($local), $pid, 'and is the same process');
my $hanging = http_connect($port);
syswrite $hanging, 'GET /metr';
kill 'TERM', $pid;
my ($text, $closed) = http_rest($hanging, 30);
is("$text $closed", ' 1', 'a process that is told to end does so at once, whoever hangs');
ok( wait_until(
		60,
		sub { my $new = metrics_pid($local); return $new && $new != $pid && http_connect($port) }),
	'another one comes');
is((http_get($port, '/metrics'))[0], '200', 'and answers');
is(sql($local, q(SELECT pool_query('srv', 'select 1'))), '(1)', 'nobody else has noticed');

# The server stops although a client hangs.
$hanging = http_connect($port);
syswrite $hanging, 'GET /metr';
ok($local->stop('fast', fail_ok => 1), 'the server stops while a client hangs');
is((http_rest($hanging, 30))[1], 1, 'and the client is cut');
is(http_connect($port), undef, 'nobody listens any more');

#
# The port is taken: the server starts, says so, and gets it when it is free
#
my $squatter = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1)
  or die "cannot listen: $!";
my $offset = log_offset($local);
$local->start;
ok(wait_until(30, sub { return log_count($local, 'could not serve pool metrics', $offset) }),
	'the log says that the port is taken');
like(log_since($local, $offset),
	qr/could not serve pool metrics on "127\.0\.0\.1:$port": Address already in use/,
	'which one, and why');
like(log_since($local, $offset), qr/HINT:  Another process has that port/, 'with a hint');
is(sql($local, q(SELECT pool_query('srv', 'select 1'))), '(1)', 'all else works');
close $squatter;
ok(wait_until(60, sub { return (http_get($port, '/metrics'))[0] eq '200' }),
	'when the port is free the metrics are served');
cmp_ok(log_count($local, 'could not serve pool metrics', $offset), '<', 8,
	'it was not tried in a tight loop');
$local->stop;

#
# Values of the setting
#
# starts_with(value): what the log says of a start with it
sub starts_with
{
	my ($value) = @_;
	my $before = log_offset($local);

	$local->append_conf('postgresql.conf', "pool.metrics_listen = '$value'\n");
	$local->start;
	my $log = log_since($local, $before);
	my $is = sql($local, 'SHOW pool.metrics_listen');

	$local->stop;
	return ($is, $log);
}

my ($is, $log) = starts_with('localhost');
is($is, '', 'the server starts with a value that is no address, without metrics');
like($log, qr/WARNING:  invalid value for parameter "pool.metrics_listen": "localhost"/,
	'and warns');
like($log, qr/DETAIL:  It must be an IP address and a port/, 'with a detail');
like($log, qr/HINT:  For example "127\.0\.0\.1:9899"/, 'and a hint');
($is, $log) = starts_with("0.0.0.0:$port");
is($is, "0.0.0.0:$port", 'the address may be any');
like($log, qr/WARNING:  pool metrics are served on "0\.0\.0\.0:$port" to whoever can connect/,
	'with a warning if it is not loopback');
foreach my $value ("127.0.0.2:$port", "[::1]:$port")
{
	($is, $log) = starts_with($value);
	is($is, $value, "$value is taken");
	unlike($log, qr/whoever can connect/, 'without a warning, since it is loopback');
}

$local->append_conf('postgresql.conf', "pool.metrics_listen = ''\n");
$local->start;
is(metrics_pid($local), undef, 'without an address there is no process');
foreach my $bad (
	'9899', ':9899', 'x', '127.0.0.1', '127.0.0.1:', '127.0.0.1:0', '127.0.0.1:65536',
	'127.0.0.1:99999999999', '127.0.0.1:98x', '127.0.0.1:-1', 'localhost:9899', '::1:9899',
	'[::1]', '[::1]9899', '[127.0.0.1]:9899', '[]:9899', ' 127.0.0.1:9899', '256.0.0.1:9899',
	'127.1:9899', '[' . '1' x 100 . ']:9899')
{
	is((sql_state($local, "ALTER SYSTEM SET pool.metrics_listen = '$bad'"))[0],
		'22023', "\"$bad\" is refused");
}
is((sql_state($local, "ALTER SYSTEM SET pool.metrics_listen = '$_'"))[0], '00000', "$_ is taken")
  foreach '10.0.0.1:1', '[::]:65535', '127.0.0.1:9899', '';

$local->stop;

# Without the module: an installation of its own, since others use this one.
SKIP:
{
	my ($bin) = run_command([ 'pg_config', '--bindir' ]);
	my ($usr, $version) = $bin =~ m{^(/.*)/lib/postgresql/(\d+)/bin$}
	  or skip 'this installation is not laid out as Debian does it', 7;
	my $copy = PostgreSQL::Test::Utils::tempdir . '/usr';
	my $home = "$copy/lib/postgresql/$version";

	system_or_bail('mkdir', '-p', "$copy/lib/postgresql", "$copy/share/postgresql");
	system_or_bail('cp', '-a', "$usr/$_/postgresql/$version", "$copy/$_/postgresql/")
	  foreach 'lib', 'share';
	unlink "$home/lib/pool_metrics.so" or die "cannot remove the module: $!";

	my $bare = PostgreSQL::Test::Cluster->new('bare', install_path => $home);
	$bare->init;
	$bare->append_conf('postgresql.conf',
		"shared_preload_libraries = 'pool'\npool.metrics_listen = '127.0.0.1:$port'\n");
	$bare->start;
	$log = log_since($bare);
	is(sql($bare, 'SHOW pool.metrics_listen'), '',
		'the server starts without the module, and serves no metrics');
	like($log, qr/WARNING:  metrics cannot be served: module "pool_metrics"/, 'and warns');
	my ($state, $err) =
	  sql_state($bare, "ALTER SYSTEM SET pool.metrics_listen = '127.0.0.1:$port'");
	is($state, '22023', 'without the module the setting is refused');
	like($err, qr/metrics cannot be served: module "pool_metrics" is not installed/, 'it says why');
	like($err, qr/DETAIL:  Could not access file ".*pool_metrics\.so": No such file/, 'which file');
	like($err, qr/HINT:  It is in a package of its own/, 'and what to do');
	$bare->stop;
	no_crash($bare);
}
no_crash($local, $remote);

done_testing();
