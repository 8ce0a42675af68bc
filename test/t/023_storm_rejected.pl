# 023_storm_rejected.pl
#	Two hundred sessions want connections to a remote that is there but does not
#	let them in: it does not take the password, or it is full.  Attempts are as
#	few as the options allow in that time (the remote's log and pool_stats agree
#	on how many there were), and each session gets the remote's own SQLSTATE and
#	words.  Meanwhile another pool connects and answers.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Storm;
use Test::More;

my ($local, $remote, $well) = start_storms();
my ($dead, $states, $seconds);

# By default libpq would try again without TLS, and each attempt would count
# for two.
my %once = $PoolTest::tls ? (sslmode => 'require') : ();

#
# Errors that no retry cures: one attempt, and all get the remote's own SQLSTATE.
#
my $log = log_offset($remote);
my $refusal = qr/FATAL:  password authentication failed for user "app"/;
$dead = create_dead('password', 'a wrong password',
	%once,
	password => 'nonsense',
	connect_parallel => 1,
	retry_delay => 3_600_000,
	retry_max_delay => 3_600_000);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '28P01' => 3 * $clients },
	'a wrong password: each session gets an error each time');
is(sessions_with($dead, q(detail ~ 'password authentication failed for user "app"')),
	3 * $clients, 'a wrong password: each error is in the words of the remote');
attempts_are($dead, sub { log_count($remote, $refusal, $log) }, 1, 1);

$log = log_offset($remote);
$dead = create_dead('passwords', 'a wrong password, four attempts at once',
	%once, password => 'nonsense', connect_parallel => 4);
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '28P01' => 3 * $clients },
	'a wrong password, four attempts at once: each session gets an error each time');
attempts_are($dead, sub { log_count($remote, $refusal, $log) },
	1, most_attempts($dead, $seconds));

#
# It takes no more connections of that role.
#
$refusal = qr/FATAL:  too many connections for role "full"/;
sql($remote, "CREATE ROLE full LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
$log = log_offset($remote);
$dead = create_dead('crowded', 'a role without connections', %once, user => 'full');
($states, $seconds) = storm($dead, 3);
is_deeply($states, { '53300' => 3 * $clients },
	'a role without connections: each session gets an error each time');
is( sessions_with($dead, q(message ~ '^could not connect to server'
		AND detail ~ 'too many connections for role "full"')),
	3 * $clients,
	'a role without connections: each error is in the words of the remote');
attempts_are($dead, sub { log_count($remote, $refusal, $log) },
	4, most_attempts($dead, $seconds));

# Where it takes two, these serve everybody.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 2');
$log = log_offset($remote);
$dead = create_dead('two', 'a role with two connections',
	%once, user => 'full', retry_attempts => 1000, retry_max_delay => 10_000);
($states, $seconds) = storm($dead);
is_deeply($states, { '00000' => $clients },
	'a role with two connections: each session is served');
my $connects = stat_of($local, 'connects', 'two');
cmp_ok($connects, '<=', 2, 'a role with two connections: the pool has no more than these');

# Each connection that is made lets the attempts begin anew.
attempts_are($dead, sub { log_count($remote, $refusal, $log) },
	0, ($connects + 1) * most_attempts($dead, $seconds));

# Who waits for a connection that is there, while the breaker is open, is told
# when it is there no more.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 1');
sql($local, 'DROP SERVER two CASCADE');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'full'), 0,
	'the connections of a dropped server are gone from the remote');
create_dead('one', 'a role with one connection',
	%once, user => 'full', breaker_threshold => 1, acquire_timeout => '60s');
my $lease = $well->query(q(SELECT pool_acquire('one', hold => true)))->{out};
my @waiters = map { session($local) } 1 .. 3;
$_->begin(q(SELECT pool_query('one', 'select 42'))) foreach @waiters;
wait_for_value($local, q(SELECT waiting, breaker FROM pool_stats WHERE server = 'one'),
	'3|open', 'while the breaker is open, sessions wait for the one connection that is leased');
sql($remote, 'ALTER ROLE full CONNECTION LIMIT 0');
sql($remote,
	q(SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'full'));
$well->query("SELECT pool_release($lease)");
like($_->result->{err},
	qr/could not connect to server "one".*circuit breaker is open.*too many connections/s,
	'a session that waits gets the cause when the one connection is lost')
  foreach @waiters;

# All of it over, each works as soon as it can.
sql($remote, 'ALTER ROLE full CONNECTION LIMIT -1');
sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER password OPTIONS (SET password"
	  . " '$PoolTest::password')");
wait_for_value($local, q(SELECT pool_query('crowded', 'select 42')), '(42)',
	'a server works as soon as its role may connect');
wait_for_value($local, q(SELECT pool_query('password', 'select 42')), '(42)',
	'a server works as soon as its password is right');

$_->quit foreach @waiters, $well;
settled($local);
sql($local, 'DROP SERVER crowded, one CASCADE');
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
