# 068_leases_in_use.pl
#	A lease is leaked when its session does nothing with it, and not because it is
#	old or got another connection: its age counts from the end of its last
#	statement, and who holds it is known of each connection that it had.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local();

create_server($local, 'busy', $remote,
	options => { leak_threshold => '3s', leak_action => 'reclaim' });
create_server($local, 'strict', $remote,
	options => { leak_threshold => '4s', leak_action => 'reclaim' });
create_server($local, 'other', $remote, options => { leak_threshold => '4s' });
sql($local, <<'SQL');
CREATE FUNCTION lease_of(server text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN pool_acquire(server, hold => true);
END $$;
CREATE FUNCTION leaks(name text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT leaks FROM pool_stats_all() WHERE server = name);
END $$;

-- Uses the lease now and then, for longer than leak_threshold.
CREATE FUNCTION use_lease(lease bigint, wanted interval) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz := clock_timestamp();
BEGIN
	WHILE clock_timestamp() - start < wanted LOOP
		PERFORM pool_exec(lease, 'select 1');
		PERFORM pg_sleep(0.1);
	END LOOP;
	PERFORM pool_exec(lease, 'select 1');
	RETURN leaks('busy');
END $$;
SQL

# lines(server, offset): what the log says of leaked leases of that server
sub lines
{
	my ($server, $log) = @_;

	return grep { /LOG:  connection \d+ of pool for server "$server" (has been leased|was recl)/ }
	  split /\n/, log_since($local, $log);
}

my $log = log_offset($local);

# Meanwhile another session uses its lease for longer than leak_threshold.
my $busy = session($local);
my $used = $busy->query(q(SELECT lease_of('busy')))->{out};
$busy->begin("SELECT use_lease($used, '7s')");

# The connection died before the first statement: it is replaced, and the lease is
# as it was.
my @servers = ('other', 'strict');
my (%session, %lease, %before);
my ($here, $there) = (session($local), session($remote));    # quick, lest leases leak before
foreach my $server (@servers)
{
	my $session = $session{$server} = session($local);

	$session->query("SET application_name = 'holder of $server'");
	$lease{$server} = $session->query("SELECT lease_of('$server')")->{out};
	my ($slot, $remote_pid) = split /\|/,
	  sql($here, "SELECT slot, remote_pid FROM pool_connections WHERE server = '$server'");
	sql($there, "SELECT pg_terminate_backend($remote_pid)");
	wait_for_value($here,
		"SELECT closing_reason FROM pool_connections WHERE server = '$server' AND slot = $slot",
		'remote_closed', "pool sees that the leased connection to $server is dead");
	$session->begin("SELECT pool_exec($lease{$server}, 'select pg_sleep(6)'), leaks('$server')");
}
foreach my $server (@servers)
{
	my $answer = $session{$server}->result;

	is($answer->{err} || $answer->{out}, '1|0',
		"a long statement on the connection that replaces a dead one to $server is no leak");
}
foreach my $server (@servers)
{
	wait_for_value($local, "SELECT leaks('$server')", 1,
		"the lease of $server is a leak when the statement is over", seconds => 30);
	wait_until(10, sub { lines($server, $log) > 0 });
	like(log_since($local, $log),
		qr/name "holder of $server"; its last query was: SELECT pool_exec\($lease{$server},/,
		"the report names the holder of the connection that replaces the dead one to $server");
}
is( sql($local,
		q(SELECT leaked, context FROM pool_connections
		WHERE server = 'other' AND closing_reason IS NULL)),
	't|PL/pgSQL function lease_of(text) line 3 at RETURN',
	'pool_connections shows where the lease was acquired, not where it was used');
$session{other}->release($lease{other});

# Old, but in use.
is($busy->result->{out}, '0',
	'a lease that is used now and then is no leak, though older than leak_threshold');
wait_for_value($local, q(SELECT leaks, leaks_reclaimed FROM pool_stats_all()
	WHERE server = 'busy'), '1|1', 'the lease is a leak, and reclaimed, when it is used no more',
	seconds => 30);
my @lines;
wait_until(10, sub { @lines = lines('busy', $log); return @lines > 1 });
is(scalar @lines, 2, 'the log has a line for the leak and one for the lease that is reclaimed');
my $pid = $busy->pid;
my ($leased, $unused) =
  $lines[0] =~ /has been leased for (\d+) seconds? and unused for (\d+) seconds? by process $pid$/;
cmp_ok($unused || 0, '>=', 3, 'the log says for how long a leaked lease was not used');
cmp_ok(($leased || 0) - ($unused || 0), '>=', 4,
	'the log says for how long a leaked lease has been leased');
is($busy->query("SELECT pool_exec($used, 'select 1')")->{state}, '08003',
	'a lease that was reclaimed has no connection');
$busy->release($used);

wait_for_value($local, "SELECT leaks_reclaimed FROM pool_stats_all() WHERE server = 'strict'", 1,
	'the lease with the connection that replaced a dead one is reclaimed in its time');
is(log_count($local, qr/CONTEXT:  PL\/pgSQL function lease_of\(text\) line 3/, $log), 3,
	'each of the three reports has the place where the lease was acquired');

$_->quit foreach $busy, $here, $there, values %session;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
