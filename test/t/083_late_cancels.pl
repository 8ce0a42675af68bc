# 083_late_cancels.pl
#	Cancel requests that the remote does not answer, that get lost, or that come
#	late: a cancel hits the statement that it is for or nobody.  The place of a
#	connection on which a statement was given up is not used again before its end,
#	or before pool has waited for that long enough; its session is free at once.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $proxy = start_proxy($remote);
create_server($local, 'srv', $remote, options => { port => $proxy->{port}, max_size => 1 });

my $session = session($local, options => '-c statement_timeout=500ms');
my $next = session($local);
my $gate = session($remote, db => $PoolTest::remote_db);
my $sleep = q(SELECT pool_query('srv', 'select pg_sleep(600)'));
my $open = q(SELECT open + closing FROM pool_stats WHERE server = 'srv');

# give_up(what): tests: a session gives up on its statement, and is free at once
sub give_up
{
	my ($what) = @_;
	my $answer = $session->query($sleep);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, '57014', "a session gives up on its statement when $what");
	cmp_ok($answer->{secs}, '<', 20, "a session that gave up is free at once when $what");
	return;
}

sub sleepers
{
	return app_sessions($remote, q(query LIKE '%pg_sleep(600)%' AND state = 'active'));
}

# begin_behind_gate(value): the next statement, which ends at open_gate() with that
sub begin_behind_gate
{
	my ($value) = @_;

	$gate->query('SELECT pg_advisory_lock(1)');
	return $next->begin("SELECT t FROM pool_query('srv',"
		  . " 'select $value from pg_advisory_xact_lock(1)') AS r(t int)");
}

# open_gate(what): tests: the next statement runs, and no cancel request is under way
sub open_gate
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_app_sessions($remote, 1, "the next statement runs $what",
		condition => q(wait_event = 'advisory'), seconds => 30);
	ok( wait_until(20, sub {
			my %now = proxy_report($proxy);
			return $now{held} + $now{canceling} == 0;
		}),
		"the remote has had all cancel requests $what");
	$gate->query('SELECT pg_advisory_unlock(1)');
	return;
}

#
# The port for cancel requests takes them, and that is all: a request is sent, and
# nobody answers.  The place is kept for as long as the remote has to go.
#
tell_proxy($proxy, 'cancels hold');
give_up('cancels are not answered');
my $granted_before = stat_of($local, 'acquires');
$next->begin(select_42('srv'));
wait_for_waiters($local, 1, 'another session waits for the place of a statement that was given up');
is($next->busy && sleepers(), 1, 'the place is kept while the remote goes on with the statement');
is(stat_of($local, 'acquires'), $granted_before, 'nobody has got the place meanwhile');
is($next->result(60)->{out}, '42', 'the place is given up when the remote has had its time');
my %report = proxy_report($proxy);
cmp_ok($report{held}, '>', 0, "cancel requests were kept from the remote: $report{held}");
like(log_since($local), qr/gave up waiting for remote process \d+ to end/,
	'the log says that the remote was given up');
is(sleepers(), 1, 'the statement that was given up runs on at the remote');

#
# Now they come, late: while the next statement of the pool runs
#
begin_behind_gate(43);
wait_for_app_sessions($remote, 1, 'the next statement runs before late cancel requests come',
	condition => q(wait_event = 'advisory'));
tell_proxy($proxy, 'cancels release', 'cancels pass');
wait_for_app_sessions($remote, 0, 'a late cancel request ends the statement that it is for',
	condition => q(query LIKE '%pg_sleep(600)%' AND state = 'active'));
open_gate('after late ones');
my $answer = $next->result;
is($answer->{out}, '43', 'a late cancel request does not hit the next statement')
  or diag($answer->{err});
settled($local);
remote_count($local, $remote);

#
# Requests that get lost, and requests that are late by less: they are sent again and
# again until the remote has ended, and only then comes the next one.
#
foreach my $turn (1 .. 5)
{
	tell_proxy($proxy, $turn % 2 ? 'cancels drop' : 'cancels hold');
	my %before = proxy_report($proxy);
	give_up("cancels are late, turn $turn");
	begin_behind_gate(44);
	ok( wait_until(20, sub {
			my %now = proxy_report($proxy);
			return $now{cancels} >= $before{cancels} + 2;
		}),
		"turn $turn: a cancel request that was of no use is repeated");
	ok($next->busy, "turn $turn: nobody has the place of a statement that is not cancelled");
	tell_proxy($proxy, 'cancels pass');
	tell_proxy($proxy, 'cancels release');
	open_gate("in turn $turn");
	$answer = $next->result;
	is($answer->{out}, '44', "turn $turn: no cancel request hits the next statement")
	  or diag($answer->{err});
	is(sleepers(), 0, "turn $turn: the statement that was given up has ended");
}

settled($local);
remote_count($local, $remote);
$_->quit foreach $session, $next, $gate;
stop_proxy($proxy);
no_crash($local, $remote);

done_testing();
