# 007_databases.pl
#	Pools and the commands around them: databases with live pools can be
#	dropped, copied and dumped; servers of the same name in two databases are
#	two pools; what ALTER changes holds for the next lease of every session,
#	and only once it is committed.

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
	create_server($local, 'srv', $remote, db => $db, options => { dbname => $far });
	return;
}

# at_once(what, statement, how): no waiting for anything of pool's
sub at_once
{
	my ($what, $statement, %how) = @_;
	my $start = time;
	my ($state, $err) = sql_state($local, "SET statement_timeout = '30s';\n$statement", %how);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($state, '00000', "$what: done") or diag($err);
	cmp_ok(time - $start, '<', 20, "$what: at once");
	return;
}

# none_left(what, database): sessions on the remote
sub none_left
{
	my ($what, $far) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($remote,
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = '$far'",
		0, "$what: no session is left on the remote");
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
	is($one->query($where)->{out}, 'far1', "two databases $turn: the first");
	is($two->query($where)->{out}, 'far2', "two databases $turn: the second");
}
is(sql($local, q(SELECT string_agg(database || ' ' || server || ' ' || open, ', ' ORDER BY 1)
	FROM pool_stats)), 'one srv 1, two srv 1', 'two databases: two pools');
settled($local);

#
# DROP DATABASE, CREATE DATABASE from a template
#
$one->quit;
wait_for_value($local, q(SELECT count(*) FROM pg_stat_activity WHERE datname = 'one'), 0,
	'its session has ended');
is(sql($local, q(SELECT sum(open) FROM pool_stats WHERE database = 'one')), 1,
	'its connection is open');
at_once('CREATE DATABASE from a template', 'CREATE DATABASE copy TEMPLATE one');
at_once('ALTER DATABASE RENAME', 'ALTER DATABASE copy RENAME TO renamed');
is(sql($local, $where, db => 'renamed'), 'far1', 'the copy works');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE database IN ('one', 'renamed'))), 2,
	'with a pool of its own');
at_once('DROP DATABASE', 'DROP DATABASE one');
at_once('DROP DATABASE of the copy', 'DROP DATABASE renamed');
none_left('DROP DATABASE', 'far1');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE database <> 'two'), 0,
	'DROP DATABASE: no pool is left');

# FORCE, while its sessions hold a lease, run a statement, and wait
my @sessions = map { session($local, db => 'two') } 1 .. 3;
sql($local, q(ALTER SERVER srv OPTIONS (max_size '2')), db => 'two');
my $lease = $sessions[0]->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
$sessions[0]->query("SELECT pool_exec($lease, 'begin')");
$sessions[1]->begin(q(SELECT pool_query('srv', 'select pg_sleep(60)')));
ok(wait_until(20, sub { app_sessions($remote, q(state = 'active')) == 1 }),
	'DROP DATABASE FORCE: a statement runs');
$sessions[2]->begin($where);
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE database = 'two'), 1,
	'DROP DATABASE FORCE: one waits');
at_once('DROP DATABASE FORCE', 'DROP DATABASE two WITH (FORCE)');
none_left('DROP DATABASE FORCE', 'far2');
$_->die_now foreach @sessions, $two;
settled($local, 'DROP DATABASE FORCE: settled');

# The same name again is another database: not one old connection is used.
new_database('two', 'far3');
is(sql($local, $where, db => 'two'), 'far3', 'a database of the same name is another');

#
# Dump and restore
#
my $dump = $local->basedir . '/two.dump';
$local->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'two' ], 'pg_dump');
sql($local, 'CREATE DATABASE restored');
$local->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'pg_restore');
is(sql($local, $where, db => 'restored'), 'far3', 'what was restored works');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE database IN ('two', 'restored'))), 2,
	'as a pool of its own');
$local->command_ok([ 'vacuumdb', '--all', '--quiet' ], 'vacuumdb --all');

#
# DROP EXTENSION, DROP SERVER, DROP USER MAPPING
#
my $session = session($local, db => 'restored');
is($session->query($where)->{out}, 'far3', 'DROP EXTENSION: in use');
at_once('DROP EXTENSION', 'DROP EXTENSION pool CASCADE', db => 'restored');
is($session->query($where)->{state}, '42883', 'DROP EXTENSION: the functions are gone');
is($session->query('SELECT 1')->{out}, '1', 'DROP EXTENSION: the session is not');
wait_for_value($local, q(SELECT count(*) FROM pool_stats WHERE database = 'restored'), 0,
	'DROP EXTENSION: no pool is left');
$session->query('CREATE EXTENSION pool');
create_server($local, 'srv', $remote, db => 'restored', options => { dbname => 'far1' });
is($session->query($where)->{out}, 'far1', 'created again: the new server is used');

at_once('DROP SERVER', 'DROP SERVER srv CASCADE', db => 'restored');
is($session->query($where)->{state}, '42704', 'DROP SERVER: there is none');
none_left('DROP SERVER', 'far1');
$session->quit;
sql($local, 'DROP DATABASE restored');
sql($local, 'DROP DATABASE two');
none_left('DROP DATABASE of the restored', 'far3');

create_server($local, 'srv', $remote, options => { dbname => 'far1', max_size => 2 });
$session = session($local);
my $other = session($local);
is($session->query($where)->{out}, 'far1', 'DROP USER MAPPING: in use');
sql($local, 'DROP USER MAPPING FOR CURRENT_USER SERVER srv');
like($session->query($where)->{state}, qr/^(42704|28000|42501|0LP01|HV)/,
	'DROP USER MAPPING: refused');
none_left('DROP USER MAPPING', 'far1');
sql($local, "CREATE USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (user 'app', password '$PoolTest::password')");
is($session->query($where)->{out}, 'far1', 'CREATE USER MAPPING: works again');
settled($local, 'after all DROPs: settled');
remote_count($local, $remote, 'after all DROPs: sessions on the remote');

#
# ALTER SERVER: the place
#
is($other->query($where)->{out}, 'far1', 'ALTER SERVER: both use it');
sql($local, q(ALTER SERVER srv OPTIONS (SET dbname 'far2')));
is($session->query($where)->{out}, 'far2', 'ALTER SERVER: the next lease goes to the new place');
is($other->query($where)->{out}, 'far2', 'ALTER SERVER: in each session');
none_left('ALTER SERVER', 'far1');
cmp_ok(sql($local, 'SELECT sum(closed_config_changed) FROM pool_stats'), '>=', 1,
	'ALTER SERVER: the reason');

# A lease begun before goes on, and ends.
$lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
sql($local, q(ALTER SERVER srv OPTIONS (SET dbname 'far3')));
is($other->query($where)->{out}, 'far3', 'ALTER SERVER under a lease: others go to the new place');
is($session->query("SELECT d FROM pool_query($lease, 'select current_database()') AS r(d text)")->{out},
	'far2', 'ALTER SERVER under a lease: the lease stays');
is($session->query("SELECT pool_release($lease)")->{state}, '00000', 'ALTER SERVER under a lease: released');
is($session->query($where)->{out}, 'far3', 'ALTER SERVER under a lease: the next goes to the new place');
none_left('ALTER SERVER under a lease', 'far2');

# Not committed, not in effect; neither when it is rolled back.
foreach my $end ('ROLLBACK', 'COMMIT')
{
	my $changer = session($local);
	my $was = $session->query($where)->{out};

	$changer->query(q(BEGIN; ALTER SERVER srv OPTIONS (SET dbname 'far1')));
	is($session->query($where)->{out}, $was, "$end: nothing changes before it");
	is($other->query($where)->{out}, $was, "$end: for nobody");
	$changer->query($end);
	my $is = $end eq 'COMMIT' ? 'far1' : $was;
	is($session->query($where)->{out}, $is, "$end: after it, the $is");
	is($other->query($where)->{out}, $is, "$end: for everybody");
	is($changer->query($where)->{out}, $is, "$end: for who did it, too");
	$changer->quit;
}

# Inside the transaction that changes it, it is used there alone, if at all.
my $changer = session($local);
$changer->query(q(BEGIN; ALTER SERVER srv OPTIONS (SET dbname 'far2')));
my $inside = $changer->query($where);
note "inside: $inside->{state} $inside->{out}";
isnt($inside->{out}, 'far3', 'inside the transaction: nowhere else');
is($session->query($where)->{out}, 'far1', 'inside the transaction: others are not affected');
$changer->query('ROLLBACK');
is($session->query($where)->{out}, 'far1', 'after ROLLBACK: nothing has changed');
is($changer->query($where)->{out}, 'far1', 'after ROLLBACK: for who did it, too');
is($other->query($where)->{out}, 'far1', 'after ROLLBACK: nor for others');
none_left('after ROLLBACK', 'far2');
$changer->quit;

# A port where nobody is, then back
my $port = $remote->port;
sql($local, q(ALTER SERVER srv OPTIONS (SET port '1', ADD retry_attempts '0')));
like($session->query($where)->{state}, qr/^08/, 'a wrong port: error');
sql($local, "ALTER SERVER srv OPTIONS (SET port '$port')");
is($session->query($where)->{out}, 'far1', 'the right one: works');

#
# ALTER SERVER: the size
#
my @holders = map { session($local) } 1 .. 4;
my @leases = map { $_->query(q(SELECT pool_acquire('srv', hold => true)))->{out} } @holders[ 0, 1 ];
$holders[2]->begin(q(SELECT pool_acquire('srv', hold => true)));
wait_for_value($local, q(SELECT waiting FROM pool_stats WHERE server = 'srv'
	AND database = 'postgres'), 1, 'max_size 2: the third waits');
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '3')));
$holders[3]->begin(q(SELECT pool_acquire('srv', timeout => '1s', hold => true)));
like($holders[2]->result(20)->{out}, qr/^\d+$/, 'max_size 3: it is served')
  or diag(sql($local, 'SELECT * FROM pool_stats'));
is($holders[3]->result(20)->{state}, '53300', 'max_size 3: a fourth is not');
is(app_sessions($remote), 3, 'max_size 3: three on the remote');
sql($local, q(ALTER SERVER srv OPTIONS (SET max_size '1')));
is($_->query('SELECT 1')->{out}, '1', 'max_size 1: leases go on') foreach @holders;
$_->quit foreach @holders;
is($session->query($where)->{out}, 'far1', 'max_size 1: works');
$lease = $session->query(q(SELECT pool_acquire('srv', hold => true)))->{out};
is($other->query(q(SELECT pool_acquire('srv', timeout => '500ms')))->{state}, '53300',
	'max_size 1: one lease at a time');
$session->query("SELECT pool_release($lease)");
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'),
	1, 'max_size 1: one on the remote');

#
# ALTER USER MAPPING: the password
#
sql($remote, q(ALTER ROLE app PASSWORD 'other'));
is($session->query($where)->{out}, 'far1',
	'password changed on the remote: what is open goes on');
my $before = $session->query($pid)->{out};
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'other')));
my $after = $session->query($pid)->{out};
like($after, qr/^\d+$/, 'ALTER USER MAPPING: works');
isnt($after, $before, 'ALTER USER MAPPING: by a new connection');
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'wrong')));
is($session->query($where)->{state}, '28P01',
	'a wrong password: no connection made with the old one is used');
is($other->query($where)->{state}, '28P01', 'a wrong password: by nobody');
sql($local, q(ALTER USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (SET password 'other')));
is($session->query($where)->{out}, 'far1', 'the right one: works');

# Renamed, it is the same server.
sql($local, 'ALTER SERVER srv RENAME TO renamed');
(my $there = $where) =~ s/srv/renamed/;
is($session->query($there)->{out}, 'far1', 'renamed: works');
is($session->query($where)->{state}, '42704', 'renamed: the old name is not there');
is(sql($local, q(SELECT string_agg(server, ' ') FROM pool_stats WHERE open > 0)), 'renamed',
	'renamed: pool_stats shows it');

settled($local, 'at the end: settled');
remote_count($local, $remote, 'at the end: sessions on the remote');
no_crash($local, $remote);
done_testing();
