# Stress.pm
#	The faults of 107_stress.pl: each is something that happens to servers and
#	sessions in a running system, or that somebody does to them.  One is picked at
#	random again and again, by weight.
#
#	Some last for a while: what ends them is kept until its time has come, or until
#	all is to be well again.

package PoolTest::Stress;

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::Proxy;
use PoolTest::Soak;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(
  prepare_stress start_stress random_fault end_of_time crash_server worker_disturbed faults_report
);

my ($local, $remote, $control, $proxy, @points);
my (%count, @later, @restarts);
my $disturbed_until = 0;

# prepare_stress(local, remote): a proxy is put before the remote, unless it would
# have to read what is encrypted; sessions come by fault points
sub prepare_stress
{
	($local, $remote) = @_;
	@points = fault_points($local);
	before_each_call(\&armed);

	# What is swallowed on the way nobody ever answers.  And one pool does without
	# reclaiming, which would hide what a session leaves leased when it ends.
	sql($local, qq(ALTER SERVER srv OPTIONS (ADD query_timeout '10s')));
	sql($local, qq(ALTER SERVER hasty OPTIONS (SET leak_threshold '0')));
	return if $PoolTest::tls;
	$proxy = start_proxy($remote);
	sql($local, qq(ALTER SERVER $_ OPTIONS (SET port '$proxy->{port}'))) foreach 'srv', 'hasty';
	return;
}

# armed(): a statement that arms a point in a session, rarely, or none
sub armed
{
	my $point = either(grep { $_->{process} eq 'SESSION' } @points);
	my @actions = ('cancel', 'cancel', 'terminate');

	push @actions, ('error') x 4 if $point->{kind} eq 'RAISES';
	return 'SET pool.fault_point = $$$$; ' if rand() >= 0.1;
	$count{'fault point'}++;
	return sprintf 'SET pool.fault_point = $$%s %s %d$$; ', $point->{name}, either(@actions),
	  1 + rand 10;
}

# start_stress(): before the first fault of a round; returns the session that most
# of them come from
sub start_stress
{
	$control = session($local, options => '-c client_min_messages=error'
		  . ' -c statement_timeout=20s -c pool.acquire_timeout=300ms');
	return $control;
}

#
# The errors that these faults explain, beyond those of the soak.  A cancel of the
# local session is none of the remote: see churn().
#
my $any = qr/^/;
my $srv = qr/server "(?:srv|hasty|dN)"/;
my $acquire = qr/^could not (?:connect|acquire a connection) to $srv/;

add_explained(
	[ $any, '57014', qr/^canceling statement due to user request$/ ],

	# The worker is terminated or stopped.
	[ $any, '08001', qr/^(?:pool worker is not (?:running|responding)|$acquire)/ ],
	[ $any, '08006', qr/^connection of lease N to $srv was lost$/ ],

	# A process comes by a fault point; what passes is lost or damaged on the way.
	[ $any, 'XX000', qr/^fault point "\w+" was reached$/ ],
	[ $any, '57014', qr/^canceling remote statement on $srv due to query_timeout$/ ],

	# Leases are reclaimed and connections closed at any moment.
	[ $any, '0800[36]', qr/^connection (?:of lease N )?to $srv was (?:reclaimed|closed)/ ],
	[ $any, '08003', qr/^connection of lease N to $srv was lost$/ ],
	[ $any, '0800[36]', qr/^remote has ended the connection of lease N to $srv$/ ],
	[ $any, '57P01', qr/^remote has ended the connection of lease N to $srv$/ ],

	# The pool is paused, the password wrong.
	[ $any, '55000', qr/^pool for $srv is paused$/ ],
	[ $any, '28P01', $acquire ],
	[ $any, '53300', $acquire ]);

#
# Faults
#

# later(seconds, code): what ends a fault
sub later
{
	my ($seconds, $code) = @_;

	push @later, [ time + $seconds, $code ];
	return;
}

# end_of_time(all): those whose time has come, or all
sub end_of_time
{
	my ($all) = @_;
	my @now = grep { $all || $_->[0] <= time } @later;

	@later = grep { !$all && $_->[0] > time } @later;
	$_->[1]->() foreach @now;
	return;
}

# control(statement): what it says; errors are for who reads the output
sub control
{
	my ($statement) = @_;
	my $answer = $control->query($statement);

	note "$statement: $answer->{err}"
	  if $answer->{state} ne '00000' && $answer->{state} !~ /^(?:57014|53300|08)/;
	return $answer->{out};
}

sub either
{
	return $_[ int rand @_ ];
}

# some_pool(): one of those at work
sub some_pool
{
	return either('srv', 'srv', 'srv', 'hasty');
}

# stop_for(seconds, pid): the process goes on after that, also if we wait for it
# ourselves by then; it may hold any lock
sub stop_for
{
	my ($seconds, $pid) = @_;

	return 0 if !$pid;
	disturb_worker($seconds + 1);
	later($seconds, sub { kill 'CONT', $pid; });
	kill 'STOP', $pid;
	return system("(sleep $seconds; kill -CONT $pid) >/dev/null 2>&1 &");
}

# disturb_worker(seconds): for so long other pools may have to wait
sub disturb_worker
{
	$disturbed_until = max($disturbed_until, time + $_[0]);
	return;
}

# worker_disturbed(seconds): was it, in the last so many seconds?
sub worker_disturbed
{
	return time - $_[0] < $disturbed_until;
}

sub worker
{
	return control(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
}

sub some_remote_pid
{
	return control(q(SELECT remote_pid FROM pool_connections WHERE server IN ('srv', 'hasty'))
		  . q( ORDER BY random() LIMIT 1));
}

sub set_option
{
	my ($server, $name, $value) = @_;
	my ($set) = control("SELECT count(*) FROM pg_foreign_server, unnest(srvoptions) o"
		  . " WHERE srvname = '$server' AND o LIKE '$name=%'");

	control("ALTER SERVER $server OPTIONS (" . ($set ? 'SET' : 'ADD') . " $name '$value')");
	return;
}

# The password is another one on the remote, or in the mapping.  In statements of
# their own, which nobody sees in pg_stat_activity.
sub other_password
{
	my $right = $PoolTest::password;

	if (rand() < 0.5)
	{
		sql($remote, "ALTER ROLE app PASSWORD '$right-other'");
		later(rand 1, sub { sql($remote, "ALTER ROLE app PASSWORD '$right'"); });
	}
	else
	{
		sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER srv"
			  . " OPTIONS (SET password '$right-other')");
		later(rand 1, sub {
			sql($local, "ALTER USER MAPPING FOR CURRENT_USER SERVER srv"
				  . " OPTIONS (SET password '$right')");
		});
	}
	later(1, sub { control("SELECT pool_breaker_reset('$_')") foreach 'srv', 'hasty'; });
	return;
}

sub restart
{
	end_of_time(1);
	push @restarts, restart_remote(either('fast', 'immediate'));
	return;
}

# The worker comes by a fault point, and ends.
sub fail_worker
{
	my $point = either(grep { $_->{process} eq 'WORKER' } @points);
	my $action = $point->{kind} eq 'RAISES' ? either('error', 'terminate') : 'terminate';

	disturb_worker(7);
	sql($local, "ALTER SYSTEM SET pool.fault_point = '$point->{name} $action 1'");
	control('SELECT pg_reload_conf()');
	later(2, sub {
		sql($local, 'ALTER SYSTEM RESET pool.fault_point');
		control('SELECT pg_reload_conf()');
	});
	return;
}

# What passes on the way to the remote is cut, split, delayed, damaged or lost.
sub fail_on_the_way
{
	return if !$proxy;
	tell_proxy($proxy, sprintf 'random %d %d', 1 + rand 1e6, 1 + rand 20);
	later(rand 2, sub { tell_proxy($proxy, 'clear') });
	return;
}

sub pause
{
	my ($how) = @_;
	my $pool = some_pool();

	control("SELECT pool_$how");
	later(rand 1, sub { control("SELECT pool_resume('$_')") foreach 'srv', 'hasty'; });
	return;
}

# Name, weight, what happens
my @faults = (
	[ 'cancel', 20, sub { control('SELECT pg_cancel_backend(' . some_session()->pid . ')') } ],
	[ 'pool_cancel', 10, sub { control('SELECT pool_cancel(' . some_session()->pid . ')') } ],
	[ 'session terminated', 6, sub { terminate_here($control) } ],
	[ 'client killed', 4, sub { kill_client() } ],
	[ 'session stopped', 6, sub { stop_for(rand 1.5, some_session()->pid) } ],
	[ 'remote session terminated', 10, sub { terminate_there() } ],
	[ 'remote session stopped', 6, sub { stop_for(rand 2, some_remote_pid()) } ],
	[ 'remote postmaster stopped', 0.5, sub {
		stop_for(rand 2, (split /\n/, slurp_file($remote->data_dir . '/postmaster.pid'))[0]) } ],
	[ 'remote restarted', 0.5, \&restart ],
	[ 'worker terminated', 0.7, sub { disturb_worker(5); kill 'TERM', worker() || 0 } ],
	[ 'worker at a fault point', 0.5, \&fail_worker ],
	[ 'faults on the way', 2, \&fail_on_the_way ],
	[ 'worker stopped', 1, sub { stop_for(rand 1, worker()) } ],
	[ 'password changed', 0.4, \&other_password ],
	[ 'paused', 0.5, sub { pause("pause('" . some_pool() . "')") } ],
	[ 'paused, and callers told', 0.3, sub { pause("pause('" . some_pool() . "', true)") } ],
	[ 'drained', 0.5, sub { pause("drain('" . some_pool() . "', '200 ms')") } ],
	[ 'reconnect', 3, sub { control("SELECT pool_reconnect('" . some_pool() . "')") } ],
	[ 'closed', 2, sub { control("SELECT pool_close('" . some_pool() . "')") } ],
	[ 'resized', 4, sub {
		control(sprintf q(SELECT pool_resize('%s', %d, %d)), some_pool(), rand 3,
			3 + rand 12) } ],
	[ 'reclaimed', 5, sub {
		control(q(SELECT pool_reclaim(slot) FROM pool_connections WHERE state = 'leased')
			  . q( AND server <> 'bystander' ORDER BY random() LIMIT 1)) } ],
	[ 'prewarmed', 3, sub { control("SELECT pool_prewarm('" . some_pool() . "', 10)") } ],
	[ 'breaker reset', 1, sub { control("SELECT pool_breaker_reset('" . some_pool() . "')") } ],
	[ 'counters reset', 1, sub { control("SELECT pool_stats_reset('" . some_pool() . "')") } ],
	[ 'max_size altered', 2, sub { set_option('srv', 'max_size', 4 + int rand 10) } ],
	[ 'max_server_size altered', 2, sub {
		set_option('srv', 'max_server_size', either(0, 0, 3, 8)) } ],
	[ 'host altered', 1, sub {
		set_option('srv', 'keepalives_idle', 20 + int rand 100) } ],
	[ 'max_waiters altered', 1, sub {
		set_option('srv', 'max_waiters', either(0, 0, 150)) } ],
	[ 'query_timeout altered', 1, sub {
		set_option('srv', 'query_timeout', either('5s', '10s')) } ],
	[ 'reloaded', 2, sub {
		sql($local, 'ALTER SYSTEM SET ' . either('pool.log_connections', 'pool.track_timing')
			  . ' = ' . either('on', 'off'));
		control('SELECT pg_reload_conf()') } ]);
my $weights = sum0(map { $_->[1] } @faults);

# random_fault(): one of them happens
sub random_fault
{
	my $pick = rand $weights;

	foreach my $fault (@faults)
	{
		$pick -= $fault->[1];
		next if $pick >= 0;
		$count{ $fault->[0] }++;
		return $fault->[2]->();
	}
	return;
}

# crash_server(): a process of the local server is killed, which takes all with it.
# The control session is no exception.
sub crash_server
{
	my $worker = worker() || 0;
	my $pid = either(some_session()->pid, $worker || some_session()->pid);

	end_of_time(1);
	expect_all_lost();
	$count{ $pid == $worker ? 'worker killed' : 'session killed' }++;
	kill 'KILL', $pid;
	return;
}

# faults_report(): how often each has happened
sub faults_report
{
	return join "\n", (map { sprintf '%6d  %s', $count{$_}, $_ } sort keys %count),
	  sprintf '%d restarts of the remote; served after at most %.1f s', scalar @restarts,
	  (sort { $b <=> $a } @restarts, 0)[0];
}

END { end_of_time(1) if $local; }

1;
