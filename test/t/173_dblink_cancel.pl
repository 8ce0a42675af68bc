# 173_dblink_cancel.pl
#	dblink_cancel_query(): the statement gets 57014, the connection stays with its
#	name, and no other statement is hit, neither another session's nor the next one of
#	the same connection.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(max_size => 3, acquire_timeout => '60s');
create_server($local, 'one', $remote, options => { max_size => 1, acquire_timeout => '60s' });
sql($local, 'CREATE EXTENSION pool_dblink');
create_caught($local);
my $session = session($local);
my $pid = q{SELECT p FROM dblink('x', 'select pg_backend_pid()') AS r(p int)};
my $cancel = q{SELECT dblink_cancel_query('x')};
my $get = q{SELECT t FROM dblink_get_result('x') AS r(t text)};
my $turns = 100;

# send_query(statement): over x
sub send_query
{
	my ($statement) = @_;

	return $session->query("SELECT dblink_send_query('x', '$statement')");
}

# runs(what): a test: a statement that takes long runs at the remote
sub runs
{
	my ($what) = @_;

	send_query('select pg_sleep(600)');
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_remote_statement($remote, "a statement runs $what");
}

# is_cancelled(what): tests: what was sent was cancelled, and the connection is of use
sub is_cancelled
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(caught($session, $get), qr/^57014 canceling statement due to user request/,
		"the statement is cancelled $what");
	answers($session, $get, '', "its answer has come to an end $what");
	answers($session, q{SELECT t FROM dblink('x', 'select 42') AS r(t text)},
		42, "the connection is of use $what");
	return;
}

foreach my $mode (qw(session transaction))
{
	my $in = "in mode $mode";
	my $kept = $mode eq 'session';

	$session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('x', 'one')");
	my $first = $session->query($pid)->{out};
	my $closed = stat_of($local, 'closed_canceled', 'one');

	# What does not run is not cancelled.
	answers($session, $cancel, 'OK', "nothing is cancelled, $in");
	send_query('select 7');
	wait_until(20, sub { $session->query(q{SELECT dblink_is_busy('x')})->{out} eq '0' });
	answers($session, $cancel, 'OK', "nor is what has its answer, $in");
	answers($session, $get, 7, "which is still there, $in");
	answers($session, $get, '', "and is all, $in");
	answers($session, $pid, $first, "nothing has become of the connection, $in");

	# What runs is, again and again.
	foreach my $turn (1 .. 3)
	{
		runs("$in, turn $turn");
		answers($session, $cancel, 'OK', "the remote is told to cancel it, $in, turn $turn");
		is_cancelled("$in, turn $turn");
	}
	runs("$in, and is cancelled twice");
	$session->query("$cancel; $cancel");
	is_cancelled("$in, twice");
	is($session->query($pid)->{out} eq $first, $kept,
		"in mode session the connection is the same, $in");
	$session->query(q{SELECT dblink_disconnect('x')});
	settled($local);
	is(stat_of($local, 'closed_canceled', 'one') - $closed,
		$kept ? 1 : 4, "a connection is closed when its lease ends, $in");
	remote_count($local, $remote, "and so is the remote's session, $in");
}

# What has lost its connection and waits for another one is, without one.  A worker that is
# stopped relays nothing, so with TLS the loss would not be seen.
if (!$ENV{POOL_TEST_TLS})
{
	$session->query(q{SET pool_dblink.mode = 'transaction'; SELECT dblink_connect('x', 'one')});
	$session->query($pid);
	my $asleep = worker_pid($local);
	kill 'STOP', $asleep;
	ok(wait_until(20, sub { slurp_file("/proc/$asleep/stat") =~ /^\d+ \(.*\) T/ }),
		'the worker opens no connection');
	terminate_app_sessions($remote);
	ok(wait_until(20, sub { app_sessions($remote) == 0 }), 'the remote has closed the one');
	send_query('select 8');
	answers($session, $cancel, 'OK', 'what waits for another connection is cancelled');
	kill 'CONT', $asleep;
	is_cancelled('that waits for another connection');
	$session->query(q{SELECT dblink_disconnect('x')});
	settled($local);
}

# The session ends.
foreach my $end (qw(quit pg_terminate_backend))
{
	$session->query(q{SET pool_dblink.mode = 'session'; SELECT dblink_connect('x', 'srv')});
	runs("before $end");
	$session->query($cancel);
	my $ended = $session->pid;
	$end eq 'quit' ? $session->quit : sql($local, "SELECT pg_terminate_backend($ended)");
	wait_for_session_end($local, $ended, "the session ends by $end");
	settled($local);
	remote_count($local, $remote, "nothing is left after a cancel and $end");
	$session = session($local);
}

# cancel_without_worker(what, code): the answer to a cancel that the worker sees too late
sub cancel_without_worker
{
	my ($what, $code) = @_;
	my $worker = worker_pid($local);

	$session->query(q{SELECT dblink_connect('x', 'srv')});
	runs("before $what");
	kill 'STOP', $worker;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(wait_until(20, sub { slurp_file("/proc/$worker/stat") =~ /^\d+ \(.*\) T/ }),
		"the worker does not see a cancel before $what");
	$session->begin($cancel);
	wait_until(20, sub {
		sql($local, q(SELECT count(*) FROM pool_connections WHERE closing_reason = 'canceled')) });
	$code->($worker);
	kill 'CONT', $worker;
	return $session->result->{out};
}

# The worker ends, the lease is reclaimed, or the remote has gone, before anything was
# sent.
my $worker = worker_pid($local);
foreach my $end (
	[ 'the end of the worker', qr/^08/, sub { sql($local, "SELECT pg_terminate_backend($_[0])") } ],
	[ 'the end of the remote session', qr/^(57P01|08)/, sub { terminate_app_sessions($remote) } ],
	[ 'a reclaim', qr/^08/, sub {
		sql($local, q(SELECT pool_reclaim(slot) FROM pool_connections WHERE state = 'leased')) } ])
{
	my ($what, $error, $code) = @$end;

	like(cancel_without_worker($what, $code),
		qr/^(OK|could not send cancel request)$/, "a wait for a cancel ends with $what");
	like(caught($session, $get), $error, "and so does the statement, with $what");
	$session->query(q{SELECT dblink_disconnect('x')});
	wait_until(30, sub {
		my $now = worker_pid($local);
		return $now =~ /^\d+$/ && $now ne $worker;
	});
}
settled($local);
remote_count($local, $remote, 'nothing is left of cancels that were not sent');

# The end of the statement and the cancel come at the same time, while other sessions
# use the rest of the pool, and wait for this one's connection.  In each ten turns one
# statement is sure to have its end before, and one after the cancel.
my $until_end = q(DO $$ BEGIN WHILE dblink_is_busy('x') = 1 LOOP PERFORM pg_sleep(0.001);
	END LOOP; END $$;);
my @others = map { session($local) } 1 .. 4;
$_->query(q{SET pool_dblink.mode = 'transaction'}) foreach @others[ 0, 1 ];
$_->begin(<<"SQL") foreach @others;
SELECT dblink_connect('other', 'srv');
DO \$\$
DECLARE
	answer int;
BEGIN
	FOR i IN 1 .. 3 * $turns LOOP
		SELECT t INTO answer
			FROM dblink('srv', format('select %s from pg_sleep(0.002)', i)) AS r(t int);
		IF answer IS DISTINCT FROM i THEN
			RAISE 'asked for %, and got %', i, answer;
		END IF;
	END LOOP;
END \$\$;
SQL
my %ends = ('57014' => 0, '00000' => 0);
my (@wrong, $answer);

foreach my $turn (1 .. $turns)
{
	my $mode = $turn % 2 ? 'session' : 'transaction';
	my $seconds = $turn % 10 == 9 ? 600 : ($turn % 10) * 0.001;
	my $first = $turn % 10 ? '' : $until_end;

	$session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('x', 'srv')")
	  if $turn % 10 < 2;
	$answer = $session->query(
		"SELECT dblink_send_query('x', 'select $turn from pg_sleep($seconds)'); $first"
		  . " $cancel; $get");
	$ends{ $answer->{state} }++;
	push @wrong, "turn $turn: $answer->{out} $answer->{err}"
	  if $answer->{out} !~ ($answer->{state} eq '00000' ? qr/^1\nOK\n$turn$/ : qr/^1\nOK$/);

	# What comes next on the same connection is not hit.
	$session->query($get);
	$answer = $session->query(
		"SELECT t FROM dblink('x', 'select -$turn from pg_sleep(0.01)') AS r(t int)");
	push @wrong, "after turn $turn: $answer->{out} $answer->{err}" if $answer->{out} ne -$turn;
	$session->query(q{SELECT dblink_disconnect('x')}) if $turn % 10 == 9 || $turn == $turns;
}
note(join ', ', map { "$ends{$_} ended with $_" } sort keys %ends);
is_deeply([ sort keys %ends ], [ '00000', '57014' ],
	'a statement and its cancel end in one of two ways');
is("@wrong", '', 'each has its own answer, and the statement after it is not hit');
foreach my $other (@others)
{
	my $end = $other->result(300);

	is($end->{state}, '00000', 'no other statement is hit') or diag($end->{err});
	$other->quit;
}
$session->quit;
settled($local);
remote_count($local, $remote, 'nothing is left after cancels that raced');
done_testing();
