# 174_dblink_links.pl
#	How long a connection of dblink's functions stays with its name, in both modes;
#	whose rights it has; what becomes of it when it is lost; and what it brings with it
#	that other leases do not: notifications, and transactions that are left open.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Requests;
use Test::More;

my $remote = start_remote();
my $local = start_local(max_prepared_transactions => 2);
create_server($local, 'srv', $remote, options => { max_size => 2, acquire_timeout => '20s' });
create_server($local, 'one', $remote, options => { max_size => 1, acquire_timeout => '20s' });
sql($local, 'CREATE EXTENSION pool_dblink');
create_caught($local);
my $session = session($local);
my $other = session($local);
my $app = session($remote, db => $PoolTest::remote_db);
my $pid = q{SELECT p FROM dblink('x', 'select pg_backend_pid()') AS r(p int)};
my $in_use = q{SELECT sum(active) FROM pool_stats};

# mode(name): sets it, and begins anew with a connection x to srv
sub mode
{
	my ($name) = @_;

	$session->query("SELECT dblink_disconnect(n) FROM unnest(dblink_get_connections()) n");
	$session->query("SET pool_dblink.mode = '$name'");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	answers($session, q{SELECT dblink_connect('x', 'srv')}, 'OK', "connected, in mode $name");
	return;
}

# exec_on_x(command): its tag
sub exec_on_x
{
	my ($command) = @_;

	return $session->query("SELECT dblink_exec('x', '$command')")->{out};
}

# kept(what), given_back(what): tests
sub kept
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql($local, $in_use), 1, $_[0]);
}

sub given_back
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql($local, $in_use), 0, $_[0]);
}

#
# Mode "session"
#
mode('session');
kept('a connection is kept when it was made');
my $first = $session->query($pid)->{out};
exec_on_x('CREATE TEMP TABLE mine (n int)');
$session->query('BEGIN; SAVEPOINT s');
$session->query(q{SELECT dblink_exec('x', 'INSERT INTO mine VALUES (1)')});
$session->query('ROLLBACK TO s; ROLLBACK');
answers($session, $pid, $first, 'it survives a savepoint and a transaction that are rolled back');
answers($session, q{SELECT n FROM dblink('x', 'SELECT n FROM mine') AS r(n int)},
	1, 'with what was set up on it, and what was done on it is not rolled back');
$session->query('BEGIN');
answers($session, $pid, $first, 'and a transaction');
answers($session, q{PREPARE TRANSACTION 'p'}, '', 'that is prepared');
$session->query(q{ROLLBACK PREPARED 'p'});
answers($session, $pid, $first, 'or rolled back later');

my @found = grep { caught($session, "SELECT pool_release($_)") !~ /^42704/ } 1 .. 30;
is("@found", '', 'no number of a lease finds it');
answers($session, $pid, $first, 'and it is still there');
answers($session, q{SELECT dblink_disconnect('x')}, 'OK', 'until it is disconnected');
given_back('then it is given back');

#
# Mode "transaction"
#
mode('transaction');
given_back('a connection goes back when it was made');
$session->query($pid);
given_back('and after a statement');
foreach my $hold (
	[ 'BEGIN', 'COMMIT', 'a transaction' ],
	[ 'BEGIN', 'ROLLBACK', 'a transaction that is rolled back' ],
	[ 'SET work_mem = 100', 'DISCARD ALL', 'a setting' ],
	[ 'CREATE TEMP TABLE t (n int)', 'DISCARD ALL', 'a temporary table' ],
	[ 'PREPARE s AS SELECT 1', 'DISCARD ALL', 'a prepared statement' ],
	[ 'DECLARE c CURSOR WITH HOLD FOR SELECT 1', 'DISCARD ALL', 'a cursor with hold' ],
	[ 'LISTEN news', 'DISCARD ALL', 'LISTEN' ])
{
	my ($begin, $end, $what) = @$hold;

	exec_on_x($begin);
	kept("it stays with its name for $what");
	$session->query($pid);
	kept("and after a statement more, for $what");
	exec_on_x($end);
	given_back("and goes back after $end");
}
exec_on_x('BEGIN');
$session->query(q{SELECT * FROM dblink('x', 'SELECT 1/0', false) AS r(n int)});
kept('a transaction that has failed is one');
exec_on_x('ROLLBACK');
given_back('until it is rolled back');
$session->query(q{SELECT * FROM dblink('x', 'SELECT 1/0', false) AS r(n int)});
given_back('a statement that fails keeps nothing');
foreach my $command ('ANALYZE', 'DO $a$BEGIN END$a$', 'NOTIFY nobody')
{
	exec_on_x($command);
	given_back("nor does $command");
}
answers($session, q{SELECT dblink_open('x', 'c', 'SELECT generate_series(1, 3)')},
	'OK', 'a cursor is opened');
kept('for which it stays');
answers($session, q{SELECT n FROM dblink_fetch('x', 'c', 1) AS r(n int)}, 1, 'and fetched from');
answers($session, q{SELECT dblink_close('x', 'c')}, 'OK', 'and closed');
given_back('then it goes back');
answers($session, q{SELECT dblink_send_query('x', 'SELECT 1; SELECT 2')}, 1, 'a query is sent');
kept('for which it stays');
answers($session, q{SELECT n FROM dblink_get_result('x') AS r(n int)}, 1, 'the first answer comes');
answers($session, q{SELECT n FROM dblink_get_result('x') AS r(n int)}, 2, 'and the second');
kept('it stays until all is read');
answers($session, q{SELECT n FROM dblink_get_result('x') AS r(n int)}, '',
	'and a call has said so');
given_back('then it goes back');

$session->query(q{SELECT dblink_send_query('x', 'SELECT 1')});
like(caught($session, $pid), qr/already in progress/, 'dblink() finds a query in its way');
given_back('which is gone by that, and the connection goes back');

# A connection that was left in a transaction, and was reset, is in none.
foreach my $mode ('session', 'transaction')
{
	$session->query("SET pool_dblink.mode = '$mode'; SELECT dblink_connect('again', 'one')");
	$session->query(q{SELECT dblink_exec('again', 'BEGIN')});
	$session->query(q{SELECT dblink_disconnect('again')});
	wait_for_value($local, q{SELECT count(*) FROM pool_connections
		WHERE server = 'one' AND state = 'idle'}, 1, "it was reset, mode $mode");
	$session->query(q{SELECT dblink_connect('again', 'one')});
	is(sql($local, $in_use), $mode eq 'session' ? 1 : 0,
		"a connection that was reset holds nothing, mode $mode");
	answers($session, q{SELECT dblink_open('again', 'c', 'SELECT 1')},
		'OK', "a cursor is opened, in a new transaction, mode $mode");
	$session->query(q{SELECT dblink_disconnect('again')});
}
$session->query(q{SET pool_dblink.mode = 'transaction'});

# Two sessions and one connection take turns.
$session->query(q{SELECT dblink_connect('turn', 'one')});
$other->query(q{SET pool_dblink.mode = 'transaction'; SELECT dblink_connect('turn', 'one')});
foreach my $turn (1 .. 5)
{
	answers($_, "SELECT n FROM dblink('turn', 'SELECT $turn') AS r(n int)", $turn,
		"two sessions take turns, $turn")
	  foreach $session, $other;
}
$_->query(q{SELECT dblink_disconnect('turn')}) foreach $session, $other;

#
# Rights
#
sql($local, <<'SQL');
CREATE ROLE low;
GRANT USAGE ON FOREIGN SERVER srv TO low;
CREATE FUNCTION open_for_all() RETURNS text LANGUAGE sql SECURITY DEFINER
	AS $$SELECT dblink_connect('x', 'srv')$$;
SQL
sql($remote, q{CREATE ROLE lowly LOGIN PASSWORD 'low'});
sql($local, q{CREATE USER MAPPING FOR low SERVER srv OPTIONS (user 'lowly', password 'low')});
foreach my $mode ('session', 'transaction')
{
	my $who = q{SELECT u FROM dblink('x', 'select current_user') AS r(u text)};

	$session->query(q{SELECT dblink_disconnect('x')});
	$session->query("SET pool_dblink.mode = '$mode'; SET ROLE low");
	answers($session, q{SELECT open_for_all()}, 'OK',
		"connected with another's rights, mode $mode");
	answers($session, $who, 'app', "whose connection it is, mode $mode");
	$session->query(q{SELECT dblink_exec('x', 'BEGIN')});
	answers($session, $who, 'app', "and stays, mode $mode");
	$session->query(q{SELECT dblink_exec('x', 'COMMIT')});
	sql($local, q{SELECT pool_drain('srv')}) if $mode eq 'transaction';
	sql($local, q{SELECT pool_resume('srv')}) if $mode eq 'transaction';
	answers($session, $who, 'app', "also on a new connection, mode $mode");
	answers($session, q{SELECT u FROM dblink('srv', 'select current_user') AS r(u text)},
		'lowly', "while a call by the server's name has the role's own, mode $mode");
	$session->query('RESET ROLE');
}

# A connection that was never used and is dead by now: the one in its place is acquired
# with the same rights, though another role uses it first.
foreach my $way ('query', 'sent query')
{
	$session->query(q{SELECT dblink_disconnect('x'); SET pool_dblink.mode = 'session'});
	answers($session, 'SELECT open_for_all()', 'OK', "connected, and not used before a $way");
	$app->query(q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE usename IN ('app', 'lowly') AND backend_type = 'client backend'});
	$session->query('SET ROLE low');
	$session->query(q{SELECT dblink_send_query('x', 'select current_user')})
	  if $way ne 'query';
	answers($session, 'SELECT u FROM '
		  . ($way eq 'query' ? q{dblink('x', 'select current_user')} : q{dblink_get_result('x')})
		  . ' AS r(u text)',
		'app', "another connection takes its place, with the same rights, for a $way");
	$session->query('RESET ROLE');
}

#
# Errors of connecting
#
create_server($local, 'dead', $remote, options => { dbname => 'nowhere', acquire_timeout => '1s' });
my $failed = $session->query(
	q{DO $$BEGIN PERFORM dblink_connect('dead', 'dead'); END$$})->{err};
like($failed, qr/could not establish connection/, 'a server that cannot be connected to');
is(() = $failed =~ /SQL statement "SELECT dblink_connect/g, 1, 'what it was for is told once');

#
# Lost connections
#
my $kill = q{SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
	WHERE usename = 'app' AND backend_type = 'client backend'};

mode('session');
$session->query($pid);
$app->query($kill);
like(caught($session, $pid), qr/^(08006|57P01) /, 'a connection that is lost fails');
like(caught($session, $pid), qr/^08003 connection "x" was lost/, 'and is not replaced');
answers($session, q{SELECT dblink_get_connections()}, '{x}', 'its name is still there');
mode('transaction');
$session->query($pid);
$app->query($kill);
like(caught($session, $pid), qr/^\d+$/, 'in mode transaction another one takes its place');
exec_on_x('BEGIN');
$app->query($kill);
like(caught($session, $pid), qr/^(08006|57P01) /, 'but not in a transaction');
like(caught($session, "SELECT dblink_exec('x', 'COMMIT')"), qr/^08003 /, 'which cannot go on');
mode('transaction');
like(caught($session, $pid), qr/^\d+$/, 'until it is connected again');
exec_on_x('BEGIN');
$session->query(
	q{SELECT dblink_send_query('x', 'SELECT pg_terminate_backend(pg_backend_pid())')});
like(caught($session, q{SELECT * FROM dblink_get_result('x') AS r(b bool)}),
	qr/^(08006|57P01) /, 'nor is one that was lost by a query that was sent');
answers($session, q{SELECT * FROM dblink_get_result('x') AS r(b bool)}, '', 'which was read');
like(caught($session, "SELECT dblink_exec('x', 'COMMIT')"),
	qr/^08003 /, 'replaced in a transaction');
mode('transaction');

#
# Rows are read by code that ends the connection.
#
sql($local, <<'SQL');
CREATE FUNCTION call_it(statement text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN true;
END $$;
CREATE DOMAIN ends AS int CHECK (call_it('SELECT dblink_disconnect(''x'')'));
CREATE DOMAIN takes AS int CHECK (call_it('SELECT * FROM dblink_get_result(''x'') AS r(n int)'));
SQL
foreach my $mode ('session', 'transaction')
{
	mode($mode);
	answers($session, q{SELECT n FROM dblink('x', 'SELECT 7') AS r(n ends)},
		7, "rows are read while their connection is ended, mode $mode");
	answers($session, q{SELECT dblink_get_connections()}, '', "it has ended, mode $mode");
	mode($mode);
	$session->query(q{SELECT dblink_send_query('x', 'SELECT 7')});
	foreach my $domain ('ends', 'takes')
	{
		like(caught($session, "SELECT n FROM dblink_get_result('x') AS r(n $domain)"),
			qr/^55006 /, "not so those of a query that was sent, $domain, mode $mode");
		$session->query(
			q{SELECT dblink_get_result('x') FROM generate_series(1, 2)});
		$session->query(q{SELECT * FROM dblink_get_result('x') AS r(n int)});
		$session->query(q{SELECT dblink_send_query('x', 'SELECT 7')});
	}
}

#
# Many answers
#
mode('session');
$session->query(q{SELECT dblink_send_query('x', repeat('SELECT 1;', 2000))});
answers($session, q{SELECT n FROM dblink_get_result('x') AS r(n int)}, 1,
	'the first of many answers');
cmp_ok($session->query(q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts
	WHERE name LIKE 'pool%'})->{out}, '<', 2000 * 4000, 'which take little memory each');

#
# Notifications
#
mode('session');
$session->query(q{SELECT dblink_disconnect('x'); SELECT dblink_connect('x', 'one')});
$session->query(q{SELECT dblink_exec('x', 'LISTEN news')});
$app->query("NOTIFY news, '$_'") foreach 'a', 'b';
my $heard = '';
wait_until(20, sub {
	$heard .= $session->query(q{SELECT string_agg(extra, '') FROM dblink_get_notify('x')})->{out};
	return length $heard >= 2;
});
is($heard, 'ab', 'notifications come to the connection that listens');
$app->query("NOTIFY news, 'c'");
$session->query($pid);
wait_until(20, sub {
	$session->query($pid);
	$heard .= $session->query(q{SELECT string_agg(extra, '') FROM dblink_get_notify('x')})->{out};
	return length $heard >= 3;
});
is($heard, 'abc', 'also while it is used');
$app->query(
	q{SELECT count(pg_notify('news', n || repeat('x', 7000))) FROM generate_series(1, 3000) n});
wait_until(10, sub {	# until they are too many for the socket
	sql($remote, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'}) > 0;
});
like(caught($session, $pid), qr/^\d+$/, 'however many have come, a statement can be run');
my $many = 0;
wait_until(20, sub {
	$many += $session->query(q{SELECT count(*) FROM dblink_get_notify('x')})->{out};
	return $many >= 3000;
});
is($many, 3000, 'and none is lost');
$session->query(q{SELECT dblink_disconnect('x')});
my $busy = session($remote, db => $PoolTest::remote_db);
foreach my $turn (1 .. 10)
{
	$session->query(q{SELECT dblink_connect('x', 'one'); SELECT dblink_exec('x', 'LISTEN news')});
	$busy->query('NOTIFY news');
	$session->query(q{SELECT dblink_disconnect('x')});
	$busy->query('NOTIFY news');
	$other->query(q{SET pool_dblink.mode = 'session'; SELECT dblink_connect('y', 'one')});
	$busy->query('NOTIFY news');
	my $answer = $other->query(
		q{SELECT n FROM dblink('y', 'SELECT 5') AS r(n int); SELECT * FROM dblink_get_notify('y')});
	is($answer->{out}, '5', "the next session hears nothing of them, turn $turn");
	$other->query(q{SELECT dblink_disconnect('y')});
}

#
# One call
#
sql($remote, 'CREATE TABLE done (n int)', db => $PoolTest::remote_db, user => 'app');
answers($session, q{SELECT dblink_exec('one', 'BEGIN; INSERT INTO done VALUES (1)')},
	'INSERT 0 1', 'a call may leave a transaction open');
answers($other, q{SELECT n FROM dblink('one', 'SELECT count(*) FROM done') AS r(n int)},
	0, 'which is rolled back');
answers($session, q{SELECT dblink_exec('one', 'SET work_mem = 100')}, 'SET', 'or a setting');
unlike($session->query(q{SELECT m FROM dblink('one', 'SHOW work_mem') AS r(m text)})->{out},
	qr/^100kB/, 'which is set back');
my $error = $session->query(q{SELECT * FROM dblink('one', 'SELECT 1/0') AS r(n int)})->{err};
like($error, qr/while executing query on unnamed dblink connection/, 'an error says where it was');
unlike($error, qr/remote statement on server/, 'once');

#
# One statement that has two sets of rows, by a rule
#
sql($remote, <<'SQL', db => $PoolTest::remote_db, user => 'app');
CREATE TABLE ruled (n int);
CREATE RULE r AS ON INSERT TO ruled DO ALSO (SELECT 'first', 1; SELECT 'second', new.n)
SQL
mode('session');
$session->query($pid);
foreach my $n (1 .. 3)
{
	answers($session,
		"SELECT n FROM dblink('x', 'INSERT INTO ruled VALUES ($n)') AS r(t text, n int)",
		$n, "the last of two sets of rows is returned, statement $n");
}

$session->query(q{SELECT dblink_disconnect(n) FROM unnest(dblink_get_connections()) n});
$session->quit;
$other->quit;
at_rest($local, $remote, 'at last');
done_testing();
