# 107_stress.pl
#	All that can go wrong, at random and at once: a hundred sessions on few
#	connections, while processes on both sides are cancelled, terminated, killed and
#	stopped, the remote restarts, servers, mappings, passwords, sizes and settings
#	change, every function for administrators is called, processes fail at fault
#	points, and bytes are lost or damaged on the way.  Again and again all
#	comes to rest for a moment, and then the invariants A to G must hold (see
#	PoolTest/Invariants.pm), which includes that no answer was wrong and that every
#	error is one that the faults explain.
#
#	The workload and its sessions are those of 024_soak.pl; the faults are in
#	PoolTest/Stress.pm.  test/stress.sh starts this.
#
#	POOL_TEST_SECONDS: for how long (60).  POOL_TEST_SEED: of the faults' choice.
#	POOL_TEST_SESSIONS: how many (100).
#
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min);
use PoolTest;
use PoolTest::Invariants;
use PoolTest::Security qw($canary);
use PoolTest::Soak;
use PoolTest::SoakCatalog;
use PoolTest::Stress;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{POOL_TEST_SECONDS} || 60;
my $seed = $ENV{POOL_TEST_SEED} || int time;
my $count = $ENV{POOL_TEST_SESSIONS} || 100;
my $round = 15;

note "POOL_TEST_SEED=$seed";
srand($seed);
$PoolTest::password = $canary;

# A statement ends when its client is gone, here and there.
my ($local, $remote) = start_soak(
	max_connections => $count + 40,
	restart_after_crash => 'on',
	client_connection_check_interval => '500ms',
	log_min_messages => 'debug1');
$remote->append_conf('postgresql.conf', "client_connection_check_interval = '500ms'");
$remote->reload;

# What nobody does anything to: only the end of the worker or of the server is felt
# there.  Nothing of it is left open when nobody asks.
my $near = start_remote(name => 'near');
create_server($local, 'near', $near, options => { idle_timeout => '100ms' });

add_bystander($local, $remote);
my $case = PoolTest::Invariants->new($local, $remote);
prepare_stress($local, $remote);
sql($local, 'CHECKPOINT');

my ($rounds, $crashes, $offset) = (0, 0, 0);
my (%told, @near);
my $until = time + $seconds;

# one_round(): all at work and all faults for a while, and then the invariants
sub one_round
{
	my $crash = $rounds > 0 && rand() < 0.2;
	my $end = min($until, time + 5 + rand 20);
	my $control = start_stress();
	my $neighbour = session($local);

	$rounds++;
	sql($local, q(ALTER SERVER srv OPTIONS (SET leak_threshold '1s')));
	go_on_with($count);
	start_changes($local, $remote, 2);
	while (time < $end)
	{
		look_after_sessions();
		random_fault();
		end_of_time();
		ask_near($neighbour) if due('near', 1);
		usleep(rand 100_000);
	}
	end_of_time(1);
	if ($crash)
	{
		$crashes++;
		add_up();
		crash_server();
		lose_sessions();
		lose_changes();
	}
	else
	{
		stop_sessions();
		stop_changes();
	}
	$_->quit foreach $control, $neighbour;
	is(stuck_sessions(), 0, "no session is stuck after round $rounds");
	return come_to_rest($crash);
}

# ask_near(session): how long it took, if it can be blamed on nobody
sub ask_near
{
	my ($session) = @_;
	my $result = $session->query(select_42('near'));

	return if worker_disturbed($result->{secs});
	push @near, $result->{secs};
	return is($result->{out}, '42', 'another pool goes on') || diag($result->{err})
	  if $result->{out} ne '42';
	return;
}

# come_to_rest(crash): the invariants
sub come_to_rest
{
	my ($crash) = @_;
	my $when = "after round $rounds" . ($crash ? ', a crash' : '');

	if (!$crash)
	{
		# First leases that were forgotten are reclaimed.  Those of the invariants may
		# take their time.
		$case->renew;
		wait_for_value($local, 'SELECT count(*) FROM pool_connections'
			  . q( WHERE state = 'leased' AND server <> 'bystander'), 0,
			"nothing is leased $when", seconds => 60);
		sql($local, q(ALTER SERVER srv OPTIONS (SET leak_threshold '1min')));
	}
	else
	{
		$case->renew(crash => 1);
	}
	$case->hold($when, crash => $crash);
	sql($local, "SELECT setval('tokens', $rounds * 100000000::bigint)") if $crash;

	my @wrong = log_since($local, $offset) =~ /WRONG ANSWER.*/g;
	is(scalar @wrong, 0, "no answer is wrong $when")
	  or diag(join "\n", @wrong[ 0 .. min(9, $#wrong) ]);
	$offset = log_offset($local);
	add_up();
	my @odd = grep { !$told{$_}++ } unexplained();
	is(join("\n", @odd), '', "no error is met $when but those that the faults explain");

	# What was answered has happened, once; what was rolled back has not.
	my %kept = map { $_ => 1 } split /\n/, sql($remote, 'SELECT token FROM kept', db => 'far');
	my @answered = split /\n/, sql($local, 'SELECT token FROM answered');
	is(scalar(grep { !$kept{$_} } @answered), 0, "what was answered has happened $when");
	is(scalar(grep { /^(?:rollback|undone)/ } keys %kept), 0,
		"what was rolled back has not happened $when");
	sql($remote, 'TRUNCATE kept', db => 'far');
	sql($local, 'TRUNCATE answered');
	return;
}

one_round() while time < $until && Test::More->builder->is_passing;

#
# In the end
#
note met_report();
diag("\n$rounds rounds with $count sessions; statements answered: "
	  . met_count(qr/^\w+\|00000/) . ', errors: ' . met_count(qr/^\w+\|(?!00000)/));
diag(faults_report());
@near = sort { $a <=> $b } @near, 0;
diag(sprintf 'another pool answered within %.1f s (95%%), %.1f s (at most)',
	$near[ 0.95 * $#near ], $near[-1]);
cmp_ok($near[-1], '<', 10, 'another pool is never kept waiting');
cmp_ok(met_count(qr/^\w+\|00000/), '>', 0, 'statements are answered');

my $log = log_since($local);
my $killed = () = $log =~ /was terminated by signal 9/g;
is($killed, $crashes, 'nothing crashed but what was killed');
unlike($log, qr/PANIC: |TRAP: |terminated by signal (?!9)|pool slot .* cannot go/,
	'no crash in the log of local');
no_crash($remote, $near);
done_testing();
