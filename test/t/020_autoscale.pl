# 020_autoscale.pl
#	The limit of a pool follows its use: up while connections are in use all the
#	time, down when they are not, in steps, between min_size and max_size.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local();
my $limit = 'SELECT size_limit FROM pool_stats WHERE server = %s';

create_server($local, 'srv', $remote, options => {
	min_size => 2, max_size => 10, autoscale => 'on', acquire_timeout => '60s',
	scale_interval => '300ms', scale_step => '50%' });

# It begins at the bottom; all in use, and others wait.
my $start = time;
my $offset = log_offset($local);
my $holder = session($local);
my @leases = map { $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out} } 1 .. 2;
my @waiters = map { session($local) } 1 .. 4;
$_->begin(q(SELECT pool_acquire('srv', hold => true))) foreach @waiters;
push @leases, map { $_->result->{out} } @waiters;
is(scalar(grep { /^\d+$/ } @leases), 6,
	'sessions that wait are served when the limit has grown');
my $seen = sql($local, sprintf $limit, "'srv'");
cmp_ok($seen, '>=', 6, "the limit has grown to $seen for six leases");
my $raised = qr/limit of pool for server "srv" raised from (\d+ to \d+) connections/;
my @steps = log_since($local, $offset) =~ /$raised/g;
is(join(', ', @steps[0 .. 2]), '2 to 3, 3 to 4, 4 to 6',
	'the limit grows in steps of half, and at least one');
cmp_ok((time - $start) / @steps, '>=', 0.3 - 0.05,
	'the limit grows at most once in each interval');
like(log_since($local, $offset), qr/DETAIL:  Utilization was \d+%/,
	'the log says why the limit was raised');

# Six of six are in use, and nobody waits: it goes on, but not beyond max_size.
push @leases, map { $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out} } 7 .. 9;
wait_for_value($local, sprintf($limit, "'srv'"), 10,
	'the limit grows up to max_size while all connections are leased');
is(sql($local, q(SELECT max_size FROM pool_stats WHERE server = 'srv')), 10,
	'max_size stays what it is when the limit grows');

# Six of ten, which is between the thresholds: it stays where it is.
$holder->query("SELECT pool_release($_)") foreach splice @leases, 6;
wait_for_value($local, q(SELECT active FROM pool_stats WHERE server = 'srv'), 6,
	'six of ten connections are leased');
my $moves = q(SELECT sum(count) FROM pool_stats_events
	WHERE server = 'srv' AND event IN ('scale_ups', 'scale_downs'));
my $before = sql($local, $moves);
my $clock = 'SELECT extract(epoch FROM clock_timestamp())';
my $until = sql($local, $clock) + 1.5;
wait_until(20, sub { sql($local, $clock) > $until });
is(sql($local, $moves), $before,
	'the limit does not move in five intervals while utilization is between the thresholds');

# Nothing in use: down, and the surplus is closed.
$offset = log_offset($local);
$holder->query("SELECT pool_release($_)") foreach splice @leases, 0, 2;
$_->quit foreach @waiters;
wait_for_value($local, sprintf($limit, "'srv'"), 2,
	'the limit goes down to min_size when nothing is leased');
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'srv'), 2,
	'the surplus is closed when the limit goes down');
cmp_ok(sql($local, q(SELECT count FROM pool_stats_closed
		WHERE server = 'srv' AND reason = 'surplus')),
	'>', 0, 'a connection that is surplus is counted as closed for that');
like(log_since($local, $offset),
	qr/limit of pool for server "srv" lowered from 10 to 5 connections/,
	'the log tells that the limit was lowered');
is( sql($local, q(SELECT bool_and(count >= CASE event WHEN 'scale_ups' THEN 4 ELSE 3 END), count(*)
		FROM pool_stats_events WHERE server = 'srv' AND event IN ('scale_ups', 'scale_downs'))),
	't|2', 'the moves of the limit are counted');
is(sql($local, q(SELECT pool_prewarm('srv', 10))), 2,
	'pool_prewarm() opens as many connections as the limit allows');

# Not down while the pool cannot be used.
is($holder->query(q(SELECT pool_resize('srv', 4, 10)))->{out}, '1',
	'pool_resize() changes the sizes of one pool');
is(sql($local, sprintf $limit, "'srv'"), 4,
	'a limit below the new min_size moves at once');
sql($local, q(SELECT pool_resize('srv', 0, 10); SELECT pool_pause('srv')));
$before = sql($local, $moves);
$until = sql($local, $clock) + 1;
wait_until(20, sub { sql($local, $clock) > $until });
is(sql($local, $moves), $before, 'the limit of a paused pool does not move');
sql($local, q(SELECT pool_resume('srv')));
wait_for_value($local, sprintf($limit, "'srv'"), 1,
	'the limit goes down to one where min_size is 0');

# The time-out tells that the limit is not max_size.
sql($local, q(ALTER SERVER srv OPTIONS (SET scale_interval '1h', SET min_size '0')));
my $lease = $holder->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
my ($state, $err) = sql_state($local, q(SELECT pool_acquire('srv', '100ms')));
is($state, '53300', 'an acquire beyond the limit times out');
like($err, qr/leased 1 of at most 1 connections.*Autoscale may raise the limit to 10/s,
	'the time-out tells the limit, and how far autoscale may raise it');

# Without autoscale the limit is max_size.
sql($local, 'ALTER SERVER srv OPTIONS (DROP autoscale)');
is($holder->query(q(SELECT t FROM pool_query('srv', 'select 5') AS r(t int)))->{out}, '5',
	'a session is served at once after autoscale is turned off');
is(sql($local, sprintf $limit, "'srv'"), 10,
	'the limit is max_size after autoscale is turned off');

$holder->quit;
settled($local, 'every lease and connection is accounted for');
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
