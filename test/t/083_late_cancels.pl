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
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local();
my $proxy = start_proxy($remote);
create_server($local, 'srv', $remote, options => { port => $proxy->{port}, max_size => 1 });

my ($session, $next, $control) = map { session($local) } 1 .. 3;
my $gate = session($remote, db => $PoolTest::remote_db);
my $sleep = q(SELECT pool_query('srv', 'select pg_sleep(600)'));
my $sleepers = q(SELECT count(*) FROM pg_stat_activity
	WHERE usename = 'app' AND query LIKE '%pg_sleep(600)%' AND state = 'active');

# begin_statement(what): a test: the session's statement runs
sub begin_statement
{
	my ($what) = @_;

	$session->begin($sleep);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($gate, $sleepers, 1, "a statement runs before $what", seconds => 30);
}

# give_up(what): tests: the session gives up on its statement, and is free at once
sub give_up
{
	my ($what) = @_;
	my $since = time;

	$control->query('SELECT pg_cancel_backend(' . $session->pid . ')');
	my $answer = $session->result;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{state}, '57014', "a session gives up on its statement when $what");
	cmp_ok(time - $since, '<', 20, "a session that gave up is free at once when $what");
	return;
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
# nobody answers.  The place is kept for as long as the remote has to go, which is five
# seconds.
#
tell_proxy($proxy, 'cancels hold');
begin_statement('cancels are not answered');
$next->begin(select_42('srv'));
wait_for_waiters($local, 1, 'another session waits for the place of a statement');
my $granted_before = stat_of($control, 'acquires');
give_up('cancels are not answered');
is($next->busy && sql($gate, $sleepers), 1,
	'the place is kept while the remote goes on with the statement');
is(stat_of($control, 'acquires'), $granted_before, 'nobody has got the place meanwhile');
is($next->result(60)->{out}, '42', 'the place is given up when the remote has had its time');
my %report = proxy_report($proxy);
cmp_ok($report{held}, '>', 0, "cancel requests were kept from the remote: $report{held}");
like(log_since($local), qr/gave up waiting for remote process \d+ to end/,
	'the log says that the remote was given up');
is(sql($gate, $sleepers), 1, 'the statement that was given up runs on at the remote');

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
my $in_time = 0;
foreach my $turn (1 .. 5)
{
	my $offset = log_offset($local);

	tell_proxy($proxy, $turn % 2 ? 'cancels drop' : 'cancels hold');
	my %before = proxy_report($proxy);
	begin_statement("turn $turn");
	begin_behind_gate(44);
	give_up("cancels are late, turn $turn");
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

	# The pool has given up on it if the requests were held up for too long here.
	my $late = log_count($local, qr/gave up waiting for remote process/, $offset);

	$in_time++ if !$late;
	is(sql($gate, $sleepers), 0, "turn $turn: the statement that was given up has ended")
	  if !$late;
	terminate_app_sessions($remote) if $late;
	settled($local);
}
cmp_ok($in_time, '>', 0, 'the pool waits for statements that it has given up');

settled($local);
remote_count($local, $remote);
$_->quit foreach $session, $next, $control, $gate;
stop_proxy($proxy);
no_crash($local, $remote);

done_testing();
