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
	my %report = proxy_report($proxy);
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
stop_proxy($proxy);
done_testing();
