# 104_idle_bytes.pl
#	A remote session that says something while nobody asks: a notification comes to a
#	connection that lies idle, that is leased and quiet, or that was just handed on.
#	It is closed before anything more is sent, and no session reads what was meant
#	for another.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;
use Time::HiRes qw(usleep);

my $remote = start_remote();
my $local = start_local();
my $name = new_server($local, $remote, { max_size => 1, reset_query => '' });
my ($one, $two) = map { session($local) } 1, 2;
my $notify = session($remote, db => $PoolTest::remote_db);
my $listen = "SELECT pool_exec('$name', 'listen news')";

# Idle: without a reset query, it goes on listening.
my $pid = $one->query("$listen; " . pid_query($name))->{out};
($pid) = $pid =~ /(\d+)$/;
wait_for_value($local, "SELECT idle FROM pool_stats WHERE server = '$name'", 1,
	'a connection that listens is idle');

# What comes while a statement runs is read with its answer, so there is a notification
# before each.
my $next;
ok( wait_until(
		20,
		sub {
			$notify->query(q(NOTIFY news, 'a'));
			($next) = $two->query(pid_query($name))->{out};
			return $next ne $pid;
		}),
	'when something has come, the next session gets another connection');
like($next, qr/^\d+$/, 'and its own answer');
is(stat_of($local, 'closed', $name), '1', 'the connection that was not quiet is closed');

# Leased and quiet: what comes between two statements ends the connection, before
# the next one is sent.
my ($lease, $leased) = acquire_lease($one, $name);
$one->query("SELECT pool_exec($lease, 'listen news')");
my $answer;
ok( wait_until(
		20,
		sub {
			$notify->query(q(NOTIFY news, 'b'));
			usleep(100_000);
			$answer = $one->query("SELECT t FROM pool_query($lease, 'select 3') AS r(t int)");
			return $answer->{state} ne '00000';
		}),
	'a lease to which a notification comes ends with an error');
is($answer->{state}, '08006', 'which says that the connection is lost');
like($answer->{err}, qr/The statement was not sent/, 'and that nothing was sent');
is($one->release($lease)->{err}, '', 'it can be released');
foreach my $turn (1 .. 3)
{
	is($_->query(select_42($name))->{out}, '42', "then each session has its own answer, turn $turn")
	  foreach $two, $one;
}

# Under way: notifications all the time, between two sessions that take turns.
$notify->begin(<<'SQL');
DO $$
BEGIN
	LOOP
		NOTIFY news;
		COMMIT;
		PERFORM pg_sleep(0.003);
	END LOOP;
END $$
SQL
my ($asked, @wrong) = (0);
while ($asked < 50 && $notify->busy)
{
	foreach my $session ($one, $two)
	{
		my $answer = $session->query("SELECT pool_exec('$name', 'listen news'); "
			  . "SELECT t FROM pool_query('$name', 'select $asked') AS r(t int)");

		push @wrong, "$asked: $answer->{out} $answer->{err}"
		  if $answer->{out} !~ /^0\n$asked$/;
		$asked++;
	}
}
ok($notify->busy, 'notifications came all the time');
sql($remote, 'SELECT pg_cancel_backend(' . $notify->pid . ')');
is($notify->result->{state}, '57014', 'they came until they were stopped');
cmp_ok($asked, '>=', 50, 'statements were answered while notifications came');
is(join("\n", @wrong), '', 'each with its own answer');

$_->quit foreach $one, $two, $notify;
settled($local);
no_crash($local, $remote);

done_testing();
