# 050_rollback.pl
#	Pools and the transactions that make and end their servers and mappings: a
#	CREATE that is rolled back, wholly or to a savepoint, leaves no pool and no
#	connection; one that was used cannot be prepared; and a DROP leaves no pool,
#	however many sessions ask for it in that very moment.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $local = start_local(max_prepared_transactions => 2, 'pool.max_pools' => 8);
my $where = q(host '127.0.0.1', dbname 'far', port ') . $remote->port . q(');
my $app = "user 'app', password '$PoolTest::password'";
my $create = "CREATE SERVER %s FOREIGN DATA WRAPPER pool OPTIONS ($where, min_size '1');"
  . "CREATE USER MAPPING FOR CURRENT_USER SERVER %1\$s OPTIONS ($app)";
my $pools = q(SELECT coalesce(string_agg(server || ' ' || state, ', ' ORDER BY 1), 'none')
	FROM pool_stats);
my $session = session($local);

sub create { return sprintf $create, $_[0]; }

# none_left(what): soon there is neither a pool nor a connection
sub none_left
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for_value($local, $pools, 'none', "$what leaves no pool");
	return wait_for_app_sessions($remote, 0, "$what leaves no connection");
}

#
# A whole transaction
#
is($session->query('BEGIN;' . create('a') . ';' . select_42('a'))->{out}, '42',
	'a server can be used in the transaction that creates it');
$session->query('ROLLBACK');
none_left('a server that is rolled back');

is($session->query('BEGIN;' . create('a') . q(;SELECT pool_prewarm('a', 1)))->{state}, '00000',
	'a server can be warmed in the transaction that creates it');
$session->query('ROLLBACK');
none_left('a server that was warmed and is rolled back');

# The mapping alone; and by an error, and by the end of the session.
create_server($local, 'b', $remote, options => { min_size => 1 });
sql($local, 'DROP USER MAPPING FOR CURRENT_USER SERVER b');
my $mapping = "BEGIN; CREATE USER MAPPING FOR CURRENT_USER SERVER b OPTIONS ($app)";
my $lease = $session->query("$mapping; SELECT pool_acquire('b')")->{out};
is($session->query("SELECT pool_query($lease, 'select 1'), 1 / 0")->{state}, '22012',
	'a transaction fails with a lease from a mapping of its own');
$session->query('COMMIT');
none_left('a mapping whose transaction has failed');
my $gone = session($local);
is($gone->query("$mapping;" . select_42('b'))->{out}, '42',
	'a mapping can be used in the transaction that creates it');
$gone->die_now;
none_left('a mapping whose session has ended in the transaction');

# As the review found it: more of them than there are places.
foreach (1 .. 20)
{
	my $answer = $session->query("$mapping;" . select_42('b'));

	$answer->{out} eq '42' or diag($answer->{err}), last;
	$session->query('ROLLBACK');
	wait_until(10, sub { sql($local, $pools) eq 'none' });
}
is($session->query('ROLLBACK; SELECT 1')->{out}, '1', 'the session goes on after each ROLLBACK');
none_left('mapping after mapping that is rolled back');

#
# Savepoints
#
$session->query('BEGIN; SAVEPOINT s;' . create('a') . ';' . select_42('a') . '; ROLLBACK TO s');
none_left('a server that is rolled back to a savepoint');
$session->query('SAVEPOINT t;' . create('a') . ';' . select_42('a') . '; RELEASE t; ROLLBACK TO s');
none_left('a server whose savepoint was released, and then rolled back');
is($session->query(create('a') . '; SAVEPOINT t;' . select_42('a') . '; ROLLBACK TO t;'
	  . select_42('a'))->{out}, "42\n42",
	'a server that is older than the savepoint is there after ROLLBACK TO');
is($session->query('SAVEPOINT u;' . select_42('a') . '; RELEASE u;' . select_42('a'))->{out},
	"42\n42", 'a server is there after RELEASE');
$session->query('ROLLBACK');
none_left('a server that was used before and after savepoints');

#
# PREPARE TRANSACTION, and COMMIT
#
my $prepare = $session->query('BEGIN;' . create('a') . ';' . select_42('a')
	  . q(; PREPARE TRANSACTION 'p'));
is($prepare->{state}, '0A000', 'a transaction that used a server of its own cannot be prepared');
like($prepare->{err}, qr/cannot PREPARE a transaction that has used .* of its own.*HINT:  Commit/s,
	'the error says why the transaction cannot be prepared');
none_left('a transaction that could not be prepared');
is($session->query('BEGIN;' . create('a')
		  . ';SAVEPOINT s; CREATE SERVER c FOREIGN DATA WRAPPER pool;'
		  . "ROLLBACK TO s; PREPARE TRANSACTION 'p'")->{state}, '00000',
	'a transaction that did not use its server can be prepared');
sql($local, q(ROLLBACK PREPARED 'p'));
none_left('a server that was prepared and rolled back');

is($session->query('BEGIN; SAVEPOINT s;' . create('a') . ';' . select_42('a')
	  . '; RELEASE s; COMMIT;' . select_42('a'))->{out}, "42\n42",
	'a server that is committed is used as before');
is(sql($local, 'SELECT connects FROM pool_stats'), 1,
	'a server that is committed keeps the connection of its transaction');
sql($local, 'DROP SERVER a CASCADE');
none_left('DROP SERVER');

#
# DROP while others ask: each finds the mapping, or none.  Nobody may make the
# pool anew from what it still knows of it.
#
sql($local, <<SQL);
CREATE TABLE stop ();
CREATE PROCEDURE ask() LANGUAGE plpgsql AS \$\$
BEGIN
	WHILE to_regclass('stop') IS NOT NULL LOOP
		BEGIN
			PERFORM pool_exec('b', 'select 1');
		EXCEPTION WHEN undefined_object OR system_error OR operator_intervention
			OR connection_exception OR sqlstate '53400' THEN
		END;
		COMMIT;
	END LOOP;
END \$\$;
CREATE PROCEDURE churn(n int) LANGUAGE plpgsql AS \$\$
BEGIN
	FOR i IN 1 .. n LOOP
		CREATE USER MAPPING FOR CURRENT_USER SERVER b OPTIONS ($app);
		COMMIT;
		DROP USER MAPPING FOR CURRENT_USER SERVER b;
		COMMIT;
	END LOOP;
END \$\$;
SQL
my @asking = map { session($local) } 1 .. 4;
$_->begin('CALL ask()') foreach @asking;
is($session->query('CALL churn(400)', 600)->{state}, '00000',
	'a mapping is made and dropped again and again while four sessions ask for it');
sql($local, 'DROP TABLE stop');
is($_->result(60)->{state}, '00000', 'a session that asked meets no odd error') foreach @asking;
none_left('a mapping that is dropped while others ask for it');

# The same in the worst moment: between the look at the catalogs and the pool
sql($local, "CREATE USER MAPPING FOR CURRENT_USER SERVER b OPTIONS ($app)");
$session->query(q(SET pool.fault_point = 'acquire_resolved stop'));
$session->begin(q(SELECT pool_exec('b', 'select 1')));
my $status = '/proc/' . $session->pid . '/status';
ok(wait_until(20, sub { return slurp_file($status) =~ /^State:\s+T/m; }),
	'a session is stopped when it knows the mapping, and has no pool yet');
sql($local, 'DROP USER MAPPING FOR CURRENT_USER SERVER b');
kill 'CONT', $session->pid;
is($session->result->{state}, '42704', 'the session finds that the mapping was dropped meanwhile');
none_left('a mapping that was dropped before its pool was made');

no_crash($local, $remote);
done_testing();
