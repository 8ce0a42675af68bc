# 015_ageing.pl
#	What grows old is replaced, ahead of time where there is room, and nobody gets
#	a connection that is too old; what lies idle is checked, which does not make
#	it younger.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;
use Time::HiRes qw(time usleep);

my $remote = start_remote();
my $local = start_local();
my $number = 0;

# server(options): a new server's name; what is not under test is out of the way
sub server
{
	my (%options) = @_;
	my $name = 's' . ++$number;

	create_server($local, $name, $remote,
		options => {
			max_size => 3, idle_timeout => 0, max_lifetime => 0, lifetime_jitter => 0,
			health_check_interval => 0, %options });
	return $name;
}

# ask(server): which remote process answers, in a session of its own
sub ask
{
	my ($name) = @_;

	return sql($local, "SELECT pid FROM pool_query('$name', 'select pg_backend_pid()') AS t(pid int)");
}

# looks(seconds, server, expression, code): looks at pool_stats again and again
# until the code, which gets the value, is content; returns all values
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

# Replaced in the background, another one being opened first.
my $ageing = server(max_lifetime => '1s');
my $first = ask($ageing);
my @open = map { (split /,/)[0] }
  looks(30, $ageing, q(open || ',' || closed_max_lifetime), sub { $_[0] =~ /,(\d+)/ && $1 >= 3 });
cmp_ok(stat_of($local, 'closed_max_lifetime', $ageing), '>=', 3, 'max_lifetime: closed, again and again');
is((sort { $a <=> $b } @open)[0], 1, 'there was always one to use');
isnt(ask($ageing), $first, 'another one answers');
is(stat_of($local, 'connect_errors + closed - closed_max_lifetime', $ageing),
	0, 'and nothing else was closed');

# Without room: closed when nobody uses it, and opened again.
my $full = server(max_lifetime => '500ms', max_size => 1);
$first = ask($full);
looks(30, $full, 'closed_max_lifetime', sub { $_[0] >= 2 });
cmp_ok(stat_of($local, 'closed_max_lifetime', $full), '>=', 2, 'the only one is replaced as well');
isnt(ask($full), $first, 'and another one answers');

# In use: replaced meanwhile, and not used again when it comes back.
my $used = server(max_lifetime => '1s');
my $session = session($local);
my $lease = $session->query("SELECT pool_acquire('$used', hold => true)")->{out};
my $held = $session->query(
	"SELECT pid FROM pool_query($lease, 'select pg_backend_pid()') AS t(pid int)")->{out};
looks(30, $used, 'open', sub { $_[0] == 2 });
is(stat_of($local, 'open', $used), 2, 'in use: another one is opened meanwhile');
looks(30, $used, 'closed_max_lifetime', sub { $_[0] >= 1 });
is($session->query("SELECT pid FROM pool_query($lease, 'select pg_backend_pid()') AS t(pid int)")->{out},
	$held, 'the lease goes on');
$session->query("SELECT pool_release($lease)");
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$used' AND remote_pid = $held",
	0, 'and is closed when it comes back');

# Who waits for it gets another one.
my $wanted = server(max_lifetime => '1s', max_size => 1);
$lease = $session->query("SELECT pool_acquire('$wanted', hold => true)")->{out};
$held = $session->query(
	"SELECT pid FROM pool_query($lease, 'select pg_backend_pid()') AS t(pid int)")->{out};
my $waiter = session($local);
$waiter->begin("SELECT pid FROM pool_query('$wanted', 'select pg_backend_pid()') AS t(pid int)");
wait_for_value($local,
	"SELECT waiting FROM pool_stats s JOIN pool_connections c USING (server)"
	  . " WHERE server = '$wanted' AND clock_timestamp() - c.opened > '1s'",
	1, 'a session waits for one that is too old');
$session->query("SELECT pool_release($lease)");
like($waiter->result->{out}, qr/^(?!$held$)\d+$/, 'and gets another one');
$waiter->quit;

# Borrowed: not even when the worker did not look.
my $borrowed = server(max_lifetime => '1s', max_size => 1);
$first = ask($borrowed);
my $worker = sql($local,
	q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
kill 'STOP', $worker;
wait_for_value($local,
	"SELECT clock_timestamp() - opened > '1s' FROM pool_connections WHERE server = '$borrowed'",
	't', 'it is too old');
$session->begin("SELECT pid FROM pool_query('$borrowed', 'select pg_backend_pid()') AS t(pid int)");
wait_for_value($local, "SELECT waiting FROM pool_stats WHERE server = '$borrowed'", 1,
	'nobody gets it');
kill 'CONT', $worker;
like($session->result->{out}, qr/^(?!$first$)\d+$/, 'but another one');

# Jitter: those that were opened at the same time do not go at the same time.
my $spread = server(max_lifetime => '3s', lifetime_jitter => '100%', max_size => 10);
sql($local, "SELECT pool_prewarm('$spread', 10)");
my @closed = looks(30, $spread, 'closed_max_lifetime', sub { $_[0] >= 10 });
ok((grep { $_ > 0 && $_ < 8 } @closed) > 0, 'jitter: not all at once');

# The lifetime can be changed for connections that are there.
my $changed = server(max_lifetime => '1h');
$first = ask($changed);
sql($local, "ALTER SERVER $changed OPTIONS (SET max_lifetime '1s')");
is(ask($changed), $first, 'a long lifetime');
looks(30, $changed, 'closed_max_lifetime', sub { $_[0] >= 1 });
isnt(ask($changed), $first, 'that was made shorter');


# Idle connections are asked whether they are alive.
my $checked = server(health_check_interval => '100ms', health_check_query => 'select 4711');
ask($checked);
looks(30, $checked, 'health_checks', sub { $_[0] >= 3 });
cmp_ok(stat_of($local, 'health_checks', $checked), '>=', 3, 'health checks');
is(sql($remote, q(SELECT count(*) FROM pg_stat_activity WHERE query = 'select 4711' OR query = 'DISCARD ALL')) > 0, 1,
	'with the query that was asked for');
is(stat_of($local, 'health_check_failures + closed', $checked), 0, 'all went well');

my $failing = server(health_check_interval => '100ms', health_check_query => 'select 1/0');
ask($failing);
looks(30, $failing, 'health_check_failures', sub { $_[0] >= 1 });
cmp_ok(stat_of($local, 'health_check_failures', $failing), '>=', 1, 'a check that fails');
cmp_ok(stat_of($local, 'closed_check_failed', $failing), '>=', 1, 'closes the connection');
like(ask($failing), qr/^\d+$/, 'and the pool goes on');

my $stopped = server(health_check_interval => '100ms', health_check_timeout => '300ms', min_size => 1);
my $pid = ask($stopped);
kill 'STOP', $pid;
looks(30, $stopped, 'closed_check_failed', sub { $_[0] >= 1 });
is(stat_of($local, 'closed_check_failed', $stopped), 1, 'one that does not answer is found');
like(ask($stopped), qr/^(?!$pid$)\d+$/, 'without anyone having to wait for it');
kill 'CONT', $pid;

# Checks do not count as use.
my $idle = server(health_check_interval => '50ms', idle_timeout => '1s');
is(sql($local, "SELECT pool_prewarm('$idle', 3)"), 3, 'three idle ones');
looks(30, $idle, 'health_checks', sub { $_[0] >= 3 });
my $until = time + 30;
while (time < $until && stat_of($local, 'closed_idle_timeout', $idle) < 2)
{
	ask($idle);
	usleep(20_000);
}
is(stat_of($local, 'closed_idle_timeout', $idle), 2, 'those that nobody uses go, checked or not');
is(stat_of($local, 'open', $idle), 1, 'and the one that is used stays');

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
