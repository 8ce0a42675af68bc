# 104_queues.pl
#	Many who hold and many who wait: two sessions that want what the other one has,
#	in two pools; a hundred that wait for one connection, of which every second is
#	canceled; fifty leases whose worker ends, and workers that end while they start;
#	and a statement_timeout in the middle of a million rows.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Memory;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote(max_connections => 120);
my $local = start_local(max_connections => 150, 'pool.max_connections' => 80);
create_server($local, $_, $remote, options => { max_size => 1, acquire_timeout => '60s' })
  foreach 'west', 'east';
my ($one, $two) = map { session($local) } 1, 2;

#
# Crosswise: a time-out, not a hang
#
my %lease = (one => $one->acquire('west'), two => $two->acquire('east'));
my $want = q(SELECT pool_acquire('%s', timeout => '%s'));
$two->begin(sprintf $want, 'west', '300s');
wait_for_waiters($local, 1, 'one waits for what the other has', 'west');
$one->begin(sprintf $want, 'east', '500ms');
is($one->result(30)->{state}, '53300', 'who waits crosswise is told so in time');
wait_for_waiters($local, 1, 'the other one goes on waiting', 'west');
is($one->query("SELECT t FROM pool_query($lease{one}, 'select 3') AS r(t int)")->{out}, '3',
	'a lease can be used after the wait for another one was in vain');
is($one->release($lease{one})->{err}, '', 'and released');
like($two->result(30)->{out}, qr/^\d+$/, 'then the other one is served');
$two->release($lease{two});

# By statements without a lease of their own, in one query of each session
sql($local, <<'SQL');
CREATE FUNCTION twice(outer_server text, inner_server text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(t, ',') FROM pool_query(pool_acquire(outer_server), 'select ''outer''')
		AS o(t text) WHERE pool_exec(inner_server, 'select 1') = 1
$$;
SQL
sql($local, "ALTER SERVER $_ OPTIONS (SET acquire_timeout '1s')") foreach 'west', 'east';
my %state;
foreach my $turn (1 .. 5)
{
	$one->begin(q(SELECT twice('west', 'east')));
	$two->begin(q(SELECT twice('east', 'west')));
	foreach my $session ($one, $two)
	{
		my $answer = $session->result(30);

		$state{ $answer->{state} }++;
		is($answer->{out}, 'outer', "turn $turn: an answer is the right one")
		  if $answer->{state} eq '00000';
	}
}

# 08001: on a busy machine the worker's answer takes as long.
is(join(' ', grep { !/^(00000|53300|08001)$/ } keys %state), '',
	'statements that want two pools crosswise are answered, or told that the time is over');
sql($local, "ALTER SERVER $_ OPTIONS (SET acquire_timeout '300s')") foreach 'west', 'east';
at_rest($local, $remote, 'after the crosswise waits');

#
# A hundred wait for one connection, and every second is canceled, from the last to
# the first and while others are served.
#
my $token = q(SELECT t FROM pool_query('west', 'select $1', %d) AS r(t int));
my @waiters = map { session($local) } 1 .. 100;
my $held = $one->acquire('west');
$waiters[$_]->begin(sprintf $token, $_) foreach 0 .. $#waiters;
wait_for_waiters($local, 100, 'a hundred sessions wait for one connection', 'west');
my @victims = grep { $_ % 2 } reverse 0 .. $#waiters;
$two->query('SELECT pg_cancel_backend(' . $waiters[$_]->pid . ')') foreach splice @victims, 0, 25;
wait_for_waiters($local, 75, 'who is canceled waits no more', 'west');
$one->release($held);
$two->query('SELECT pg_cancel_backend(' . $waiters[$_]->pid . ')') foreach @victims;
my (%outcome, @wrong);
foreach my $n (0 .. $#waiters)
{
	my $answer = $waiters[$n]->result(60);

	$outcome{ ($n % 2 ? 'victim ' : '') . $answer->{state} }++;
	push @wrong, "$n: $answer->{out}" if $answer->{state} eq '00000' && $answer->{out} ne $n;
}
is("@wrong", '', 'each gets its own answer');
is($outcome{'00000'}, 50, 'whoever was not canceled is served');
is(($outcome{'victim 57014'} || 0) + ($outcome{'victim 00000'} || 0), 50,
	'who was canceled has an error, or was served before');
cmp_ok($outcome{'victim 57014'}, '>=', 25, 'those who were canceled in the queue have an error');
is($waiters[1]->query(sprintf $token, 7)->{out}, '7', 'one of them goes on');
at_rest($local, $remote, 'after the queue');

#
# Fifty hold a lease, half of them run a statement, when the worker ends.
#
create_server($local, 'wide', $remote,
	options => { max_size => 50, connect_parallel => 20, acquire_timeout => '120s' });
is(sql($local, q(SELECT pool_prewarm('wide', 50))), '50', 'fifty connections are open');
my @leases = map { $waiters[$_]->acquire('wide') } 0 .. 49;
$waiters[$_]->query("SELECT pool_exec($leases[$_], 'select 1')") foreach 0 .. 49;
is(stat_of($local, 'active', 'wide'), '50', 'fifty sessions hold a lease');
$waiters[$_]->begin("SELECT pool_exec($leases[$_], 'select pg_sleep(60)')") foreach 0 .. 24;
$waiters[$_]->begin(q(SELECT t FROM pool_query('wide', 'select 42') AS r(t int)))
  foreach 50 .. 59;
wait_for_remote_statement($remote, 'twenty-five run a statement', 25);
wait_for_waiters($local, 10, 'ten more wait', 'wide');
my $worker = worker_pid($local);
kill 'TERM', $worker;
my %fate;
$fate{ $waiters[$_]->result(60)->{state} }++ foreach 0 .. 24;
is(join(' ', keys %fate), '08006', 'statements that ran fail with 08006');
%fate = ();
$fate{ $waiters[$_]->query("SELECT pool_exec($leases[$_], 'select 1')")->{state} }++
  foreach 25 .. 49;
is(join(' ', grep { !/^0800[36]$/ } keys %fate), '', 'leases whose statements have ended are lost');
$waiters[$_]->release($leases[$_]) foreach 0 .. 49;
is(join(' ', map { $waiters[$_]->result(60)->{out} } 50 .. 59), join(' ', (42) x 10),
	'those who waited are served by the next worker');
isnt(worker_pid($local), $worker, 'there is another worker');
$_->quit foreach @waiters;
at_rest($local, $remote, 'after the end of a worker with fifty leases');

# While it starts: as soon as there is a process of that title, three times
$worker = worker_pid($local);
kill 'TERM', $worker;
ok(wait_until(30, sub { return !kill 0, $worker }), 'a worker ends'); # and cuts what runs
$two->begin(sprintf $token, 9);
foreach my $turn (1 .. 3)
{
	my $starting;

	ok( wait_until(
			30,
			sub {
				($starting) = grep {
					my $title = eval { slurp_file("/proc/$_/cmdline") } || '';
					$_ != $worker && $title =~ /pool worker/;
				} processes_of($local);
				return $starting;
			}),
		"another worker starts, turn $turn");
	kill 'TERM', $starting;
	$worker = $starting;
}
is($two->result(60)->{out}, '9', 'a session waits until a worker is left in peace');

#
# statement_timeout while rows stream in
#
$one->query(q(SET statement_timeout = '1s'));
my $answer = $one->query(q(SELECT count(*) FROM pool_query('west',
	'select g, repeat(''x'', 100) from generate_series(1, 50000000) g') AS r(g int, x text)));
is($answer->{state}, '57014', 'statement_timeout ends a result that streams in');
like($answer->{err}, qr/statement timeout/, 'the error says that it was statement_timeout');
$one->query('RESET statement_timeout');
is($two->query(sprintf $token, 8)->{out}, '8', 'the next session gets its own answer');

$_->quit foreach $one, $two;
at_rest($local, $remote, 'at the end');
no_crash($local, $remote);

done_testing();
