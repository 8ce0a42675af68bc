# 012_options.pl
#	Options and settings that no other test needs: how many may wait, how many are
#	kept open and for how long, what is seen alive before use, how many copies a
#	session keeps.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1, max_waiters => 1);
my ($holder, $waiter, $session) = map { session($local) } 1 .. 3;
my $acquire = q(SELECT pool_acquire('srv', timeout => '60s', hold => true));

# One may wait, the next one fails at once.
my $lease = $holder->query($acquire)->{out};
$waiter->begin($acquire);
wait_for_value($local, q(SELECT waiting FROM pool_stats), 1, 'max_waiters: one waits');
my $answer = $session->query($acquire);
is($answer->{state}, '53300', 'max_waiters: the next one fails');
like($answer->{err}, qr/max_waiters/, 'max_waiters: the reason');
cmp_ok($answer->{secs}, '<', 30, 'max_waiters: and does not wait for it');
$holder->query("SELECT pool_release($lease)");
like($waiter->result(30)->{out}, qr/^\d+$/, 'max_waiters: who waited is served');
$_->quit foreach $holder, $waiter;

# What is idle for too long goes, down to min_size; which is filled again.
create_server($local, 'ageing', $remote,
	options => { min_size => 1, max_size => 3, idle_timeout => '1s' });
is($session->query(q(SELECT pool_prewarm('ageing', 3)))->{out}, '3', 'idle_timeout: three open');
wait_for_value($local, q(SELECT open, closed_idle_timeout FROM pool_stats WHERE server = 'ageing'),
	'1|2', 'idle_timeout: closed down to min_size', seconds => 30);
my $kept = q(SELECT remote_pid FROM pool_connections WHERE server = 'ageing' AND state = 'idle');
my $first = sql($local, $kept);
sql($remote, "SELECT pg_terminate_backend($first)");
ok(wait_until(30, sub { my $now = sql($local, $kept); return $now =~ /^\d+$/ && $now ne $first }),
	'min_size: another one is opened without anyone asking');

# A remote session that does not answer is found before the statement goes out.
create_server($local, 'checked', $remote, options => {
	max_size => 3, validate_after_idle => '1ms', health_check_timeout => '500ms' });
my $ask = q(SELECT pid FROM pool_query('checked', 'select pg_backend_pid()') AS t(pid int));
my $stopped = $session->query($ask)->{out};
wait_for_value($local, q(SELECT clock_timestamp() - since > '2ms' FROM pool_connections
	WHERE server = 'checked'), 't', 'validate_after_idle: idle for longer');
kill 'STOP', $stopped;
$answer = $session->query($ask);
kill 'CONT', $stopped;
is($answer->{state}, '00000', 'validate_after_idle: the user does not notice');
isnt($answer->{out}, $stopped, 'validate_after_idle: another connection answers');
is(stat_of($local, 'closed_check_failed + closed_reset_failed', 'checked'), '1',
	'validate_after_idle: the first one is closed');

# A session keeps no more copies than it is told.
sub sockets
{
	my $pid = $session->pid;
	return scalar grep { (readlink($_) || '') =~ /^socket:/ } glob "/proc/$pid/fd/*";
}
create_server($local, 'copied', $remote, options => { max_size => 4 });
my $before = sockets();
my $four = q(SELECT pool_release(l) FROM (SELECT array_agg(pool_acquire('copied')) AS ls
	FROM generate_series(1, 4)) a, unnest(ls) AS l);
$session->query('SET pool.session_cache = 4');
is($session->query($four)->{state}, '00000', 'session_cache: four leases');
my $many = sockets();
$session->query('SET pool.session_cache = 1');
is($session->query($four)->{state}, '00000', 'session_cache: four leases again');
cmp_ok(sockets(), '<', $many, 'session_cache: fewer copies are kept');

$session->quit;
settled($local, 'settled', 30);
no_crash($local);
no_crash($remote);
done_testing;
