# 164_drain.pl
#	An answer that nobody wants any more: the worker drains the connection and keeps
#	it, however much of the answer the session has read, and gives up in time.  With
#	pool.fault_unwanted (a build with -DPOOL_FAULT_POINTS) that is so with each
#	statement that is cancelled.  The statements wait for a lock at the remote, so
#	none is faster or slower than the test.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Servers;
use PoolTest::Wire;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my ($session, $other) = map { session($local) } 1 .. 2;
my $keeper = session($remote, db => $PoolTest::remote_db);

sql($local, 'CREATE DOMAIN small AS text CHECK (length(VALUE) < 1000)');
$session->query('SET pool.fault_unwanted = on');

sub server
{
	return new_server($local, $remote,
		{ max_size => 1, health_check_timeout => '1h', acquire_timeout => '60s', @_ });
}

# A statement of so many rows, of which the last one before "after" more waits
my $wait = 'pg_advisory_xact_lock_shared(7)::text';
my $nothing = "select $wait";

sub rows
{
	my ($before, $after) = @_;

	return "select case when g = $before then $wait else repeat('t', 700) end"
	  . " from generate_series(1, $before + $after) g";
}

sub query
{
	my ($target, $statement, $type) = @_;

	$target = "'$target'" if $target !~ /^\d+$/;
	return sprintf 'SELECT count(*) FROM pool_query(%s, $q$%s$q$) AS t(a %s)', $target,
	  $statement, $type || 'text';
}

sub hold_lock { $keeper->query('SELECT pg_advisory_lock(7)'); return; }
sub leave_lock { $keeper->query('SELECT pg_advisory_unlock(7)'); return; }

# wait_at_lock(target, statement, what): a test: the session waits for its answer
sub wait_at_lock
{
	my ($target, $statement, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	hold_lock();
	$session->begin(query($target, $statement));
	return wait_for_app_sessions($remote, 1, "$what: the statement waits",
		condition => q(wait_event = 'advisory'), seconds => 30);
}

# cancel(what): a test: the session's statement ends here
sub cancel
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	sql($local, 'SELECT pg_cancel_backend(' . $session->pid . ')');
	return is($session->result->{state}, '57014', "$what: it is cancelled");
}

# is_drained(server, what): a test
sub is_drained
{
	my ($name, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		"SELECT string_agg(state, ' ') FROM pool_connections WHERE server = '$name'",
		'resetting', "$what: the worker drains the connection");
}

# ends_there(what): a test: what runs at the remote ends, though the lock is held
sub ends_there
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, 0, "$what: the statement ends at the remote",
		condition => q(wait_event = 'advisory'), seconds => 30);
}

# was_drained(server, what): a test: that has come to its end.  Who waits for the
# connection meanwhile would have it given up.
sub was_drained
{
	my ($name, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		"SELECT string_agg(state, ' ') FROM pool_connections WHERE server = '$name'",
		'idle', "$what: all that nobody wants was read", seconds => 30);
}

# closed(server): how many, and which of them for what may be the reason
sub closed
{
	my ($name) = @_;

	return stat_of($local,
		q(concat_ws(' ', 'all', closed, 'canceled', closed_canceled, 'lost', lost)), $name);
}

# is_as_new(server, pid, what): tests: the connection is that one, for both sessions
sub is_as_new
{
	my ($name, $pid, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	was_drained($name, $what);
	is($other->query(pid_query($name))->{out}, $pid, "$what: the connection is kept");
	is($session->query(pid_query($name))->{out}, $pid, "$what: for the session, too");
	is(closed($name), 'all 0 canceled 0 lost 0', "$what: nothing is closed or lost");
	return;
}

#
# Drained
#
my $srv = server();
my $pid = $session->query(pid_query($srv))->{out};
my %answer = (
	'nothing was read' => $nothing,
	'to be read are many rows' => rows(1, 300),
	'rows were read' => rows(300, 300),
	'the last rows are to be read' => rows(300, 0),
	'an error is to be read' => "select $wait || (1 / (g - 1)) from generate_series(1, 1) g",
	'several are to be read' => "$nothing; select 1; select 1 / 0");

foreach my $what (sort keys %answer)
{
	foreach my $proof ('', ', with the proof')
	{
		$other->query(pid_query($srv)) if $proof;
		wait_at_lock($srv, $answer{$what}, "$what$proof");
		cancel("$what$proof");
		is_drained($srv, "$what$proof");
		leave_lock();
		is_as_new($srv, $pid, "$what$proof");
	}
}

# What was prepared is not known to be there any more.
$session->query(join '; ', (query($srv, 'select 4711')) x 5);
wait_at_lock($srv, $nothing, 'prepared');
cancel('prepared');
leave_lock();
was_drained($srv, 'prepared');
is($session->query(query($srv, 'select 4711'))->{out}, 1, 'prepared: the statement runs again');
is(stat_of($local, 'statement_invalidations', $srv), 0,
	'prepared: nothing was taken for prepared that was not');

# What the statement has left, and a transaction
my $lease = $session->acquire($srv);
$session->query("SELECT pool_exec($lease, $_)")
  foreach q('begin'), q('select set_config(''app.secret'', ''mine'', false)');
wait_at_lock($lease, $nothing, 'in a transaction');
cancel('in a transaction');
leave_lock();
$session->release($lease);
was_drained($srv, 'in a transaction');
is($other->query("SELECT t FROM pool_query('$srv', 'select current_setting(''app.secret'', true)')"
	  . ' AS r(t text)')->{out}, '', 'in a transaction: what was set is set no more');
is_as_new($srv, $pid, 'in a transaction');
wait_for_app_sessions($remote, 0, 'in a transaction: it is rolled back',
	condition => q(state LIKE '%transaction%'));

wait_at_lock($srv, "select set_config('client_encoding', 'LATIN1', false) || $wait", 'a setting');
cancel('a setting');
leave_lock();
was_drained($srv, 'a setting');
is($other->query("SELECT t = 'o' || chr(233) FROM pool_query('$srv', 'select ''o'' || chr(233)')"
	  . ' AS r(t text)')->{out}, 't', 'a setting: what is reported is set back');
is_as_new($srv, $pid, 'a setting');

$lease = $session->acquire($srv);
$session->query("SELECT pool_exec($lease, 'begin')");
wait_at_lock($lease, $answer{'an error is to be read'}, 'in a transaction that fails');
cancel('in a transaction that fails');
leave_lock();
$session->release($lease);
is_as_new($srv, $pid, 'in a transaction that fails');

# A session that does not read: of what comes all is on its way to it, more than the
# pair of an encrypted connection holds.
wait_at_lock($srv, rows(1, 700), 'unread');
kill 'STOP', $session->pid;
leave_lock();
wait_for_app_sessions($remote, 0, 'unread: the remote has answered',
	condition => q(state = 'active'));
sql($local, 'SELECT pg_cancel_backend(' . $session->pid . ')');
kill 'CONT', $session->pid;
is($session->result->{state}, '57014', 'unread: it is cancelled');
is_as_new($srv, $pid, 'unread');

# The session ends.
wait_at_lock($srv, rows(300, 300), 'end of the session');
sql($local, 'SELECT pg_terminate_backend(' . $session->pid . ')');
is($session->result->{state}, '57P01', 'end of the session: it ends');
is_drained($srv, 'end of the session');
leave_lock();
$session = session($local);
is_as_new($srv, $pid, 'end of the session');
$session->query('SET pool.fault_unwanted = on');

#
# Given up
#
wait_at_lock($srv, rows(1, 2000), 'too much');
cancel('too much');
is_drained($srv, 'too much');
leave_lock();
wait_for_value($local, "SELECT closed_canceled FROM pool_stats_all() WHERE server = '$srv'",
	1, 'too much: the connection is closed');

my $slow = server(health_check_timeout => '200ms');
wait_at_lock($slow, $nothing, 'too slow');
cancel('too slow');
ends_there('too slow');
wait_for_value($local, "SELECT closed_canceled FROM pool_stats_all() WHERE server = '$slow'",
	1, 'too slow: the connection is closed');
leave_lock();

wait_at_lock($srv, $nothing, 'in the way');
cancel('in the way');
is_drained($srv, 'in the way');
is($other->query(select_42($srv))->{out}, 42, 'in the way: who waits gets another connection');
ends_there('in the way');
is(closed($srv), 'all 2 canceled 2 lost 0', 'in the way: the connection is closed');
leave_lock();

wait_at_lock($srv, rows(300, 300), 'a process of the remote ends');
cancel('a process of the remote ends');
is_drained($srv, 'a process of the remote ends');
terminate_app_sessions($remote);
leave_lock();
is($other->query(select_42($srv))->{out}, 42,
	'a process of the remote ends: another connection is opened');

wait_at_lock($srv, $nothing, 'the worker ends');
cancel('the worker ends');
is_drained($srv, 'the worker ends');
sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
ends_there('the worker ends');
leave_lock();
is($other->query(select_42($srv))->{out}, 42, 'the worker ends: the next one connects');

#
# Not begun: each costs the connection, and ends what runs.
#
# closed_at_once(server, what, reason): tests
sub closed_at_once
{
	my ($name, $what, $reason) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ends_there($what);
	wait_for_value($local,
		"SELECT concat_ws(' ', closed, closed_$reason, lost) FROM pool_stats_all()"
		  . " WHERE server = '$name'",
		'1 1 1', "$what: the connection is closed when it is released");
	leave_lock();
	return;
}

my $own = server(reset_query => 'reset all');
wait_at_lock($own, $nothing, 'another reset query');
cancel('another reset query');
closed_at_once($own, 'another reset query', 'canceled');

my $retired = server();
wait_at_lock($retired, $nothing, 'retired');
sql($local, "SELECT pool_reconnect('$retired')");
cancel('retired');
closed_at_once($retired, 'retired', 'reconnect');

my $failed = server();
hold_lock();
is( $session->query(query($failed, "select repeat('x', 1000) union all " . rows(100, 1), 'small'))
	  ->{state}, '23514', 'an error of the session: a row does not fit');
closed_at_once($failed, 'an error of the session', 'error');

# A statement of which the remote has read a part only
my $large = server();
my ($long, $stopped) = acquire_lease($session, $large);
kill 'STOP', $stopped;
$session->begin("SELECT pool_exec($long, 'select length(\$1)', repeat('x', 50000000))");
wait_for_value($local, 'SELECT count(*) FROM pg_stat_activity WHERE pid = ' . $session->pid
	  . q( AND wait_event_type = 'Extension'), 1, 'sent in part: the session waits', seconds => 30);
cancel('sent in part');
wait_for_value($local,
	"SELECT concat_ws(' ', lost, releases) FROM pool_stats_all() WHERE server = '$large'",
	'1 0', 'sent in part: the connection is closed when it is released');
kill 'CONT', $stopped;
$session->release($long);

#
# Remotes that do not answer as they should
#
my ($parsed, $ready) = (message('1', ''), message('Z', 'I'));
my $begun = "$PostgreSQL::Test::Utils::tmp_check/begun";

# plays(end): a remote that answers "select 'slow'", and what comes next, when that
# has come: with what "end" makes of the good answers to both
sub plays
{
	my ($end) = @_;

	return sub {
		my ($c) = @_;

		$c->let_in;
		while (my @asked = $c->ask)
		{
			my $answer = $c->answer(\@asked);

			if (grep { /^P.*select 'slow'/s } @asked)
			{
				append_to_file($begun, '');
				my ($parse) = grep { /^P/ } $c->ask or return;
				my $marker = message('t', substr $parse, 7) . message('n', '') . $ready;

				$answer = $end->($answer, $parsed . $marker, $marker);
			}
			$c->put($answer);
		}
	};
}

my $discarded = $parsed . message('2', '') . complete('DISCARD ALL') . $ready;
my $port = start_hostile_server(
	forged => plays(
		sub {
			my ($answer, $last, $marker) = @_;

			# Numbers of another one, and one that ends too early
			(my $old = $marker) =~ tr/\x80-\xff/\x81-\xff\x80/;
			return $answer . $old . substr($marker, 0, 20) . $last;
		}),
	more => plays(sub { return "$_[0]$_[1]$discarded" }),
	less => plays(sub { return $_[0] . substr $_[1], 0, -6 }));

sub hostile
{
	my ($name) = @_;
	my $hostile = server(port => $port, sslmode => 'disable', dbname => $name,
		$name eq 'less' ? (health_check_timeout => '1s') : ());

	unlink $begun;
	$session->begin(query($hostile, q(select 'slow')));
	ok(wait_until(30, sub { return -e $begun }), "$name: the statement is begun");
	cancel($name);
	return $hostile;
}

# events(server, what): how many resets, closed, and closed for what reason
sub events
{
	my ($name, $reason, $expected, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		"SELECT concat_ws(' ', resets, closed, closed_$reason) FROM pool_stats_all()"
		  . " WHERE server = '$name'", $expected, $what, seconds => 30);
}

events(hostile('forged'), 'unclean', '1 0 0', 'the worker looks for its own numbers');
events(hostile('more'), 'unclean', '0 1 1', 'more that comes behind them closes the connection');
events(hostile('less'), 'canceled', '0 1 1', 'so does an answer that does not end');
stop_hostile_servers();

$_->quit foreach $session, $other, $keeper;
settled($local);
no_crash($local, $remote);
done_testing();
