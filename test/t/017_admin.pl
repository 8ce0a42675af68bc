# 017_admin.pl
#	Steering pools that run: sizes, pause, replacing, draining and closing
#	connections, reclaiming a lease, cancelling.  And who may do that.  Three
#	sessions hold leases and wait while each function is called; what becomes of
#	them, and of the remote's processes, shows what it does.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();

create_server($local, 'srv', $remote, options => { max_size => 5, acquire_timeout => '60s' });
create_server($local, 'other', $remote, options => { max_size => 1, acquire_timeout => '60s' });
is(sql($local, q(SELECT pool_query('other', 'select 1'))), '(1)', 'another pool is in use');

# ask(session, server): which remote process answers
sub ask
{
	my ($session, $name) = @_;

	return $session->query(pid_query($name))->{out};
}

my ($one, $two, $three) = map { session($local) } 1 .. 3;

# No pool, no server.
is( sql($local, q(SELECT pool_pause('srv'), pool_resume('srv'), pool_reconnect('srv'),
		pool_drain('srv'), pool_close('srv'), pool_breaker_reset('srv'),
		pool_resize('srv', 0, 1))),
	'0|0|0|0|0|0|0', 'a server that no session has used yet counts as no pool');
is((sql_state($local, "SELECT $_"))[0], '42704', "$_ fails since there is no such server")
  foreach q(pool_pause('none')), q(pool_resume('none')), q(pool_reconnect('none')),
  q(pool_drain('none')), q(pool_close('none')), q(pool_breaker_reset('none')),
  q(pool_resize('none', 0, 1));

# Sizes.
is(sql($local, q(SELECT pool_prewarm('srv', 5))), '5', 'pool_prewarm opens five connections');
is(sql($local, q(SELECT pool_resize('srv', 0, 2))), '1', 'pool_resize makes one pool smaller');
wait_for_value($local,
	q(SELECT open, closing, min_size, max_size, closed_surplus FROM pool_stats_all()
		WHERE server = 'srv'),
	'2|0|0|2|3', 'connections beyond the new max_size are closed as surplus');
my ($lease, $pid) = acquire_lease($one, 'srv');
my ($lease2) = acquire_lease($two, 'srv');
$three->begin(q(SELECT pool_query('srv', 'select 3')));
wait_for_waiters($local, 1, 'a session waits while both connections are leased', 'srv');
is(sql($local, q(SELECT pool_resize('srv', 4, 4))), '1', 'pool_resize makes one pool larger');
is($three->result->{out}, '(3)', 'a session that waits is served when max_size is raised');
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 4,
	'as many connections as the new min_size are opened');
$one->query("SELECT pool_release($lease)");
$two->query("SELECT pool_release($lease2)");
my $old = worker_pid($local);
sql($local, "SELECT pg_terminate_backend($old, 10000)");
ok(wait_until(30, sub { my $new = worker_pid($local); return $new && $new != $old }),
	'another worker starts when one was terminated');
ask($one, 'srv');
is(stat_of($local, q(min_size || ' ' || max_size)), '4 4',
	'what pool_resize set outlives the worker');
sql($local, q(ALTER SERVER srv OPTIONS (ADD min_size '1')));
ask($one, 'srv');
is(stat_of($local, q(min_size || ' ' || max_size)), '1 5',
	'what pool_resize set ends when the options are altered');
foreach my $sizes ('-1, 1', '0, 0', '3, 2', '0, 100001', 'NULL, 1', '0, NULL')
{
	like((sql_state($local, "SELECT pool_resize('srv', $sizes)"))[0], qr/^22/,
		"pool_resize refuses the sizes $sizes");
}

# Pause.
($lease, $pid) = acquire_lease($one, 'srv');
is(sql($local, q(SELECT pool_pause('srv'))), '1', 'pool_pause pauses one pool');
is(stat_of($local, 'state'), 'paused', 'pool_stats shows that a pool is paused');
$two->begin(pid_query('srv'));
$three->begin(q(SET pool.acquire_timeout = '200ms'; SELECT pool_query('srv', 'select 1')));
my $answer = $three->result;
is($answer->{state}, '53300',
	'a session that waits for longer than acquire_timeout during a pause gets an error');
like($answer->{err}, qr/The pool is paused.*pool_resume/s,
	'the error says that the pool is paused and how that ends');
wait_for_waiters($local, 1, 'another session goes on to wait during a pause', 'srv');
is($one->query(pid_query($lease))->{out}, $pid, 'a lease goes on during a pause');
$one->query("SELECT pool_release($lease)");
wait_for_value($local, q(SELECT active, idle > 0, waiting FROM pool_stats WHERE server = 'srv'),
	'0|t|1', 'a waiter does not acquire what is released during a pause');
is(sql($local, q(SELECT pool_query('other', 'select 1'))), '(1)',
	'a pause of one pool does not hold up another one');
is(sql($local, q(SELECT pool_resume('srv'))), '1', 'pool_resume resumes one pool');
like($two->result->{out}, qr/^\d+$/, 'a session that waited during a pause is served after it');
is(stat_of($local, 'state'), 'ready', 'pool_stats shows that a resumed pool is ready');

# Pause, and no waiting.
$three->query('RESET pool.acquire_timeout');
sql($local, q(SELECT pool_pause('srv')));
$two->begin(q(SELECT pool_query('srv', 'select 1')));
wait_for_waiters($local, 1, 'a session waits during the second pause', 'srv');
is(sql($local, q(SELECT pool_pause('srv', fail => true))), '1',
	'pool_pause with fail is possible during a pause');
is($two->result->{state}, '55000', 'a session that waits gets an error from a pause with fail');
is($three->query(q(SELECT pool_query('srv', 'select 1')))->{state}, '55000',
	'a session that asks during a pause with fail gets an error');
sql($local, q(SELECT pool_resume('srv')));
is($three->query(q(SELECT pool_query('srv', 'select 1')))->{out}, '(1)',
	'a session is served after a pause with fail');

# Replacing.
($lease, $pid) = acquire_lease($one, 'srv');
my $idle = ask($two, 'srv');
isnt($idle, $pid, 'one connection is leased, another one is idle');
cmp_ok(sql($local, q(SELECT pool_reconnect('srv'))), '>=', 2,
	'pool_reconnect counts leased and idle connections');
isnt(ask($two, 'srv'), $idle, 'pool_reconnect replaces an idle connection');
is($one->query(pid_query($lease))->{out}, $pid, 'a lease goes on after pool_reconnect');
$one->query("SELECT pool_release($lease)");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE remote_pid IN ($pid, $idle)",
	0, 'pool_reconnect closes a leased connection after its release');
cmp_ok(stat_of($local, 'closed_reconnect'), '>=', 2,
	'connections that pool_reconnect closed are counted');

# Draining.
($lease, $pid) = acquire_lease($one, 'srv');
sql($local, q(SELECT pool_drain('srv', '200ms')));
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 1,
	'idle connections of a pool that is drained are closed');
is(sql($local, q(SELECT pool_drain('srv', '200ms'))), '1',
	'pool_drain tells how many connections are left after its time');
is($one->query(q(SELECT pool_drain('srv', NULL)), 20)->{out}, '1',
	'pool_drain does not wait for what its own session has leased');
$two->begin(q(SELECT pool_query('srv', 'select 2')));
my $drain = session($local);
$drain->begin(q(SELECT pool_drain('srv')));
wait_for_value($local, q(SELECT waiting, open FROM pool_stats WHERE server = 'srv'),
	'1|1', 'no session acquires a lease while a pool is drained');
$one->query("SELECT pool_release($lease)");
is($drain->result->{out}, '0', 'pool_drain waits for the last lease');
wait_for_app_sessions($remote, 1,
	'a drained pool has no session on the remote, another pool keeps its own');
is(stat_of($local, q(open || ' ' || state)), '0 paused', 'a drained pool is empty and paused');
sql($local, q(SELECT pool_resume('srv')));
is($two->result->{out}, '(2)',
	'a session that waits for a drained pool is served after pool_resume');

# Reclaiming a lease: idle in the session, and in the middle of a statement.
my $slot = "SELECT slot FROM pool_connections WHERE state = 'leased' AND pid = ";
foreach my $how ('pool_reclaim', 'pool_close')
{
	my $call = $how eq 'pool_close' ? q(SELECT pool_close('srv') > 0)
	  : 'SELECT pool_reclaim((' . $slot . $one->pid . '))';

	($lease, $pid) = acquire_lease($one, 'srv');
	is(sql($local, $call), 't', "$how reclaims a lease that is not in use");
	$answer = $one->query("SELECT pool_query($lease, 'select 1')");
	is($answer->{state}, '08003', "the next use of a lease after $how is an error");
	like($answer->{err}, qr/was reclaimed.*acquire another/s,
		"the error after $how says what became of the lease");
	is($one->query("SELECT pool_release($lease)")->{state}, '00000',
		"a lease can be released after $how");
	like(ask($one, 'srv'), qr/^(?!$pid$)\d+$/,
		"the session acquires another connection after $how");

	($lease, $pid) = acquire_lease($one, 'srv');
	$one->begin("SELECT pool_query($lease, 'select pg_sleep(120)')");
	wait_for_value($remote,
		"SELECT count(*) FROM pg_stat_activity"
		  . " WHERE pid = $pid AND query ~ 'pg_sleep' AND state = 'active'",
		1, "a statement is running before $how");
	is(sql($local, $call), 't', "$how reclaims a lease whose statement is running");
	$answer = $one->result(30);
	is($answer->{state}, '08006', "a statement that is running fails after $how");
	like($answer->{err}, qr/was reclaimed.*executed or not/s,
		"the error of a statement that was running says why after $how");
	wait_for_session_end($remote, $pid,
		"a statement that was running does not go on at the remote after $how");
	$one->query("SELECT pool_release($lease)");
}
is(stat_of($local, 'closed_reclaimed'), '2',
	'connections closed because their lease was reclaimed are counted');
my $reclaimed = 'connection \d+ of pool for server "srv" was reclaimed from process '
  . $one->pid . ' by pool_reclaim';
is(log_count($local, $reclaimed), 2, 'the log has a line for each lease that pool_reclaim ended');
ask($one, 'srv');
is( sql($local, q(SELECT pool_reclaim(slot) FROM pool_connections WHERE server = 'other')),
	'f', 'pool_reclaim is false for an idle connection');
is((sql_state($local, "SELECT pool_reclaim($_)"))[0], $_ eq 'NULL' ? '22004' : '22023',
	"pool_reclaim refuses the slot $_")
  foreach -1, 1000000, 'NULL';

# Cancelling.
$one->begin(q(SELECT pool_query('srv', 'select pg_sleep(121)')));
wait_for_value($local, 'SELECT pool_cancel(' . $one->pid . ')', 't',
	'pool_cancel is true for a session whose statement is running');
is($one->result(30)->{state}, '57014', 'pool_cancel cancels the statement of a session');
wait_for_value($remote,
	q(SELECT count(*) FROM pg_stat_activity
		WHERE query = 'select pg_sleep(121)' AND state = 'active'),
	0, 'a statement that pool_cancel cancelled does not go on at the remote');
is(sql($local, 'SELECT pool_cancel(' . $two->pid . ')'), 'f',
	'pool_cancel is false for a session without a lease');

# Rights.
sql($local, 'CREATE ROLE nobody LOGIN; GRANT USAGE ON FOREIGN SERVER srv TO nobody');
foreach my $call (q(pool_resize('srv', 0, 1)), q(pool_pause('srv')), q(pool_resume('srv')),
	q(pool_reconnect('srv')), q(pool_drain('srv')), q(pool_close('srv')),
	q(pool_breaker_reset('srv')), 'pool_cancel(1)', 'pool_reclaim(0)')
{
	is((sql_state($local, "SELECT $call", user => 'nobody'))[0], '42501',
		"a role with nothing but USAGE may not call $call");
}

$_->quit foreach $one, $two, $three, $drain;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
