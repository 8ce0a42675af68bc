# 031_statistics_connections.pl
#	What pool_connections shows of a connection in each state in which it can be held
#	still, what pool_waiters shows of who waits, and that the statistics count it so.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use PoolTest;
use PoolTest::History;
use PoolTest::Statistics;
use Test::More;
use Time::HiRes qw(time);

my ($local, $remote) = start_history();
my ($one, $two) = map { session($local) } 1 .. 2;
my ($dead, $dead_port) = dead_port();
my $from;


#
# Each state of a connection that can be held still
#
my %address = (
	remote_address => '127.0.0.1:' . $remote->port, remote_pid => qr/^\d+$/,
	$PoolTest::tls
	? (relayed => 1, tls_version => qr/^TLSv1/, tls_cipher => qr/^TLS_|-/)
	: (relayed => 0, tls_version => undef, tls_cipher => undef));

# shows(what, server, state, since, columns): a test; the server has one connection,
# in that state since a time after that one
sub shows
{
	my ($what, $server, $state, $since, %columns) = @_;
	my %should = (
		database => 'postgres', server => $server, user_name => $me, slot => qr/^\d+$/,
		state => $state, pid => undef, since => [$since], uses => 0, %address, leaked => 0,
		context => undef, closing_reason => undef, usename => undef, application_name => undef,
		query => undef, %columns);
	my ($row, @wrong);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub {
		my @rows = rows('pool_connections', "server = '$server'");

		$row = $rows[0];
		@wrong = @rows == 1 ? compare($row, \%should) : @rows . ' rows';
		return !@wrong;
	});
	is(join("\n", map { "$server: $_" } @wrong), '', $what);
	return $row;
}

# of(session, statement): what is shown of the session
sub of
{
	my ($session, $statement) = @_;

	return (pid => $session->pid, usename => $me, application_name => 'test ' . $session->pid,
		query => qr/^\Q$statement\E\s*;?$/);
}
$_->query(q(SET application_name = 'test ) . $_->pid . q(')) foreach $one, $two;
sql($local, q(CREATE FUNCTION lease_of(server text) RETURNS bigint LANGUAGE plpgsql AS
	$$ BEGIN RETURN pool_acquire(server, hold => true); END $$));

pool('still', leak_threshold => '200ms');
$from = time;
my $lease = $one->query(q(SELECT lease_of('still')))->{out};
my $row = shows('a leased connection shows its session, where it acquired, and that it leaks',
	'still', 'leased', $from, opened => [$from], uses => 1, leaked => 1,
	context => 'PL/pgSQL function lease_of(text) line 1 at RETURN',
	of($one, q(SELECT lease_of('still'))));
$from = time;
release($one, $lease);
my %same = map { $_ => $row->{$_} } qw(slot opened remote_pid);
shows('an idle connection shows no session', 'still', 'idle', $from, %same, uses => 1);
is(sql($remote, 'SELECT count(*) FROM pg_stat_activity'
		. " WHERE usename = 'app' AND pid = $same{remote_pid}"),
	1, 'remote_pid is a process of the remote');
$from = time;
$lease = acquire($two, 'still');
my %by_two = of($two, q(SELECT pool_acquire('still', hold => true)));
shows('a connection that is leased again shows the other session', 'still', 'leased', $from,
	%same, uses => 2, leaked => 1, %by_two);
call(q(pool_reconnect('still')));
shows('a leased connection that will be closed shows why', 'still', 'leased', $from,
	%same, uses => 2, leaked => 1, %by_two, closing_reason => 'reconnect');
step('each of two leases that were held for too long is a leak', 'still',
	acquires => 2, releases => 1, connects => 1, leaks => 2, lease_max => 200);
release($two, $lease);
step('a lease that ends with a connection to be closed is lost', 'still',
	lost => 1, closed_reconnect => 1);

# The remote does not go.
pool('closing');
$from = time;
ask($one, 'closing') foreach 1 .. 3;
my $pid = remote_pid('closing');
kill 'STOP', $pid;
my $then = time;
call(q(pool_close('closing')));
shows('a connection that is being closed shows why', 'closing', 'closing', $then,
	opened => [$from], uses => 3, closing_reason => 'admin');
step('a connection that is being closed is closed and closing', 'closing',
	used(3), rows => 3, reused => 2, connects => 1, closed_admin => 1, closing => 1);
kill 'CONT', $pid;
step('a connection that has gone is no longer closing', 'closing');

# The remote does not answer.
pool('resetting', reset_query => 'DISCARD ALL', health_check_timeout => '1h');
$from = time;
$lease = acquire($one, 'resetting');
$one->query("SELECT pool_exec($lease, 'select 1')");
$pid = remote_pid('resetting');
kill 'STOP', $pid;
$then = time;
release($one, $lease);
shows('a connection that is being reset shows no session', 'resetting', 'resetting', $then,
	opened => [$from], uses => 1);
step('a connection that is being reset is open and not idle', 'resetting',
	used(1), rows => 1, connects => 1, resetting => 1);
kill 'CONT', $pid;
step('a connection that was reset is idle', 'resetting', resets => 1);
pool('checking', health_check_interval => '300ms', health_check_timeout => '1h');
$from = time;
ask($one, 'checking');
$pid = remote_pid('checking');
kill 'STOP', $pid;
shows('a connection that is being checked shows no session', 'checking', 'checking', $from,
	opened => [$from], uses => 1);
step('a connection that is being checked is open and not idle', 'checking',
	used(1), rows => 1, connects => 1, resetting => 1, health_checks => sub { $_[0] >= 0 });
kill 'CONT', $pid;
step('a connection that was checked is idle', 'checking');

# The worker does nothing.
pool('returned', reset_query => 'DISCARD ALL');
$from = time;
$lease = acquire($one, 'returned');
$one->query("SELECT pool_exec($lease, 'select 1')");
my $worker = call(q(pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
kill 'STOP', $worker;
$then = time;
release($one, $lease);
shows('a connection that waits for its reset shows no session', 'returned', 'returned', $then,
	opened => [$from], uses => 1);
step('a connection that waits for its reset is open and not idle', 'returned',
	used(1), rows => 1, connects => 1, resetting => 1);
pool('unknown');
$one->begin(q(SELECT pool_exec('unknown', 'select 1')));
step('a pool that the worker does not know yet is unconfigured', 'unknown',
	state => 'unconfigured');
comes_true("clock_timestamp() > to_timestamp(@{[ time ]}) + '200ms'");
kill 'CONT', $worker;
$one->result;
step('a pool that the worker has come to know is ready', 'unknown',
	state => 'ready', used(1), rows => 1, connects => 1, wait_max => 200);
step('a connection that waited for its reset is reset when the worker goes on', 'returned',
	resets => 1);

# Nobody answers at that port any more; and that is the one attempt of a breaker.
pool('probed', port => $dead_port, retry_attempts => 1, breaker_threshold => 1,
	breaker_timeout => '1h', connect_timeout => '1h');
ask($one, 'probed');
step('a remote that refuses opens the breaker', 'probed',
	acquire_failures => 1, connect_errors => 1, breaker_trips => 1, state => 'failing',
	breaker => 'open', breaker_opened_at => 'lately', last_error => qr/Connection refused/,
	last_error_at => 'lately');

# While the pool is paused the worker does not try by itself: the next attempt is
# that of a session.
listen($dead, 50) or die "cannot listen: $!";
sql($local, q(ALTER SERVER probed OPTIONS (SET breaker_timeout '10ms')));
call(q(pool_breaker_reset('probed')));
$one->begin(q(SELECT pool_exec('probed', 'select 1')));
comes_true(q(connecting > 0 FROM pool_stats WHERE server = 'probed'));
call(q(pool_pause('probed')));
while ($one->busy)
{
	next if !IO::Select->new($dead)->can_read(0.01);
	accept my $client, $dead;
	close $client;
}
$one->result;
step('an attempt that fails in a pause leaves the breaker half open', 'probed',
	acquire_failures => 1, connect_errors => '1+', breaker_trips => 1, state => 'paused',
	breaker => 'half_open', breaker_opened_at => 'lately', last_error => qr/reset|closed/,
	last_error_at => 'lately');
sql($local, q(ALTER SERVER probed OPTIONS (SET breaker_timeout '1h')));
$from = time;
$one->begin(q(SELECT pool_exec('probed', 'select 1')));
comes_true(q(waiting = 1 FROM pool_stats WHERE server = 'probed'));
call(q(pool_resume('probed')));
shows('a connection that is being opened shows no remote', 'probed', 'connecting', $from,
	opened => undef, remote_address => undef, remote_pid => undef, relayed => undef,
	tls_version => undef, tls_cipher => undef);
step('the attempt of a half open breaker is a retry that is under way', 'probed',
	retries => 1, state => 'failing', breaker => 'half_open', connecting => 1, waiting => 1);


#
# Who waits
#

# wait_so(what, server, rows): a test; those who wait for it, in their order
sub wait_so
{
	my ($what, $server, @should) = @_;
	my @wrong;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until($patience, sub {
		my @rows = sort { $a->{place} <=> $b->{place} } rows('pool_waiters', "server = '$server'");
		my $place = 0;

		@wrong = @rows == @should ? () : @rows . ' rows';
		foreach my $should (@should)
		{
			push @wrong, compare(shift @rows || {}, {
				database => 'postgres', server => $server, user_name => $me, place => ++$place,
				%$should });
		}
		return !@wrong;
	});
	is(join("\n", map { "$server: $_" } @wrong), '', $what);
	return;
}

wait_so('the session that waits for an attempt is in the queue', 'probed',
	{ since => [$from], priority => 0, of($one, q(SELECT pool_exec('probed', 'select 1'))) });
close $dead;
$one->result;
step('the attempt of a half open breaker fails, and opens it again', 'probed',
	acquire_failures => 1, connect_errors => 1, retry_failures => 1,
	breaker_trips => 1, breaker => 'open', breaker_opened_at => 'lately',
	last_error => qr/reset by peer|closed the connection/, last_error_at => 'lately');
wait_so('the queue is empty after the attempt has failed', 'probed');

pool('queue', max_size => 1, priority => 10);
$lease = acquire($two, 'queue');
my (@queue, @waiters);
foreach my $priority (5, 10, 7, 20, -3, 5)
{
	my $session = session($local);
	my $statement = "SELECT pool_exec('queue', 'select $priority')";
	my %row = (since => [time], priority => $priority < 10 ? $priority : 10);

	$session->query('SET application_name = \'test ' . $session->pid
		  . "'; SET pool.priority = $priority");
	$session->begin($statement);
	push @waiters, $session;
	push @queue, { %row, of($session, $statement) };
	@queue = sort { $b->{priority} <=> $a->{priority} } @queue;		# who came first stays first
	wait_so('a session of priority ' . $priority . ' has its place in a queue of ' . @queue,
		'queue', @queue);
}
release($two, $lease);
$_->result foreach @waiters;
$_->quit foreach @waiters;
wait_so('the queue is empty after all are served', 'queue');
step('each session that waited is served once', 'queue',
	used(6), acquires => 7, releases => 7, connects => 1, rows => 6);

unchanged('nothing was counted for pools that nobody used');
$_->quit foreach $one, $two;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
