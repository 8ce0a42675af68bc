# 052_places.pl
#	What a pool's place stands for: what an administrator has set is not lost when
#	places are short, a mapping has one pool however it was altered, and names
#	from a database with another encoding can be read everywhere.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local('pool.max_pools' => 3);
my $app = "user 'app', password '$PoolTest::password'";

#
# Places are short
#
create_server($local, $_, $remote) foreach 'one', 'two', 'three', 'four', 'five';
my $states = q(SELECT string_agg(concat_ws(' ', server, state, max_size), ', ' ORDER BY server)
	FROM pool_stats);

# empty(server): its pool is used, and is left without connections
sub empty
{
	my ($server) = @_;

	sql($local, select_42($server));
	sql($local, "SELECT pool_close('$server')");
	return wait_until(20,
		sub { sql($local, "SELECT count(*) FROM pool_connections WHERE server = '$server'") == 0 });
}
empty($_) foreach 'one', 'two', 'three';
sql($local, q(SELECT pool_drain('one'), pool_resize('two', 0, 7)));
is(sql($local, select_42('four')), 42, 'a pool without connections gives up its place');
is(sql($local, $states), 'four ready 10, one paused 10, two ready 7',
	'a pool that is drained or resized keeps its place');

empty('four');
sql($local, q(SELECT pool_pause('four', fail => true)));
my ($state, $err) = sql_state($local, select_42('five'));
is($state, '53400', 'there is no place while all pools are paused or resized');
like($err, qr/DETAIL:  All 3 pools .* paused or resized.*HINT:  .*pool_resume/s,
	'the error says what keeps the places');
sql($local, q(SELECT pool_resume('one')));
is(sql($local, select_42('five')), 42, 'the place of a pool that is no longer paused can be had');
is(sql($local, $states), 'five ready 10, four paused 10, two ready 7',
	'the pool that was resumed is the one that is gone');
sql($local, 'DROP SERVER two CASCADE; DROP SERVER four CASCADE; DROP SERVER five CASCADE');
wait_for_value($local, 'SELECT count(*) FROM pool_stats', 0,
	'a pool that is resized or paused goes with its server');

#
# One mapping, one pool, while password_required is altered, and the role
#
sql($local, 'CREATE ROLE bob LOGIN; GRANT USAGE ON FOREIGN SERVER one TO bob');
sql($local, "CREATE USER MAPPING FOR bob SERVER one OPTIONS ($app, min_size '1')");
my $rows = q(SELECT string_agg(concat_ws(' ', user_name, state, idle), ', ') FROM pool_stats);

sub ask_as_bob { return sql($local, select_42('one'), user => 'bob'); }

is(ask_as_bob(), 42, 'a role uses its mapping');
foreach my $change (
	q(USER MAPPING FOR bob SERVER one OPTIONS (ADD password_required 'false')),
	q(USER MAPPING FOR bob SERVER one OPTIONS (SET password_required 'true')),
	'ROLE bob SUPERUSER', 'ROLE bob NOSUPERUSER')
{
	sql($local, "ALTER $change");
	is(ask_as_bob(), 42, "a role uses its mapping after ALTER $change");
	wait_for_value($local, $rows, 'bob ready 1', "a mapping has one pool after ALTER $change");
}

# Of one FOR PUBLIC, superusers have a pool of their own while a password is
# required.
sql($local, 'DROP USER MAPPING FOR bob SERVER one; DROP USER MAPPING FOR CURRENT_USER SERVER one');
sql($local, "CREATE USER MAPPING FOR public SERVER one OPTIONS ($app, min_size '1')");
foreach (1, 2)
{
	is(sql($local, select_42('one')), 42, 'a superuser uses the mapping for everybody');
	is(ask_as_bob(), 42, 'another role uses the mapping for everybody');
}
wait_for_value($local, $rows, 'public ready 1, public ready 1',
	'superusers and others have a pool each');
sql($local, q(ALTER USER MAPPING FOR public SERVER one OPTIONS (ADD password_required 'false')));
is(ask_as_bob(), 42, 'another role uses the mapping that requires no password');
wait_for_value($local, $rows, 'public ready 1',
	'superusers and others have one pool if no password is required');

# A role whose pool nobody asks for any more
sql($local, 'DROP USER MAPPING FOR public SERVER one');
sql($local, "CREATE USER MAPPING FOR bob SERVER one OPTIONS ($app, min_size '1')");
is(ask_as_bob(), 42, 'a role uses its mapping before it becomes a superuser');
sql($local, 'ALTER ROLE bob SUPERUSER');
sql($local, q(ALTER SYSTEM SET pool.catalog_check_interval = '100ms'));
sql($local, 'SELECT pg_reload_conf()');
wait_for_value($local, 'SELECT count(*) FROM pool_stats', 0,
	'a pool that no role can use any more is closed without anyone asking', seconds => 60);
sql($local, 'ALTER ROLE bob NOSUPERUSER; DROP SERVER one CASCADE; DROP SERVER three CASCADE');

#
# Names in other encodings.  Only one of the two is in both; the other one and
# that of a role, which all databases share, is escaped where it is none.
#
foreach my $encoding ('UTF8', 'LATIN1', 'SQL_ASCII')
{
	sql($local, "CREATE DATABASE $encoding ENCODING '$encoding' TEMPLATE template0"
		  . q( LC_COLLATE 'C' LC_CTYPE 'C'));
	sql($local, 'CREATE EXTENSION pool', db => lc $encoding);
}
my $latin = 'U&"caf\00E9"';
my $other = 'U&"\0416"';
my $role = 'U&"ren\00E9"';
sql($local, "CREATE ROLE $role", db => 'latin1');
create_server($local, $latin, $remote, db => 'latin1', for => $role);
create_server($local, $other, $remote, db => 'utf8');
sql($local, "GRANT USAGE ON FOREIGN SERVER $latin TO $role; SET ROLE $role;"
	  . q(SELECT pool_query(U&'caf\00E9', 'select 1')), db => 'latin1');
sql($local, q(SELECT pool_query(U&'\0416', 'select 1')), db => 'utf8');

# names(database): of the pools, of their connections, and of the role, byte by byte
sub names
{
	my ($db) = @_;
	my $bytes = q(string_agg(encode(convert_to(%s, getdatabaseencoding()), 'escape'), ' '
		ORDER BY database));

	return sql($local, sprintf("SELECT $bytes FROM pool_stats;"
		  . "SELECT $bytes FROM pool_connections;"
		  . "SELECT $bytes FROM pool_stats WHERE database = 'latin1'",
		'server', 'server', 'user_name'), db => $db);
}
is(names('utf8'), 'caf\303\251 \320\226' . "\n" . 'caf\303\251 \320\226' . "\n" . 'ren\\\\xe9',
	'names from a database in LATIN1 can be read in one in UTF8');
is(names('latin1'), 'caf\351 \\\\xd0\\\\x96' . "\n" . 'caf\351 \\\\xd0\\\\x96' . "\n" . 'ren\351',
	'names from a database in UTF8 can be read in one in LATIN1');
is(names('sql_ascii'), 'caf\351 \320\226' . "\n" . 'caf\351 \320\226' . "\n" . 'ren\351',
	'names can be read in a database without an encoding');
my $holder = session($local, db => 'latin1');
like($holder->query("SET ROLE $role; SELECT pool_acquire(U&'caf\\00E9', hold => true)")->{out},
	qr/^\d+$/, 'a session of a database in LATIN1 holds a lease');
my ($reclaimed, $said, $answer) = sql_state($local, q(SET client_encoding = 'LATIN1';
	SET client_min_messages = 'log';
	SELECT pool_reclaim(slot) FROM pool_connections WHERE state = 'leased'), db => 'utf8');
is("$reclaimed $answer", '00000 t', 'a lease of a database in LATIN1 is reclaimed in one in UTF8');
like($said, qr/LOG:.*pool for server "caf\xe9" was reclaimed/,
	'pool_reclaim() tells of a lease of another database in the own encoding');
$holder->quit;

settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();
