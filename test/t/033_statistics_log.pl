# 033_statistics_log.pl
#	What the log says of what pools have done: of what happens again and again a line
#	at once and then a sum every ten seconds, and of each pool that is used a summary
#	after each pool.log_summary_interval.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::History;
use PoolTest::Statistics;
use Test::More;
use Time::HiRes qw(time);

my ($local, $remote) = start_history();
my $one = session($local);
my ($dead, $dead_port) = dead_port();


#
# What happens again and again is in the log at once, and then every ten seconds.
# Meanwhile the test goes on.
#
my $offset = log_offset($local);

pool('restarted', max_size => 4);
call(q(pool_prewarm('restarted', 4)));
step('pool_prewarm() opens four connections', 'restarted', connects => 4);
$remote->restart;
step('a remote that restarts closes four connections', 'restarted', closed_remote_closed => 4);
pool('refused', port => $dead_port, retry_attempts => 30, retry_delay => '5ms',
	retry_max_delay => '5ms', breaker_threshold => 0);
ask($one, 'refused');
step('a remote that refuses is attempted 30 times', 'refused',
	acquire_failures => 1, connect_errors => 30, retries => 29, retry_failures => 29,
	state => 'failing', last_error => qr/port $dead_port failed: Connection refused/,
	last_error_at => 'lately');

my %line = (
	restarted => 'pool for server "restarted" lost its connection to 127\.0\.0\.1:' . $remote->port,
	refused => 'could not connect pool for server "refused": '
	  . ".* port $dead_port failed: Connection refused");

# logged(server): how many events its lines tell of, and when each of them came
sub logged
{
	my ($server) = @_;
	my $text = log_since($local, $offset);
	my ($events, @times) = (0);
	my $more = qr/DETAIL:  There were (\d+) such events since the last line\./;

	while ($text =~ /^\S+ (\d+):(\d+):([\d.]+) .*LOG:  $line{$server}.*\n(?:.*$more\n)?/mg)
	{
		push @times, ($1 * 60 + $2) * 60 + $3;
		$events += $4 || 1;
	}
	return ($events, @times);
}
ok(wait_until($patience, sub { (logged($_))[0] > 0 }), "the log tells at once of the pool $_")
  foreach sort keys %line;


#
# Summaries
#
pool($_) foreach 'marker', 'summed', 'unused';
ask($one, 'unused');
step('a statement before summaries are wanted is counted', 'unused',
	used(1), rows => 1, connects => 1);

# reload(pattern, settings): a test; the worker has the new settings when it has
# written that, as it did not before, about a pool which is used and closed all the time
sub reload
{
	my ($pattern, @settings) = @_;
	my $since = log_offset($local);

	sql($local, "ALTER SYSTEM SET $_") foreach @settings;
	sql($local, 'SELECT pg_reload_conf()');
	return ok(wait_until($patience, sub {
		call(q(pool_close('marker')));
		ask($one, 'marker');
		return log_since($local, $since) =~ $pattern;
	}), "the worker has read that $settings[0]");
}

my $of_marker =
  qr/LOG:  pool for server "marker", user "\Q$me\E", database "postgres": leased/;
reload($of_marker, q(pool.log_summary_interval = '300ms'));
my $begun = log_offset($local);
my @names = qw(acquires timeouts failures queries query_errors connects connect_errors closed);

# summed(server): its lines, and the sums of their figures
sub summed
{
	my ($server) = @_;
	my $text = log_since($local, $begun);
	my (@lines, %sum);

	while ($text =~ /LOG:  (pool for server "$server", .*)/g)
	{
		push @lines, $1;
		my @n = $lines[-1] =~ m{
			^pool\ for\ server\ "$server",\ user\ "\Q$me\E",\ database\ "postgres":
			\ leased\ \d\ of\ 2,\ idle\ \d,\ waiting\ 0;
			\ acquires\ (\d+),\ timed\ out\ (\d+),\ failed\ (\d+);
			\ statements\ (\d+),\ failed\ (\d+);
			\ connects\ (\d+),\ failed\ (\d+),\ closed\ (\d+);
			\ wait\ (?:-|[\d.]+/[\d.]+\ ms),\ statement\ (?:-|[\d.]+/[\d.]+\ ms)
			\ \(median/95%\)$}x;

		$sum{ $names[$_] } += $n[$_] // 1e9 foreach 0 .. $#names;
	}
	return (join(', ', map { "$_ $sum{$_}" } grep { $sum{$_} } @names), @lines);
}

# sums(what, figures): a test; of all lines of the server "summed" since the begin
my %sum;
sub sums
{
	my ($what, %more) = @_;
	my ($is, @lines);

	$sum{$_} += $more{$_} foreach keys %more;
	my $should = join ', ', map { "$_ $sum{$_}" } grep { $sum{$_} } @names;
	wait_until($patience, sub { ($is, @lines) = summed('summed'); return $is eq $should });
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($is, $should, "the summaries count $what") || diag(join "\n", @lines);
	%sum = map { split / / } split /, /, $is;		# one failure is enough
	return @lines;
}

# slowest(lines): the longest of their 95th percentiles of statements, in ms
sub slowest
{
	return (sort { $b <=> $a } map { m{statement [\d.]+/([\d.]+) ms} ? $1 : 0 } @_)[0];
}

ask($one, 'summed', 'select pg_sleep(0.3)') foreach 1 .. 2;
ask($one, 'summed', 'select 1/0');
my @lines = sums('statements and errors',
	acquires => 3, queries => 3, query_errors => 1, connects => 1);
cmp_ok(slowest(@lines), '>=', 270, 'the summaries have the time of a slow statement');
my $from = time;
ask($one, 'summed') foreach 1 .. 5;
my $most = 1000 * (time - $from);
call(q(pool_close('summed')));
my @more = sums('more statements and a close', acquires => 5, queries => 5, closed => 1);
cmp_ok(slowest(splice @more, scalar @lines), '<=', 1.1 * $most,
	'a summary has the times of its own interval alone');
my $lease = acquire($one, 'summed');
@lines = sums('a lease and its connection', acquires => 1, connects => 1);
like($lines[-1], qr/: leased 1 of 2, idle 0, waiting 0;/,
	'a summary tells how many connections are leased and idle');
$one->query("SELECT pool_exec($lease, 'select 1')") foreach 1 .. 4;
sums('statements on a lease', queries => 4);
release($one, $lease);
ask($one, 'summed') foreach 1 .. 2;
sums('statements after a lease', acquires => 2, queries => 2);
call(q(pool_stats_reset('summed')));
ask($one, 'summed') foreach 1 .. 12;
sums('statements after pool_stats_reset(), which is no event', acquires => 12, queries => 12);
is((summed('unused'))[0], '', 'a pool that is not used has no summary');

reload(qr/LOG:  connected pool for server "marker"/,
	q(pool.log_summary_interval = 0), 'pool.log_connections = on');
$from = log_offset($local);
ask($one, 'summed');
comes_true("clock_timestamp() > to_timestamp(@{[ time ]}) + '1.2s'");
unlike(log_since($local, $from), qr/pool for server "[^"]*", user/,
	'there are no summaries when pool.log_summary_interval is 0');


#
# Ten seconds later
#
foreach my $server (sort keys %line)
{
	my $n = $server eq 'refused' ? 30 : 4;
	my ($events, @times);

	ok( wait_until(60, sub { ($events, @times) = logged($server); return $events >= $n; }),
		"the log tells later of what followed of the pool $server");
	is($events, $n, "the log counts each event of the pool $server");
	cmp_ok(scalar @times, '>=', 2, "the log has two lines or more of the pool $server");
	cmp_ok(($times[$_] - $times[ $_ - 1 ]) % 86400, '>=', 9,
		"the log has a line of the pool $server not more often than each ten seconds")
	  foreach 1 .. $#times;
}

forget('marker', 'summed');
unchanged('nothing was counted for pools that nobody used');

$one->quit;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
