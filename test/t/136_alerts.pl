# 136_alerts.pl
#	Each alert of monitoring/alerts.yml fires when its fault is made on a live pool, for
#	that pool and no other, and ends when the fault is over, by what doc/runbook.md says
#	where it says a statement.  A real Prometheus evaluates a copy of the rules in which
#	minutes are seconds; thresholds stay as they are, but for the time that a breaker has
#	to be open.
#
#	A busy machine makes acquires slow and loses scrapes.  So alerts of that, in pools
#	where nothing is done about it, prove nothing, and are left out.
#
# Runs in the plain round only.
# Needs the package prometheus.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Gate;
use PoolTest::Http;
use PoolTest::Nodes qw($password);
use PoolTest::Prometheus;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => without_prometheus() if without_prometheus();

# The copy.  10 s hold some ten scrapes, as 5 minutes do.  10 minutes stay longer than
# the time that a breaker has to be open, by some scrapes.
my $rules = slurp_file("$FindBin::RealBin/../../monitoring/alerts.yml");
my $copy = "$PostgreSQL::Test::Utils::tmp_check/alerts.yml";
$rules =~ s/\[1?5m\]/[10s]/g;
$rules =~ s/for: 10m$/for: 8s/mg;
$rules =~ s/for: \dm$/for: 2s/mg;
$rules =~ s/breaker_open_seconds > 300\b/breaker_open_seconds > 3/g;
unlike($rules, qr/\dm\b|300/, 'no minutes are left in the copy of the rules');
append_to_file($copy, $rules);

# A pool for each fault, and one in which there is none

my $remote = start_remote();
my $gate = start_gate($remote);
my $metrics = '127.0.0.1:' . metrics_port();
my $local = start_local(max_connections => 50, 'pool.metrics_listen' => "'$metrics'");
my %servers = (
	well => {},
	crowded => { max_size => 2, acquire_timeout => '100ms' },
	slow => { max_size => 1, fairness_round => 0 },
	away => { port => $gate->{port}, retry_attempts => 1, breaker_timeout => '200ms' },
	dying => { min_size => 1, health_check_interval => '100ms' },
	locked => { breaker_timeout => '200ms', retry_max_delay => '200ms' },
	leaky => { leak_threshold => '500ms' },
	wrong => {});
create_server($local, $_, $remote, options => $servers{$_}) foreach sort keys %servers;
sql($local, "SELECT pool_query('$_', 'select 1')") foreach sort keys %servers;
sql($local, <<'SQL');
CREATE TABLE enough(server text);
CREATE FUNCTION work(server text, query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM enough e WHERE e.server = work.server) LOOP
		BEGIN
			PERFORM pool_query(server, query);
		EXCEPTION WHEN OTHERS THEN
			PERFORM pg_sleep(0.02);
		END;
	END LOOP;
END $$;
SQL
my $prometheus =
  start_prometheus(targets => [$metrics], interval => '1s', rules => $copy);
ok(wait_for_scrape($prometheus), 'the metrics are scraped');


# Alerts by their names: "PoolAcquireSlow 0.95 of slow"

sub name_of
{
	my ($labels) = map { $_->{labels} } @_;

	return join ' ', $labels->{alertname}, $labels->{quantile} || $labels->{tried_by} || (),
	  $labels->{server} ? "of $labels->{server}" : ();
}

# by_load(name): can a busy machine alone be the reason for that alert?
sub by_load
{
	return $_[0] =~ /^PoolAcquireSlow .* of (?!slow$)|^PoolMetricsAbsent$/;
}

# soon_firing(what, name...): a test: all of these fire, and of the others only what
# load can make
sub soon_firing
{
	my ($what, @names) = @_;
	my %wanted = map { $_ => 1 } @names;
	my $wanted = join "\n", sort @names;
	my $found;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		60,
		sub {
			my @firing = map { name_of($_) } firing_alerts($prometheus);

			$found = join "\n", sort grep { $wanted{$_} || !by_load($_) } @firing;
			return $found eq $wanted;
		});
	return is($found, $wanted, $what);
}

# worker(server, query): a session that asks again and again, until it is enough
sub worker
{
	my ($session) = (session($local));

	$session->begin("SELECT work('$_[0]', '$_[1]')");
	return $session;
}

sub enough
{
	my ($server, @sessions) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql($local, "INSERT INTO enough VALUES ('$server')");
	is(join(' ', map { $_->result(60)->{state} } @sessions), join(' ', ('00000') x @sessions),
		"the sessions of $server have ended");
	$_->quit foreach @sessions;
	return;
}

soon_firing('nothing fires while all is well');

# All faults at once

my ($holder, $leaker) = (session($local), session($local));
$holder->acquire('crowded') foreach 1 .. 2;
$leaker->acquire('leaky');
set_gate($gate, 'starting');
alter_server($local, 'dying', health_check_query => 'select 1 / 0');
sql($local, q(SELECT pool_prewarm('dying', 0)));
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER locked OPTIONS (SET password 'old')");
my %sessions = (
	crowded => [ worker('crowded', 'select 1') ],
	slow => [ map { worker('slow', 'select pg_sleep(1.5)') } 1 .. 3 ],
	away => [ worker('away', 'select 1') ],
	locked => [ worker('locked', 'select 1') ],
	wrong => [ worker('wrong', 'select 1 / 0') ],
	well => [ worker('well', 'select pg_sleep(0.01)') ]);

my @faults = (
	'PoolUtilizationHigh of crowded', 'PoolUtilizationHigh of slow', 'PoolAcquireTimeouts of crowded',
	'PoolConnectErrors of away', 'PoolBreakerOpen worker of away',
	'PoolConnectErrors of locked', 'PoolBreakerOpen callers of locked',
	'PoolAcquireSlow 0.95 of slow', 'PoolAcquireSlow 0.99 of slow', 'PoolQueryErrors of wrong',
	'PoolHealthChecksFailing of dying', 'PoolConnectionsLeaked of leaky');
my @alerts = @faults;
soon_firing('each fault has its alert, and nothing else fires', @alerts);
foreach my $alert (firing_alerts($prometheus))
{
	my $text = join ' ', map { $alert->{annotations}{$_} } qw(summary description);

	unlike($text, qr/error expanding|no value|  /, name_of($alert) . ": $text");
}

# One after the other is over

# is_over(pattern, what): a test: these alerts end, and the others go on
sub is_over
{
	my ($pattern, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	@alerts = grep { !/$pattern/ } @alerts;
	return soon_firing($what, @alerts);
}

is(sql($local, 'SELECT pool_reclaim(slot) FROM pool_connections WHERE leaked'), 't',
	'the leaked lease is found and reclaimed');
is_over(qr/leaky/, 'then the leak is over');
sql($local, q(ALTER SERVER dying OPTIONS (SET health_check_query '');
	SELECT pool_prewarm('dying', 0)));
is_over(qr/dying/, 'health checks go well again');
set_gate($gate, 'open');
is_over(qr/away/, 'the remote is back');
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER locked OPTIONS (SET password '$password')");
is_over(qr/locked/, 'the user mapping has the right password');
sql($local, q(SELECT pool_resize('crowded', 0, 4)));
is_over(qr/crowded/, 'a larger pool has connections for all, though two are held on');
sql($local, q(SELECT pool_resize('slow', 0, 4)));
is_over(qr/slow/, 'a larger pool is fast enough');
enough('wrong', @{ $sessions{wrong} });
is_over(qr/wrong/, 'statements do not fail any more');
foreach my $server (qw(crowded slow away locked well))
{
	enough($server, @{ $sessions{$server} });
}
$_->quit foreach $holder, $leaker;
settled($local);

# No worker: its socket cannot be made

my $socket = $local->data_dir . '/pg_stat_tmp/pool.1.sock';

push @faults, 'PoolWorkerDown';
ok( wait_until(
		60,
		sub {
			my $pid = worker_pid($local);

			kill 'TERM', $pid if $pid;
			return mkdir $socket;
		}),
	'the worker has ended, and something else is in the place of its socket');
soon_firing('a worker that cannot start has its alert', 'PoolWorkerDown');
rmdir $socket;
ok(wait_until(60, sub { !firing_alerts($prometheus) }), 'it starts when it can');
is(sql($local, q(SELECT pool_query('well', 'select 1'))), '(1)', 'and opens connections');

# No metrics

$local->stop;
soon_firing('a server that is down has no metrics', 'PoolMetricsAbsent');
$local->start;
ok(wait_until(60, sub { !firing_alerts($prometheus) }), 'it is back');

# In all that time, so also what fired for a moment only

my %fired = map { name_of({ labels => $_->{metric} }) => 1 }
  query_prometheus($prometheus, 'count_over_time(ALERTS{alertstate="firing"}[1h])');
is(join("\n", sort grep { !by_load($_) } keys %fired), join("\n", sort @faults),
	'no fault has made the alert of another one');
stop_prometheus($prometheus);
stop_gate($gate);
$local->stop;
$remote->stop;
no_crash($local, $remote);

done_testing();
