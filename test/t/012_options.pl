# 012_options.pl
#	Options and settings that no other test needs: how many may wait, how many are
#	kept open and for how long, what is seen alive before use, how many copies a
#	session keeps.  Each is set on a server of its own, and its effect is read from
#	the views, from errors, or from the descriptors of a session.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PoolTest;
use PoolTest::Servers;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1, max_waiters => 1);
my ($holder, $waiter, $session) = map { session($local) } 1 .. 3;
my $acquire = q(SELECT pool_acquire('srv', timeout => '60s', hold => true));

# One may wait, the next one fails at once.
my $lease = $holder->query($acquire)->{out};
$waiter->begin($acquire);
wait_for_waiters($local, 1, 'one session may wait when max_waiters is 1');
create_server($local, 'aside', $remote);
make_worker_look($session, 'aside');
is(stat_of($local, 'connects + connecting'), '1',
	'no connection beyond max_size is opened for a session that waits');
my $answer = $session->query($acquire);
is($answer->{state}, '53300', 'the second session to wait fails when max_waiters is 1');
like($answer->{err}, qr/max_waiters/, 'the error of one waiter too many names max_waiters');
cmp_ok($answer->{secs}, '<', 30, 'one waiter too many fails at once');
$holder->release($lease);
like($waiter->result(30)->{out}, qr/^\d+$/,
	'the session that waits is served after one too many failed');
$_->quit foreach $holder, $waiter;

# What is idle for too long goes, down to min_size; which is filled again.
create_server($local, 'ageing', $remote,
	options => { min_size => 1, max_size => 3, idle_timeout => '1h' });
is($session->query(q(SELECT pool_prewarm('ageing', 3)))->{out}, '3',
	'three connections are open before idle_timeout');
sql($local, q(ALTER SERVER ageing OPTIONS (SET idle_timeout '1s')));
sql($local, q(SELECT pool_prewarm('ageing', 0)));
wait_for_value($local,
	q(SELECT open, closed_idle_timeout FROM pool_stats_all() WHERE server = 'ageing'),
	'1|2', 'idle_timeout closes connections down to min_size', seconds => 30);
my $kept = q(SELECT remote_pid FROM pool_connections WHERE server = 'ageing' AND state = 'idle');
my $first = sql($local, $kept);
sql($remote, "SELECT pg_terminate_backend($first)");
ok(wait_until(30, sub { my $now = sql($local, $kept); return $now =~ /^\d+$/ && $now ne $first }),
	'a connection below min_size is opened without anyone asking');

# A remote session that does not answer is found before the statement goes out.
create_server($local, 'checked', $remote, options => {
	max_size => 3, validate_after_idle => '1ms', health_check_timeout => '3s' });
my $ask = q(SELECT pid FROM pool_query('checked', 'select pg_backend_pid()') AS t(pid int));
my $stopped = $session->query($ask)->{out};
wait_for_value($local, q(SELECT clock_timestamp() - since > '2ms' FROM pool_connections
	WHERE server = 'checked'), 't', 'the connection is idle for longer than validate_after_idle');
kill 'STOP', $stopped;
$answer = $session->query($ask);
kill 'CONT', $stopped;
is($answer->{state}, '00000',
	'a session sees no error when the validation finds a dead connection');
isnt($answer->{out}, $stopped, 'another connection answers when the validation finds a dead one');
is(stat_of($local, 'closed_check_failed + closed_reset_failed', 'checked'), '1',
	'a connection that fails its validation is closed');

# A session keeps no more copies than it is told.
sub sockets
{
	return scalar grep { /^socket:/ } descriptors($session->pid);
}
create_server($local, 'copied', $remote, options => { max_size => 4 });
my $before = sockets();
my $four = q(SELECT pool_release(l) FROM (SELECT array_agg(pool_acquire('copied')) AS ls
	FROM generate_series(1, 4)) a, unnest(ls) AS l);
$session->query('SET pool.session_cache = 4');
is($session->query($four)->{state}, '00000',
	'a session acquires four leases when session_cache is 4');
my $many = sockets();
$session->query('SET pool.session_cache = 1');
is($session->query($four)->{state}, '00000',
	'a session acquires four leases when session_cache is 1');
cmp_ok(sockets(), '<', $many, 'a session keeps fewer copies when session_cache is smaller');

$session->quit;
settled($local, undef, 30);
no_crash($local, $remote);
done_testing;
