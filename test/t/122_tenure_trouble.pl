# 122_tenure_trouble.pl
#	Sessions that ask without a pause for a pool that has too few connections, so
#	that at any time slots rest between two leases of a session and others wait;
#	meanwhile everything happens that ends a rest, a wait or a session.  After each
#	of them the others go on, and get what they asked for.
#
# Runs in the plain round only.
# Needs fairness_round.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Loops;
use Test::More;

my $remote = start_remote();
my $local = start_local();
create_loops($local);
my $server = new_server($local, $remote, { max_size => 2, acquire_timeout => '60s' });
my $control = session($local);

# goes_on(what): the sessions ask, and are answered
sub goes_on
{
	my ($what) = @_;
	my $before = stat_of($local, 'acquires', $server);

	ok(wait_until(60, sub { stat_of($local, 'acquires', $server) > $before + 300 }),
		"the others go on: $what");
	return;
}

my @sessions = map { start_loop($local, $server) } 1 .. 6;
goes_on('sessions take turns');

# Each time another one has the tenure, rests or waits.
foreach my $round (1 .. 5)
{
	my $victim = shift @sessions;

	sql($local, 'SELECT pg_terminate_backend(' . $victim->pid . ')');
	is($victim->result->{state}, '57P01', 'a session is terminated');
	goes_on('a session was terminated');
	$victim = start_loop($local, $server);
	sql($local, 'SELECT pg_cancel_backend(' . $victim->pid . ')');
	is($victim->result->{state}, '57014', 'a session is canceled');
	goes_on('a session was canceled');
	begin_loop($local, $server, $victim);
	push @sessions, $victim;
}

# Waits that end by themselves, of whoever is the first then.
my @impatient = map { session($local) } 1 .. 3;
my %state;
$_->query(q(SET pool.acquire_timeout = '2ms')) foreach @impatient;
foreach my $round (1 .. 30)
{
	$_->begin("SELECT asks('$server', 5)") foreach @impatient;
	$state{ $_->result->{state} }++ foreach @impatient;
}

# 08001: at that moment a connection was resting, and so not leased.
is(join(' ', grep { !/^(00000|53300|08001)$/ } keys %state), '',
	'waits end with a connection, or since the time is over');
cmp_ok($state{53300} // 0, '>', 0, 'some of them with 53300');
goes_on('waits timed out');
$_->quit foreach @impatient;

foreach (
	[ 'the pool was paused', "SELECT pool_pause('$server'), pool_resume('$server')" ],
	[ 'its connections were replaced', "SELECT pool_reconnect('$server')" ],
	[ 'it was made smaller', "SELECT pool_resize('$server', 0, 1)" ],
	[ 'it was made larger', "SELECT pool_resize('$server', 0, 2)" ],
	[ 'its options were altered', "ALTER SERVER $server OPTIONS (ADD connect_timeout '9s')" ],
	[ 'its round was altered', "ALTER SERVER $server OPTIONS (ADD fairness_round '0')" ],
	[ 'its round was altered again', "ALTER SERVER $server OPTIONS (SET fairness_round '1s')" ],
	[ 'its connections grew old', "ALTER SERVER $server OPTIONS (ADD max_lifetime '50ms')" ],
	[ 'its connections grow old no more', "ALTER SERVER $server OPTIONS (SET max_lifetime '0')" ])
{
	my ($what, $statement) = @$_;

	foreach my $round (1 .. 3)
	{
		my $answer = $control->query($statement);

		is($answer->{state}, '00000', $what) or diag $answer->{err};
		goes_on($what);
		last if $statement =~ /^ALTER/;
	}
}
my $answer = $control->query("SELECT pool_drain('$server')", 60);
is($answer->{state}, '00000', 'a pool is drained while its sessions come back again and again');
$control->query("SELECT pool_resume('$server')");
goes_on('the pool was drained');

is(scalar(grep { $_ !~ /^\d+$/ } stop_loops($local, @sessions)), 0,
	'each of them was answered to the end');

# A worker that ends takes its connections with it: who waits is not concerned.
my @before = map { start_loop($local, $server) } 1 .. 4;
goes_on('before the worker is terminated');
sql($local, 'SELECT pg_terminate_backend(' . worker_pid($local) . ')');
my @after = map { start_loop($local, $server) } 1 .. 2;
goes_on('the worker was terminated');
my @answers = stop_loops($local, @before, @after);
is(scalar(grep { $_ !~ /^(?:\d+$|08\w{3}: )/ } @answers), 0,
	'each was answered to the end, but for statements that lost their connection')
  or diag join "\n", @answers;
$control->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();
