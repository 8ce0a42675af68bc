# 018_leaks.pl
#	A lease that is held for too long is reported once, with who has it and where
#	that one acquired it, shows in the views, and is reclaimed if that is wanted.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();

create_server($local, 'srv', $remote, options => { leak_threshold => '2s' });
create_server($local, 'strict', $remote,
	options => { leak_threshold => '2s', leak_action => 'reclaim', max_size => 1 });
create_server($local, 'off', $remote, options => { leak_threshold => 0 });
sql($local, <<'SQL');
CREATE FUNCTION lease_of(server text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN pool_acquire(server, hold => true);
END $$
SQL

# event(name, server): how often it happened
sub event
{
	my ($name, $server) = @_;

	return "(SELECT count FROM pool_stats_events WHERE server = '$server' AND event = '$name')";
}

my ($one, $two) = map { session($local) } 1 .. 2;
my $log = log_offset($local);

# A long statement is none.
$one->query("SELECT pool_query('srv', 'select pg_sleep(4)')");
is(sql($local, 'SELECT ' . event('leaks', 'srv')), '0', 'a long statement is no leak');

# Reported.
$one->query(q(SET application_name = 'forgetful'));
my $lease = $one->query(q(SELECT lease_of('srv')))->{out};
wait_for_value($local,
	'SELECT ' . event('leaks', 'srv') . ', ' . event('leaks_reclaimed', 'srv'),
	'1|0', 'a lease that is held for too long is counted as a leak, and not as reclaimed');
is( sql($local, q(SELECT pid, leaked, context FROM pool_connections WHERE server = 'srv')),
	$one->pid . '|t|PL/pgSQL function lease_of(text) line 3 at RETURN',
	'pool_connections shows a leaked lease, and where it was acquired');
my $times = qr/has been leased for (?:1 second|(?!1 )\d+ seconds) and unused for (?:1 second|(?!1 )\d+ seconds)/;
my $line = qr/LOG:  connection \d+ of pool for server "srv" $times by process /;
ok(wait_until(10, sub { log_count($local, $line, $log) == 1 }),
	'a leaked lease is in the log once');
my $found = log_since($local, $log);
like($found, qr/${line}${\$one->pid}\n/, 'the log line of a leaked lease names its session');
my $who = qr/The session has role "[^"]+" and application name "forgetful"/;
like($found,
	qr/DETAIL:  $who; its last query was: SELECT lease_of\('srv'\)/,
	'the log names role, application and last query of a leaked lease');
like($found, qr/CONTEXT:  PL\/pgSQL function lease_of\(text\) line 3 at RETURN/,
	'the log has the stack of a leaked lease');
is($one->query("SELECT pool_query($lease, 'select 1')")->{out}, '(1)',
	'a leaked lease can still be used');
my $lease2 = $two->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
wait_for_value($local, 'SELECT ' . event('leaks', 'srv'), 2,
	'a lease that another session holds for too long is a second leak');
ok(wait_until(10, sub { log_count($local, $line, $log) == 2 }),
	'a second leaked lease is a second line in the log');
is(log_count($local, qr/$line${\$one->pid}\n/, $log), 1,
	'the log line of the first leaked lease is not repeated');
$one->query("SELECT pool_release($lease)");
$two->query("SELECT pool_release($lease2)");
wait_for_value($local, q(SELECT count(*) FROM pool_connections WHERE leaked OR context IS NOT NULL),
	0, 'pool_connections shows no leak after the leases are released');

# Reclaimed.
$lease = $one->query(q(SELECT lease_of('strict')))->{out};
$two->begin(q(SELECT pool_query('strict', 'select 2')));
is($two->result->{out}, '(2)',
	'a session that waits for a leaked lease gets a connection when it is reclaimed');
is( sql($local, 'SELECT ' . event('leaks', 'strict') . ', ' . event('leaks_reclaimed', 'strict')
		  . q(, count FROM pool_stats_closed WHERE server = 'strict' AND reason = 'reclaimed')),
	'1|1|1', 'a lease that is reclaimed is a leak, a reclaimed leak and a closed connection');
$line = qr/LOG:  connection \d+ of pool for server "strict" was reclaimed from process /;
like(log_since($local, $log), qr/$line${\$one->pid} by leak_action\n/,
	'the log says that a leaked lease is reclaimed');
my $answer = $one->query("SELECT pool_query($lease, 'select 1')");
is($answer->{state}, '08003', 'the next use of a reclaimed lease is an error');
like($answer->{err}, qr/was reclaimed/, 'the error says that the lease was reclaimed');
is($one->query("SELECT pool_release($lease)")->{state}, '00000',
	'a reclaimed lease can be released');
is($one->query(q(SELECT pool_query('strict', 'select 3')))->{out}, '(3)',
	'a session whose lease was reclaimed gets another one');

# Off.
$lease = $one->query(q(SELECT lease_of('off')))->{out};
wait_for_value($local, q(SELECT clock_timestamp() - since > '2s', leaked, context IS NULL
	FROM pool_connections WHERE server = 'off'), 't|f|t',
	'a lease is no leak where leak_threshold is 0', seconds => 30);
$one->query("SELECT pool_release($lease)");

# The stack shows queries: not to others who share the pool.
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'common', $remote, for => 'PUBLIC');
sql($local, 'GRANT USAGE ON FOREIGN SERVER common TO a, b;'
	  . 'GRANT EXECUTE ON FUNCTION lease_of TO a');
my $a = session($local, user => 'a');
$lease = $a->query(q(SELECT lease_of('common')))->{out};
like($lease, qr/^\d+$/, 'a role acquires a lease of a pool that all roles share');
my $see = q(SELECT state, context IS NOT NULL FROM pool_connections WHERE server = 'common');
is(sql($local, $see, user => 'a'), 'leased|t',
	'the role that holds a lease sees where it was acquired');
is(sql($local, $see, user => 'b'), 'leased|f',
	'a role that shares the pool sees only that a connection is leased');
is(sql($local, $see), 'leased|t', 'a superuser sees where a lease was acquired');

$_->quit foreach $a, $one, $two;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
