# 007_databases.pl
#	Pools and the commands around them: databases with live pools can be
#	dropped, copied and dumped; servers of the same name in two databases are
#	two pools; what ALTER changes holds for the next lease of every session,
#	and only once it is committed.  Sessions of several databases use pools, each
#	of a remote database of its own, while the commands run.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $remote = start_remote();
my $local = start_local();
my $where = q(SELECT d FROM pool_query('srv', 'select current_database()') AS r(d text));
my $pid = q(SELECT p FROM pool_query('srv', 'select pg_backend_pid()') AS r(p int));

sql($remote, "CREATE DATABASE $_ OWNER app") foreach 'far1', 'far2', 'far3';

sub new_database
{
	my ($db, $far) = @_;

	sql($local, "CREATE DATABASE $db");
	sql($local, 'CREATE EXTENSION pool', db => $db);
	create_server($local, 'srv', $remote,
		db => $db,
		options => { dbname => $far, max_size => 1 });
	return;
}

# at_once(what, statement, how): no waiting for anything of pool's
sub at_once
{
	my ($what, $statement, %how) = @_;
	my $start = time;
	my ($state, $err) = sql_state($local, "SET statement_timeout = '30s';\n$statement", %how);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($state, '00000', "$what works beside a pool") or diag($err);
	cmp_ok(time - $start, '<', 20, "$what waits for nothing of the pool");
	return;
}

# none_left(what, database): sessions on the remote
sub none_left
{
	my ($what, $far) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, 0, "$what leaves no session in the remote database $far",
		condition => "datname = '$far'");
}

#
# Two databases, a server of the same name in each
#
new_database('one', 'far1');
new_database('two', 'far2');
my $one = session($local, db => 'one');
my $two = session($local, db => 'two');
foreach my $turn (1 .. 3)
{
	is($one->query($where)->{out}, 'far1',
		"turn $turn: the first database uses its own server srv");
	is($two->query($where)->{out}, 'far2',
		"turn $turn: the second database uses its own server srv");
}
is(sql($local, q(SELECT string_agg(database || ' ' || server || ' ' || open, ', ' ORDER BY 1)
	FROM pool_stats)), 'one srv 1, two srv 1',
		'servers of one name in two databases are two pools');
settled($local);

#
# DROP DATABASE, CREATE DATABASE from a template
#
$one->quit;
wait_for_value($local, q(SELECT count(*) FROM pg_stat_activity WHERE datname = 'one'), 0,
	'the session of the database ends');
is(sql($local, q(SELECT sum(open) FROM pool_stats WHERE database = 'one')), 1,
	'the connection of the database stays open without its session');
at_once('CREATE DATABASE from a template', 'CREATE DATABASE copy TEMPLATE one');
at_once('ALTER DATABASE RENAME', 'ALTER DATABASE copy RENAME TO renamed');
is(sql($local, $where, db => 'renamed'), 'far1', 'the copy of a database has a working server');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE database IN ('one', 'renamed'))), 2,
	'the copy of a database has a pool of its own');
at_once('DROP DATABASE', 'DROP DATABASE one');
at_once('DROP DATABASE of the copy', 'DROP DATABASE renamed');
none_left('DROP DATABASE', 'far1');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE database <> 'two'), 0,
	'DROP DATABASE leaves no pool');

# FORCE, while its sessions hold a lease, run a statement, and wait
my @sessions = map { session($local, db => 'two') } 1 .. 3;
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '2')), db => 'two');
my $lease = $sessions[0]->acquire('srv');
$sessions[0]->query("SELECT pool_exec($lease, 'begin')");
$sessions[1]->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
wait_for_remote_statement($remote, 'a statement runs before DROP DATABASE FORCE');
$sessions[2]->begin($where);
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE database = 'two'), 1,
	'a session waits before DROP DATABASE FORCE');
at_once('DROP DATABASE FORCE', 'DROP DATABASE two WITH (FORCE)');
none_left('DROP DATABASE FORCE', 'far2');
$_->die_now foreach @sessions, $two;
settled($local, 'DROP DATABASE FORCE leaves nothing under way, and the sums hold');

# The same name again is another database: not one old connection is used.
new_database('two', 'far3');
is(sql($local, $where, db => 'two'), 'far3',
	'a new database of the same name uses no old connection');

#
# Dump and restore
#
my $dump = $local->basedir . '/two.dump';
$local->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'two' ], 'pg_dump works');
sql($local, 'CREATE DATABASE restored');
$local->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ],
	'pg_restore works');
is(sql($local, $where, db => 'restored'), 'far3', 'a restored database has a working server');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE database IN ('two', 'restored'))), 2,
	'a restored database has a pool of its own');
$local->command_ok([ 'vacuumdb', '--all', '--quiet' ], 'vacuumdb --all works');

#
# DROP EXTENSION, DROP SERVER, DROP USER MAPPING
#
my $session = session($local, db => 'restored');
is($session->query($where)->{out}, 'far3', 'a session uses the extension before it is dropped');
at_once('DROP EXTENSION', 'DROP EXTENSION pool CASCADE', db => 'restored');
is($session->query($where)->{state}, '42883', 'the functions are gone after DROP EXTENSION');
is($session->query('SELECT 1')->{out}, '1', 'a session goes on after DROP EXTENSION');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE database = 'restored'), 0,
	'DROP EXTENSION leaves no pool');
$session->query('CREATE EXTENSION pool');
create_server($local, 'srv', $remote, db => 'restored', options => { dbname => 'far1' });
is($session->query($where)->{out}, 'far1',
	'a session uses the new server of an extension created again');

at_once('DROP SERVER', 'DROP SERVER srv CASCADE', db => 'restored');
is($session->query($where)->{state}, '42704', 'a session finds no server after DROP SERVER');
none_left('DROP SERVER', 'far1');
$session->quit;
sql($local, 'DROP DATABASE restored');
sql($local, 'DROP DATABASE two');
none_left('DROP DATABASE of the restored one', 'far3');

create_server($local, 'srv', $remote, options => { dbname => 'far1', max_size => 2 });
$session = session($local);
my $other = session($local);
is($session->query($where)->{out}, 'far1', 'a session uses the mapping before it is dropped');
sql($local, 'DROP USER MAPPING FOR CURRENT_USER SERVER srv');
like($session->query($where)->{state}, qr/^(42704|28000|42501|0LP01|HV)/,
	'a session is refused after DROP USER MAPPING');
none_left('DROP USER MAPPING', 'far1');
sql($local, 'CREATE USER MAPPING FOR CURRENT_USER SERVER srv '
	. "OPTIONS (user 'app', password '$PoolTest::password')");
is($session->query($where)->{out}, 'far1', 'a session works again after CREATE USER MAPPING');
at_rest($local, $remote, 'after all DROPs');

#
# ALTER SERVER: the place
#
is($other->query($where)->{out}, 'far1', 'both sessions use the server before ALTER SERVER');
sql($local, q(ALTER SERVER srv OPTIONS (SET dbname 'far2')));
is($session->query($where)->{out}, 'far2',
	'the next lease after ALTER SERVER goes to the new place');
is($other->query($where)->{out}, 'far2',
	'the next lease of another session after ALTER SERVER goes to the new place');
none_left('ALTER SERVER', 'far1');
cmp_ok(sql($local, q(SELECT sum(count) FROM pool_stats_closed WHERE reason = 'config_changed')),
	'>=', 1, 'connections closed after ALTER SERVER are counted as config_changed');

# A lease begun before goes on, and ends.
$lease = $session->acquire('srv');
sql($local, q(ALTER SERVER srv OPTIONS (SET dbname 'far3')));
is($other->query($where)->{out}, 'far3',
	'ALTER SERVER under a lease sends other sessions to the new place');
my $on_lease = "SELECT d FROM pool_query($lease, 'select current_database()') AS r(d text)";
is($session->query($on_lease)->{out}, 'far2', 'a lease stays where it was through ALTER SERVER');
is($session->release($lease)->{state}, '00000', 'a lease can be released after ALTER SERVER');
is($session->query($where)->{out}, 'far3',
	'the next lease after one that saw ALTER SERVER goes to the new place');
none_left('ALTER SERVER under a lease', 'far2');

# Not committed, not in effect; neither when it is rolled back.
foreach my $end ('ROLLBACK', 'COMMIT')
{
	my $changer = session($local);
	my $was = $session->query($where)->{out};

	$changer->query(q(BEGIN; ALTER SERVER srv OPTIONS (SET dbname 'far1')));
	is($session->query($where)->{out}, $was, "ALTER SERVER changes nothing before $end");
	is($other->query($where)->{out}, $was,
		"ALTER SERVER changes nothing for another session before $end");
	$changer->query($end);
	my $is = $end eq 'COMMIT' ? 'far1' : $was;
	is($session->query($where)->{out}, $is, "a session uses $is after $end of ALTER SERVER");
	is($other->query($where)->{out}, $is, "another session uses $is after $end of ALTER SERVER");
	is($changer->query($where)->{out}, $is,
		"the session that altered uses $is after $end of ALTER SERVER");
	$changer->quit;
}

# Inside the transaction that changes it, it is used there alone, if at all.
my $changer = session($local);
$changer->query(q(BEGIN; ALTER SERVER srv OPTIONS (SET dbname 'far2')));
my $inside = $changer->query($where);
note "inside: $inside->{state} $inside->{out}";
isnt($inside->{out}, 'far3', 'a transaction that alters uses no third place');
is($session->query($where)->{out}, 'far1',
	'a lease inside the transaction that alters does not affect other sessions');
$changer->query('ROLLBACK');
is($session->query($where)->{out}, 'far1', 'a session sees no change after ROLLBACK');
is($changer->query($where)->{out}, 'far1',
	'the session that altered sees no change after ROLLBACK');
is($other->query($where)->{out}, 'far1', 'another session sees no change after ROLLBACK');
none_left('ROLLBACK', 'far2');
$changer->quit;

# A port where nobody is, then back
my $port = $remote->port;
sql($local, q(ALTER SERVER srv OPTIONS (SET port '1', ADD retry_attempts '0')));
like($session->query($where)->{state}, qr/^08/, 'a port where nobody listens is an error');
sql($local, "ALTER SERVER srv OPTIONS (SET port '$port')");
is($session->query($where)->{out}, 'far1', 'the right port works again');

#
# ALTER SERVER: the size
#
my @holders = map { session($local) } 1 .. 4;
$_->acquire('srv') foreach @holders[ 0, 1 ];
$holders[2]->begin(q(SELECT pool_acquire('srv', hold => true)));
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'
	AND database = 'postgres'), 1, 'the third session waits when max_size is 2');
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '3')));
$holders[3]->begin(q(SELECT pool_acquire('srv', timeout => '60s', hold => true)));
like($holders[2]->result(20)->{out}, qr/^\d+$/,
	'the third session is served when max_size becomes 3')
  or diag(sql($local, 'SELECT * FROM pool_stats'));
wait_for_value($local, q(SELECT active, waiting, connecting FROM pool_stats WHERE server = 'srv'
	AND database = 'postgres'), '3|1|0', 'a fourth session waits when max_size is 3');
sql($local, 'SELECT pg_cancel_backend(' . $holders[3]->pid . ')');
is($holders[3]->result(20)->{state}, '57014', 'a fourth session is not served when max_size is 3');
is($holders[3]->query(q(SELECT pool_acquire('srv', timeout => '500ms')))->{state}, '53300',
	'it times out for want of a connection');
is(app_sessions($remote), 3, 'the remote has three sessions when max_size is 3');
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '1')));
is($_->query('SELECT 1')->{out}, '1', 'sessions go on when max_size becomes 1') foreach @holders;
$_->quit foreach @holders;
is($session->query($where)->{out}, 'far1', 'a session gets an answer when max_size is 1');
$lease = $session->acquire('srv');
is($other->query(q(SELECT pool_acquire('srv', timeout => '500ms')))->{state}, '53300',
	'there is one lease at a time when max_size is 1');
$session->release($lease);
wait_for_app_sessions($remote, 1, 'the remote has one session when max_size is 1');

#
# ALTER USER MAPPING: the password
#
sql($remote, q(ALTER ROLE app PASSWORD 'other'));
is($session->query($where)->{out}, 'far1',
	'a connection goes on after the password was changed on the remote');
my $before = $session->query($pid)->{out};
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'other')));
my $after = $session->query($pid)->{out};
like($after, qr/^\d+$/, 'a session works after ALTER USER MAPPING');
isnt($after, $before, 'a session uses a new connection after ALTER USER MAPPING');
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'wrong')));
is($session->query($where)->{state}, '28P01',
	'no connection made with the old password is used once it is wrong');
is($other->query($where)->{state}, '28P01',
	'no session uses a connection made with the old password once it is wrong');
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'other')));
is($session->query($where)->{out}, 'far1', 'the right password works again');

# Renamed, it is the same server.
sql($local, 'ALTER SERVER srv RENAME TO renamed');
(my $there = $where) =~ s/srv/renamed/;
is($session->query($there)->{out}, 'far1', 'a renamed server works by its new name');
is($session->query($where)->{state}, '42704', 'a renamed server is not there by its old name');
is(sql($local, q(SELECT string_agg(server, ' ') FROM pool_stats WHERE open > 0)), 'renamed',
	'pool_stats shows the new name of a server');

at_rest($local, $remote, 'at the end');
no_crash($local, $remote);
done_testing();
