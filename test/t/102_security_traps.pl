# 102_security_traps.pl
#	A hostile search_path, here and on the remote: before pg_catalog stands a schema
#	that has a trap for every function, operator, type and relation of pg_catalog.
#	Whatever the pool itself asks of the remote (reset, proof, validation, check) and
#	does here (functions, views, its own processes) must step into none of them.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use Test::More;

my $remote = start_remote();
my $local = start_local(
	log_min_messages => 'debug1',
	'pool.catalog_check_interval' => "'300ms'");

# set_traps(node, database)
sub set_traps
{
	my ($node, $db) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
SET check_function_bodies = off;
DO $do$
DECLARE
	one record;
	made int := 0;
BEGIN
	FOR one IN SELECT oid, proname, pg_get_function_identity_arguments(oid) AS arguments,
		CASE WHEN proretset THEN 'SETOF ' ELSE '' END || format_type(prorettype, NULL) AS result
		FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
			AND NOT proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype]::oid[]
			AND prorettype NOT IN ('internal'::regtype, 'cstring'::regtype,
				'trigger'::regtype, 'event_trigger'::regtype)
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS '
				'$$ BEGIN RAISE EXCEPTION ''caught in a trap''; END $$', one.proname,
				regexp_replace(one.arguments, '(^|, )OUT [^,]*', '', 'g'), one.result);
			made := made + 1;
		EXCEPTION WHEN OTHERS THEN
			NULL;	-- of a kind that PL/pgSQL cannot have
		END;
	END LOOP;
	FOR one IN SELECT oprname, format('evil.%I', p.proname) AS function,
		CASE WHEN oprleft <> 0 THEN ', LEFTARG = ' || format_type(oprleft, NULL) END AS a,
		', RIGHTARG = ' || format_type(oprright, NULL) AS b
		FROM pg_operator o JOIN pg_proc p ON p.oid = oprcode
		WHERE oprnamespace = 'pg_catalog'::regnamespace
	LOOP
		BEGIN
			EXECUTE concat('CREATE OPERATOR evil.', one.oprname, ' (FUNCTION = ', one.function,
				one.a, one.b, ')');
			made := made + 1;
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
	FOR one IN SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace
		AND relkind IN ('r', 'v')
	LOOP
		EXECUTE format('CREATE TABLE evil.%I (trap pg_catalog.int4)', one.relname);
	END LOOP;
	FOR one IN SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
		AND typtype = 'b' AND typelem = 0
	LOOP
		EXECUTE format('CREATE DOMAIN evil.%I AS pg_catalog.point', one.typname);
	END LOOP;
	IF made < 2500 THEN
		RAISE EXCEPTION 'only % traps', made;
	END IF;
END $do$;
SQL
	return;
}

my $path = 'evil, pg_catalog, public, pg_temp';
sql($local, 'CREATE DATABASE hostile');
create_server($local, 'steps', $remote, options => { dbname => 'postgres' });
$local->safe_psql('hostile', 'CREATE EXTENSION pool');
set_traps($remote, 'far');
set_traps($local, 'hostile');
sql($remote, "ALTER ROLE app IN DATABASE far SET search_path = $path");
sql($local, "ALTER DATABASE hostile SET search_path = $path");

# Traps are set.
foreach my $trap ('SELECT 1 + 1', q(SELECT upper('x')), 'SELECT now()')
{
	like((sql_state($local, $trap, db => 'hostile'))[1], qr/caught in a trap/, "a trap: $trap");
	like((sql_state($remote, $trap, db => 'far', user => 'app'))[1], qr/caught in a trap/,
		"a trap on the remote: $trap");
}
like((sql_state($local, 'SELECT oid FROM pg_class', db => 'hostile'))[1], qr/does not exist/,
	'a trap: a relation');
like((sql_state($local, q(SELECT 'x'::text), db => 'hostile'))[1],
	qr/invalid input syntax for type point/, 'a trap: a type');
my @offset = (log_offset($local), log_offset($remote));

#
# On the remote: every way in which a connection goes from one session to another.
# The statements themselves name what they use in full.
#
my $ask = q('select pg_catalog.pg_backend_pid()');
my %servers = (
	plain => { max_size => 1 },
	unreset => { max_size => 1, reset_query => '' },
	reset_all => { max_size => 1, reset_query => 'RESET ALL' },
	checked => { max_size => 1, health_check_interval => '20ms', validate_after_idle => '1ms' });
foreach my $name (sort keys %servers)
{
	my @sessions = map { session($local, db => 'postgres') } 1, 2;
	my (%pids, $wrong);

	create_server($local, $name, $remote, options => $servers{$name});
	foreach my $turn (1 .. 10)
	{
		my $session = $sessions[ $turn % 2 ];
		my $answer = $session->query(
			"SELECT t FROM pool_query('$name', $ask) AS r(t int)");

		$wrong .= $answer->{err};
		$pids{ $answer->{out} }++;

		# Each kind of statement, since they differ in how the proof is sent
		foreach my $statement ("set search_path = $path", 'begin; rollback',
			'create temporary table if not exists t (a pg_catalog.int4)', 'discard temporary')
		{
			$wrong .= $session->query("SELECT pool_exec('$name', '$statement')")->{err};
		}
		my $lease = $session->acquire($name);
		$wrong .= $session->query("SELECT pool_exec($lease, 'begin'); SELECT pool_release($lease)")
		  ->{err};
	}
	is($wrong, '', "$name: no statement fails");
	is(scalar keys %pids, 1, "$name: the connection goes from session to session");
	$_->quit foreach @sessions;
}
wait_for_value($local,
	q(SELECT health_checks > 0 AND validations > 0 FROM pool_stats_all() WHERE server = 'checked'),
	't', 'connections are checked and validated');

# The types of columns are asked for.
my $type = "CREATE TYPE public.trapped AS ENUM ('a')";
sql($_->[0], $type, db => $_->[1]) foreach [ $remote, 'postgres' ], [ $local, 'postgres' ];
sql($_->[0], "SET search_path = pg_catalog; $type", db => $_->[1])
  foreach [ $remote, 'far' ], [ $local, 'hostile' ];
is(sql($local, q(SELECT pool_columns('plain', 'select null::public.trapped as a,
	null::public.trapped[] as b'))), 'a trapped, b trapped[]', 'and are what they should be');

# A statement that is canceled, and a session that ends
my $session = session($local);
is($session->query(q(SET statement_timeout = '2s';
	SELECT pool_query('plain', 'select pg_catalog.pg_sleep(60)');
	RESET statement_timeout))->{state}, '57014', 'a statement is canceled on the remote');
is($session->query("SELECT t > 0 FROM pool_query('plain', $ask) AS r(t int)")->{out},
	't', 'the next statement is answered');
$session->quit;

#
# Here
#
my $secret = "password '$PoolTest::password'";
my $at = "host '127.0.0.1', port '" . $remote->port . "', dbname 'postgres'";
my $q = 'public.pool_';
$session = session($local, db => 'hostile', options => '-c search_path=public');
$session->query("SET search_path = $path");
foreach my $step (
	"CREATE SERVER mine FOREIGN DATA WRAPPER pool OPTIONS ($at, max_size '2', min_size '1')",
	"CREATE USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (user 'app', $secret)",
	"ALTER SERVER mine OPTIONS (ADD query_timeout '1h')",
	"SELECT ${q}query('mine', 'select 1')", "SELECT * FROM ${q}query_json('mine', 'select 1 as a')",
	"SELECT * FROM ${q}query('mine', 'select \$1', 7) AS t(a pg_catalog.int4)",
	(map { "SELECT ${q}$_, 'select null::public.trapped as a, ''x''::text as b, 1.5 as c')" }
		"columns('mine'", "create_view('public.v', 'mine'", "create_function('public.f', 'mine'"),
	'SELECT a, b, c FROM public.v', 'SELECT a, b, c FROM public.f()',
	"SELECT ${q}exec('mine', 'select 1')", "SELECT ${q}prewarm('mine', 2)",
	"SELECT ${q}release(${q}acquire('mine'))",
	"SELECT ${q}exec(${q}acquire('mine'), 'select 1')",
	(map { "SELECT $q$_('mine')" } 'pause', 'resume', 'drain', 'resume', 'reconnect', 'close',
		'breaker_reset', 'stats_reset'),
	"SELECT ${q}resize('mine', 0, 3)", "SELECT ${q}cancel(1)", "SELECT ${q}reclaim(0)",
	(map { "SELECT * FROM $q$_" } 'stats', 'stats_times', 'stats_closed', 'stats_events',
		'connections', 'waiters', 'stats_all()', 'connections()', 'waiters()', 'histogram()'))
{
	is($session->query($step)->{err}, '', "a hostile search_path does not change: $step");
}
is($session->query("SELECT * FROM ${q}query('mine', 'select ''x''::text') AS t(a pg_catalog.text)")
	  ->{out}, 'x', 'an answer is what it should be');

# The pool's own processes in that database: the one that looks for the rows of its
# pools, which nobody confirms meanwhile, and the one that fills them
my $looked = qr/starting background worker process "pool checker"/;
my $before = log_count($local, $looked);
ok(wait_until(30, sub { return log_count($local, $looked) >= $before + 4 }),
	'the pools are compared with the catalogs');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE database = 'hostile')), 1,
	'the pool of the hostile database is found there');
$session->quit;
$local->append_conf('postgresql.conf', "pool.warm_databases = 'hostile'");
$local->restart;
wait_for_value($local, q(SELECT open FROM pool_stats WHERE database = 'hostile'), 1,
	'the pool of the hostile database is filled when the server starts', seconds => 30);

is(log_count($remote, qr/caught in a trap/, $offset[1]), 0, 'nobody was caught on the remote');
is(log_count($local, qr/caught in a trap/, $offset[0]), 0, 'nobody was caught here');
settled($local);
no_crash($local, $remote);

done_testing();
