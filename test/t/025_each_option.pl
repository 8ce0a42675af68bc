# 025_each_option.pl
#	Options and settings whose effect no other test would miss: attempts to connect
#	and the times between them, the circuit breaker's, how long a check may take,
#	the jitter of a lifetime, what goes on to libpq, what a user mapping overrides,
#	what the log says of connections, how many pools there can be.
#
#	Times between attempts are those at which a listener sees them come: they can
#	be longer than asked for on a busy machine, never shorter.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max min);
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $remote = start_remote();
my $local = start_local();
my $number = 0;

# server(options): a new server's name
sub server
{
	my (%options) = @_;
	my $name = 's' . ++$number;

	create_server($local, $name, $remote, options => \%options);
	return $name;
}

# alter(server, options): set what was not set
sub alter
{
	my ($name, %options) = @_;

	return sql($local, "ALTER SERVER $name OPTIONS ("
		  . join(', ', map { "ADD $_ '$options{$_}'" } sort keys %options) . ')');
}

# ask(server): a statement; its answer is which remote process it runs in
sub ask
{
	my ($name) = @_;

	return "SELECT p FROM pool_query('$name', 'select pg_backend_pid()') AS t(p int)";
}

my $session = session($local);
my $other = server();
$session->query(ask($other));

# worker_looks(): at all its pools, since it has to open a connection for one
sub worker_looks
{
	my $answer = $session->query("SELECT pool_reconnect('$other'); " . ask($other));

	die $answer->{err} if $answer->{out} !~ /^\d+\n\d+$/;
	return;
}

# listener(): a port at which nobody answers, but connections can be made
sub listener
{
	return IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
	  || die "cannot listen: $!";
}

# hang_up(listener, until): takes each connection and hangs up on it, until the
# code, which gets the times at which they came, is content; returns the times
sub hang_up
{
	my ($listener, $until) = @_;
	my @times;

	while (!$until->(@times))
	{
		next if !IO::Select->new($listener)->can_read(0.01);
		my $client = $listener->accept;

		push @times, clock_gettime(CLOCK_MONOTONIC);
		close $client;
	}
	return @times;
}

# intervals(until, options): between attempts of a pool whose remote hangs up
sub intervals
{
	my ($until, %options) = @_;
	my $listener = listener();
	my $waiter = session($local);
	my $deadline = clock_gettime(CLOCK_MONOTONIC) + 60;
	my $between = sub { return map { $_[ $_ + 1 ] - $_[$_] } 0 .. $#_ - 1 };

	$waiter->begin(ask(server(
		port => $listener->sockport,
		retry_attempts => 1000,
		breaker_threshold => 0,
		acquire_timeout => '1h',
		%options)));
	my @times = hang_up($listener, sub {
		return !$waiter->busy || clock_gettime(CLOCK_MONOTONIC) > $deadline
		  || $until->($between->(@_));
	});
	sql($local, 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
	is($waiter->result->{state}, '57014', 'who waited is cancelled');
	$waiter->quit;
	return $between->(@times);
}

# shown(intervals): in milliseconds
sub shown
{
	return join ' ', map { int($_ * 1000) } @_;
}

#
# The times between attempts
#
my @between = intervals(sub { @_ >= 2 },
	retry_delay => '450ms', retry_max_delay => '1h', retry_jitter => 0);
cmp_ok($between[0], '>=', 0.45, 'retry_delay: before the second attempt');
cmp_ok($between[1], '>=', 0.9, 'retry_delay: twice that before the third');

@between = intervals(sub { @_ >= 7 },
	retry_delay => '50ms', retry_max_delay => '100ms', retry_jitter => 0);
cmp_ok(min(@between[ 1 .. 6 ]), '>=', 0.1, 'retry_max_delay: is reached');
cmp_ok(min(@between[ 4 .. 6 ]), '<', 0.8, 'retry_max_delay: is not exceeded')
  or diag(shown(@between));

@between = intervals(sub { @_ >= 15 },
	retry_delay => '40ms', retry_max_delay => '40ms', retry_jitter => 0);
cmp_ok(min(@between), '>=', 0.04, 'retry_jitter 0: never less') or diag(shown(@between));

@between = intervals(sub { @_ && min(@_) < 0.085 && max(@_) > 0.115 },
	retry_delay => '100ms', retry_max_delay => '100ms', retry_jitter => '100%');
cmp_ok(min(@between), '<', 0.085, 'retry_jitter 100%: some are less') or diag(shown(@between));
cmp_ok(max(@between), '>', 0.115, 'retry_jitter 100%: some are more');

#
# How many attempts
#
foreach my $attempts (1, 3, 7)
{
	my $listener = listener();
	my $name = server(
		port => $listener->sockport,
		retry_attempts => $attempts,
		retry_delay => '1ms',
		retry_max_delay => '1ms',
		breaker_threshold => 0);

	$session->begin(ask($name));
	is(scalar hang_up($listener, sub { return !$session->busy }),
		$attempts, "retry_attempts $attempts: the listener's count");
	is($session->result->{state}, '08001', "retry_attempts $attempts: then the error");
}

# How many at once: they wait in the listener's queue.
foreach my $parallel (2, 7)
{
	my $listener = listener();
	my $name = server(
		port => $listener->sockport,
		connect_parallel => $parallel,
		connect_timeout => '1h',
		acquire_timeout => '1h');
	my $waiter = session($local);
	my @taken;

	$waiter->begin("SELECT pool_prewarm('$name', 10)");
	wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$name'",
		$parallel, "connect_parallel $parallel: that many");
	worker_looks();
	is(stat_of($local, 'connecting', $name), $parallel,
		"connect_parallel $parallel: and no more");
	$listener->blocking(0);
	while (my $client = $listener->accept)
	{
		push @taken, $client;
	}
	is(scalar @taken, $parallel, "connect_parallel $parallel: the listener's count");
	sql($local, 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
	is($waiter->result->{state}, '57014', 'who waited is cancelled');
	sql($local, "DROP SERVER $name CASCADE");
	$waiter->quit;
}

#
# connect_timeout: one that is short is over while the default goes on, which a
# session has waited for since before.
#
my $mute = listener();
my %once = (port => $mute->sockport, retry_attempts => 1, acquire_timeout => '1h');
my $patient = session($local);
my $by_default = server(%once);
$patient->begin(ask($by_default));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$by_default'",
	1, 'connect_timeout: by default it is not short');
my $answer = $session->query(ask(server(%once, connect_timeout => '300ms')));
like($answer->{err}, qr/timeout expired/, 'connect_timeout: is over');
cmp_ok($answer->{secs}, '>=', 0.3, 'connect_timeout: not before its time');
$answer = $session->query(ask(server(%once, connect_timeout => '1')));
like($answer->{err}, qr/timeout expired/, 'connect_timeout: a plain number');
cmp_ok($answer->{secs}, '>=', 1, 'connect_timeout: is of seconds');
ok($patient->busy, 'connect_timeout: the default goes on');
sql($local, 'SELECT pg_cancel_backend(' . $patient->pid . ')');
$patient->result;
close $mute;

#
# The circuit breaker
#
my $nobody = listener();
my $tripped = server(
	port => $nobody->sockport,
	breaker_threshold => 1,
	breaker_timeout => '1h');
$session->begin(ask($tripped));
hang_up($nobody, sub { return !$session->busy });
$answer = $session->result;
my ($next) = $answer->{err} =~ /the next attempt is in (\d+) ms/;
cmp_ok($next || 0, '>', 3_000_000, 'breaker_timeout: the time of the next attempt')
  or diag($answer->{err});
alter($tripped, breaker_successes => 1);    # not how to connect: it goes on
like($session->query(ask($tripped))->{err}, qr/the next attempt is in \d{7} ms/,
	'breaker_timeout: which stays');

# One success to connect, and one for each statement.
sql($remote, "CREATE ROLE full LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
create_server($local, 'counted', $remote,
	user => 'full',
	options => {
		breaker_threshold => 1,
		breaker_timeout => '1ms',
		breaker_successes => 5 });
is($session->query(ask('counted'))->{state}, '53300', 'breaker_successes: no connection');
is(stat_of($local, 'breaker', 'counted'), 'open', 'breaker_successes: open');
sql($remote, 'ALTER ROLE full CONNECTION LIMIT -1');
wait_until(10, sub { $session->query(ask('counted'))->{state} eq '00000' });
foreach my $successes (2 .. 4)
{
	worker_looks();
	is(stat_of($local, 'breaker', 'counted'), 'half_open',
		"breaker_successes: $successes are too few");
	is($session->query(ask('counted'))->{state}, '00000', 'breaker_successes: one more');
}
worker_looks();
is(stat_of($local, 'breaker', 'counted'), 'closed', 'breaker_successes: five close it');

#
# health_check_timeout, in all three uses: a remote session that is stopped is
# given up while that of a more patient pool, which was asked before, is not.
#
my %checked = (health_check_interval => 0, validate_after_idle => '1ms');
my $quick = server(%checked, max_size => 2, health_check_timeout => '300ms');
my $slow = server(%checked, max_size => 1, health_check_timeout => '1h');
my $given_up = 'closed_check_failed + closed_reset_failed';

# stop_both(): the one remote session that each has
my ($quick_pid, $slow_pid);
sub stop_both
{
	$quick_pid = $session->query(ask($quick))->{out};
	$slow_pid = $patient->query(ask($slow))->{out};
	wait_for_value($local,
		"SELECT count(*) FROM pool_connections WHERE server IN ('$quick', '$slow')"
		  . " AND state = 'idle' AND clock_timestamp() - since > '2ms'",
		2, 'both are idle');
	kill 'STOP', $quick_pid, $slow_pid;
	return;
}

# go_on(): again
sub go_on
{
	kill 'CONT', $quick_pid, $slow_pid;
	wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE state = 'closing'",
		0, 'what was given up is closed', seconds => 20);
	return;
}

stop_both();
$patient->begin(ask($slow));
wait_for_value($local, "SELECT active + waiting FROM pool_stats WHERE server = '$slow'", 1,
	'before use: asked');
like($session->query(ask($quick))->{out}, qr/^(?!$quick_pid$)\d+$/,
	'before use: another connection answers');
ok($patient->busy, 'before use: the patient one waits');
go_on();
is($patient->result->{out}, $slow_pid, 'before use: and gets its answer');

# The worker begins with the patient one.
stop_both();
my $before = stat_of($local, $given_up, $quick);
sql($local, "ALTER SERVER $slow OPTIONS (SET health_check_interval '10ms')");
sql($local, "SELECT pool_prewarm('$slow', 1)");
wait_for_value($local, "SELECT state FROM pool_connections WHERE server = '$slow'", 'checking',
	'while idle: asked');
sql($local, "ALTER SERVER $quick OPTIONS (SET health_check_interval '10ms')");
sql($local, "SELECT pool_prewarm('$quick', 1)");
wait_for_value($local, "SELECT $given_up > $before FROM pool_stats WHERE server = '$quick'",
	't', 'while idle: given up', seconds => 30);
is(sql($local, "SELECT state FROM pool_connections WHERE server = '$slow'"), 'checking',
	'while idle: the patient one waits');
go_on();
sql($local, "ALTER SERVER $_ OPTIONS (SET health_check_interval '0')") foreach $quick, $slow;
is($session->query(ask($slow))->{out}, $slow_pid, 'while idle: and gets its answer');
is(stat_of($local, 'closed', $slow), '0', 'while idle: nothing is wrong with it');

# The worker's reset after a lease
my ($quick_lease, $slow_lease) =
  map { $session->query("SELECT pool_acquire('$_', hold => true)")->{out} } $quick, $slow;
($quick_pid, $slow_pid) =
  map { $session->query("SELECT p FROM pool_query($_, 'select pg_backend_pid()') AS t(p int)")->{out} }
  $quick_lease, $slow_lease;
kill 'STOP', $quick_pid, $slow_pid;
$before = stat_of($local, $given_up, $quick);
$session->query("SELECT pool_release($slow_lease)");
wait_for_value($local, "SELECT resetting FROM pool_stats WHERE server = '$slow'", 1,
	'reset: the worker waits for it');
$session->query("SELECT pool_release($quick_lease)");
wait_for_value($local, "SELECT $given_up > $before FROM pool_stats WHERE server = '$quick'",
	't', 'reset: given up', seconds => 30);
is(stat_of($local, 'resetting', $slow), '1', 'reset: the patient one waits');
go_on();
wait_for_value($local, "SELECT idle FROM pool_stats WHERE server = '$slow'", 1,
	'reset: and gets its answer');
$patient->quit;

#
# lifetime_jitter: of so many, some go long before the end.
#
my $jitter = server(
	max_size => 30,
	max_lifetime => '40s',
	lifetime_jitter => '100%',
	idle_timeout => 0);
is(sql($local, "SELECT pool_prewarm('$jitter', 30)"), '30', 'lifetime_jitter: thirty connections');
my $oldest = "SELECT min(opened) FROM pool_connections WHERE server = '$jitter'";
my $opened = sql($local, $oldest);
wait_for_value($local, "SELECT closed_max_lifetime > 0 FROM pool_stats WHERE server = '$jitter'",
	't', 'lifetime_jitter: one goes', seconds => 60);
is(sql($local, "SELECT clock_timestamp() - '$opened' < '30s'"), 't',
	'lifetime_jitter: when none is as old as 40 s less a tenth, and less still');
sql($local, "DROP SERVER $jitter CASCADE");

#
# acquire_timeout, and what a session says of its own
#
my $held = server(max_size => 1, acquire_timeout => '200ms');
my $unbounded = server(max_size => 1, acquire_timeout => '40s');
my $holder = session($local);
$holder->query("SELECT pool_acquire('$_', hold => true)") foreach $held, $unbounded;
$answer = $session->query(ask($held), 20);
$session->result if $answer->{state} eq 'timeout';
like($answer->{err}, qr/53300: could not get a connection to server "$held" within \d+ ms/,
	'acquire_timeout: the error');
cmp_ok($answer->{secs}, '>=', 0.2, 'acquire_timeout: not before its time');
$session->query(q(SET pool.acquire_timeout = '300ms'));
$answer = $session->query(ask($unbounded), 20);
$session->result if $answer->{state} eq 'timeout';
is($answer->{state}, '53300', 'pool.acquire_timeout: instead of the option');
cmp_ok($answer->{secs}, '>=', 0.3, 'pool.acquire_timeout: not before its time');
$answer = $session->query(ask($held), 20);
cmp_ok($answer->{secs}, '>=', 0.3, 'pool.acquire_timeout: also where it is more');
$session->query('RESET pool.acquire_timeout');
$holder->quit;

#
# What goes on to libpq
#
my $tuned = server(options => '-c work_mem=1234kB');
is($session->query("SELECT w FROM pool_query('$tuned', 'show work_mem') AS t(w text)")->{out},
	'1234kB', "options: $_")
  foreach 'first', 'after a reset';
like($session->query("SELECT d FROM pool_query('$tuned', 'show datestyle') AS t(d text)")->{out},
	qr/^ISO/, 'options: besides those of pool');

# Nobody has used these yet.
my $named = server(application_name => 'a name');
my $unnamed = server();
sql($local, "SELECT pool_prewarm('$_', 1)") foreach $named, $unnamed;
my ($named_pid, $unnamed_pid) =
  map { sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$_'") } $named, $unnamed;
is(app_sessions($remote, "pid = $named_pid AND application_name = 'a name'"), '1',
	'application_name');
is(app_sessions($remote, "pid = $unnamed_pid AND application_name = 'pool'"), '1',
	'application_name: by default');

my $read_only = server(target_session_attrs => 'read-only', retry_attempts => 1);
like($session->query(ask($read_only))->{err}, qr/session is not read-only/,
	'target_session_attrs: not this one');
alter($read_only, options => '-c default_transaction_read_only=on');
like($session->query(ask($read_only))->{out}, qr/^\d+$/, 'target_session_attrs: this one');

# keepalive_timer(server): what the kernel says of its one connection, when it is
# quiet: seconds to the next probe, or "none"
sub keepalive_timer
{
	my ($name) = @_;
	my $pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$name'");
	my $port = sql($remote, "SELECT client_port FROM pg_stat_activity WHERE pid = $pid");
	my $ends = sprintf ':%04X [0-9A-F]+:%04X ', $port, $remote->port;
	my $timer = '';

	wait_until(
		10,
		sub {
			my ($line) = grep { /$ends/ } split /\n/, slurp_file('/proc/net/tcp');
			my ($kind, $when) = ($line || '') =~ /^\s*\d+: \S+ \S+ \S+ \S+ (\d\d):([0-9A-F]+) /;

			$timer = !defined $kind ? '' : $kind eq '00' ? 'none' : $kind eq '02' ? hex($when) / 100 : '';
			return $timer ne '';
		});
	return $timer;
}
my %keepalives = (
	'keepalives_idle' => { keepalives_idle => 77 },
	'keepalives 0' => { keepalives => 0, keepalives_idle => 77 });
foreach my $what (sort keys %keepalives)
{
	my $name = server(%{ $keepalives{$what} });

	sql($local, "SELECT pool_prewarm('$name', 1)");
	like(keepalive_timer($name), $what eq 'keepalives 0' ? qr/^none$/ : qr/^\d\d?(\.\d+)?$/, $what);
}

#
# What a user mapping overrides
#
create_server($local, 'mapped', $remote,
	options => {
		max_size => 1,
		acquire_timeout => '30s',
		query_timeout => '1h',
		priority => 0 });
sql($local, 'CREATE ROLE a LOGIN; GRANT USAGE ON FOREIGN SERVER mapped TO a');
sql($local, <<SQL);
CREATE USER MAPPING FOR a SERVER mapped OPTIONS (user 'app', password '$PoolTest::password',
	min_size '2', max_size '3', acquire_timeout '200ms', query_timeout '300ms', priority '10')
SQL
my $mine = session($local, user => 'a');
is($mine->query(ask('mapped'))->{state}, '00000', 'mapping: works');
wait_for_value($local,
	q(SELECT open, min_size, max_size FROM pool_stats WHERE server = 'mapped' AND user_name = 'a'),
	'2|2|3', 'mapping: min_size');
$answer = $mine->query(q(SELECT pool_query('mapped', 'select pg_sleep(30)')), 40);
is($answer->{state}, '57014', 'mapping: query_timeout');
like($answer->{err}, qr/query_timeout/, 'mapping: query_timeout, the reason');
my @leases = split /\n/, $mine->query(
	q(SELECT pool_acquire('mapped', timeout => '20s', hold => true) FROM generate_series(1, 3)))->{out};
is(scalar @leases, 3, 'mapping: max_size');
$answer = $mine->query(q(SELECT pool_acquire('mapped', hold => true)), 20);
is($answer->{state}, '53300', 'mapping: acquire_timeout');
$mine->result if $answer->{state} eq 'timeout';
my @waiters;
foreach my $priority (3, 7, 5)
{
	push @waiters, session($local, user => 'a',
		options => "-c pool.priority=$priority -c pool.acquire_timeout=1h");
	$waiters[-1]->begin(
		q(SELECT t FROM pool_query('mapped', 'select clock_timestamp()') AS r(t text)));
	wait_for_value($local,
		q(SELECT waiting FROM pool_stats WHERE server = 'mapped' AND user_name = 'a'),
		scalar @waiters, "mapping: $priority waits");
}
$mine->query("SELECT pool_release($leases[0])");
my @times = map { $_->result->{out} } @waiters;
is(join(' ', map { (3, 7, 5)[$_] } sort { $times[$a] cmp $times[$b] } 0 .. 2), '7 5 3',
	'mapping: priority');
$mine->query("SELECT pool_release($_)") foreach @leases[ 1, 2 ];
$_->quit foreach @waiters, $mine;

# The others keep the server's.
is($session->query(ask('mapped'))->{state}, '00000', 'mapping: of somebody else');
is(sql($local,
		q(SELECT min_size, max_size FROM pool_stats WHERE server = 'mapped' AND user_name <> 'a')),
	'0|1', 'mapping: has the options of the server');

#
# pool.log_connections: the worker takes note of a reload in its own time.
#
my $logged = server();
my $address = '127.0.0.1:' . $remote->port;

# lines(): one more connection is made and closed; what the log says of the first
sub lines
{
	my $offset = log_offset($local);
	my $pid = $session->query(ask($logged))->{out};
	my $log;

	$session->query("SELECT pool_reconnect('$logged')");
	wait_until(10,
		sub { sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$logged'") == 0 });
	worker_looks();
	$log = log_since($local, $offset);
	return join ' ', grep { $log =~ /$_/ }
	  map { qq($_ $address, remote process $pid) } qq(connected pool for server "$logged" to),
	  qq(disconnected pool for server "$logged" from);
}
is(lines(), '', 'pool.log_connections off: nothing');
foreach my $value ('on', 'off', 'on')
{
	my $wanted = $value eq 'on' ? 2 : 0;

	sql($local, "ALTER SYSTEM SET pool.log_connections = $value");
	sql($local, 'SELECT pg_reload_conf()');
	ok(wait_until(20, sub { my @found = lines() =~ /connected pool/g; return @found == $wanted; }),
		"pool.log_connections $value: " . ($wanted ? 'a line for each' : 'nothing'));
}
sql($local, 'ALTER SYSTEM RESET pool.log_connections');

#
# pool.max_pools
#
my $few = start_local(name => 'few', 'pool.max_pools' => 2);
create_server($few, $_, $remote) foreach 'one', 'two', 'three';
is(sql($few, "SELECT pool_query('$_', 'select 1')"), '(1)', "pool.max_pools: $_")
  foreach 'one', 'two';
is((sql_state($few, ask('three')))[0], '53400', 'pool.max_pools: no third one');

settled($few);
$session->quit;
sql($local, 'DROP SERVER counted CASCADE');    # of another role there
settled($local, 'settled', 20);
$few->stop;
remote_count($local, $remote);
no_crash($local, $remote, $few);

done_testing();
