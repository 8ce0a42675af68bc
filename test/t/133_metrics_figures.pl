# 133_metrics_figures.pl
#	Figures that only metrics have, or that need a state to show something: failed
#	health checks in a row, leaks that are held, waits, the circuit breaker; and names
#	that are no UTF-8.
#
# Runs in the plain round only.

use strict;
use warnings;

use Encode qw(decode);
use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Http;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = metrics_port();
my $remote = start_remote();
my $local = start_local('pool.metrics_listen' => "'127.0.0.1:$port'");
my $user = sql($local, 'SELECT current_user');

# metric(name, server)
sub metric
{
	my ($name, $server) = @_;
	my %values = samples(sql($local, 'SELECT pool_metrics()'));

	return $values{qq(pg_pool_$name\{database="postgres",server="$server",user="$user"})} // 'none';
}

# becomes(name, server, value or code, what): a test
sub becomes
{
	my ($name, $server, $value, $what) = @_;
	my $is;
	my $test = ref $value ? $value : sub { return $_[0] eq $value };

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(wait_until(30, sub { $is = metric($name, $server); return $test->($is) }), $what)
	  || diag("$name is $is");
}

#
# Health checks that fail in a row: those of one connection after the other
#
create_server($local, 'checked', $remote,
	options => {
		health_check_interval => '100ms', health_check_query => 'select 1 / 0', min_size => 1 });
sql($local, q(SELECT pool_prewarm('checked', 1)));
becomes('health_check_consecutive_failures', 'checked', sub { $_[0] =~ /\d/ && $_[0] >= 3 },
	'health checks that fail are counted');
sql($local, q(ALTER SERVER checked OPTIONS (SET health_check_query 'select 1')));
sql($local, q(SELECT pool_query('checked', 'select 1')));
becomes('health_check_consecutive_failures', 'checked', 0, 'one that goes well begins anew');
cmp_ok(metric('health_check_failures_total', 'checked'), '>=', 3, 'all are counted for ever');

#
# How many series the manual says that a pool has
#
my %all = samples(sql($local, 'SELECT pool_metrics()'));
my ($series) = slurp_file("$FindBin::RealBin/../../doc/monitoring.md") =~ /A pool has (\d+) series/;
is(scalar(grep { /,server="checked",/ } keys %all), $series, 'a pool has as many series as the manual says');

#
# A leak is there as long as it is held
#
create_server($local, 'leaky', $remote, options => { leak_threshold => '300ms', max_size => 1 });
my $holder = session($local);
my $lease = $holder->query(q(SELECT pool_acquire('leaky', hold => true)))->{out};
becomes('leaked_connections', 'leaky', 1, 'a leaked lease is counted');
is(metric('leaks_total', 'leaky'), 1, 'in both ways');

# The next lease is none, however late its session is.
sql($local, q(ALTER SERVER leaky OPTIONS (SET leak_threshold '1h')));

#
# A session that waits
#
my $waiter = session($local);
$waiter->begin(q(SELECT pool_query('leaky', 'select 1')));
becomes('waiting_sessions', 'leaky', 1, 'a session that waits is counted');
becomes('oldest_wait_seconds', 'leaky', sub { $_[0] =~ /^[\d.]+$/ && $_[0] > 0.2 && $_[0] < 60 },
	'and how long it has waited, in seconds');
$holder->query("SELECT pool_release($lease)");
is($waiter->result(60)->{out}, '(1)', 'a session that waited is served');
is(metric('leaked_connections', 'leaky'), 0, 'a leak that was released is none any more');
is(metric('leaks_total', 'leaky'), 1, 'but there was one');
is(join(' ', map { metric($_, 'leaky') } 'waiting_sessions', 'oldest_wait_seconds'),
	'0 0.000000', 'nobody waits any more');

#
# The circuit breaker
#
create_server($local, 'broken', $remote, options => { port => metrics_port(), breaker_threshold => 2 });
sql_state($local, q(SELECT pool_query('broken', 'select 1'))) for 1 .. 3;
becomes('breaker_state', 'broken', 2, 'an open breaker is 2');
becomes('breaker_open_seconds', 'broken', sub { $_[0] =~ /^[\d.]+$/ && $_[0] > 0.1 && $_[0] < 60 },
	'and since when it is open is said in seconds');
cmp_ok(metric('breaker_trips_total', 'broken'), '>=', 1, 'it was counted');
sql($local, q(SELECT pool_breaker_reset('broken')));
sql($local, "ALTER SERVER broken OPTIONS (SET port '" . $remote->port . "')");
sql($local, q(SELECT pool_query('broken', 'select 1')));
becomes('breaker_state', 'broken', 0, 'a closed one is 0');
is(metric('breaker_open_seconds', 'broken'), '0.000000', 'and open since never');

#
# A name that is no UTF-8, from a database that takes every byte
#
sql($local, q(CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0));
sql($local, 'CREATE EXTENSION pool', db => 'bytes');
create_server($local, qq("gr\xf6\xdfe"), $remote, db => 'bytes');
create_server($local, qq("gr\xc3\xb6\xc3\x9fe"), $remote, db => 'bytes');
sql($local, qq(SELECT pool_query('gr\xf6\xdfe', 'select 1')), db => 'bytes');
sql($local, qq(SELECT pool_query('gr\xc3\xb6\xc3\x9fe', 'select 1')), db => 'bytes');
my ($status, $text) = http_get($port, '/metrics');
my $copy = $text;
ok(eval { decode('UTF-8', $copy, Encode::FB_CROAK); 1 }, 'the text is UTF-8');
like($text, qr/,server="gr\\\\xf6\\\\xdfe",/, 'bytes that are not are shown');
like($text, qr/,server="gr\xc3\xb6\xc3\x9fe",/, 'those that are stay as they are');
like(sql($local, 'SELECT pool_metrics()', db => 'bytes'), qr/,server="gr\\\\xc3\\\\xb6\\\\xc3\\\\x9fe",/,
	'in a database that is not UTF-8 names are ASCII');

settled($local, 'the end');
no_crash($local, $remote);

done_testing();
