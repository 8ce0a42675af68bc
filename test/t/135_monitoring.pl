# 135_monitoring.pl
#	What monitoring/ has for Prometheus and Grafana: promtool finds nothing wrong with
#	the rules, and their cases come out as alerts_test.yml says.  A real Prometheus
#	scrapes a server whose pools work, wait, connect, fail and close connections, and
#	every expression of the dashboard and of the alerts, asked of it, is understood and
#	gives numbers; every metric that they name is there.
#
# Runs in the plain round only.
# Needs the package prometheus.
# Needs statement_cache.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use JSON::PP;
use PoolTest;
use PoolTest::Http;
use PoolTest::Prometheus;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => without_prometheus() if without_prometheus();

my $dir = "$FindBin::RealBin/../../monitoring";
my $rules = slurp_file("$dir/alerts.yml");
my $dashboard = decode_json(slurp_file("$dir/dashboard.json"));
my @panels = @{ $dashboard->{panels} };

# The rules

command_ok([ 'promtool', 'check', 'rules', "$dir/alerts.yml" ], 'promtool understands the rules');
command_ok([ 'promtool', 'test', 'rules', "$dir/alerts_test.yml" ],
	'each alert fires above its threshold, and not below');
my %tested = map { $_ => 1 } slurp_file("$dir/alerts_test.yml") =~ /ALERTS\{alertname="(\w+)"/g;
my %alerts = map { $_ => 1 } $rules =~ /- alert: (\w+)/g;
is(join(' ', sort keys %tested), join(' ', sort keys %alerts), 'each alert has such a test');
my %sections = map { lc($_) => 1 } slurp_file("$dir/../doc/runbook.md") =~ /^## (\w+)$/mg;
is_deeply([ grep { !$sections{ lc $_ } } keys %alerts ], [],
	'the runbook has a section for each alert');
is_deeply([ $rules =~ m{runbook: doc/runbook\.md#(\w+)$}mg ],
	[ map { lc } $rules =~ /- alert: (\w+)/g ], 'and each alert names its own');

# The dashboard as such

is_deeply([ grep { !$_->{title} || !$_->{description} || !$_->{fieldConfig}{defaults}{unit} } @panels ],
	[], 'each panel has a title, a description and a unit');
my %datasources = map { $_->{datasource}{uid} => 1 } @panels, map { @{ $_->{targets} } } @panels;
is(join(' ', keys %datasources), '${datasource}', 'the data source is a variable');
my %variables = map { $_->{name} => 1 } @{ $dashboard->{templating}{list} };
is(join(' ', sort keys %variables), 'database datasource instance server user',
	'so are instance, database, server and user');
my %taken;
foreach my $panel (@panels)
{
	my $grid = $panel->{gridPos};

	foreach my $x ($grid->{x} .. $grid->{x} + $grid->{w} - 1)
	{
		$taken{"$x $_"}++ foreach $grid->{y} .. $grid->{y} + $grid->{h} - 1;
	}
}
is_deeply([ grep { $taken{$_} > 1 } keys %taken ], [], 'no panel lies on another');

# A server with something to tell

my $remote = start_remote();
my $metrics = '127.0.0.1:' . metrics_port();
my $local = start_local('pool.metrics_listen' => "'$metrics'");
create_server($local, 'small', $remote, options => { max_size => 2 });
create_server($local, 'away', $remote,
	options => { port => metrics_port(), retry_attempts => 1, breaker_threshold => 2 });
sql($local, <<'SQL');
CREATE TABLE enough();
CREATE FUNCTION work(server text, query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM enough) LOOP
		BEGIN
			PERFORM pool_query(server, query);
		EXCEPTION WHEN OTHERS THEN
			PERFORM pg_sleep(0.05);
		END;
	END LOOP;
END $$;
SQL
my $prometheus =
  start_prometheus(targets => [$metrics], interval => '500ms', rules => "$dir/alerts.yml");
my @sessions = map { session($local) } 1 .. 6;
$sessions[$_]->begin(q(SELECT work('small', 'select pg_sleep(0.01)'))) foreach 0 .. 2;
$sessions[3]->begin(q(SELECT work('small', 'select 1 / 0')));
$sessions[4]->begin(q(SELECT work('away', 'select 1')));

# Every expression

# gives(what, expression): a test: soon it gives numbers, while connections are closed
# and opened all the time
sub gives
{
	my ($what, $expression) = @_;
	my $found = 0;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		30,
		sub {
			$sessions[5]->query(q(SELECT pool_reconnect('small')));
			$found = eval {
				grep { $_->{value} !~ /NaN|Inf/ } query_prometheus($prometheus, $expression);
			};
			return !defined $found || $found > 0;
		});
	return ok($found, $what) || diag("$expression\n" . ($@ || 'gives no number'));
}

# replaced(expression): with what Grafana puts in the place of its variables
sub replaced
{
	my ($expression) = @_;

	$expression =~ s/\$__rate_interval/10s/g;
	$expression =~ s/\$__range/1m/g;
	$expression =~ s/\$(\w+)/$variables{$1} ? '.*' : die "there is no variable $1"/ge;
	return $expression;
}

my %metrics;
foreach my $panel (@panels)
{
	foreach my $target (@{ $panel->{targets} })
	{
		$metrics{$_} = 1 foreach $target->{expr} =~ /\b(pg_pool_\w+)/g;
		gives("$panel->{title}: $target->{refId} gives numbers", replaced($target->{expr}));
	}
}
foreach my $variable (@{ $dashboard->{templating}{list} })
{
	next if $variable->{type} ne 'query';
	my ($series, $label) = $variable->{definition} =~ /^label_values\((.*), (\w+)\)$/;

	my @values = map { $_->{metric}{$label} }
	  query_prometheus($prometheus, "count by ($label) (" . replaced($series) . ')');

	ok(@values > 0 && !(grep { !defined } @values), "variable $variable->{name} has values");
}

# As Prometheus prints them, in one line.  Only the expression on the left of the
# threshold has to give something now, and that must be a number with a threshold.
my @loaded = map { @{ $_->{rules} } } @{ ask_prometheus($prometheus, 'rules')->{groups} };
is(join(' ', map { $_->{name} } @loaded), join(' ', $rules =~ /- alert: (\w+)/g),
	'Prometheus has loaded all alerts');
foreach my $alert (@loaded)
{
	$metrics{$_} = 1 foreach $alert->{query} =~ /\b(pg_pool_\w+|up)\b/g;
	next if $alert->{name} eq 'PoolMetricsAbsent';
	foreach my $part (split / (?:or|and|unless) /, $alert->{query})
	{
		like($part, qr/ [>=]=? [\d.]+$/, "$alert->{name} compares with a number");
		gives("$alert->{name} compares something", $part =~ s/ [>=]=? [\d.]+$//r);
	}
}
gives("$_ is there", $_) foreach sort keys %metrics;
is_deeply([ query_prometheus($prometheus, (grep { /absent/ } map { $_->{query} } @loaded)[0]) ],
	[], 'no metrics are missed');
wait_until(30, sub { !grep { $_->{health} eq 'unknown' }
	map { @{ $_->{rules} } } @{ ask_prometheus($prometheus, 'rules')->{groups} } });
is_deeply([ grep { $_->{health} ne 'ok' }
	map { @{ $_->{rules} } } @{ ask_prometheus($prometheus, 'rules')->{groups} } ],
	[], 'Prometheus evaluates all alerts');

# The picture

my ($svg, $trouble);
ok( wait_until(
		60,
		sub {
			# A line needs two scrapes.
			($svg, $trouble) = run_command([ $^X, "$dir/draw.pl",
				"http://127.0.0.1:$prometheus->{port}", 60, 'server=small' ]);
			my $lines = () = $svg =~ /stroke-width/g;
			return $lines >= 20;
		}),
	'the panels are drawn, with lines in them');
is($trouble, '', 'without complaint');
is_deeply([ grep { index($svg, ">$_->{title}<") < 0 } @panels ], [], 'and all titles');
unlike($svg, qr/="(?:-|[^"]*(?:nan|inf))/i, 'and nothing that has no place');

sql($local, 'INSERT INTO enough DEFAULT VALUES');
is(join(' ', map { $_->result(60)->{state} } @sessions[ 0 .. 4 ]), join(' ', ('00000') x 5),
	'all sessions come to their end');
stop_prometheus($prometheus);
settled($local);
$local->stop;
$remote->stop;
no_crash($local, $remote);

done_testing();
