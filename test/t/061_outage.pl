# 061_outage.pl
#	After an outage of any length the first query succeeds soon, with default
#	options: while the remote is away callers get the cause at once, and the worker
#	tries alone, once per second for each pool that is wanted, not for all pools in
#	the same instant, and beside an attempt that hangs.
#
#	The promise is one second (two when packets were lost), and 1.5 s for a caller
#	who asks every 100 ms.  The bounds here are for machines that are very busy; what
#	was measured is told in the output.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min);
use PoolTest;
use PoolTest::Gate;
use PoolTest::Servers;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote(log_line_prefix => "'%n [%p] %q%a '");
my $local = start_local(max_connections => 60, 'pool.max_connections' => 40);
my $gate = start_gate($remote);
my $count = 5;
my %through = (port => $gate->{port});

# When a caller who asks every 100 ms gets the first answer.
sql($local, <<'SQL');
CREATE FUNCTION first_answer(server text) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			PERFORM pool_query(server, 'select 1');
			RETURN extract(epoch FROM clock_timestamp());
		EXCEPTION WHEN OTHERS THEN
			PERFORM pg_sleep(0.1);
		END;
	END LOOP;
END $$;
SQL

# callers(server...): sessions that ask until they are answered
sub callers
{
	my @sessions = map { session($local, options => "-c statement_timeout=100s") } @_;

	$sessions[$_]->begin("SELECT first_answer('$_[$_]')") foreach 0 .. $#_;
	return @sessions;
}

# served(what, bound, end of the outage, sessions): a test of when they are
sub served
{
	my ($what, $bound, $end, @sessions) = @_;
	my @took = sort { $a <=> $b }
	  map { my $answer = $_->result(90)->{out}; $answer ? max(0, $answer - $end) : 99 } @sessions;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	cmp_ok($took[ $#took / 2 ], '<', $bound, "$what: the first query soon succeeds");
	diag(sprintf('%s: the first query succeeded after %.0f ms (median), %.0f ms (at most)',
		$what, 1000 * $took[ $#took / 2 ], 1000 * $took[-1]));
	$_->quit foreach @sessions;
	return;
}

# of_pools(expression, servers): of their rows together
sub of_pools
{
	my ($expression, @servers) = @_;

	return sql($local, "SELECT $expression FROM pool_stats_all() WHERE server IN ("
		  . join(', ', map { "'$_'" } @servers) . ')');
}

# wait_for_pools(expression, servers, what): a test: soon it is true of them all
sub wait_for_pools
{
	my ($expression, $servers, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		wait_until(60, sub {
			of_pools("count(*) FILTER (WHERE $expression)", @$servers) == @$servers;
		}), $what);
}

#
# The remote refuses connections; another one is starting up.
#
my @servers = map { new_server($local, $remote, {}) } 1 .. $count;
my @starting = map { new_server($local, $remote, {%through}) } 1 .. $count;
sql($local, "SELECT pool_query('$_', 'select 1')") foreach @servers;
my $offset = log_offset($local);
$remote->stop;
set_gate($gate, 'starting');
my $start = time;
my @callers = callers(@servers);
my @patient = callers(@starting);
wait_for_pools(q(breaker = 'open' AND connect_errors >= 7), \@servers,
	'the worker goes on to try while the breaker is open');
my $errors = of_pools('max(connect_errors)', @servers);
cmp_ok($errors, '<=', 6 + (time - $start) / 0.9,
	'a pool tries once per second while the remote refuses');
my $answer = (sql_state($local, "SELECT pool_query('$servers[0]', 'select 1')"))[1];
my ($next) = $answer =~ /08001: .*the next attempt is in (\d+) ms.*Connection refused/s;
cmp_ok($next || 9999, '<=', 1000,
	'a caller gets the cause and the time of the next attempt, which is within a second')
  or diag($answer);
wait_for_pools(q(breaker = 'open' AND connect_errors >= 7 AND last_error ~ 'starting up'),
	\@starting, 'the worker goes on to try while the remote is starting up');
is(of_pools('sum(waiting)', @servers, @starting), 0, 'nobody waits while the breaker is open');
$offset = log_offset($remote);
$remote->start;
my ($accepts) =
  log_since($remote, $offset) =~ /^(\d+\.\d+) .*database system is ready to accept/m;
my $opened = set_gate($gate, 'open');
served('a remote that refused', 5, $accepts, @callers);
served('a remote that was starting up', 5, $opened, @patient);
is(of_pools('max(breaker_trips)', @servers, @starting), 1,
	'the breaker opens once in an outage, however many attempts fail');
is(log_count($local, qr/circuit breaker .* is open/), 2 * $count,
	'the log has one line for each breaker that opened');

#
# Packets are lost.  One pool has no room for a second connection, and one would
# wait for ever.
#
@servers = map { new_server($local, $remote, { %through, %$_ }) } {}, {},
  { max_size => 1 }, { connect_timeout => 0 }, { max_size => 1, connect_timeout => 0 };
set_gate($gate, 'lost');
$start = time;
@callers = callers(@servers);
my $most = 0;
ok( wait_until(60, sub {
		$most = max($most, of_pools('max(connecting)', @servers));
		return of_pools('min(connect_errors)', @servers) >= 2;
	}),
	'an attempt that hangs does not keep the worker from trying');
is($most, 2, 'there is one attempt beside the one that hangs');
is(of_pools(q(string_agg(DISTINCT breaker || ' ' || waiting, ',')), @servers), 'closed 1',
	'who waits for an attempt that hangs is not told before it has failed');
served('a network that lost packets', 5, set_gate($gate, 'open'), @callers);
wait_for_pools('connecting = 0 AND open = 1', \@servers,
	'attempts that hang are given up when another one has connected');

# An attempt that nobody waits for any more hangs when the next caller comes.
my $left = new_server($local, $remote, { %through, max_size => 1, connect_timeout => 0 });
set_gate($gate, 'lost');
my $gone = session($local);
$gone->begin("SELECT pool_query('$left', 'select 1')");
wait_for_pools('connecting > 0', [$left], 'an attempt hangs that a caller waits for');
sql($local, 'SELECT pg_cancel_backend(' . $gone->pid . ')');
is($gone->result->{state}, '57014',
	'a caller who waits for an attempt that hangs can be cancelled');
wait_for_value($local, "SELECT bool_and(clock_timestamp() - since > '1500ms')"
	  . " FROM pool_connections WHERE server = '$left'", 't',
	'an attempt hangs that nobody waits for');
my $next_caller = session($local, options => '-c statement_timeout=20s');
set_gate($gate, 'open');
is($next_caller->query("SELECT pool_query('$left', 'select 42')")->{out}, '(42)',
	'a caller does not wait for an attempt that hung before');
$_->quit foreach $gone, $next_caller;

# With the breaker open callers are told at once, though an attempt hangs.
my $hanging = new_server($local, $remote,
	{ %through, connect_timeout => '2s', breaker_threshold => 1 });
set_gate($gate, 'lost');
@callers = callers($hanging);
wait_for_pools(q(breaker = 'open' AND connecting > 0 AND waiting = 0), [$hanging],
	'an attempt hangs while the breaker is open');
like((sql_state($local, "SELECT pool_query('$hanging', 'select 1')"))[1],
	qr/08001: .*the next attempt is in \d{1,4} ms\.  One is under way\..*timeout expired/s,
	'a caller does not wait for an attempt that hangs while the breaker is open');
served('a network that lost packets, with the breaker open', 5,
	set_gate($gate, 'open'), @callers);

# Of two hosts the first one does not answer: an attempt beside one that hangs
# there gets to the second one.
my $mute = mute_remote();
my $two = new_server($local, $remote, {
	host => '127.0.0.1,127.0.0.1', port => $mute->sockport . ',' . $remote->port,
	connect_timeout => '1h' });
is(sql($local, "SELECT pool_query('$two', 'select 42')"), '(42)',
	'an attempt beside one that hangs at a host goes on to the next host');

#
# Many pools lose one remote in one instant.
#
@servers = map { new_server($local, $remote, {
	%through, min_size => 1, breaker_threshold => 1, retry_jitter => 0 }) } 1 .. 10;
sql($local, "SELECT pool_query('$_', 'select 1')") foreach @servers;
wait_for_pools('open = 1', \@servers, 'ten pools have a connection');
set_gate($gate, 'starting');
wait_for_pools('connect_errors >= 3', \@servers, 'ten pools that lost their remote try to connect');
my @came = map { $_->[1] } grep { $_->[0] eq 'starting' } gate_arrivals($gate);
@came = splice @came, -30;

# In any second there are about ten; together they take nearly all of it.
my @gaps = sort { $b <=> $a } map { $came[$_] - $came[ $_ - 1 ] } 1 .. $#came;
cmp_ok($came[-1] - $came[0], '>', 1, 'thirty attempts of ten pools take more than a second');
cmp_ok((grep { $_ > 0.005 } @gaps), '>=', 8,
	'ten pools that lost one remote do not all try in the same instant')
  or diag(join ' ', map { sprintf '%.3f', $_ } @gaps);
set_gate($gate, 'open');
wait_for_pools(q(open = 1), \@servers, 'min_size is reached again after the outage');

#
# What ends the attempts of the worker makes the next caller's attempt decide.
#
my $paused = new_server($local, $remote,
	{ %through, breaker_threshold => 1, connect_timeout => 0 });
set_gate($gate, 'starting');
is((sql_state($local, "SELECT pool_query('$paused', 'select 1')"))[0], '57P03',
	'a caller gets the SQLSTATE of a remote that is starting up');
set_gate($gate, 'lost');
wait_for_pools('connecting > 0', [$paused], 'the next attempt hangs');
sql($local, "SELECT pool_pause('$paused')");
wait_for_pools(q(breaker = 'half_open' AND connecting > 0), [$paused],
	'the breaker of a paused pool is half open, since the worker does not try any more');
set_gate($gate, 'open');
my $waiter = session($local);
$waiter->begin("SELECT pool_query('$paused', 'select 42')");
wait_for_waiters($local, 1, 'a caller waits for the end of the pause', $paused);
sql($local, "SELECT pool_resume('$paused')");
is($waiter->result->{out}, '(42)', 'a caller who waited for the end of the pause is served');

# A wrong password is not tried again and again.
my $wrong = new_server($local, $remote,
	{ breaker_threshold => 1, breaker_timeout => '1ms',
	  retry_delay => '1h', retry_max_delay => '1h' },
	password => 'nonsense');
is((sql_state($local, "SELECT pool_query('$wrong', 'select 1')"))[0], '28P01',
	'a caller gets the SQLSTATE of a wrong password') foreach 1 .. 3;
is(of_pools('connect_errors', $wrong), 1, 'a wrong password keeps the backoff');

# There is no place for an attempt: then the cause of before is none any more.
sql($local, 'CREATE ROLE other LOGIN');
sql($remote, "CREATE ROLE crowded LOGIN PASSWORD '$PoolTest::password' CONNECTION LIMIT 0");
my $full = new_server($local, $remote,
	{ max_server_size => 1, breaker_threshold => 1, acquire_timeout => '1s' }, user => 'crowded');
sql($local, "CREATE USER MAPPING FOR other SERVER $full"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . " GRANT USAGE ON FOREIGN SERVER $full TO other");
like((sql_state($local,
			"SET pool.acquire_timeout = '60s'; SELECT pool_query('$full', 'select 1')"))[1],
	qr/53300: .*could not connect/,
	'a caller is told that the remote is full');
my $holder = session($local, user => 'other');
wait_until(30,
	sub { $holder->query("SELECT pool_acquire('$full', hold => true)")->{state} eq '00000' });
wait_for_pools(q(user_name = 'other' OR breaker = 'half_open'),
	[ $full, $full ], 'the breaker is half open when there is no place for an attempt');
like((sql_state($local, "SELECT pool_query('$full', 'select 1')"))[1], qr/within \d+ ms/,
	'a caller waits for a place, and is told no old cause');
$holder->quit;

$waiter->quit;
stop_gate($gate);
$remote->stop;
no_crash($local, $remote);

done_testing();
