# Storm.pm
#	Two hundred sessions that want connections to a remote which does not let them
#	in.  What each of them got is in a table of the local server; how often pool
#	tried is in pool_stats and, counted independently, at the other side.

package PoolTest::Storm;

use strict;
use warnings;

use Exporter qw(import);
use IPC::Run;
use List::Util qw(max min);
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  $clients $reconnect_well start_storms create_dead create_default stop_attempts storm
  sessions_with most_attempts attempts_are
);

our $clients = 200;

# What has a connection to another pool, which works, made anew.
our $reconnect_well = q(SELECT pool_reconnect('well'); SELECT pool_query('well', 'select 42'));

# What the storms have in common; plain numbers are milliseconds.
my %usual = (
	connect_parallel => 2,
	retry_attempts => 4,
	retry_delay => 40,
	retry_max_delay => 160,
	retry_jitter => 10,
	breaker_threshold => 0,
	breaker_timeout => 3_600_000,
	acquire_timeout => 60_000);

# What they are by default, in milliseconds.
my %defaults = (
	connect_parallel => 4,
	retry_attempts => 5,
	retry_delay => 200,
	retry_max_delay => 10_000,
	retry_jitter => 10,
	breaker_threshold => 5,
	breaker_timeout => 1000);

my ($local, $remote, $well);

# start_storms(): the local server, a remote, and a session with the pool that
# works
sub start_storms
{
	$remote = start_remote();
	$local = start_local(max_connections => $clients + 30, 'pool.max_connections' => 50);
	create_server($local, 'well', $remote, options => { acquire_timeout => '60s' });
	$well = session($local);

	# Each session notes what came of its question.
	sql($local, <<'SQL');
CREATE UNLOGGED TABLE ended (server text, state text, message text, detail text,
	began timestamptz, at timestamptz);
CREATE FUNCTION ask(server text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
	state text := '00000';
	message text;
	detail text;
BEGIN
	BEGIN
		PERFORM pool_query(server, 'select pg_sleep(0.01)');
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
			message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	END;
	INSERT INTO ended VALUES (server, state, message, detail, began, clock_timestamp());
END $$;
SQL
	return ($local, $remote, $well);
}

# create_dead(name, what, how): a server with the usual options but for those in
# how, and for user, password and port; returns its options.  What kind of remote
# it is, is said in the labels of the tests.
sub create_dead
{
	my ($name, $what, %how) = @_;
	my %mapping = map { exists $how{$_} ? ($_ => delete $how{$_}) : () } 'password', 'user';
	my %options = (%usual, %how);

	create_server($local, $name, $remote, options => \%options, %mapping);
	return { name => $name, what => $what, %options };
}

# create_default(name, what, port): the same with default options
sub create_default
{
	my ($name, $what, $port) = @_;

	create_server($local, $name, $remote, options => { port => $port });
	return { name => $name, what => $what, %defaults };
}

# stop_attempts(server): the worker, which goes on to try after a storm, does so no
# more; returns how many seconds it could
sub stop_attempts
{
	my ($server) = @_;

	sql($local, "SELECT pool_pause('$server->{name}')");
	return sql($local, 'SELECT extract(epoch FROM clock_timestamp() - min(began)) FROM ended'
		  . " WHERE server = '$server->{name}'");
}

# storm(server, rounds, meanwhile): all ask it at once, so often; returns how
# often they got each SQLSTATE, and how many seconds there were in which somebody
# could wait.  The other pool has a new connection made again and again while
# that lasts.
sub storm
{
	my ($server, $rounds, $meanwhile) = @_;
	my ($name, $what) = @{$server}{ 'name', 'what' };
	my $script = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
	my ($out, $err, $served, $slowest) = ('', '', 0, 0);
	my %seen;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	append_to_file($script, "SELECT ask('$name');\n");
	my $run = IPC::Run::start(
		[
			'pgbench', '-n', '-c', $clients, '-j', 2, '-t', $rounds || 1,
			'-f', $script, '-h', $local->host, '-p', $local->port, 'postgres'
		],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(150));
	$meanwhile->() if $meanwhile;
	do
	{
		my $answer = $well->query($reconnect_well);

		$served++ if $answer->{out} =~ /^\(42\)$/m;
		$slowest = max($slowest, $answer->{secs});
		diag($answer->{err}) if $answer->{err};
		$run->pump_nb if $run->pumpable;
	} while ($run->pumpable);
	ok($run->finish, "$what: no session is lost") or diag($err);
	cmp_ok($served, '>=', 1, "$what: another pool connects and answers meanwhile");
	cmp_ok($slowest, '<', 10, "$what: the other pool never takes ten seconds for that");
	is(stat_of($local, 'waiting', $name), '0', "$what: no session waits after the storm");
	settled($local, "$what: nothing is under way after the storm, and the sums hold");
	foreach (split /\n/, sql($local,
			"SELECT state, count(*) FROM ended WHERE server = '$name' GROUP BY 1"))
	{
		my ($state, $n) = split /\|/;

		$seen{$state} = $n;
	}
	return (\%seen,
		sql($local,
			"SELECT extract(epoch FROM max(at) - min(began)) FROM ended WHERE server = '$name'"));
}

# sessions_with(server, condition): how often a session got something for which
# the condition holds
sub sessions_with
{
	my ($server, $condition) = @_;

	return sql($local,
		"SELECT count(*) FROM ended WHERE server = '$server->{name}' AND ($condition)");
}

# most_attempts(server, seconds, attempt): how many attempts the options allow in
# that time if each takes so many milliseconds.  At first connect_parallel at
# once, or fewer, and then one at a time; no pause is longer than breaker_timeout,
# and the first one after the breaker has opened may be of any length up to that.
sub most_attempts
{
	my ($server, $seconds, $attempt) = @_;
	my $most = 0;

	foreach my $burst (1 .. $server->{connect_parallel})
	{
		my $n = $burst;
		my $ms = 0;

		while (1)
		{
			my $delay = min($server->{retry_delay} * 2 ** min($n - 1, 20),
				$server->{retry_max_delay});
			my $open = $server->{breaker_threshold} && $n - $server->{breaker_threshold};

			$delay = max(1, int($delay * (1 - $server->{retry_jitter} / 100)));
			$delay = min($delay, $server->{breaker_timeout});
			$delay = $server->{breaker_timeout}
			  - ($open ? 0 : min($server->{breaker_timeout}, 1000))
			  if $server->{breaker_threshold} && $open >= 0;
			$ms += $delay + ($attempt || 0);
			last if $ms > $seconds * 1000;
			$n++;
		}
		$most = max($most, $n);
	}
	return $most;
}

# attempts_are(server, count, at least, at most): pool_stats and the other side
# agree on the number of attempts
sub attempts_are
{
	my ($server, $count, $least, $most) = @_;
	my ($name, $what) = @{$server}{ 'name', 'what' };
	my ($errors, $others) = (stat_of($local, 'connect_errors', $name), 0);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	if ($count)
	{
		# An attempt may be under way still that has come there.
		wait_until(10, sub {
			$errors = stat_of($local, 'connect_errors', $name);
			return ($others = $count->()) == $errors;
		});
		is($others, $errors, "$what: pool_stats and the other side count the same attempts");
	}
	cmp_ok($errors, '>=', $least, "$what: pool tries at least $least times");
	cmp_ok($errors, '<=', $most, "$what: pool tries at most $most times");
	return;
}

1;
