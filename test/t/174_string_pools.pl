# 174_string_pools.pl
#	The pools of connection strings: who shares one and who does not, how many there
#	are and which one goes for another, how long their connections last, who sees
#	them, and that no password is where others could read it.
#
# Runs in the plain round only.
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Memory;
use PostgreSQL::Test::Utils;
use Test::More;

my $canary = 'canary-31c9d4';
my $dir = PostgreSQL::Test::Utils::tempdir;
my $library = "$dir/clock.so";
system_or_bail('cc', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/clock.c", '-ldl');

# pass(seconds): so much time passes, for all clocks
my $passed = 0;

sub pass
{
	my ($seconds) = @_;

	$passed += $seconds;
	append_to_file("$dir/new", "$passed\n");
	rename "$dir/new", "$dir/clock" or die "rename: $!";
	return;
}

my $remote = start_remote();
PoolTest::hba($remote, 'scram-sha-256', 'host all trusted 127.0.0.1/32 trust');
$remote->reload;
sql($remote, "CREATE ROLE trusted LOGIN; CREATE ROLE far_alice LOGIN PASSWORD '$canary'");
pass(0);

# with_clock(code): starts a server that has this time
sub with_clock
{
	my ($code) = @_;
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{POOL_TEST_CLOCK} = "$dir/clock";
	local $ENV{POOL_TEST_ALL_CLOCKS} = 1;

	return $code->();
}
my $local = with_clock(
	sub {
	return start_local('pool.max_pools' => 6, max_prepared_transactions => 1,
		'pool_dblink.max_size' => 1, 'pool.max_role_pools' => 4,
		'pool.log_connections' => 'on', log_min_messages => 'debug1',
		shared_buffers => "'4MB'", track_activities => 'off', log_min_error_statement => 'panic');
	});
sql($local, <<'SQL');
CREATE EXTENSION pool_dblink;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
CREATE ROLE reader LOGIN IN ROLE pg_read_all_stats;
SQL
my $port = $remote->port;
my $there = "host=127.0.0.1 port=$port dbname=far user=app";
my ($alice, $again, $bob) = map { session($local, user => $_) } 'alice', 'alice', 'bob';
my $super = session($local);
my $reader = session($local, user => 'reader');

# ask(session, string): the remote process that answers
sub ask
{
	my ($session, $string) = @_;

	$string =~ s/'/''/g;
	return $session->query(
		"SELECT p FROM dblink('$string', 'SELECT pg_backend_pid()') AS t(p int)");
}

# named(string, name): a string that is another one
sub named
{
	my ($string, $name) = @_;

	return "$string password=secret application_name=$name";
}

sub pools { return sql($local, 'SELECT count(*) FROM pool_stats'); }

sub set
{
	my ($name, $value) = @_;

	sql($local, "ALTER SYSTEM SET $name = $value; SELECT pg_reload_conf()");
	wait_for_value($_, "SHOW $name", $value, "a session has $name = $value")
	  foreach $alice, $again, $bob, $super;
	return;
}

#
# Who shares a pool
#
my $process = ask($alice, "$there password=secret")->{out};
like($process, qr/^\d+$/, 'a connection by a string');
foreach my $same ("$there password=secret", "password=secret $there", "$there  password = 'secret'",
	"$there password=secret client_encoding=LATIN1", "$there password=secret sslmode=prefer",
	"user=nobody $there password=secret", "postgresql://app:secret\@127.0.0.1:$port/far")
{
	is(ask($alice, $same)->{out}, $process, 'what means the same has the same pool');
}
is(ask($again, "$there password=secret")->{out}, $process,
	'another session of the role shares it');
is(pools(), 1, 'there is one pool');
my $wrong = ask($alice, "$there password=wrong");
is($wrong->{state}, '08001', 'another password does not get at its connection')
  || diag($wrong->{out});
my $of_bob = ask($bob, "$there password=secret")->{out};
isnt($of_bob, $process, 'another role has another pool');
is(ask($bob, "$there password=secret")->{out}, $of_bob, 'of its own');
is(pools(), 3, 'there are three');
my $trusted = "host=127.0.0.1 port=$port dbname=far user=trusted password=secret";
sql($local, 'ALTER ROLE alice SUPERUSER');
like(ask($alice, $trusted)->{out}, qr/^\d+$/, 'a superuser needs no password');
sql($local, 'ALTER ROLE alice NOSUPERUSER');
is(ask($alice, $trusted)->{state}, '2F003',
	'a connection that did not need the password is not for the role that is none any more');

# A string in another database, and none of them is a server's
sql($local, 'CREATE DATABASE other');
sql($local, 'CREATE EXTENSION pool_dblink CASCADE', db => 'other');
my $elsewhere = session($local, user => 'alice', db => 'other');
isnt(ask($elsewhere, "$there password=secret")->{out}, $process,
	'another database has another pool');
$elsewhere->quit;
create_server($local, 'srv', $remote);
is(sql($local, select_42('srv')), 42, 'there is a server');
sql($local, q(SELECT pool_close('srv'), pool_resize('srv', 0, 1), pool_reconnect('srv')));
sql($local, 'DROP SERVER srv CASCADE');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE server = 'srv'), 0,
	'the server is dropped');
is(ask($alice, "$there password=secret")->{out}, $process, 'a string has nothing to do with that');
is(ask($bob, "$there password=secret")->{out}, $of_bob, 'nor has one of another role');

# Who looks for pools whose rows are gone finds none of a string.
create_server($local, 'gone', $remote);
is(sql($local, select_42('gone')), 42, 'there is another server');
sql($local, q(BEGIN; DROP SERVER gone CASCADE; PREPARE TRANSACTION 'p'));
sql($local, q(ALTER SYSTEM SET pool.catalog_check_interval = '100ms'; SELECT pg_reload_conf()));
sql($local, q(COMMIT PREPARED 'p'));
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE server = 'gone'), 0,
	'it is found to be gone', seconds => 60);
is(ask($alice, "$there password=secret")->{out}, $process, 'the pool of a string is not');
sql($local, q(ALTER SYSTEM RESET pool.catalog_check_interval; SELECT pg_reload_conf()));
sql($local, 'DROP DATABASE other');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE database IS NULL), 0,
	'a pool goes with its database');

#
# Who sees it, and what
#
my $name = "app\@127.0.0.1:$port/far";
is($bob->query('SELECT DISTINCT server, user_name FROM pool_stats')->{out}, "$name|bob",
	'a role sees its own pools, by a name without a password');
like($reader->query('SELECT DISTINCT server, user_name FROM pool_stats')->{out},
	qr/^\Q$name\E\|alice$/m, 'who may read all sees the others\'');
like(sql($local, 'SELECT pool_metrics()'), qr/server="\Q$name\E"/, 'so do metrics');
is(ask($bob, named("$there dbname=" . 'ä' x 40, 'x'))->{state}, '08001', 'a name that is too long');
is(sql($local, "SELECT octet_length(server) FROM pool_stats WHERE server LIKE '%ä'"),
	62 + ($port < 10_000), 'is cut between two letters');

#
# No password is where others could read it
#
my $secret = "host=127.0.0.1 port=$port dbname=far user=far_alice password=$canary";
like(ask($alice, $secret)->{out}, qr/^\d+$/, 'a connection with a password to look for');
is($alice->query("SELECT dblink_connect('c', '$secret')")->{out}, 'OK', 'and one that is kept');
my @errors = map { ask($alice, "$secret $_")->{err} } 'port=1', 'dbname=none', 'replication=true',
  'sslmode=x', 'connect_timeout=x', 'host=' . join(',', ('x') x 40), 'sslcert=x',
  "options='" . 'x' x 200_000 . "'", 'target_session_attrs=x', 'host=nowhere.invalid', 'hostaddr=x';
is((scalar grep { /ERROR/ } @errors), scalar @errors, 'errors of all kinds: ' . @errors);
unlike(join("\n", @errors), qr/$canary/, 'no password is in an error');
unlike(slurp_file($local->logfile), qr/$canary/, 'no password is in the log');
unlike(sql($local, "SELECT * FROM $_"), qr/$canary/, "no password is in $_")
  foreach 'pool_stats_all()', 'pool_connections', 'pool_metrics()', 'pg_stat_activity';
SKIP:
{
	my $worker = worker_pid($local);

	skip 'the memory of processes cannot be read here', 4 if !memory_is_readable($worker);
	is(join(', ', in_shared_memory($local, qr/$canary/)), '', 'no password is in shared memory');
	cmp_ok(in_private_memory($worker, qr/$canary/), '>', 0, 'one is in the memory of the worker');
	is(in_private_memory($bob->pid, qr/$canary/), 0, 'none of alice in that of bob');
	cmp_ok(in_private_memory($alice->pid, qr/$canary/), '>', 0, 'but in her own');
}
$alice->query(q(SELECT dblink_disconnect('c')));

#
# How many there are
#
$_->quit foreach $alice, $again, $bob, $super, $reader;
with_clock(sub { $local->restart });
($alice, $again, $bob) = map { session($local, user => $_) } 'alice', 'alice', 'bob';
$super = session($local);
set('pool_dblink.max_pools', 2);
my %process = map { $_ => ask($alice, named($there, $_))->{out} } 'a', 'b';
is(pools(), 2, 'as many pools as there may be');
is(ask($alice, named($there, 'a'))->{out}, $process{a}, 'one is used again');
like(ask($again, named($there, 'c'))->{out}, qr/^\d+$/, 'there is room for one more');
wait_for_value($local, 'SELECT count(*) FROM pool_stats', 2, 'as one has gone');
is(ask($alice, named($there, 'a'))->{out}, $process{a}, 'which is not the one that was used last');
is($alice->query("SELECT dblink_connect('a', '" . named($there, 'a') . "')")->{out}, 'OK',
	'a connection is kept');
is($again->query("SELECT dblink_connect('b', '" . named($there, 'b') . "')")->{out}, 'OK',
	'and one of the other pool');
my $full = ask($bob, named($there, 'd'));
is($full->{state}, '53400', 'while all are in use there is no room');
like($full->{err}, qr/no room for another pool of a connection string.*
DETAIL:  All 2 pools that pool_dblink.max_pools allows have leased connections or waiting sessions.
HINT:  .*raise pool_dblink.max_pools/, 'the error says what to do');
set('pool_dblink.max_pools', 3);
like(ask($bob, named($there, 'd'))->{out}, qr/^\d+$/, 'there is room for more after a reload');
is($alice->query(q(SELECT p FROM dblink('a', 'SELECT pg_backend_pid()') AS t(p int)))->{out},
	$process{a}, 'who has a connection keeps it');

# So is one in which a statement runs.
$alice->query(q(SELECT dblink_disconnect('a')));
$again->query(q(SELECT dblink_disconnect('b')));
set('pool_dblink.max_size', 1);
set('pool_dblink.max_pools', 1);
$bob->begin(
	"SELECT p FROM dblink('" . named($there, 'e') . "', 'SELECT pg_sleep(600)') AS t(p text)");
wait_for_remote_statement($remote, 'a statement runs');
is(ask($super, named($there, 'f'))->{state}, '53400', 'its pool does not go');
sql($local, 'SELECT pg_cancel_backend(' . $bob->pid . ')');
is($bob->result->{state}, '57014', 'it is cancelled');

# So is, for a moment, one that was just made and of which the worker does not know
# yet.
my $refused = 0;
my $worker = worker_pid($local);
foreach my $n (1 .. 5)
{
	kill 'STOP', $worker;
	$alice->begin("SELECT 1 FROM dblink('" . named($there, "u$n") . "', 'SELECT 1') AS t(i int)");
	wait_until(10,
		sub { sql($local, q(SELECT count(*) FROM pool_stats WHERE user_name = 'alice')) == 1 });
	$super->begin("SELECT 1 FROM dblink('" . named($there, "v$n") . "', 'SELECT 1') AS t(i int)");
	$refused = wait_until(5, sub { !$super->busy });
	kill 'CONT', $worker;
	$refused = 0 if $super->result->{state} ne '53400';
	$alice->result;
	last if $refused;
}
ok($refused, 'nor does one that is about to be used');
set('pool_dblink.max_pools', 64);

# The places of all pools, and of a role's
my $of_super = ask($super, named($there, 's'))->{out};
foreach my $n (1 .. 10)
{
	like(ask($alice, named($there, "r$n"))->{out}, qr/^\d+$/, "a role has its string number $n");
}
cmp_ok(sql($local, q(SELECT count(*) FROM pool_stats WHERE user_name = 'alice')), '<=', 4,
	'though it may have four pools');
is(ask($super, named($there, 's'))->{out}, $of_super, 'those of other roles do not go for it');
create_server($local, 'srv', $remote);
is(sql($local, select_42('srv')), 42, 'a server has a place before strings that nobody uses');
like(ask($super, named($there, "s$_"))->{out}, qr/^\d+$/, "a superuser has string number $_")
  foreach 1 .. 10;
is(pools(), 6, 'all places are taken');
is(stat_of($local, 'connects || $$ $$ || open', 'srv'), '1 1', 'a server keeps its place');
sql($local, 'DROP SERVER srv CASCADE');

#
# How large
#
set('pool_dblink.max_size', 3);
$process = ask($alice, named($there, 'r10'))->{out};
my $max_size = q(SELECT max_size FROM pool_stats WHERE user_name = 'alice' AND acquires =
	(SELECT max(acquires) FROM pool_stats WHERE user_name = 'alice') LIMIT 1);
ask($alice, named($there, 'r10')) foreach 1 .. 20;
is(sql($local, $max_size), 3, 'a pool has the size of the setting');
set('pool_dblink.max_size', 5);
ask($alice, named($there, 'r10'));
is(sql($local, "SELECT count(*) FROM pool_connections WHERE remote_pid = $process"
	  . ' AND closing_reason IS NULL'), 1, 'a connection outlives a reload');
is(sql($local, $max_size), 5, 'and the pool has the new size');
set('pool_dblink.max_size', 1);
is($alice->query("SELECT dblink_connect('a', '" . named($there, 'r10') . "')")->{out}, 'OK',
	'the only connection is kept');
sql($local, q(ALTER ROLE alice SET pool.acquire_timeout = '100ms'));
my $late = session($local, user => 'alice');
my $none = ask($late, named($there, 'r10'));
is($none->{state}, '53300', 'there is no second one');
like($none->{err}, qr/HINT:  Raise pool_dblink.max_size/, 'the error says what to do');
$late->quit;

#
# How long its connections last
#
my $kept = q(SELECT p FROM dblink('a', 'SELECT pg_backend_pid()') AS t(p int));
$process = $alice->query($kept)->{out};
pass(3600);
like(ask($again, named($there, $_))->{out}, qr/^\d+$/, 'the worker looks at its connections')
  foreach 'r11', 'r12';
is(sql($local, 'SELECT sum(leaks) FROM pool_stats_all()'), 0,
	'one that is kept for long is no leak');
is($alice->query($kept)->{out}, $process, 'it stays');
$alice->query(q(SELECT dblink_disconnect('a')));
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE remote_pid = $process", 0,
	'it is too old for another one');
$process = ask($alice, named($there, 'r10'))->{out};
pass(50);
is(ask($alice, named($there, 'r10'))->{out}, $process, 'one that was not used for 50 s is used');
pass(70);
sql($local, 'SELECT pg_reload_conf()'); # wakes the worker
wait_for_value($local, 'SELECT sum(open) FROM pool_stats', 0,
	'one that was not for 70 s is closed');
$process = ask($alice, named($there, 'r10'))->{out};
my $closed = 0;
foreach (1 .. 8)
{
	pass(40);
	$closed = ask($alice, named($there, 'r10'))->{out} ne $process;
	last if $closed;
}
ok($closed, 'one that is used is replaced after five minutes');

$_->quit foreach $alice, $again, $bob, $super;
settled($local);
no_crash($local, $remote);
done_testing();
