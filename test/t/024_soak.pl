# 024_soak.pl
#	Everything at once: fifty sessions ask for answers of all kinds over ten
#	connections, while the remote is restarted, sessions here and there are
#	terminated, statements time out, leases are forgotten, connections grow old and
#	idle, and servers and mappings are created, altered, dropped and rolled back.
#	Each answer carries a token of its own and is compared byte by byte; each error
#	must be one that these faults explain; after each restart a new session must
#	soon be served; and in the end nothing is left.
#
#	What the sessions ask for is in PoolTest/Workload.pm, WorkloadRequests.pm and
#	WorkloadDblink.pm; how they are looked after, the faults, and the errors that these
#	explain, in PoolTest/Soak.pm; what changes the catalogs in PoolTest/SoakCatalog.pm.
#
#	POOL_TEST_SECONDS: for how long (25).  POOL_TEST_SEED: of the faults' choice.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min);
use PoolTest;
use PoolTest::Soak;
use PoolTest::SoakCatalog;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{POOL_TEST_SECONDS} || 25;
my $seed = $ENV{POOL_TEST_SEED} || int time;
my $restart_every = min(20, $seconds / 2.5);
my ($local, $remote) = start_soak();

#
# Before: the worker, when it had connections and has none.
#
sql($local, "SELECT pool_prewarm('$_', 2), pool_query('$_', 'select 1')")
  foreach 'srv', 'hasty';
all_closed('idle_timeout leaves no connection before the work');
my ($worker, $files, $memory) = worker_figures();

#
# Everything at once
#
note "POOL_TEST_SEED=$seed";
srand($seed);
my $control = session($local);
my %terminated = (here => 0, there => 0);
my @served;
start_sessions(50);
start_changes($local, $remote, 3);
my $start = time;

# A machine that is very busy gets time for both restarts.
while (time < $start + $seconds || (@served < 2 && time < $start + $seconds + 120))
{
	look_after_sessions();
	$terminated{here} += terminate_here($control) if due('here', 1);
	$terminated{there} += terminate_there() if due('there', 2);
	push @served, restart_remote(@served % 2 ? 'immediate' : 'fast')
	  if time > $start + $restart_every * (1 + @served);
	usleep(100_000);
}

# The sessions end what they do.
my @sessions = stop_sessions();
is(stuck_sessions(), 0, 'no session is stuck');
stop_changes();

# Those that are left can go on, and with them there nothing is leased.
$_->begin(q(SET statement_timeout = 0;
	SELECT t FROM pool_query('srv', 'select $1::text', pg_backend_pid()) AS r(t text)))
  foreach @sessions;
my @silent = grep { $_->result->{out} ne $_->pid } @sessions;
is(scalar @silent, 0, 'all sessions that are left can go on')
  or diag(join "\n", map { $_->{last}{err} } @silent);
settled($local, 'nothing is under way while all these sessions are there, and the sums hold', 30);
remote_count($local, $remote);
is(sql($local, 'SELECT count(*) FROM pool_connections WHERE leaked'), 0,
	'no connection is leaked after the work');
is(sql($local, q(SELECT count(*) FROM pool_requests WHERE state IN ('waiting', 'running'))), 0,
	'no request is under way after the work');

# Copies of what there is now, two sockets of its own, and leases it forgot.
my $sockets = max(map { sockets_of($_) } @sessions);
cmp_ok($sockets, '<=', 30, 'no session keeps copies of connections that are gone');

#
# What has come of it
#
my @wrong = log_since($local) =~ /WRONG ANSWER.*/g;
is(scalar @wrong, 0, 'no answer is wrong') or diag(join "\n", @wrong[ 0 .. min(9, $#wrong) ]);

add_up();
note met_report();
my @odd = unexplained();
is(scalar @odd, 0, 'no error is met but those that the faults explain')
  or diag(join "\n", @odd);

cmp_ok(met_count(qr/^$_\|00000/), '>', 0, "statements of kind $_ are answered")
  foreach 'rows', 'many', 'insert', 'commit', 'rollback', 'error', 'undone', 'sleep', 'hasty',
  'long', 'forgotten', 'catalog', 'send', 'leased', 'across', 'fetched', 'abandon', 'block', 'any',
  'all_raise', 'all_row', 'all_skip', 'unfinished', 'dl_call', 'dl_named', 'dl_cursor', 'dl_send',
  'dl_cancel';
cmp_ok(met_count(qr/^unattended\|57014\|request N has lost/), '>', 0,
	'requests that are left alone for too long lose their connections');
cmp_ok(met_count(qr/^$_\|22012/), '>', 0, "a server of kind $_ fails in the middle of its rows")
  foreach 'all_raise', 'all_row';
cmp_ok(met_count(qr/^held\|08003/), '>', 0,
	'sessions that hold a lease for too long find that it was reclaimed');
cmp_ok(met_count(qr/^session\|57014/), '>', 0, 'statements of the sessions time out');
cmp_ok(met_count(qr/^session\|57P01/), '>', 0, 'sessions find that they are terminated');
cmp_ok($terminated{here}, '>', 0, 'sessions are terminated on the local server');
cmp_ok($terminated{there}, '>', 0, 'sessions are terminated on the remote');

my @stats = (
	'leaks_reclaimed', 'closed_remote_closed', 'closed_idle_timeout', 'closed_max_lifetime',
	'closed_canceled', 'closed_unattended', 'health_checks', 'resets', 'requests');
cmp_ok(stat_of($local, $_), '>', 0, "the work makes pool_stats_all() count $_") foreach @stats;
cmp_ok(sql($local, 'SELECT sum(hedges) FROM pool_stats_all()'), '>', 0,
	'servers are asked since others are slow');
note explain(sql($local, 'SELECT row_to_json(s) FROM pool_stats_all() s'));

# What was answered has happened, once; what was rolled back has not.
my %kept;
$kept{$_}++ foreach split /\n/, sql($remote, 'SELECT token FROM kept', db => 'far');
my @answered = split /\n/, sql($local, 'SELECT token FROM answered');
is(scalar(grep { !$kept{$_} } @answered), 0,
	'what was answered has happened on the remote');
is(scalar(grep { /^(?:rollback|undone)/ } keys %kept), 0,
	'what was rolled back has not happened on the remote');
note sprintf('%d kept, %d of them without an answer', scalar keys %kept, keys(%kept) - @answered);

# The wait after a restart.  It should be a second at most; a busy machine is
# granted more.
my @sorted = sort { $a <=> $b } @served;
cmp_ok(scalar @served, '>=', 2, 'the remote is restarted twice or more');
cmp_ok($sorted[-1], '<', 5, 'after each restart a new session is soon served');
diag(sprintf('%d restarts of the remote; the first answer came after %.0f ms (median),'
		  . ' %.0f ms (at most)',
	scalar @sorted, $sorted[ $#sorted / 2 ] * 1000, $sorted[-1] * 1000));

#
# After: the same worker, without connections
#
$_->quit foreach @sessions, $control;
all_closed('idle_timeout leaves no connection after the work');
is(app_sessions($remote), 0, 'the remote has no session after the work');
is(sql($local, 'SELECT count(*) FROM pool_requests'), 0, 'no request is left after the work');
my ($worker_after, $files_after, $memory_after) = worker_figures();
is($worker_after, $worker, 'the worker is the same process after the work');
cmp_ok($files_after, '<=', $files + 2, 'the worker has no more files open after the work');
SKIP:
{
	# Sanitizers keep what is freed.
	skip 'a memory tool is at work', 1 if $ENV{POOL_TEST_REPORTS};
	cmp_ok($memory_after, '<', $memory + 10 * 1024,
		'the worker has not much more memory after the work');
}
note "sockets of a session: at most $sockets";
note "worker: $files files before, $files_after after; $memory kB before, $memory_after kB after";
is(sql($local, q(SELECT pool_query('srv', 'select 42'))), '(42)', 'the pool works after the work');

no_crash($local, $remote);
done_testing();
