# 025_each_option.pl
#	Options of servers and user mappings whose effect no other test would miss: how
#	long a check may take, the jitter of a lifetime, what goes on to libpq, what a
#	user mapping overrides.  Those of attempts to connect are in 025_each_attempt.
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

my $remote = start_remote();
my $local = start_local();
my $session = session($local);

sub server { return new_server($local, $remote, {@_}); }

#
# health_check_timeout, in all three uses: a remote session that is stopped is
# given up while that of a more patient pool, which was asked before, is not.
#
my $patient = session($local);
my %checked = (health_check_interval => 0, validate_after_idle => '1ms');
my $quick = server(%checked, max_size => 2, health_check_timeout => '300ms');
my $slow = server(%checked, max_size => 1, health_check_timeout => '1h');
my $failed = 'closed_check_failed + closed_reset_failed';

# stop_both(): the one remote session that each has
my ($quick_pid, $slow_pid);
sub stop_both
{
	$quick_pid = $session->query(pid_query($quick))->{out};
	$slow_pid = $patient->query(pid_query($slow))->{out};
	wait_for_value($local,
		"SELECT count(*) FROM pool_connections WHERE server IN ('$quick', '$slow')"
		  . " AND state = 'idle' AND clock_timestamp() - since > '2ms'",
		2, 'both connections are idle before their remote sessions are stopped');
	kill 'STOP', $quick_pid, $slow_pid;
	return;
}

# go_on(what): both again
sub go_on
{
	my ($what) = @_;

	kill 'CONT', $quick_pid, $slow_pid;
	wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE state = 'closing'",
		0, "a connection that failed in $what is closed", seconds => 20);
	return;
}

# wait_for_failure(before, what): of the connection that is given less time
sub wait_for_failure
{
	my ($before, $what) = @_;

	return wait_for_value($local,
		"SELECT $failed > $before FROM pool_stats_all() WHERE server = '$quick'",
		't', "health_check_timeout ends $what", seconds => 30);
}

stop_both();
$patient->begin(pid_query($slow));
wait_for_value($local, "SELECT active + waiting FROM pool_stats WHERE server = '$slow'", 1,
	'a validation with a long health_check_timeout is under way');
like($session->query(pid_query($quick))->{out}, qr/^(?!$quick_pid$)\d+$/,
	'health_check_timeout ends a validation, and another connection answers');
ok($patient->busy, 'a validation with a long health_check_timeout goes on');
go_on('a validation');
is($patient->result->{out}, $slow_pid,
	'a validation with a long health_check_timeout succeeds in the end');

# The worker begins with the patient one.
stop_both();
my $before = stat_of($local, $failed, $quick);
sql($local, "ALTER SERVER $slow OPTIONS (SET health_check_interval '10ms')");
sql($local, "SELECT pool_prewarm('$slow', 1)");
wait_for_value($local, "SELECT state FROM pool_connections WHERE server = '$slow'", 'checking',
	'a check with a long health_check_timeout is under way');
sql($local, "ALTER SERVER $quick OPTIONS (SET health_check_interval '10ms')");
sql($local, "SELECT pool_prewarm('$quick', 1)");
wait_for_failure($before, 'a check');
is(sql($local, "SELECT state FROM pool_connections WHERE server = '$slow'"), 'checking',
	'a check with a long health_check_timeout goes on');
go_on('a check');
sql($local, "ALTER SERVER $_ OPTIONS (SET health_check_interval '0')") foreach $quick, $slow;
is($session->query(pid_query($slow))->{out}, $slow_pid,
	'a check with a long health_check_timeout succeeds in the end');
is(stat_of($local, 'closed', $slow), '0',
	'no connection is closed where health_check_timeout is long');

# The worker's reset after a lease
my ($quick_lease, $slow_lease);
($quick_lease, $quick_pid) = acquire_lease($session, $quick);
($slow_lease, $slow_pid) = acquire_lease($session, $slow);
kill 'STOP', $quick_pid, $slow_pid;
$before = stat_of($local, $failed, $quick);
$session->query("SELECT pool_release($slow_lease)");
wait_for_value($local, "SELECT resetting FROM pool_stats_all() WHERE server = '$slow'", 1,
	'a reset with a long health_check_timeout is under way');
$session->query("SELECT pool_release($quick_lease)");
wait_for_failure($before, 'a reset');
is( sql($local, "SELECT resetting FROM pool_stats_all() WHERE server = '$slow'"),
	'1', 'a reset with a long health_check_timeout goes on');
go_on('a reset');
wait_for_value($local, "SELECT idle FROM pool_stats WHERE server = '$slow'", 1,
	'a reset with a long health_check_timeout succeeds in the end');
$patient->quit;

#
# lifetime_jitter: of so many, some go long before the end.
#
my $jitter = server(
	max_size => 30,
	max_lifetime => 0,
	lifetime_jitter => '100%',
	idle_timeout => 0);
is(sql($local, "SELECT pool_prewarm('$jitter', 30)"), '30',
	'thirty connections with lifetime_jitter 100% are opened');
my $oldest = "SELECT min(opened) FROM pool_connections WHERE server = '$jitter'";
my $opened = sql($local, $oldest);
sql($local, "ALTER SERVER $jitter OPTIONS (SET max_lifetime '40s')");
sql($local, "SELECT pool_prewarm('$jitter', 0)");
wait_for_value($local,
	"SELECT closed_max_lifetime > 0 FROM pool_stats_all() WHERE server = '$jitter'",
	't', 'one of thirty connections with lifetime_jitter 100% is closed', seconds => 60);

# That is less than the lifetime without the tenth in which it is DUE.
is(sql($local, "SELECT clock_timestamp() - '$opened' < '30s'"), 't',
	'lifetime_jitter closes a connection when none is as old as 30 of 40 s');
sql($local, "DROP SERVER $jitter CASCADE");

#
# What goes on to libpq
#
my $tuned = server(options => '-c work_mem=1234kB');
is($session->query("SELECT w FROM pool_query('$tuned', 'show work_mem') AS t(w text)")->{out},
	'1234kB', "what the option \"options\" sets is in force $_")
  foreach 'on a new connection', 'after a reset';
like($session->query("SELECT d FROM pool_query('$tuned', 'show datestyle') AS t(d text)")->{out},
	qr/^ISO/, 'the option "options" leaves what pool itself sets');

# Nobody has used these yet.
my $named = server(application_name => 'a name');
my $unnamed = server();
sql($local, "SELECT pool_prewarm('$_', 1)") foreach $named, $unnamed;
my ($named_pid, $unnamed_pid) =
  map { sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$_'") }
  $named, $unnamed;
is(app_sessions($remote, "pid = $named_pid AND application_name = 'a name'"), '1',
	'a connection has the application_name of its server');
is(app_sessions($remote, "pid = $unnamed_pid AND application_name = 'pool'"), '1',
	'a connection has the application_name pool by default');

my $read_only = server(target_session_attrs => 'read-only', retry_attempts => 1);
like($session->query(pid_query($read_only))->{err}, qr/session is not read-only/,
	'target_session_attrs refuses a remote that is not as asked for');
alter_server($local, $read_only, options => '-c default_transaction_read_only=on');
like($session->query(pid_query($read_only))->{out}, qr/^\d+$/,
	'target_session_attrs accepts a remote that is as asked for');

# keepalive_timer(server): what the kernel says of its one connection, when it is
# quiet: seconds to the next probe, or "none"
sub keepalive_timer
{
	my ($name) = @_;
	my $pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$name'");
	my $port = sql($remote, "SELECT client_port FROM pg_stat_activity WHERE pid = $pid");
	my $ends = sprintf ':%04X [0-9A-F]+:%04X ', $port, $remote->port;
	my $timer = '';

	wait_until(
		10,
		sub {
			my ($line) = grep { /$ends/ } split /\n/, slurp_file('/proc/net/tcp');
			my ($kind, $when) = ($line || '') =~ /^\s*\d+: \S+ \S+ \S+ \S+ (\d\d):([0-9A-F]+) /;

			$kind = '' if !defined $kind;
			$timer = $kind eq '00' ? 'none' : $kind eq '02' ? hex($when) / 100 : '';
			return $timer ne '';
		});
	return $timer;
}
my $probed = server(keepalives_idle => 77);
my $unprobed = server(keepalives => 0, keepalives_idle => 77);
sql($local, "SELECT pool_prewarm('$_', 1)") foreach $probed, $unprobed;
like(keepalive_timer($probed), qr/^\d\d?(\.\d+)?$/,
	'keepalives_idle is when the kernel probes the connection');
like(keepalive_timer($unprobed), qr/^none$/,
	'with keepalives 0 the kernel does not probe the connection');

#
# Values that libpq or the remote refuses, some of them written before that was checked
#
my ($wrong, @given);
foreach my $case (
	[ '08001', 'port=abc' ], [ '08001', 'port=1,2' ], [ '08001', 'port=70000' ],
	[ '08001', 'target_session_attrs=first' ], [ '08001', 'keepalives=foo' ],
	[ '08001', 'keepalives_idle=30s' ], [ '42704', 'options=-c nonsense=1' ],
	[ '22023', 'options=-c work_mem=x' ], [ '42601', 'options=nonsense' ],
	[ '08001', 'service=none', 'gssencmode=disable' ], [ '08001', 'hostaddr=x' ])
{
	my $state = shift @$case;

	@given = ('dbname=far', 'host=127.0.0.1', @$case);
	push @given, 'port=' . $remote->port if "@given" !~ /port=/;
	$wrong = server();
	sql($local, "UPDATE pg_foreign_server SET srvoptions = '{"
		  . join(',', map { qq("$_") } @given) . "}' WHERE srvname = '$wrong'");
	is($session->query(pid_query($wrong))->{state}, $state, "$case->[0]: $state");
	is(stat_of($local, 'connect_errors', $wrong), 1, "$case->[0]: after one attempt");
}
is((sql_state($local, "ALTER SERVER $wrong OPTIONS (ADD max_size '3')"))[0], 'HV024',
	'a server with a wrong value from before cannot be altered');
sql($local, "ALTER SERVER $wrong OPTIONS (SET hostaddr '127.0.0.1')");
is($session->query(pid_query($wrong))->{state}, '00000', 'but for to a right one');

#
# What a user mapping overrides
#
create_server($local, 'mapped', $remote,
	options => {
		max_size => 4,
		acquire_timeout => '30s',
		query_timeout => '1h',
		priority => 0 });
sql($local, 'CREATE ROLE a LOGIN; GRANT USAGE ON FOREIGN SERVER mapped TO a');
sql($local, <<SQL);
CREATE USER MAPPING FOR a SERVER mapped OPTIONS (user 'app', password '$PoolTest::password',
	min_size '2', max_size '3', acquire_timeout '200ms', query_timeout '300ms', priority '10')
SQL
my $mine = session($local, user => 'a');
$mine->query(q(SET pool.acquire_timeout = '60s'));
is($mine->query(q(SELECT pool_prewarm('mapped', 2)))->{out}, '2',
	'a user mapping with options of its own works');
$mine->query('RESET pool.acquire_timeout');
wait_for_value($local,
	q(SELECT open, min_size, max_size FROM pool_stats WHERE server = 'mapped' AND user_name = 'a'),
	'2|2|3', 'a user mapping overrides min_size, and as many are opened');
my $answer = $mine->query(q(SELECT pool_query('mapped', 'select pg_sleep(30)')), 40);
is($answer->{state}, '57014', 'a user mapping overrides query_timeout');
like($answer->{err}, qr/query_timeout/, 'the error names query_timeout as the reason');
sql($local, q(ALTER USER MAPPING FOR a SERVER mapped OPTIONS (SET query_timeout '1h')));
my $three_leases = q(SELECT pool_acquire('mapped', timeout => '20s', hold => true)
	FROM generate_series(1, 3));
my @leases = split /\n/, $mine->query($three_leases)->{out};
is(scalar @leases, 3, 'a user mapping overrides max_size');
$answer = $mine->query(q(SELECT pool_acquire('mapped', hold => true)), 20);
is($answer->{state}, '53300', 'a user mapping overrides acquire_timeout');
$mine->result if $answer->{state} eq 'timeout';
my @waiters;
foreach my $priority (3, 7, 5)
{
	push @waiters, session($local, user => 'a',
		options => "-c pool.priority=$priority -c pool.acquire_timeout=1h");
	$waiters[-1]->begin(
		q(SELECT t FROM pool_query('mapped', 'select clock_timestamp()') AS r(t text)));
	wait_for_value($local,
		q(SELECT waiting FROM pool_stats WHERE server = 'mapped' AND user_name = 'a'),
		scalar @waiters, "a session of the user mapping waits with priority $priority");
}
$mine->query("SELECT pool_release($leases[0])");
my @times = map { $_->result->{out} } @waiters;
is(join(' ', map { (3, 7, 5)[$_] } sort { $times[$a] cmp $times[$b] } 0 .. 2), '7 5 3',
	'a user mapping overrides priority: its sessions are served by their own');
$mine->query("SELECT pool_release($_)") foreach @leases[ 1, 2 ];
$_->quit foreach @waiters, $mine;

# The others keep the server's.
is($session->query(pid_query('mapped'))->{state}, '00000',
	'another user mapping of that server works');
is(sql($local,
		q(SELECT min_size, max_size FROM pool_stats WHERE server = 'mapped' AND user_name <> 'a')),
	'0|4', 'another user mapping of that server has the options of the server');

$session->quit;
settled($local, 'nothing is under way, and the sums hold', 20);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
