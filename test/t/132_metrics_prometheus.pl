# 132_metrics_prometheus.pl
#	A real Prometheus scrapes the metrics: promtool finds nothing wrong with the text,
#	the target is up, and what Prometheus has is what pool_stats_all() says.
#
# Runs in the plain round only.
# Needs the package prometheus.

use strict;
use warnings;

use Encode qw(encode);
use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Http;
use PoolTest::Prometheus;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => without_prometheus() if without_prometheus();

my $port = metrics_port();
my $remote = start_remote();
my $local = start_local('pool.metrics_listen' => "'127.0.0.1:$port'");
create_server($local, 'srv', $remote, options => { max_size => 3 });
create_server($local, '"odd ""name"" \\ größe"', $remote);

# Two pools of one mapping FOR PUBLIC: Prometheus would refuse all if they were there
# twice.
create_server($local, 'shared', $remote, for => 'PUBLIC');
sql($local, 'CREATE ROLE alice LOGIN; GRANT USAGE ON FOREIGN SERVER shared TO alice');
sql($local, q(SELECT pool_query('shared', 'select 1')));
sql($local, q(SELECT pool_query('shared', 'select 1')), user => 'alice');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE server = 'shared')), 2,
	'a mapping FOR PUBLIC has two pools');

sql($local, q(SELECT pool_query('srv', 'select generate_series(1, 10)') FROM generate_series(1, 20)));
sql_state($local, q(SELECT pool_query('srv', 'select 1 / 0')));
sql($local, q(SELECT pool_query('odd "name" \\ größe', 'select 1')));
sql($local, q(SELECT pool_close('srv')));
settled($local, 'before the scrape');

# promtool says what is wrong with the text, and what is unusual.
my ($status, $body) = http_get($port, '/metrics');
my $file = PostgreSQL::Test::Utils::tempdir . '/metrics';
append_to_file($file, $body);
my ($out, $err) = ('', '');
my $ok = IPC::Run::run([ 'promtool', 'check', 'metrics' ], '<', $file, '>', \$out, '2>', \$err);
is(($ok ? '' : 'failed ') . $out . $err, '', 'promtool finds nothing wrong with the text');

my $prometheus = start_prometheus(targets => [ "127.0.0.1:$port" ]);
ok(wait_for_scrape($prometheus), 'Prometheus has scraped the metrics');
is(join(' ', map { $_->{value} } query_prometheus($prometheus, 'up')), '1', 'the target is up');

# one(expression): its only value, as a number
sub one
{
	my ($expression) = @_;
	my @found = query_prometheus($prometheus, $expression);

	return @found == 1 ? $found[0]{value} + 0 : @found . ' values';
}

my $user = sql($local, 'SELECT current_user');
my $srv = qq({database="postgres",server="srv",user="$user"});
foreach my $column (qw(acquires queries query_errors rows connects releases lost))
{
	is(one("pg_pool_${column}_total$srv"), stat_of($local, $column), "$column is that of the view");
}
is(one("sum(pg_pool_closed_total$srv)"), stat_of($local, 'closed'), 'so are the reasons together');
is(one("sum(pg_pool_connections$srv)"), 0, 'no connection is left');
is(one("pg_pool_query_seconds_count$srv"), stat_of($local, 'query_count'), 'statements timed');
like(one("histogram_quantile(0.95, sum by (le) (pg_pool_query_seconds_bucket$srv))"),
	qr/^[\d.e-]+$/, 'a quantile can be computed');
my ($odd) = query_prometheus($prometheus, 'pg_pool_queries_total{server=~"odd.*"}');
is(encode('UTF-8', $odd->{metric}{server}), 'odd "name" \\ größe', 'a name is what it is');
is(one('pg_pool_queries_total{server="shared",user="public"}'), 2,
	'the two pools of a mapping FOR PUBLIC are one series');

# A pool that is dropped: its series end.
sql($local, 'DROP SERVER srv CASCADE');
ok(wait_until(60, sub { return one("pg_pool_queries_total$srv") eq '0 values' }),
	'without its server a pool has no series');
stop_prometheus($prometheus);
no_crash($local, $remote);

done_testing();
