# 025_each_attempt.pl
#	Options of attempts to connect whose effect no other test would miss: the times
#	between attempts, how many there are, how many at once, how long one may take,
#	and what the circuit breaker makes of them.
#
#	Times between attempts are those at which a listener sees them come: they can
#	be longer than asked for on a busy machine, never shorter.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min);
use PoolTest;
use PoolTest::Listener;
use PoolTest::Servers;
use Test::More;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my $remote = start_remote();
my $local = start_local();
my $session = session($local);
my $other = server();

sub server { return new_server($local, $remote, {@_}); }

# cancel(waiter): a session whose attempts would go on for long
sub cancel
{
	my ($waiter) = @_;

	sql($local, 'SELECT pg_cancel_backend(' . $waiter->pid . ')');
	return $waiter->result->{state};
}

# intervals(until, options): between attempts of a pool whose remote hangs up
sub intervals
{
	my ($until, %options) = @_;
	my $listener = mute_remote();
	my $waiter = session($local);
	my $deadline = clock_gettime(CLOCK_MONOTONIC) + 60;
	my $between = sub { return map { $_[ $_ + 1 ] - $_[$_] } 0 .. $#_ - 1 };

	$waiter->begin(pid_query(server(
		port => $listener->sockport,
		retry_attempts => 1000,
		breaker_threshold => 0,
		breaker_timeout => '1h',
		acquire_timeout => '1h',
		%options)));
	my @times = hang_up($listener, sub {
		return !$waiter->busy || clock_gettime(CLOCK_MONOTONIC) > $deadline
		  || $until->($between->(@_));
	});
	is(cancel($waiter), '57014', 'a session that waits while attempts fail can be cancelled');
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
cmp_ok($between[0], '>=', 0.45, 'retry_delay passes before the second attempt');
cmp_ok($between[1], '>=', 0.9, 'twice retry_delay passes before the third attempt');

@between = intervals(sub { @_ >= 7 },
	retry_delay => '50ms', retry_max_delay => '100ms', retry_jitter => 0);
cmp_ok(min(@between[ 1 .. 6 ]), '>=', 0.1, 'the delay reaches retry_max_delay and stays there');
cmp_ok(min(@between[ 4 .. 6 ]), '<', 0.8, 'the delay does not exceed retry_max_delay')
  or diag(shown(@between));

@between = intervals(sub { @_ >= 15 },
	retry_delay => '40ms', retry_max_delay => '40ms', retry_jitter => 0);
cmp_ok(min(@between), '>=', 0.04, 'with retry_jitter 0 no delay is shorter than retry_delay')
  or diag(shown(@between));

@between = intervals(sub { @_ && min(@_) < 0.085 && max(@_) > 0.115 },
	retry_delay => '100ms', retry_max_delay => '100ms', retry_jitter => '100%');
cmp_ok(min(@between), '<', 0.085, 'with retry_jitter 100% some delays are short')
  or diag(shown(@between));
cmp_ok(max(@between), '>', 0.115, 'with retry_jitter 100% some delays are long');

#
# How many attempts
#
foreach my $attempts (1, 3, 7)
{
	my $listener = mute_remote();
	my $name = server(
		port => $listener->sockport,
		retry_attempts => $attempts,
		retry_delay => '1ms',
		retry_max_delay => '1ms',
		breaker_threshold => 0,
		breaker_timeout => '1h');    # none beside one that is not hung up on at once

	$session->begin(pid_query($name));
	is(scalar hang_up($listener, sub { return !$session->busy }),
		$attempts, "with retry_attempts $attempts the listener counts as many attempts");
	is($session->result->{state}, '08001',
		"with retry_attempts $attempts the session gets an error after the last one");
}

# How many at once: they wait in the listener's queue.
foreach my $parallel (2, 7)
{
	my $listener = mute_remote();
	my $name = server(
		port => $listener->sockport,
		connect_parallel => $parallel,
		connect_timeout => '1h',
		breaker_timeout => '1h',    # nor one beside these that hang
		acquire_timeout => '1h');
	my $waiter = session($local);

	$waiter->begin("SELECT pool_prewarm('$name', 10)");
	wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$name'",
		$parallel, "with connect_parallel $parallel as many attempts are made at once");
	make_worker_look($session, $other);
	is(stat_of($local, 'connecting', $name), $parallel,
		"with connect_parallel $parallel no further attempt is made meanwhile");
	my @kept = accept_all($listener);
	is(scalar @kept, $parallel,
		"with connect_parallel $parallel the listener counts as many attempts");
	is(cancel($waiter), '57014', "a session that waits for $parallel attempts can be cancelled");
	sql($local, "DROP SERVER $name CASCADE");
	$waiter->quit;
}

#
# connect_timeout: one that is short is over while the default goes on, which a
# session has waited for since before.
#
my $mute = mute_remote();
my %once = (port => $mute->sockport, retry_attempts => 1, breaker_timeout => '1h',
	acquire_timeout => '1h');
my $patient = session($local);
my $by_default = server(%once);
$patient->begin(pid_query($by_default));
wait_for_value($local, "SELECT connecting FROM pool_stats WHERE server = '$by_default'",
	1, 'an attempt with the default connect_timeout is under way');
my $answer = $session->query(pid_query(server(%once, connect_timeout => '300ms')));
like($answer->{err}, qr/timeout expired/, 'connect_timeout ends an attempt');
cmp_ok($answer->{secs}, '>=', 0.3, 'connect_timeout does not end an attempt too early');
$answer = $session->query(pid_query(server(%once, connect_timeout => '1')));
like($answer->{err}, qr/timeout expired/, 'connect_timeout can be a plain number');
cmp_ok($answer->{secs}, '>=', 1, 'connect_timeout as a plain number is in seconds');
ok($patient->busy, 'the attempt with the default connect_timeout goes on');
cancel($patient);
$patient->quit;
close $mute;

#
# The circuit breaker
#
my $nobody = mute_remote();
my $tripped = server(
	port => $nobody->sockport,
	breaker_threshold => 1,
	breaker_timeout => '1h');
$session->begin(pid_query($tripped));
hang_up($nobody, sub { return !$session->busy });
$answer = $session->result;
my ($next) = $answer->{err} =~ /the next attempt is in (\d+) ms/;
cmp_ok($next || 0, '>', 3_000_000, 'the next attempt is after breaker_timeout')
  or diag($answer->{err});
alter_server($local, $tripped, breaker_successes => 1);    # not how to connect: it goes on
like($session->query(pid_query($tripped))->{err}, qr/the next attempt is in \d{7} ms/,
	'the time of the next attempt stays when an option that is not for libpq is altered');

# One success to connect, and one for each statement.
sql($remote, "CREATE ROLE full LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
create_server($local, 'counted', $remote,
	user => 'full',
	options => {
		max_size => 1,
		breaker_threshold => 1,
		breaker_timeout => '1ms',
		breaker_successes => 5 });
is($session->query(pid_query('counted'))->{state}, '53300',
	'a role without connections on the remote gets an error');
is(stat_of($local, 'breaker', 'counted'), 'open', 'the breaker opens after one failure');
sql($remote, 'ALTER ROLE full CONNECTION LIMIT -1');
wait_until(10, sub { $session->query(pid_query('counted'))->{state} eq '00000' });
foreach my $successes (2 .. 4)
{
	make_worker_look($session, $other);
	is(stat_of($local, 'breaker', 'counted'), 'half_open',
		"$successes successes are too few for breaker_successes 5");
	is($session->query(pid_query('counted'))->{state}, '00000',
		"a statement succeeds after $successes successes");
}
make_worker_look($session, $other);
is(stat_of($local, 'breaker', 'counted'), 'closed', 'five successes close the breaker');

$session->quit;
sql($local, 'DROP SERVER counted CASCADE');    # of another role there
settled($local, 'nothing is under way, and the sums hold', 20);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
