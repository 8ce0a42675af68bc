# 104_clock.pl
#	The wall clock is set back by an hour, and then forward by two, while sessions
#	wait, hold leases and run statements: no wait ends early or late, no connection
#	is closed for its age or kept beyond it, and what the views show is of the new
#	time.  The local server has a library before it that gives it another time.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir;
my $library = "$dir/clock.so";
system_or_bail('cc', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/clock.c", '-ldl');

# set_clock(seconds): the server's is that much ahead
sub set_clock
{
	my ($seconds) = @_;

	append_to_file("$dir/new", "$seconds\n");
	rename "$dir/new", "$dir/clock" or die "rename: $!";
	return;
}

set_clock(0);
my $remote = start_remote();
my $local;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{POOL_TEST_CLOCK} = "$dir/clock";
	$local = start_local();
}
my ($holder, $waiter, $idle) = map { session($local) } 1 .. 3;
my %long = (max_size => 1, acquire_timeout => '20min', idle_timeout => '30min',
	max_lifetime => '40min', lifetime_jitter => '0%', leak_threshold => '30min',
	query_timeout => '30min', health_check_interval => '30min', validate_after_idle => '30min');
foreach my $hours (-1, 1)
{
	my $name = new_server($local, $remote, {%long});
	my $short = new_server($local, $remote, { max_size => 1, acquire_timeout => '10s' });
	my $aged = new_server($local, $remote, { max_size => 1, idle_timeout => '2s' });
	my ($lease, $pid) = acquire_lease($holder, $name);
	my $what = $hours < 0 ? 'back by an hour' : 'forward by two hours';

	$waiter->begin(pid_query($name));
	wait_for_waiters($local, 1, "a session waits when the clock is set $what", $name);
	acquire_lease($holder, $short);
	like($idle->query(pid_query($aged))->{out}, qr/^\d+$/, 'a connection grows old');
	$idle->begin("SELECT p FROM pool_query('$short', 'select 1') AS t(p int)");
	wait_for_waiters($local, 1, 'another session waits for ten seconds', $short);

	my $before = sql($local, 'SELECT now()');
	set_clock(3600 * $hours);
	is(sql($local, "SELECT abs(extract(epoch FROM now() - '$before')) > 3000"), 't',
		"the clock is set $what");

	# What is short ends after its time, what is long does not.
	my $short_wait = $idle->result(60);
	is($short_wait->{state}, '53300', 'a wait of ten seconds ends in time');
	cmp_ok($short_wait->{secs}, '>=', 9.5, "it does not end early when the clock is set $what");
	wait_for_value($local, "SELECT open FROM pool_stats WHERE server = '$aged'", 0,
		'a connection that is idle for longer than idle_timeout is closed', seconds => 30);
	ok($waiter->busy, 'a wait of twenty minutes goes on');
	is($holder->query(pid_query($lease))->{out}, $pid, 'the lease goes on');
	is(stat_of($local, 'leaks + closed + acquire_timeouts', $name), '0',
		'nothing has leaked, was closed, or has timed out');
	is(sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$name'"
		  . " AND since BETWEEN now() - interval '10 min' AND now() + interval '1 s'"), '1',
		'the view shows since when in the time of the new clock');
	$holder->release($lease);
	is($waiter->result(30)->{out}, $pid, 'who waited is served with that connection');
	is($idle->query(pid_query($name))->{out}, $pid, 'which serves on after that');
	$holder->query(q(SELECT pool_close(srvname) FROM pg_foreign_server));
	sql($local, "DROP SERVER $name, $short, $aged CASCADE");
	$_->quit foreach $holder, $waiter, $idle;
	($holder, $waiter, $idle) = map { session($local) } 1 .. 3;
}

$_->quit foreach $holder, $waiter, $idle;
settled($local);
no_crash($local, $remote);

done_testing();
