# 015_ageing.pl
#	What grows old is replaced, ahead of time where there is room, and no session
#	acquires a connection that is too old; what lies idle is checked, which does not
#	make it younger.  Each server has only the options that its part is about, and
#	the test reads from the statistics why connections were closed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();

# server(options): a new server's name; what is not under test is out of the way
sub server
{
	my (%options) = @_;

	return new_server($local, $remote,
		{
			max_size => 3,
			idle_timeout => 0,
			max_lifetime => 0,
			lifetime_jitter => 0,
			health_check_interval => 0,
			%options });
}

# ask(server): which remote process answers, in a session of its own
sub ask
{
	my ($name) = @_;

	return sql($local, pid_query($name));
}

# looks(seconds, server, expression, code): looks at the statistics again and
# again until the code, which gets the value, is content; returns all values
sub looks
{
	my ($seconds, $name, $expression, $code) = @_;
	my @values;

	wait_until($seconds, sub {
		push @values, stat_of($local, $expression, $name);
		return $code->($values[-1]);
	});
	return @values;
}

# Replaced in the background, another one being opened first.  That is so whenever the
# worker looks in the last tenth of a second before the end.
my $ageing = server(max_lifetime => '1s');
my $session = session($local);
my $first = ask($ageing);
my $both = "SELECT open = 1 AND connecting = 1 FROM pool_stats WHERE server = '$ageing'";
ok(wait_until(60, sub { return $session->query($both)->{out} eq 't' }),
	'another connection is opened while one that is about to be too old is still there');
looks(30, $ageing, 'closed_max_lifetime', sub { $_[0] >= 3 });
cmp_ok(stat_of($local, 'closed_max_lifetime', $ageing), '>=', 3,
	'max_lifetime closes connections again and again');
isnt(ask($ageing), $first, 'a connection that was too old is replaced by another one');
is(stat_of($local, 'connect_errors + closed - closed_max_lifetime', $ageing),
	0, 'max_lifetime is the only reason to close a connection');

# Without room: closed when no session uses it, and opened again.
my $full = server(max_lifetime => '500ms', max_size => 1);
$first = ask($full);
looks(30, $full, 'closed_max_lifetime', sub { $_[0] >= 2 });
cmp_ok(stat_of($local, 'closed_max_lifetime', $full), '>=', 2,
	'max_lifetime closes also the only connection of a pool');
isnt(ask($full), $first, 'the only connection of a pool is replaced by another one');

# Leased: replaced meanwhile, and not leased again after its release.
my $used = server(max_lifetime => '1s');
my ($lease, $held) = acquire_lease($session, $used);
my @open = looks(30, $used, 'open', sub { $_[0] == 2 });
is($open[-1], 2,
	'another connection is opened while one that is too old is leased');
looks(30, $used, 'closed_max_lifetime', sub { $_[0] >= 1 });
is($session->query(pid_query($lease))->{out},
	$held, 'a lease goes on when its connection is too old');
$session->query("SELECT pool_release($lease)");
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$used' AND remote_pid = $held",
	0, 'a connection that is too old is closed after its release');

# A waiter acquires another one.
my $wanted = server(max_lifetime => '1s', max_size => 1);
($lease, $held) = acquire_lease($session, $wanted);
my $waiter = session($local);
$waiter->begin(pid_query($wanted));
wait_for_value($local,
	"SELECT waiting FROM pool_stats s JOIN pool_connections c USING (server)"
	  . " WHERE server = '$wanted' AND clock_timestamp() - c.opened > '1s'",
	1, 'a session waits while the only connection is too old and leased');
$session->query("SELECT pool_release($lease)");
like($waiter->result->{out}, qr/^(?!$held$)\d+$/,
	'a session that waits acquires another connection than one that is too old');
$waiter->quit;

# Not even when the worker did not look.
my $unseen = server(max_lifetime => '1s', max_size => 1);
my $worker = worker_pid($local);
ok( wait_until(30, sub {
		$first = ask($unseen);
		kill 'STOP', $worker;
		return 1 if sql($local, "SELECT count(*) FROM pool_connections"
			. " WHERE remote_pid = $first AND state = 'idle'");
		kill 'CONT', $worker;
		return 0;
	}),
	'the worker is stopped before it has replaced a connection');
wait_for_value($local,
	"SELECT clock_timestamp() - opened > '1s' FROM pool_connections WHERE server = '$unseen'",
	't', 'a connection grows too old while the worker is stopped');
$session->begin(pid_query($unseen));
wait_for_waiters($local, 1,
	'no session acquires a connection that is too old while the worker is stopped', $unseen);
kill 'CONT', $worker;
like($session->result->{out}, qr/^(?!$first$)\d+$/,
	'a session acquires another connection when the worker goes on');

# Jitter: those that were opened at the same time do not go at the same time.
# Who looks too late has not seen it; then there are others.
my @some;
foreach (1 .. 3)
{
	my $spread = server(max_lifetime => '3s', lifetime_jitter => '100%', max_size => 10);
	sql($local, "SELECT pool_prewarm('$spread', 10)");
	@some = grep { $_ > 0 && $_ < 8 }
	  looks(30, $spread, 'closed_max_lifetime', sub { $_[0] >= 10 });
	last if @some;
}
ok(@some > 0,
	'lifetime_jitter spreads the ends of connections that were opened together');

# The lifetime can be changed for connections that are there.
my $changed = server(max_lifetime => '1h', max_size => 1);
$first = ask($changed);
sql($local, "ALTER SERVER $changed OPTIONS (SET max_lifetime '5min')");
is(ask($changed), $first, 'a shorter max_lifetime does not close a connection at once');
sql($local, "ALTER SERVER $changed OPTIONS (SET max_lifetime '1s')");
sql($local, "SELECT pool_prewarm('$changed', 0)");
looks(30, $changed, 'closed_max_lifetime', sub { $_[0] >= 1 });
isnt(ask($changed), $first, 'a shorter max_lifetime counts for connections that are there');


# Idle connections are asked whether they are alive.
my $checked = server(health_check_interval => '100ms', health_check_query => 'select 4711');
ask($checked);
looks(30, $checked, 'health_checks', sub { $_[0] >= 3 });
cmp_ok(stat_of($local, 'health_checks', $checked), '>=', 3,
	'an idle connection is checked again and again');
is( sql($remote,
		q(SELECT count(*) FROM pg_stat_activity
		WHERE query = 'select 4711' OR query = 'DISCARD ALL')) > 0,
	1, 'a check runs the statement that the option health_check_query names');
is(stat_of($local, 'health_check_failures + closed', $checked), 0,
	'checks that go well close no connection');

my $failing = server(health_check_interval => '100ms', health_check_query => 'select 1/0');
ask($failing);
looks(30, $failing, 'health_check_failures', sub { $_[0] >= 1 });
cmp_ok(stat_of($local, 'health_check_failures', $failing), '>=', 1,
	'a check whose statement fails counts as failed');
cmp_ok(stat_of($local, 'closed_check_failed', $failing), '>=', 1,
	'a check that fails closes the connection');
like(ask($failing), qr/^\d+$/, 'a pool whose checks fail goes on to answer');

my $stopped = server(
	health_check_interval => '100ms', health_check_timeout => '1s', min_size => 1);
my $pid = ask($stopped);
kill 'STOP', $pid;
wait_for_value($local, "SELECT closed_check_failed > 0 AND NOT EXISTS"
	  . " (SELECT FROM pool_connections WHERE remote_pid = $pid AND state <> 'closing')"
	  . " FROM pool_stats_all() WHERE server = '$stopped'", 't',
	'a check closes a connection whose remote does not answer');
like(ask($stopped), qr/^(?!$pid$)\d+$/,
	'no session has to wait for a remote process that a check has found silent');
kill 'CONT', $pid;

# Checks do not count as use.
my $idle = server(health_check_interval => '50ms', idle_timeout => '5s');
is(sql($local, "SELECT pool_prewarm('$idle', 3)"), 3, 'three connections are idle');
looks(30, $idle, 'health_checks', sub { $_[0] >= 3 });
($lease) = acquire_lease($session, $idle);
wait_for_value($local,
	"SELECT closed_idle_timeout, open FROM pool_stats_all() WHERE server = '$idle'", '2|1',
	'idle_timeout closes connections that are checked but not used', seconds => 30);

# Both in one session, lest the time passes once more.
$session->query("SELECT pool_release($lease)");
my $checks = $session->query("SELECT health_checks FROM pool_stats_all() WHERE server = '$idle'")
  ->{out};
ok( wait_until(30, sub {
		return $session->query("SELECT health_checks > $checks FROM pool_stats_all()"
			. " WHERE server = '$idle'")->{out} eq 't';
	}),
	'the connection that was used is idle, and checked');
is($session->query("SELECT open FROM pool_stats WHERE server = '$idle'")->{out}, 1,
	'idle_timeout does not close a connection that is used');

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
