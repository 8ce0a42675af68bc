# 094_answers_to_worker.pl
#	What the worker reads itself, from remotes that do not keep to the protocol:
#	before they say that they are ready, in answer to a check, and at the end of a
#	connection.  What is not exactly as expected closes the connection, at once, and
#	what is not closed at the other end holds its place.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Servers;
use PoolTest::Wire;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1, acquire_timeout => '60s');
my $worker = worker_pid($local);

# answers(answer): the port of a remote that says it is ready, and answers so to
# each request
sub answers
{
	my ($answer) = @_;

	return start_hostile_server($PoolTest::remote_db => sub {
			my ($c) = @_;

			$c->let_in;
			$c->put($answer) while $c->ask;
		});
}

# checked(answer, timeout): a server whose connection is checked all the time
sub checked
{
	my ($answer, $timeout) = @_;
	my $name = new_server($local, $remote,
		{ port => answers($answer), sslmode => 'disable', max_size => 1,
		  health_check_interval => '20ms', health_check_timeout => $timeout || '1h' });

	sql($local, "SELECT pool_prewarm('$name', 1)");
	return $name;
}

#
# Answers to a check
#
my ($parsed, $bound, $row, $done, $ready) = (message('1', ''), message('2', ''),
	row(), complete('SELECT 1'), message('Z', 'I'));
my $good = checked($parsed . $bound . $row x 3 . $done . $ready);
wait_for_value($local, "SELECT health_checks > 3 FROM pool_stats_all() WHERE server = '$good'",
	't', 'a connection that is checked all the time answers');
is(stat_of($local, 'closed', $good), '0', 'a connection that answers is kept');

my %bad = (
	'an error' => $parsed . $bound . message('E', "SERROR\0C22012\0Mno\0\0") . $ready,
	'an error alone' => message('E', "SERROR\0C22012\0Mno\0\0"),
	'a result without ParseComplete' => $bound . $done . $ready,
	'a result without BindComplete' => $parsed . $done . $ready,
	'a row before BindComplete' => $parsed . $row . $bound . $done . $ready,
	'a row after the result' => $parsed . $bound . $done . $row . $ready,
	'two results' => $parsed . $bound . $done . $done . $ready,
	'ReadyForQuery alone' => $ready,
	'no result' => $parsed . $bound . $ready,
	'ReadyForQuery of two bytes' => $parsed . $bound . $done . message('Z', 'II'),
	'an open transaction' => $parsed . $bound . $done . message('Z', 'T'),
	'a failed transaction' => $parsed . $bound . $done . message('Z', 'E'),
	'a COPY' => $parsed . $bound . message('G', "\0\0\0") . $ready,
	'a message of 3 bytes' => $parsed . message('2', '', 3) . $done . $ready,
	'a message of 4 GB' => $parsed . message('N', '', 0xfffffff0),
	'rows without an end' => $parsed . $bound . message('D', 'x' x 1020) x 1100);
foreach my $what (sort keys %bad)
{
	my $name = checked($bad{$what});

	wait_for_value($local,
		"SELECT closed_check_failed > 0 FROM pool_stats_all() WHERE server = '$name'",
		't', "a connection that answers a check with $what is closed");
	sql($local, "DROP SERVER $name CASCADE");
}
my $name = checked($parsed . $bound . $done . $ready . 'N', '200ms');
wait_for_value($local,
	"SELECT closed_check_failed > 0 FROM pool_stats_all() WHERE server = '$name'",
	't', 'a connection on which more has begun to come than the answer is closed');
sql($local, "DROP SERVER $_ CASCADE") foreach $good, $name;

#
# Before it is ready
#
# connects(timeout, bytes...): the SQLSTATE, and what the error says, of who wants a
# connection to a remote that sends these and no more
sub connects
{
	my ($timeout, @bytes) = @_;
	my $port = start_hostile_server($PoolTest::remote_db => sub {
			my ($c) = @_;

			$c->put(message('R', pack 'N', 0), @bytes);
			$c->stall;
		});
	my $server = new_server($local, $remote,
		{ port => $port, sslmode => 'disable', retry_attempts => 1, connect_timeout => $timeout });
	my ($state, $err, $out) = sql_state($local, "SELECT pool_prewarm('$server', 1)");

	sql($local, "DROP SERVER $server CASCADE");
	return "$state $err$out";
}

my $parameter = message('S', "p\0" . 'x' x 5000 . "\0");
like(connects('1s', $parameter), qr/^08001 .*timeout expired/s,
	'a remote that lets the worker in and is not ready is not connected');
like(connects('20s', $parameter x 20, $ready),
	qr/^08001 .*more than 64 kB came before it was ready/s,
	'a remote that sends 100 kB before it is ready is not connected');
is(connects('20s', $parameter x 10, $ready), '00000 1',
	'a remote that sends 50 kB before it is ready is connected');
stop_hostile_servers();

#
# The end of a lease in a transaction, and of a connection: as long as the remote has
# not closed that, it counts, for five seconds.
#
my ($session, $other) = map { session($local) } 1 .. 2;
my ($lease, $first) = acquire_lease($session, 'srv');
$session->query("SELECT pool_exec($lease, '$_')") foreach 'begin', 'create table left_open ()';
$session->query("SELECT pool_release($lease)");
is($other->query(pid_query('srv'))->{out}, $first,
	'a connection is kept whose lease ends within a transaction');
is( sql($remote, q(SELECT count(*) FROM pg_class WHERE relname = 'left_open'),
		db => $PoolTest::remote_db),
	0, 'the transaction is rolled back before the reset');
my $offset = log_offset($local);
my $gave_up = qr/gave up waiting for remote process/;
my $pid = $session->query(pid_query('srv'))->{out};
kill 'STOP', $pid;
sql($local, q(SELECT pool_reconnect('srv')));
my $answer = $other->query(pid_query('srv'));
is(log_count($local, $gave_up, $offset), 1,
	'the place of a connection that its remote does not close is free after a time');
kill 'CONT', $pid;
like($answer->{out}, qr/^(?!$pid$)\d+$/, 'and another connection is opened in it');

# Nobody uses this one, and nobody checks it.
my $unused = new_server($local, $remote, { health_check_interval => 0 });
sql($local, "SELECT pool_prewarm('$unused', 1)");
$pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$unused'");
sql($remote, "SELECT pg_terminate_backend($pid, 10000)");
wait_for_value($local,
	"SELECT open || '/' || closed_remote_closed FROM pool_stats_all() WHERE server = '$unused'",
	'0/1', 'an idle connection that its remote has closed is closed here, too');

#
# A cancel that comes before the statement is read: the remote forgets it, and the
# next one ends the statement.
#
($lease, $pid) = acquire_lease($other, 'srv');
kill 'STOP', $pid;
is( $other->query("SET statement_timeout = '2s';"
		  . " SELECT pool_query($lease, 'select pg_sleep(600)')")->{state},
	'57014', 'a statement is cancelled that the remote has not read');
$other->query("RESET statement_timeout; SELECT pool_release($lease)");
wait_for_value($local, q(SELECT cancels > 0 FROM pool_stats_all() WHERE server = 'srv'), 't',
	'a cancel request is sent before the statement is read');
kill 'CONT', $pid;
wait_for_value($remote, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0,
	'a cancel request that came too early is sent again');
$_->quit foreach $session, $other;

is(worker_pid($local), $worker, 'the worker is the same as at the beginning');
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();
