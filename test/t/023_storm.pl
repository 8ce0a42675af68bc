# 023_storm.pl
#	Two hundred sessions want connections to a remote that is not there: its port
#	refuses, it hangs up, or it never answers.  Attempts are as few as the options
#	allow in that time (the listener and pool_stats agree on how many there were),
#	and each session gets the cause with the right SQLSTATE.  Meanwhile another
#	pool connects and answers.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PoolTest;
use PoolTest::Listener;
use PoolTest::Storm;
use Test::More;

my ($local, $remote, $well) = start_storms();
my ($dead, $states, $seconds);

#
# The port refuses: it is bound, so that nobody else gets it, but nobody listens.
#
my $bound = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp')
  or die "cannot bind: $!";
$dead = create_dead('refused', 'a port that refuses', port => $bound->sockport);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '08001' => 3 * $clients },
	'a port that refuses: each session gets an error each time');
is( sessions_with($dead,
		q(message ~ '^could not connect to server' AND detail ~ 'Connection refused')),
	3 * $clients, 'a port that refuses: each error has the cause');
attempts_are($dead, undef, 4, most_attempts($dead, $seconds));

# With a breaker there are fewer still, while they ask again and again.
$dead = create_dead('broken', 'a port that refuses, with a breaker',
	port => $bound->sockport, breaker_threshold => 3);
($states, $seconds) = storm($dead, 10);
is_deeply($states, { '08001' => 10 * $clients },
	'a port that refuses, with a breaker: each session gets an error each time');
is(sessions_with($dead, q(detail ~ 'Connection refused')), 10 * $clients,
	'a port that refuses, with a breaker: each error has the cause');
cmp_ok(
	sessions_with($dead,
		q(detail ~ '^The circuit breaker is open; the next attempt is in \d+ ms\.')),
	'>=', 9 * $clients,
	'a port that refuses, with a breaker: most errors have the time of the next attempt');
attempts_are($dead, undef, 3, most_attempts($dead, $seconds));

#
# It takes connections and hangs up.
#
my $listener = start_listener(1);
$dead = create_dead('hangs_up', 'a remote that hangs up', port => $listener->{port});
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '08001' => 3 * $clients },
	'a remote that hangs up: each session gets an error each time');
is( sessions_with($dead,
		q(detail ~ 'closed the connection|reset by peer|Broken pipe')),
	3 * $clients, 'a remote that hangs up: each error has the cause');
attempts_are($dead, sub { came_to($listener) }, 4, most_attempts($dead, $seconds));

# With the breaker open an attempt is made every breaker_timeout.
$listener = start_listener(1);
$dead = create_dead('half_open', 'a remote that hangs up, with a breaker',
	port => $listener->{port},
	breaker_threshold => 3,
	breaker_timeout => 100);
($states, $seconds) = storm($dead, 10);
is_deeply($states, { '08001' => 10 * $clients },
	'a remote that hangs up, with a breaker: each session gets an error each time');
attempts_are($dead, sub { came_to($listener) }, 3, most_attempts($dead, stop_attempts($dead)));
is(stat_of($local, 'breaker_trips', 'half_open'), '1',
	'a remote that hangs up: the breaker opens once, and stays open while attempts fail');

# With default options: one attempt every second, whoever asks.
$listener = start_listener(1);
$dead = create_default('by_default', 'a remote that hangs up, with default options',
	$listener->{port});
($states, $seconds) = storm($dead, 15);
is_deeply($states, { '08001' => 15 * $clients },
	'a remote that hangs up, with default options: each session gets an error each time');
attempts_are($dead, sub { came_to($listener) }, 5, most_attempts($dead, stop_attempts($dead)));
is(stat_of($local, 'breaker_trips', 'by_default'), '1',
	'a remote that hangs up, with default options: the breaker opens once');

#
# It takes connections and never answers: those who wait get the cause at their
# deadline, or as soon as the attempts are over.
#
$listener = start_listener(0);
$dead = create_dead('mute', 'a remote that never answers',
	port => $listener->{port},
	retry_attempts => 1000,
	connect_timeout => '200ms',
	acquire_timeout => 5000);
($states, $seconds) = storm($dead);
is_deeply($states, { '08001' => $clients },
	'a remote that never answers: each session gets an error');
is( sessions_with($dead, q(message ~ 'within \d+ ms$' AND at - began >= '5 s'
		AND detail ~ 'The last attempt to connect failed: .*timeout expired')),
	$clients,
	'a remote that never answers: each session gets the cause, at its deadline');
attempts_are($dead, sub { came_to($listener) }, 1, most_attempts($dead, $seconds, 200));

# All wait, and no more attempts are under way than may be; then it hangs up.
$listener = start_listener(0);
$dead = create_dead('held', 'a remote that keeps attempts and then hangs up',
	port => $listener->{port},
	connect_parallel => 3,
	connect_timeout => '1h');
($states, $seconds) = storm($dead, 1, sub {
	wait_for_value($local, q(SELECT waiting, connecting FROM pool_stats WHERE server = 'held'),
		"$clients|3", 'all sessions wait while a remote keeps three attempts', seconds => 60);
	like($well->query($reconnect_well)->{out}, qr/^\(42\)$/m,
		'the worker goes on, and looks at all its pools, while a remote keeps attempts');
	ok(wait_until(10, sub { came_to($listener) >= 3 }),
		'the attempts that a remote keeps have come to its listener');
	is(came_to($listener), 3, 'a remote that keeps attempts gets connect_parallel of them');
	begin_to_hang_up($listener);
});
is_deeply($states, { '08001' => $clients },
	'a remote that keeps attempts and then hangs up: each session gets an error');
attempts_are($dead, sub { came_to($listener) }, 4, 4);    # and at the same time

# Attempts at once of which some fail after the breaker has opened: it stays so.
$listener = start_listener(0);
$dead = create_dead('burst', 'four attempts at once that all time out',
	port => $listener->{port},
	connect_parallel => 4,
	connect_timeout => '300ms',
	breaker_threshold => 2);
is((sql_state($local, q(SELECT pool_prewarm('burst', 4))))[0], '08001',
	'pool_prewarm fails when four attempts at once time out');
wait_for_value($local,
	q(SELECT connect_errors, connecting, breaker FROM pool_stats WHERE server = 'burst'),
	'4|0|open', 'the second of four attempts at once opens the breaker, the others leave it open');
my ($state, $err) = sql_state($local, q(SELECT pool_query('burst', 'select 1')));
my ($next) = $err =~ /the next attempt is in (\d+) ms/;
cmp_ok($next || 0, '>', 3_000_000,
	'the breaker that opened amid attempts stays open for breaker_timeout') or diag($err);
attempts_are($dead, sub { came_to($listener) }, 4, 4);

# Who waits while attempts hang is served as soon as the options are right.
$dead = create_dead('corrected', 'a port that is corrected',
	port => $listener->{port},
	max_size => 2,
	connect_timeout => '1h',
	acquire_timeout => '60s');
my @waiters = map { session($local) } 1 .. 3;
$_->begin(q(SELECT pool_query('corrected', 'select 42'))) foreach @waiters;
wait_for_value($local, q(SELECT waiting, connecting FROM pool_stats WHERE server = 'corrected'),
	'3|2', 'three sessions wait while two attempts hang at a wrong port');
sql($local, "ALTER SERVER corrected OPTIONS (SET port '" . $remote->port . "')");
is((sql_state($local, q(SELECT pool_query('corrected', 'select 42'))))[2], '(42)',
	'a server works as soon as its port is corrected');
is($_->result->{out}, '(42)', 'a session that waited before the port was corrected is served')
  foreach @waiters;

$_->quit foreach @waiters, $well;
stop_listeners();
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
