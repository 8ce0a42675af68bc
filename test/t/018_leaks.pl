# 018_leaks.pl
#	A lease that is held for too long is reported once, with who has it and where
#	he took it, shows in the views, and is taken away if that is wanted.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();

create_server($local, 'srv', $remote, options => { leak_threshold => '300ms' });
create_server($local, 'strict', $remote,
	options => { leak_threshold => '300ms', leak_action => 'reclaim', max_size => 1 });
create_server($local, 'off', $remote, options => { leak_threshold => 0 });
sql($local, <<'SQL');
CREATE FUNCTION take(server text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN pool_acquire(server, hold => true);
END $$
SQL

my ($one, $two) = map { session($local) } 1 .. 2;
my $log = log_offset($local);

# A long statement is none.
$one->query("SELECT pool_query('srv', 'select pg_sleep(2)')");
is(stat_of($local, 'leaks'), '0', 'a long statement is no leak');

# Reported.
$one->query(q(SET application_name = 'forgetful'));
my $lease = $one->query(q(SELECT take('srv')))->{out};
wait_for_value($local, q(SELECT leaks, leaks_reclaimed FROM pool_stats WHERE server = 'srv'),
	'1|0', 'a lease that is held for too long');
is( sql($local, q(SELECT pid, leaked, context FROM pool_connections WHERE server = 'srv')),
	$one->pid . '|t|PL/pgSQL function take(text) line 3 at RETURN',
	'shows in pool_connections, with where it was taken');
my $line = qr/LOG:  connection \d+ of pool for server "srv" is leased for \d+ seconds by process /;
ok(wait_until(10, sub { log_count($local, $line, $log) == 1 }), 'and in the log');
my $found = log_since($local, $log);
like($found, qr/${line}${\$one->pid}\n/, 'by process');
like($found, qr/DETAIL:  Role "[^"]+", application "forgetful", last query: SELECT take\('srv'\)/,
	'role, application, query');
like($found, qr/CONTEXT:  PL\/pgSQL function take\(text\) line 3 at RETURN/, 'and stack');
is($one->query("SELECT pool_query($lease, 'select 1')")->{out}, '(1)', 'it goes on');
my $lease2 = $two->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
wait_for_value($local, q(SELECT leaks FROM pool_stats WHERE server = 'srv'), 2, 'another one');
ok(wait_until(10, sub { log_count($local, $line, $log) == 2 }), 'is another line');
is(log_count($local, qr/$line${\$one->pid}\n/, $log), 1, 'the first one is not repeated');
$one->query("SELECT pool_release($lease)");
$two->query("SELECT pool_release($lease2)");
wait_for_value($local, q(SELECT count(*) FROM pool_connections WHERE leaked OR context IS NOT NULL),
	0, 'forgotten when they are released');

# Taken away.
$lease = $one->query(q(SELECT take('strict')))->{out};
$two->begin(q(SELECT pool_query('strict', 'select 2')));
is($two->result->{out}, '(2)', 'leak_action reclaim: who waits for it gets another one');
is(stat_of($local, q(leaks || ' ' || leaks_reclaimed || ' ' || closed_reclaimed), 'strict'),
	'1 1 1', 'counted');
like(log_since($local, $log), qr/HINT:  It is taken away \(leak_action\)/, 'logged');
my $answer = $one->query("SELECT pool_query($lease, 'select 1')");
is($answer->{state}, '08003', 'the next use of it is an error');
like($answer->{err}, qr/was taken away/, 'that says so');
is($one->query("SELECT pool_release($lease)")->{state}, '00000', 'it can be released');
is($one->query(q(SELECT pool_query('strict', 'select 3')))->{out}, '(3)', 'and the session goes on');

# Off.
$lease = $one->query(q(SELECT take('off')))->{out};
wait_for_value($local, q(SELECT clock_timestamp() - since > '2s', leaked, context IS NULL
	FROM pool_connections WHERE server = 'off'), 't|f|t', 'leak_threshold 0: nothing', seconds => 30);
$one->query("SELECT pool_release($lease)");

# The stack shows queries: not to others who share the pool.
sql($local, 'CREATE ROLE a LOGIN; CREATE ROLE b LOGIN');
create_server($local, 'common', $remote, for => 'PUBLIC');
sql($local, 'GRANT USAGE ON FOREIGN SERVER common TO a, b; GRANT EXECUTE ON FUNCTION take TO a');
my $a = session($local, user => 'a');
$lease = $a->query(q(SELECT take('common')))->{out};
like($lease, qr/^\d+$/, 'a lease of a common pool');
my $see = q(SELECT state, context IS NOT NULL FROM pool_connections WHERE server = 'common');
is(sql($local, $see, user => 'a'), 'leased|t', 'its holder sees where he took it');
is(sql($local, $see, user => 'b'), 'leased|f', 'others only that it is leased');
is(sql($local, $see), 'leased|t', 'a superuser sees it');

$_->quit foreach $a, $one, $two;
settled($local);
no_crash($local, $remote);

done_testing();
