# 173_dblink_late_cancel.pl
#	A cancel request that comes late, after the lease of its connection: that
#	connection has served nobody else, so nobody else is hit.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use PoolTest::Requests;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $proxy = start_proxy($remote);
create_server($local, 'srv', $remote,
	options => { port => $proxy->{port}, max_size => 1, acquire_timeout => '60s' });
sql($local, 'CREATE EXTENSION pool_dblink');
my $session = session($local);
my $next = session($local);
my $control = session($local);
my $gate = session($remote, db => $PoolTest::remote_db);
my $get = q{SELECT t FROM dblink_get_result('x') AS r(t text)};

# waits_at_gate(what): a test
sub waits_at_gate
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, 1, $what, condition => q(wait_event = 'advisory'));
}

foreach my $mode (qw(session transaction))
{
	# The remote does not hear of the cancel before the statement has ended.
	tell_proxy($proxy, 'cancels hold');
	$gate->query('SELECT pg_advisory_lock(1)');
	$session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('x', 'srv')");
	$session->query(
		q{SELECT dblink_send_query('x', 'select 7 from pg_advisory_xact_lock(1)')});
	waits_at_gate("a statement runs, in mode $mode");
	answers($session, q{SELECT dblink_cancel_query('x')},
		'OK', "a cancel is sent, and is held up, in mode $mode");
	my %report;
	wait_until(20, sub { %report = proxy_report($proxy); return $report{held} > 0 });
	is($report{held}, 1, "one request was sent, in mode $mode");
	$gate->query('SELECT pg_advisory_unlock(1)');
	answers($session, $get, 7, "the statement has its result, in mode $mode");
	answers($session, $get, '', "and that is all, in mode $mode");
	$session->query(q{SELECT dblink_disconnect('x')});

	# Now it does.
	$gate->query('SELECT pg_advisory_lock(1)');
	$next->begin(q{SELECT t FROM pool_query('srv', 'select 8 from pg_advisory_xact_lock(1)')}
		  . q{ AS r(t int)});
	waits_at_gate("the next session's statement runs, in mode $mode");
	tell_proxy($proxy, 'cancels release', 'cancels pass');
	ok( wait_until(20, sub {
			my %now = proxy_report($proxy);
			return $now{held} + $now{canceling} == 0;
		}),
		"the remote has heard of the cancel, in mode $mode");
	$gate->query('SELECT pg_advisory_unlock(1)');
	my $answer = $next->result;
	is($answer->{out}, 8, "the next session's statement is not hit, in mode $mode")
	  or diag($answer->{err});
	settled($local);
	remote_count($local, $remote);
}

# begin_cancel(): a statement runs, and its cancel is held up
sub begin_cancel
{
	my %before;

	tell_proxy($proxy, 'cancels hold');
	%before = proxy_report($proxy);
	$gate->query('SELECT pg_advisory_lock(1)');
	$session->query(q{SET pool_dblink.mode = 'session'; SELECT dblink_connect('x', 'srv')});
	$session->query(
		q{SELECT dblink_send_query('x', 'select 9 from pg_advisory_xact_lock(1)')});
	waits_at_gate('a statement runs');
	$session->begin(q{SELECT dblink_cancel_query('x')});
	wait_until(20, sub {
		my %now = proxy_report($proxy);
		return $now{held} == 1;
	});
	return %before;
}

# A session ends that waits for a cancel: the statement is cancelled in another way.
my %before = begin_cancel();
my $ended = $session->pid;
sql($local, "SELECT pg_terminate_backend($ended)");
$session->quit;
ok( wait_until(20, sub {
		my %now = proxy_report($proxy);
		return $now{cancels} >= $before{cancels} + 2;
	}),
	'the statement of a session that has ended is cancelled, though a cancel was under way');
tell_proxy($proxy, 'cancels release', 'cancels pass');
$gate->query('SELECT pg_advisory_unlock(1)');
settled($local);
remote_count($local, $remote);

# A session is interrupted in its wait, and wants its next statement cancelled before the
# remote has heard of the first cancel.  The wait is over by itself after two seconds.
$session = session($local);
my $waited;
foreach (1 .. 5)
{
	begin_cancel();
	$control->query('SELECT pg_cancel_backend(' . $session->pid . ')');
	$waited = $session->result->{state};
	$gate->query('SELECT pg_advisory_unlock(1)');
	answers($session, $get, 9, 'the statement has its result');
	answers($session, $get, '', 'and that is all');
	last if $waited ne '00000';
	$session->query(q{SELECT dblink_disconnect('x')});
	tell_proxy($proxy, 'cancels release', 'cancels pass');
	settled($local);
}
is($waited, '57014', 'a wait for a cancel is interrupted');
tell_proxy($proxy, 'cancels pass');
$session->query(q{SELECT dblink_send_query('x', 'select pg_sleep(600)')});
wait_for_remote_statement($remote, 'another one runs on the same connection');
answers($session, q{SELECT dblink_cancel_query('x')}, 'OK', 'and is cancelled');
create_caught($local);
like(caught($session, $get), qr/^57014/, 'by a request of its own');
$session->query(q{SELECT dblink_disconnect('x')});
settled($local);
remote_count($local, $remote);
stop_proxy($proxy);
done_testing();
