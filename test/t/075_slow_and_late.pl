# 075_slow_and_late.pl
#	What is slow is not dead, what is dead is no want of connections, and what
#	gives no proof is not asked for ever: the edges between the time-outs of a
#	validation, of a reset and of acquire_timeout.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;
use Time::HiRes qw(usleep);

my $remote = start_remote();
my $local = start_local();
my ($first, $second) = map { session($local) } 1 .. 2;

# server(options): a server with these, one connection and no checks
sub server
{
	return new_server($local, $remote, { max_size => 1, health_check_interval => 0, @_ });
}

# A reset has health_check_timeout, however little of acquire_timeout is left.
my $slow = server(reset_query => 'select pg_sleep(2.5)', acquire_timeout => '4s');
is($_->query(select_42($slow))->{out}, '42', 'a slow reset is waited for after a handover')
  foreach $first, $second, $first;

# An answer that is no proof: one more connection is tried, and no others.
my $copying = server(reset_query => 'copy (select 1) to stdout', acquire_timeout => '10s');
my $answer = $first->query(select_42($copying), 30);
is($answer->{state}, '08006', 'a reset whose answer is no proof is an error');
like($answer->{err}, qr/not executed/, 'the error tells that the statement was not executed');
cmp_ok(stat_of($local, 'connects', $copying), '<=', 2,
	'a reset whose answer is no proof takes two connections at most');

# The age of a connection counts when its lease is used first.
my $old = server(validate_after_idle => '200ms', acquire_timeout => '4s', max_size => 2);
$first->query('BEGIN');
my $lease = $first->acquire($old);
my $pid = sql($local, "SELECT remote_pid FROM pool_connections WHERE server = '$old'");
wait_for_value($local,
	"SELECT clock_timestamp() - since > '300ms' FROM pool_connections WHERE server = '$old'",
	't', 'a lease is not used for longer than validate_after_idle');
kill 'STOP', $pid;
$answer = $first->query("SELECT t FROM pool_query($lease, 'select 42') AS r(t int)", 30);
kill 'CONT', $pid;
is($answer->{out}, '42', 'the first statement of a lease does not wait for a silent remote');
is(stat_of($local, 'validation_failures', $old), 1, 'the connection of the lease was validated');
$first->query('COMMIT');

# What was refused here has been reset there: the lease goes on with its state.
my $kept = server();
$first->query('BEGIN');
$first->query('SAVEPOINT s');
$lease = $first->acquire($kept);
$first->query('SAVEPOINT s');
is( $first->query("SELECT * FROM pool_query($lease, 'create temporary table kept (a int);"
		  . " set datestyle = german; select now()::text') AS t(a text)")->{state},
	'55000', 'rows that could be misread are refused');
$first->query('ROLLBACK TO s');
is($first->query("SELECT pool_exec($lease, 'reset datestyle')")->{state},
	'00000', 'the setting is reset in the lease');
is($first->query("SELECT pool_exec($lease, 'select from kept')")->{state},
	'00000', 'the lease still has its temporary table');
$first->query('COMMIT');

# A reset that does not set back what changes how text is read, or changes it itself.
# The worker hears nothing of that: what it sets is what is set already.
my $date = "SELECT d FROM pool_query('%s', 'select date ''2026-02-01''') AS r(d date)";
my $weak = server(reset_query => 'reset work_mem');
$lease = $first->acquire($weak);
is($first->query("SELECT pool_exec($lease, 'set datestyle = german')")->{state},
	'00000', 'a lease sets another style of dates');
$first->query("SELECT pool_release($lease)");
$answer = $second->query(sprintf $date, $weak);
is($answer->{out} . $answer->{err},
	'2026-02-01', 'no date is misread after a reset that leaves their style as it is');
$lease = $first->acquire($weak);
$first->query("SELECT pool_exec($lease, '$_')") foreach 'set datestyle = german', 'begin';
$first->query("SELECT pool_release($lease)");
is($second->query(sprintf $date, $weak)->{out},
	'2026-02-01', 'no date is misread if the lease has left a transaction open, too');
my $none = server(reset_query => '');
$lease = $first->acquire($none);
$first->query("SELECT pool_exec($lease, 'set timezone = ''Asia/Tokyo''')");
$first->query("SELECT pool_release($lease)");
unlike($second->query("SELECT t FROM pool_query('$none', 'show timezone') AS r(t text)")->{out},
	qr/Tokyo/, 'no time zone is passed on without a reset');
my $german = server(reset_query => 'set datestyle = german');
$first->query(sprintf $date, $german);
foreach my $session ($second, $first, $second)
{
	is($session->query(sprintf $date, $german)->{state},
		'55000', 'rows are refused after a reset that sets another style of dates');
}

# A lease whose remote is gone is no want of connections.
my $gone = server(acquire_timeout => '2s', breaker_threshold => 0, retry_attempts => 1000);
$first->query(select_42($gone));
$lease = $first->query("SELECT pool_acquire('$gone', hold => true)")->{out};
$remote->stop('immediate');
$answer = $second->query(select_42($gone), 30);
like($answer->{state}, qr/^(08001|57P03)$/,
	'a wait while the remote is gone tells so, also if a lease of it is held');
like($answer->{err}, qr/last attempt to connect failed/, 'the error has the cause');
$remote->start;
$first->query("SELECT pool_release($lease)");

$_->quit foreach $first, $second;
sql($local, "DROP SERVER $_ CASCADE") foreach $slow, $copying, $old, $kept, $gone;
settled($local);
no_crash($local);

done_testing();
