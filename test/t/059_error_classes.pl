# 059_error_classes.pl
#	The class of an error says what happened: whether all connections are leased,
#	or none could be made; who has ended a connection, and why.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local(max_files_per_process => 64);
my $session = session($local);

sub server { return new_server($local, $remote, {@_}); }

#
# Nothing could be connected, and all are leased
#
my $mute = mute_remote();
my $name = server(port => $mute->sockport, acquire_timeout => '3s', connect_timeout => '1h');
my $answer = $session->query(pid_query($name));
is($answer->{state}, '08001', 'an attempt that does not end in time is no want of connections');
like($answer->{err}, qr/connections that are being opened is [12], /,
	'the error says that a connection is being opened');
unlike($answer->{err}, qr/max_size/, 'the error gives no advice about max_size');
sql($local, "DROP SERVER $name CASCADE");

$name = server(port => $mute->sockport, acquire_timeout => '2s', connect_timeout => '100ms',
	retry_attempts => 1000, breaker_threshold => 0);
$answer = $session->query(pid_query($name));
is($answer->{state}, '08001', 'attempts that failed are no want of connections');
like($answer->{err}, qr/The last attempt to connect failed: .*timeout expired/,
	'the error has the cause of the last attempt');

$name = server(max_size => 1, acquire_timeout => '300ms');
my $holder = session($local, options => '-c pool.acquire_timeout=60s');
my ($lease) = acquire_lease($holder, $name);
$answer = $session->query(pid_query($name));
is($answer->{state}, '53300', 'that all connections are leased is a want of connections');
like($answer->{err}, qr/leased 1 of at most 1 .*max_size/s,
	'the error says that all are leased, and what to change');
$holder->query("SELECT pool_release($lease)");

#
# A lease whose remote has ended the session
#
$name = server(max_size => 2);
my $dead_pid;
($lease, $dead_pid) = acquire_lease($session, $name);
sql($remote, "SELECT pg_terminate_backend($dead_pid, 10000)");
$answer = $session->query(pid_query($lease));
is($answer->{state}, '57P01', 'a lease whose remote session was terminated tells so');
my $said = 'The remote said: terminating connection due to administrator command';
like($answer->{err},
	qr/remote has ended the connection of lease.*The statement was not sent\.  $said/s,
	'the error has the words of the remote');
is($session->query(pid_query($lease))->{state}, '08003', 'the lease has no connection after that');
$session->query("SELECT pool_release($lease)");

($lease, $dead_pid) = acquire_lease($session, $name);
$session->query(
	"SELECT pool_exec($lease, 'set idle_in_transaction_session_timeout = 1'),"
	  . " pool_exec($lease, 'begin')");
wait_for_session_end($remote, $dead_pid, 'the remote ends a transaction that is idle for too long');
$answer = $session->query(pid_query($lease));
is($answer->{state}, '25P03', 'a lease that was idle in a transaction for too long tells so');
like($answer->{err}, qr/The remote said: terminating connection due to idle-in-transaction timeout/,
	'the error tells of the idle transaction');
$session->query("SELECT pool_release($lease)");

#
# The reset: refused, and not the reset at all
#
my $other = session($local);
$name = server(max_size => 1, reset_query => 'select 1/0', validate_after_idle => '1h');
$session->query(pid_query($name));
$answer = $other->query(pid_query($name));
is($answer->{state}, '22012',
	'a reset that is refused is an error with the SQLSTATE of the remote');
like($answer->{err}, qr/did not accept the reset of the connection: division by zero/,
	'the error says that the reset was refused, and why');

# The remote session ends itself while it is reset.
$name = server(max_size => 1,
	reset_query => 'select pg_terminate_backend(pg_backend_pid())',
	validate_after_idle => '1h');
$session->query(pid_query($name));
$answer = $other->query(pid_query($name));
unlike($answer->{err}, qr/did not accept the reset/,
	'a remote session that ends during the reset has not refused it');
$_->quit foreach $holder, $other;

#
# Out of descriptors, which is no news of the remote
#
$name = server(
	max_size => 40,
	connect_parallel => 40,
	acquire_timeout => '2s',
	retry_delay => '10ms',
	retry_max_delay => '10ms',
	breaker_threshold => 1);
$session->query(pid_query($name));
sql_state($local, "SELECT pool_prewarm('$name', 40)");
wait_for_value($local, "SELECT connect_errors > 0 FROM pool_stats WHERE server = '$name'",
	't', 'the worker runs out of descriptors');
like(stat_of($local, 'last_error', $name), qr/too many files are open|Too many open files/,
	'pool_stats tells that there are no more descriptors');
is(stat_of($local, 'breaker_trips', $name), '0', 'a want of descriptors does not open the breaker');
like($session->query(pid_query($name))->{out}, qr/^\d+$/,
	'the connections that are there go on serving');
sql($local, "SELECT pool_close('$name')");

$session->quit;
settled($local, 'nothing is under way, and the sums hold', 20);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
