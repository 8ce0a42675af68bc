# 023_storm.pl
#	Two hundred sessions want connections to a remote that is dead: its port
#	refuses, it hangs up, it never answers, it does not take the password, it is
#	full.  Attempts are as few as the options allow in that time - the listener,
#	or the remote's log, and pool_stats agree on how many there were - and each
#	session gets the cause with the right SQLSTATE.  Meanwhile another pool
#	connects and answers.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use List::Util qw(max min);
use POSIX ();
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 200;
my $remote = start_remote();
my $local = start_local(max_connections => $clients + 30, 'pool.max_connections' => 50);
my @children;

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

# By default libpq would try again without TLS, and each attempt would count
# for two.
my %real = $PoolTest::tls ? (sslmode => 'require') : ();

# Another pool, which works.
create_server($local, 'well', $remote, options => { acquire_timeout => '60s' });
my $well = session($local);
my $ask_well = q(SELECT pool_reconnect('well'); SELECT pool_query('well', 'select 42'));

# Each session asks once, or several times in a row, and notes what came of it.
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

# listener(hangs up): a server that takes every connection, counts it, and does
# not answer; or hangs up at once, which it also begins to do at a SIGUSR1
sub listener
{
	my ($hangs_up) = @_;
	my $listen = IO::Socket::INET->new(Listen => 500, LocalAddr => '127.0.0.1', Blocking => 0)
	  or die "cannot listen: $!";
	my $file = "$PostgreSQL::Test::Utils::tmp_check/listener." . $listen->sockport;
	my $parent = $$;
	my $pid;

	append_to_file($file, '');
	$pid = fork;
	die "cannot fork: $!" if !defined $pid;
	if ($pid)
	{
		push @children, $pid;
		return { pid => $pid, port => $listen->sockport, file => $file };
	}

	my $all = IO::Select->new($listen);
	$SIG{TERM} = 'DEFAULT';
	$SIG{USR1} = sub { $hangs_up = 1; };
	while (getppid() == $parent)
	{
		foreach my $socket ($all->can_read(0.05))
		{
			next if $socket != $listen && sysread $socket, my $waste, 100;
			if ($socket != $listen)
			{
				$all->remove($socket);
				close $socket;
			}
			while ($socket == $listen && (my $client = $listen->accept))
			{
				append_to_file($file, 'x');
				$all->add($client);
			}
		}
		foreach my $socket ($hangs_up ? $all->handles : ())
		{
			next if $socket == $listen;
			$all->remove($socket);
			close $socket;
		}
	}
	POSIX::_exit(0);
}

# How many came to that listener
sub came
{
	return -s $_[0]->{file};
}

# dead(name, how): a server with the usual options but for those in how, and for
# user, password and port; returns its options
sub dead
{
	my ($name, %how) = @_;
	my %mapping = map { exists $how{$_} ? ($_ => delete $how{$_}) : () } 'password', 'user';
	my %options = (%usual, %how);

	create_server($local, $name, $remote, options => \%options, %mapping);
	return { name => $name, %options };
}

# storm(server, rounds, meanwhile): all ask it at once, so often; what they got,
# and how many seconds there were in which somebody could wait.  The other pool
# has a new connection made again and again while that lasts.
sub storm
{
	my ($server, $rounds, $meanwhile) = @_;
	my $name = $server->{name};
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
		my $answer = $well->query($ask_well);

		$served++ if $answer->{out} =~ /^\(42\)$/m;
		$slowest = max($slowest, $answer->{secs});
		diag($answer->{err}) if $answer->{err};
		$run->pump_nb if $run->pumpable;
	} while ($run->pumpable);
	ok($run->finish, "$name: no session was lost") or diag($err);
	cmp_ok($served, '>=', 1, "$name: another pool connects and answers meanwhile");
	cmp_ok($slowest, '<', 10, "$name: soon");
	is(stat_of($local, 'waiting', $name), '0', "$name: nobody waits any more");
	settled($local, "$name: settled");
	foreach (split /\n/, sql($local,
			"SELECT state, count(*) FROM ended WHERE server = '$name' GROUP BY 1"))
	{
		my ($state, $n) = split /\|/;

		$seen{$state} = $n;
	}
	return (\%seen,
		sql($local, "SELECT extract(epoch FROM max(at) - min(began)) FROM ended WHERE server = '$name'"));
}

# Of what the sessions got, how many were of that kind?
sub such
{
	my ($server, $condition) = @_;

	return sql($local,
		"SELECT count(*) FROM ended WHERE server = '$server->{name}' AND ($condition)");
}

# allowed(server, seconds, attempt): how many attempts the options allow in that
# time if each takes so long.  At first connect_parallel at once, or fewer, and
# then one at a time.
sub allowed
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

			$delay = max(1, int($delay * (1 - $server->{retry_jitter} / 100)));
			$delay = $server->{breaker_timeout}
			  if $server->{breaker_threshold} && $n >= $server->{breaker_threshold};
			$ms += $delay + ($attempt || 0);
			last if $ms > $seconds * 1000;
			$n++;
		}
		$most = max($most, $n);
	}
	return $most;
}

# tried(server, count, at least, at most): pool_stats and the other side agree
# on the number of attempts
sub tried
{
	my ($server, $count, $least, $most) = @_;
	my $name = $server->{name};
	my $errors = stat_of($local, 'connect_errors', $name);
	my $others = 0;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	if ($count)
	{
		wait_until(10, sub { return ($others = $count->()) == $errors; });
		is($others, $errors, "$name: pool_stats and the other side count the same attempts");
	}
	cmp_ok($errors, '>=', $least, "$name: at least $least");
	cmp_ok($errors, '<=', $most, "$name: at most $most");
	return;
}

my ($dead, $states, $seconds);

#
# The port refuses: it is bound, so that nobody else gets it, but nobody listens.
#
my $bound = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "cannot bind: $!";
$dead = dead('refused', port => $bound->sockport);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '08001' => 3 * $clients }, 'refused: all get an error');
is(such($dead, q(message ~ '^could not connect to server' AND detail ~ 'Connection refused')),
	3 * $clients, 'refused: with the cause');
tried($dead, undef, 4, allowed($dead, $seconds));

# With a breaker there is less still, while they ask again and again.
$dead = dead('broken', port => $bound->sockport, breaker_threshold => 3);
($states, $seconds) = storm($dead, 10);
is_deeply($states, { '08001' => 10 * $clients }, 'broken: all get an error');
is(such($dead, q(detail ~ 'Connection refused')), 10 * $clients, 'broken: with the cause');
cmp_ok(such($dead, q(detail ~ '^The circuit breaker is open; the next attempt is in \d+ ms\.')),
	'>=', 9 * $clients, 'broken: and most the time of the next attempt');
tried($dead, undef, 3, allowed($dead, $seconds));

#
# It takes connections and hangs up.
#
my $listener = listener(1);
$dead = dead('hangs_up', port => $listener->{port});
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '08001' => 3 * $clients }, 'hangs_up: all get an error');
is(such($dead, q(detail ~ 'closed the connection|reset by peer|Broken pipe')),
	3 * $clients, 'hangs_up: with the cause');
tried($dead, sub { came($listener) }, 4, allowed($dead, $seconds));

# The breaker lets one attempt through each time.
$listener = listener(1);
$dead = dead('half_open',
	port => $listener->{port},
	breaker_threshold => 3,
	breaker_timeout => 100);
($states, $seconds) = storm($dead, 10);
is_deeply($states, { '08001' => 10 * $clients }, 'half_open: all get an error');
tried($dead, sub { came($listener) }, 3, allowed($dead, $seconds));
is(stat_of($local, 'connect_errors - breaker_trips', 'half_open'), '2',
	'half_open: which opens again after each attempt');

#
# It takes connections and never answers: those who wait get the cause at their
# deadline, or as soon as the attempts are over.
#
$listener = listener(0);
$dead = dead('mute',
	port => $listener->{port},
	retry_attempts => 1000,
	connect_timeout => '200ms',
	acquire_timeout => 2500);
($states, $seconds) = storm($dead);
is_deeply($states, { '53300' => $clients }, 'mute: all get an error');
is( such($dead, q(message ~ 'within \d+ ms$' AND at - began >= '2.5 s'
		AND detail ~ 'The last attempt to connect failed: .*timeout expired')),
	$clients,
	'mute: at their deadline, with the cause');
tried($dead, sub { came($listener) }, 1, allowed($dead, $seconds, 200));

# All wait, and no more attempts are under way than may be; then it hangs up.
$listener = listener(0);
$dead = dead('held',
	port => $listener->{port},
	connect_parallel => 3,
	connect_timeout => '1h');
($states, $seconds) = storm($dead, 1, sub {
	wait_for_value($local, q(SELECT waiting, connecting FROM pool_stats WHERE server = 'held'),
		"$clients|3", 'held: all wait', seconds => 60);
	like($well->query($ask_well)->{out}, qr/^\(42\)$/m,
		'held: the worker goes on, and looks at all its pools');
	ok(wait_until(10, sub { came($listener) >= 3 }), 'held: they came to the listener');
	is(came($listener), 3, 'held: as many as may be at once');
	kill 'USR1', $listener->{pid};
});
is_deeply($states, { '08001' => $clients }, 'held: all get an error');
tried($dead, sub { came($listener) }, 4, 4);    # and at the same time

# Attempts at once of which some fail after the breaker has opened: it stays so.
$listener = listener(0);
$dead = dead('burst',
	port => $listener->{port},
	connect_parallel => 4,
	connect_timeout => '300ms',
	breaker_threshold => 2);
is((sql_state($local, q(SELECT pool_prewarm('burst', 4))))[0], '08001', 'burst: four at once fail');
wait_for_value($local,
	q(SELECT connect_errors, connecting, breaker FROM pool_stats WHERE server = 'burst'),
	'4|0|open', 'burst: the second one opens the breaker');
my ($state, $err) = sql_state($local, q(SELECT pool_query('burst', 'select 1')));
my ($next) = $err =~ /the next attempt is in (\d+) ms/;
cmp_ok($next || 0, '>', 3_000_000, 'burst: for breaker_timeout') or diag($err);
tried($dead, sub { came($listener) }, 4, 4);

# Who waits while attempts hang is served as soon as the options are right.
$dead = dead('corrected',
	port => $listener->{port},
	max_size => 2,
	connect_timeout => '1h',
	acquire_timeout => '20s');
my @waiters = map { session($local) } 1 .. 3;
$_->begin(q(SELECT pool_query('corrected', 'select 42'))) foreach @waiters;
wait_for_value($local, q(SELECT waiting, connecting FROM pool_stats WHERE server = 'corrected'),
	'3|2', 'corrected: they wait');
sql($local, "ALTER SERVER corrected OPTIONS (SET port '" . $remote->port . "')");
is((sql_state($local, q(SELECT pool_query('corrected', 'select 42'))))[2], '(42)',
	'corrected: works');
is($_->result->{out}, '(42)', 'corrected: also for those who waited') foreach @waiters;
kill 'USR1', $listener->{pid};

#
# Errors that no retry cures: one attempt, and all get the remote's own SQLSTATE.
#
my $log = log_offset($remote);
my $refusal = qr/FATAL:  password authentication failed for user "app"/;
$dead = dead('password',
	%real,
	password => 'nonsense',
	connect_parallel => 1,
	retry_delay => 3_600_000,
	retry_max_delay => 3_600_000);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '28P01' => 3 * $clients }, 'password: all get an error');
is(such($dead, q(detail ~ 'password authentication failed for user "app"')),
	3 * $clients, 'password: in the words of the remote');
tried($dead, sub { log_count($remote, $refusal, $log) }, 1, 1);

$log = log_offset($remote);
$dead = dead('passwords', %real, password => 'nonsense', connect_parallel => 4);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '28P01' => 3 * $clients }, 'passwords: all get an error');
tried($dead, sub { log_count($remote, $refusal, $log) }, 1, allowed($dead, $seconds));

#
# It takes no more connections of that role.
#
$refusal = qr/FATAL:  too many connections for role "full"/;
sql($remote, "CREATE ROLE full LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
$log = log_offset($remote);
$dead = dead('crowded', %real, user => 'full');
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '53300' => 3 * $clients }, 'crowded: all get an error');
is( such($dead, q(message ~ '^could not connect to server'
		AND detail ~ 'too many connections for role "full"')),
	3 * $clients,
	'crowded: in the words of the remote');
tried($dead, sub { log_count($remote, $refusal, $log) }, 4, allowed($dead, $seconds));

# Where it takes two, these serve everybody.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 2');
$log = log_offset($remote);
$dead = dead('two', %real, user => 'full', retry_attempts => 1000, retry_max_delay => 10_000);
($states, $seconds) = storm($dead);
is_deeply($states, { '00000' => $clients }, 'two: all are served');
my $connects = stat_of($local, 'connects', 'two');
cmp_ok($connects, '<=', 2, 'two: by no more than the remote takes');

# Each connection that is made lets the attempts begin anew.
tried($dead, sub { log_count($remote, $refusal, $log) },
	0, ($connects + 1) * allowed($dead, $seconds));

# Who waits for a connection that is there, while the breaker is open, is told
# when it is there no more.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 1');
sql($local, 'DROP SERVER two CASCADE');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'full'), 0,
	'one: those of before are gone');
dead('one', %real, user => 'full', breaker_threshold => 1, acquire_timeout => '20s');
my $lease = $well->query(q(SELECT pool_acquire('one', hold => true)))->{out};
$_->begin(q(SELECT pool_query('one', 'select 42'))) foreach @waiters;
wait_for_value($local, q(SELECT waiting, breaker FROM pool_stats WHERE server = 'one'),
	'3|open', 'one: they wait for it');
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 0');
sql($remote, q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'full'));
$well->query("SELECT pool_release($lease)");
like($_->result->{err}, qr/could not connect to server "one".*circuit breaker is open.*too many connections/s,
	'one: and get the cause')
  foreach @waiters;
$_->quit foreach @waiters;

# All of it over, each works as soon as it can.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT -1');
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER password OPTIONS (SET password"
	  . " '$PoolTest::password')");
wait_for_value($local, "SELECT pool_query('$_', 'select 42')", '(42)', "$_: works again")
  foreach 'crowded', 'password';

$well->quit;
kill 'TERM', @children;
waitpid $_, 0 foreach @children;
settled($local);
sql($local, 'DROP SERVER crowded, one CASCADE');
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
