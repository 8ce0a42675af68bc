# 058_silent_remotes.pl
#	Connections that died without a word: a firewall has forgotten them, or the
#	remote's machine is gone.  Stopped remote sessions stand for both.  A session
#	that meets one waits no longer than its time-outs say, and none pays for what
#	another one has found out.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $session = session($local);
my @stopped;

# Only what a session does finds out that a remote is silent.
sub server
{
	return new_server($local, $remote,
		{   health_check_interval => 0,
			health_check_timeout => '3s',
			validate_after_idle => '1ms',
			@_ });
}

# remote_pids(server): of its connections that are idle, the one first that is
# leased next
sub remote_pids
{
	my ($name) = @_;

	return split /\n/,
	  sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$name'"
		  . " AND state = 'idle' ORDER BY since DESC");
}

# open_idle(server, n): so many connections, and the time after which they are
# validated has passed
sub open_idle
{
	my ($name, $n) = @_;

	sql($local, "SELECT pool_prewarm('$name', $n)");
	return wait_for_value($local,
		"SELECT count(*) FROM pool_connections WHERE server = '$name'"
		  . " AND state = 'idle' AND clock_timestamp() - since > '2ms'",
		$n, "$n connections of $name are idle");
}

sub stop_remote
{
	push @stopped, @_;
	return kill 'STOP', @_;
}

# go_on(): the remote sessions that were stopped
sub go_on
{
	kill 'CONT', @stopped;
	@stopped = ();
	return;
}

# let_go(): the same, and see them end
sub let_go
{
	my $pids = join ', ', @stopped;

	go_on();
	return wait_for_app_sessions($remote, 0,
		'remote sessions that were given up end when they go on',
		condition => "pid IN ($pids)", seconds => 30);
}

#
# Five idle ones, all of them silent
#
my %cases = (
	'acquire_timeout' => [ { acquire_timeout => '6s' }, '' ],
	'pool.acquire_timeout' => [ {}, q(SET pool.acquire_timeout = '6s'; ) ],
	'query_timeout' => [ { query_timeout => '2s' }, '' ]);
foreach my $what (sort keys %cases)
{
	my ($options, $before) = @{ $cases{$what} };
	my $name = server(max_size => 5, %$options);

	open_idle($name, 5);
	stop_remote(remote_pids($name));
	my $answer = $session->query($before . pid_query($name), 60);
	like($answer->{out}, qr/^\d+$/, "with $what a new connection answers where five are silent")
	  or diag($answer->{err});
	cmp_ok($answer->{secs}, '<', 12, "with $what five silent connections cost one wait, not five");
	is(stat_of($local, 'validation_failures', $name), '1',
		"with $what a session that has found a connection dead tries no other idle one");
	$session->query('RESET pool.acquire_timeout');
	if ($what eq 'acquire_timeout')
	{
		wait_for_value($local,
			"SELECT closed_check_failed, idle, open FROM pool_stats_all() WHERE server = '$name'",
			'5|1|1', 'the worker closes the others as well', seconds => 30);
		let_go();
	}
	go_on();
}

# A time in which nothing can be found out
foreach my $timeout ('0', '1s')
{
	my $name = server(max_size => 5);

	open_idle($name, 5);
	stop_remote(remote_pids($name));
	my $answer =
	  $session->query("SET pool.acquire_timeout = '$timeout'; " . pid_query($name), 60);
	cmp_ok($answer->{secs}, '<', 6,
		"with acquire_timeout $timeout five silent connections end in an answer or an error");
	like($answer->{state}, qr/^(?:00000|08001)$/,
		"with acquire_timeout $timeout an error says that nothing could be connected")
	  or diag($answer->{err});
	$session->query('RESET pool.acquire_timeout');
	go_on();
}

#
# The first of five is silent, and the others are well: they are kept.
#
my $name = server(max_size => 5, acquire_timeout => '6s');
open_idle($name, 5);
my @pids = remote_pids($name);
stop_remote($pids[0]);
my $answer = $session->query(pid_query($name));
like($answer->{out}, qr/^\d+$/, 'a session gets an answer where one of five connections is silent');
cmp_ok($answer->{secs}, '<', 9, 'one silent connection costs one wait');
wait_for_value($local,
	"SELECT closed, health_checks FROM pool_stats_all() WHERE server = '$name'",
	'1|4', 'the worker checks the other four, and keeps them', seconds => 30);
let_go();

#
# They are checked side by side.
#
$name = server(max_size => 5, acquire_timeout => '6s', health_check_timeout => '1h');
open_idle($name, 5);
stop_remote(remote_pids($name));
like($session->query(pid_query($name))->{out}, qr/^\d+$/,
	'a session does not wait for the checks of silent connections');
is(sql($local,
		"SELECT count(*) FROM pool_connections WHERE server = '$name' AND state = 'checking'"),
	'4', 'silent connections are checked side by side');
go_on();
wait_for_value($local, "SELECT idle FROM pool_stats WHERE server = '$name'",
	5, 'connections that answer a check after all are kept');

#
# Resets: a lease whose remote is silent at its end costs the next session
# health_check_timeout, once, and nothing where there is room.
#
my $log = log_offset($local);
$name = server(max_size => 1, health_check_timeout => '500ms');
my ($lease, $pid) = acquire_lease($session, $name);
stop_remote($pid);
$session->query("SELECT pool_release($lease)");
$answer = $session->query(pid_query($name));
like($answer->{out}, qr/^(?!$pid$)\d+$/,
	'the next session gets another connection after a silent one');
is(log_count($local, qr/gave up waiting for remote process/, $log), 0,
	'it waits for health_check_timeout, not for the end of the connection as well');
cmp_ok($answer->{secs}, '<', 20, 'that is not long');
let_go();

$name = server(max_size => 2, health_check_timeout => '1h');
($lease, $pid) = acquire_lease($session, $name);
stop_remote($pid);
$session->query("SELECT pool_release($lease)");
$answer = $session->query(pid_query($name), 20);
like($answer->{out}, qr/^\d+$/,
	'a reset that gets no answer keeps nobody waiting where there is room');
go_on();

$session->quit;
settled($local, 'nothing is under way, and the sums hold', 20);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
