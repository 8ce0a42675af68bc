# 017_admin.pl
#	Steering pools that run: sizes, pause, replacing, draining and closing
#	connections, taking one away, cancelling.  And who may do that.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my $pid_of = 'select pg_backend_pid()';

create_server($local, $_, $remote, options => { max_size => 5, acquire_timeout => '60s' })
  foreach 'srv', 'other';
is(sql($local, q(SELECT pool_query('other', 'select 1'))), '(1)', 'another pool');

# ask(session, server): which remote process answers
sub ask
{
	my ($session, $name) = @_;

	return $session->query("SELECT pid FROM pool_query('$name', '$pid_of') AS t(pid int)")->{out};
}

# acquire(session): a lease that lasts, and its remote process
sub acquire
{
	my ($session) = @_;
	my $lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};

	return ($lease,
		$session->query("SELECT pid FROM pool_query($lease, '$pid_of') AS t(pid int)")->{out});
}

my ($one, $two, $three) = map { session($local) } 1 .. 3;

# No pool, no server.
is(sql($local, q(SELECT pool_pause('srv'), pool_resume('srv'), pool_reconnect('srv'),
	pool_drain('srv'), pool_close('srv'), pool_breaker_reset('srv'), pool_resize('srv', 0, 1))),
	'0|0|0|0|0|0|0', 'a server that nobody has used yet');
is((sql_state($local, "SELECT $_"))[0], '42704', "$_: no such server")
  foreach q(pool_pause('none')), q(pool_resume('none')), q(pool_reconnect('none')),
  q(pool_drain('none')), q(pool_close('none')), q(pool_breaker_reset('none')),
  q(pool_resize('none', 0, 1));

# Sizes.
is(sql($local, q(SELECT pool_prewarm('srv', 5))), '5', 'five connections');
is(sql($local, q(SELECT pool_resize('srv', 0, 2))), '1', 'pool_resize: smaller');
wait_for_value($local,
	q(SELECT open, closing, min_size, max_size, closed_surplus FROM pool_stats WHERE server = 'srv'),
	'2|0|0|2|3', 'the surplus is closed');
my ($lease, $pid) = acquire($one);
my ($lease2) = acquire($two);
$three->begin(q(SELECT pool_query('srv', 'select 3')));
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), 1, 'a session waits');
is(sql($local, q(SELECT pool_resize('srv', 4, 4))), '1', 'pool_resize: larger');
is($three->result->{out}, '(3)', 'it need not wait any longer');
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 4, 'min_size is kept');
$one->query("SELECT pool_release($lease)");
$two->query("SELECT pool_release($lease2)");
my $worker = q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker');
my $old = sql($local, $worker);
sql($local, "SELECT pg_terminate_backend($old, 10000)");
ok(wait_until(30, sub { my $new = sql($local, $worker); return $new && $new != $old }),
	'another worker');
ask($one, 'srv');
is(stat_of($local, q(min_size || ' ' || max_size)), '4 4', 'the sizes outlive the worker');
sql($local, q(ALTER SERVER srv OPTIONS (ADD min_size '1')));
ask($one, 'srv');
is(stat_of($local, q(min_size || ' ' || max_size)), '1 5', 'until the options are altered');
foreach my $sizes ('-1, 1', '0, 0', '3, 2', '0, 100001', 'NULL, 1', '0, NULL')
{
	like((sql_state($local, "SELECT pool_resize('srv', $sizes)"))[0], qr/^22/, "sizes $sizes");
}

# Pause.
($lease, $pid) = acquire($one);
is(sql($local, q(SELECT pool_pause('srv'))), '1', 'pool_pause');
is(stat_of($local, 'state'), 'paused', 'shown');
$two->begin("SELECT pid FROM pool_query('srv', '$pid_of') AS t(pid int)");
$three->begin(q(SET pool.acquire_timeout = '200ms'; SELECT pool_query('srv', 'select 1')));
my $answer = $three->result;
is($answer->{state}, '53300', 'who waits too long');
like($answer->{err}, qr/The pool is paused.*pool_resume/s, 'is told why');
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), 1, 'others wait');
is($one->query("SELECT pid FROM pool_query($lease, '$pid_of') AS t(pid int)")->{out},
	$pid, 'leases go on');
$one->query("SELECT pool_release($lease)");
wait_for_value($local, q(SELECT active, idle > 0, waiting FROM pool_stats WHERE server = 'srv'),
	'0|t|1', 'nobody gets what is returned');
is(sql($local, q(SELECT pool_query('other', 'select 1'))), '(1)', 'other pools are not paused');
is(sql($local, q(SELECT pool_resume('srv'))), '1', 'pool_resume');
like($two->result->{out}, qr/^\d+$/, 'who waited is served');
is(stat_of($local, 'state'), 'ready', 'ready');

# Pause, and no waiting.
$three->query('RESET pool.acquire_timeout');
sql($local, q(SELECT pool_pause('srv')));
$two->begin(q(SELECT pool_query('srv', 'select 1')));
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'), 1, 'one waits');
is(sql($local, q(SELECT pool_pause('srv', fail => true))), '1', 'pool_pause: fail');
is($two->result->{state}, '55000', 'who waited gets an error');
is($three->query(q(SELECT pool_query('srv', 'select 1')))->{state}, '55000', 'as does who comes');
sql($local, q(SELECT pool_resume('srv')));
is($three->query(q(SELECT pool_query('srv', 'select 1')))->{out}, '(1)', 'until it goes on');

# Replacing.
($lease, $pid) = acquire($one);
my $idle = ask($two, 'srv');
isnt($idle, $pid, 'one leased, one idle');
cmp_ok(sql($local, q(SELECT pool_reconnect('srv'))), '>=', 2, 'pool_reconnect');
isnt(ask($two, 'srv'), $idle, 'the idle one is replaced');
is($one->query("SELECT pid FROM pool_query($lease, '$pid_of') AS t(pid int)")->{out},
	$pid, 'the leased one goes on');
$one->query("SELECT pool_release($lease)");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE remote_pid IN ($pid, $idle)",
	0, 'until it comes back');
cmp_ok(stat_of($local, 'closed_reconnect'), '>=', 2, 'counted');

# Draining.
($lease, $pid) = acquire($one);
is(sql($local, q(SELECT pool_drain('srv', '200ms'))), '1', 'pool_drain: one is still leased');
$two->begin(q(SELECT pool_query('srv', 'select 2')));
my $drain = session($local);
$drain->begin(q(SELECT pool_drain('srv')));
wait_for_value($local, q(SELECT waiting, open FROM pool_stats WHERE server = 'srv'),
	'1|1', 'nobody else gets one');
$one->query("SELECT pool_release($lease)");
is($drain->result->{out}, '0', 'it waits for the last one');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'),
	1, 'whose remote session is gone, and only that of another pool is left');
is(stat_of($local, q(open || ' ' || state)), '0 paused', 'empty and paused');
sql($local, q(SELECT pool_resume('srv')));
is($two->result->{out}, '(2)', 'and goes on after pool_resume');

# Taking a connection away: idle in the session, and in the middle of a statement.
my $slot = "SELECT slot FROM pool_connections WHERE state = 'leased' AND pid = ";
foreach my $how ('pool_reclaim', 'pool_close')
{
	my $call = $how eq 'pool_close' ? q(SELECT pool_close('srv') > 0)
	  : 'SELECT pool_reclaim((' . $slot . $one->pid . '))';

	($lease, $pid) = acquire($one);
	is(sql($local, $call), 't', "$how: a lease");
	$answer = $one->query("SELECT pool_query($lease, 'select 1')");
	is($answer->{state}, '08003', 'its next use is an error');
	like($answer->{err}, qr/was taken away.*acquire another/s, 'that says so');
	is($one->query("SELECT pool_release($lease)")->{state}, '00000', 'it can be released');
	like(ask($one, 'srv'), qr/^(?!$pid$)\d+$/, 'and the session goes on');

	($lease, $pid) = acquire($one);
	$one->begin("SELECT pool_query($lease, 'select pg_sleep(120)')");
	wait_for_value($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND query ~ 'pg_sleep' AND state = 'active'",
		1, "$how: a statement is running");
	is(sql($local, $call), 't', 'its connection is taken away');
	$answer = $one->result(30);
	is($answer->{state}, '08006', 'the statement fails');
	like($answer->{err}, qr/was taken away.*executed or not/s, 'and says why');
	wait_for_value($remote, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid",
		0, 'it does not go on at the remote');
	$one->query("SELECT pool_release($lease)");
}
is(stat_of($local, 'closed_reclaimed'), '2', 'counted');
is(log_count($local, qr/connection \d+ of pool for server "srv" was taken away from process ${\$one->pid} by pool_reclaim/),
	2, 'and in the log');
ask($one, 'srv');
is(sql($local, q(SELECT pool_reclaim(slot) FROM pool_connections WHERE server = 'other')),
	'f', 'nothing to take from an idle one');
is((sql_state($local, "SELECT pool_reclaim($_)"))[0], $_ eq 'NULL' ? '22004' : '22023', "slot $_")
  foreach -1, 1000000, 'NULL';

# Cancelling.
$one->begin(q(SELECT pool_query('srv', 'select pg_sleep(121)')));
wait_for_value($local, 'SELECT pool_cancel(' . $one->pid . ')', 't', 'pool_cancel');
is($one->result(30)->{state}, '57014', 'the statement is cancelled');
wait_for_value($remote,
	q(SELECT count(*) FROM pg_stat_activity WHERE query = 'select pg_sleep(121)' AND state = 'active'),
	0, 'on the remote, too');
is(sql($local, 'SELECT pool_cancel(' . $two->pid . ')'), 'f', 'not one that holds nothing');

# Rights.
sql($local, 'CREATE ROLE nobody LOGIN; GRANT USAGE ON FOREIGN SERVER srv TO nobody');
foreach my $call (q(pool_resize('srv', 0, 1)), q(pool_pause('srv')), q(pool_resume('srv')),
	q(pool_reconnect('srv')), q(pool_drain('srv')), q(pool_close('srv')),
	q(pool_breaker_reset('srv')), 'pool_cancel(1)', 'pool_reclaim(0)')
{
	is((sql_state($local, "SELECT $call", user => 'nobody'))[0], '42501', "nobody: $call");
}

$_->quit foreach $one, $two, $three, $drain;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
