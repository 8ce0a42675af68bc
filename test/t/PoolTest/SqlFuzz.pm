# SqlFuzz.pm
#	Statements by chance: a call of one of the extension's functions with odd
#	arguments, in an odd place.  Which functions there are is read from the
#	catalogs, so that a new one is called, too.

package PoolTest::SqlFuzz;

use strict;
use warnings;

use Exporter qw(import);

use PoolTest::Sql;

our @EXPORT = qw(fuzz_objects fuzz_functions fuzz_statement fuzz_wrong);

# Of arguments; a plain server and query come more often than the others.
my @servers = (
	("'srv'") x 20, "'srv'::name", "'SRV'", "'down'", "'bare'", "'no such'", "''", 'NULL',
	"repeat('s', 70)", "'s''rv'", "(SELECT 'srv'::text)", "chr(128512)", "lower('SRV')::varchar",
	"E'srv\\n'", "1::text", "'srv'::fuzz_text");
my @queries = (
	("'select 1'") x 8, "'select 1, 2'", "'select'", "''", "';'", 'NULL', "'select 1; select 2'",
	"'select \$1'", "'select \$1::text, \$2::int'", "'select n from generate_series(1, 1000) n'",
	"'select null::int'", "'select 1/0'", "'selec'", "'insert into far values (1) returning *'",
	"'update far set n = n'", "'begin'", "'commit'", "'copy far to stdout'",
	"'copy far from stdin'",
	"'select (1, row(2, null))'", "'select array[1, null], ''NaN''::float8, ''infinity''::date'",
	"'select ''NaN''::numeric, 1e300::float8, ''-infinity''::timestamptz'", "'set role none'",
	"'select repeat(''x'', 100000)'", "'do \$\$ begin raise notice ''hello %''; end \$\$'",
	"'do \$\$ begin raise notice ''hello''; end \$\$'", "'explain select 1'",
	"'listen a; notify a'",
	"'select 1 as a, 2 as a, 3 as \"\"'", "'fetch all from nothing'", "'prepare p as select 1'",
	"'select ' || string_agg(i::text, ',') FROM_SERIES", "'select pg_sleep(0.02)'", "'set a.b = 1'",
	"'select g, g::text from generate_series(1, 3) g'", "'declare c cursor with hold for select 1'",
	"'create temp table t (n int)'", "'select E''\\\\x00''::bytea'", "'vacuum far'", "chr(1)",
	"'select ''2024-01-01''::date, ''1 day''::interval'", "'select 1 /* ' || repeat('*',
	5000) || ' */'");
my %values = (
	bigint => [
		("current_setting('fuzz.lease', true)::bigint") x 8, "pool_acquire('srv')", 'NULL', '0',
		'-1',
		'9223372036854775807', '1', "pool_acquire('srv', hold => true)", "'-9223372036854775808'"],
	integer => [ 0, 1, 1, 2, 3, -1, 2147483647, "'-2147483648'", 'NULL', 'pg_backend_pid()',
	'1::smallint' ],
	boolean => [ 'true', 'false', 'NULL', '1 = 2' ],
	interval => [
		"'1 s'", "'0'", "'-1 s'", "'1 us'", 'NULL', "'100 ms'", "'178000000 years'",
		"'-178000000 years'",
		"'1 mon -1 d'" ],
	'text[]' => [
		"'{}'", 'NULL', "'{max_size=1}'", "'{max_size=}'", "'{=}'", "'{max_size}'", "'{NULL}'",
		"'{{a=b},{c=d}}'", "ARRAY[repeat('x', 1000) || '=1']", "'{host=a,host=b,port=x}'",
		"ARRAY['reset_query=' || repeat('x', 300)]", "'{idle_timeout=1e300,max_size=NaN}'",
		"'[5:6]={min_size=9,max_size=3}'", "'{connect_timeout=99999999999,priority=-0x1}'"],
	'regtype[]' => [
		map { "VARIADIC $_" } 'NULL', "'{}'", "'{int}'", "'{text,int}'", "'{0,NULL}'",
		"'{{int},{text}}'", "'{fuzz_pair,record}'", "'{4294967295}'",
		"array_fill('int'::regtype, '{200}')" ],
	oid => [ "'pg_foreign_server'::regclass", "'pg_user_mapping'::regclass", 0, 4294967295, 'NULL',
		"'pg_class'::regclass" ],
	any => [
		'1', 'NULL', "'x'", "'x'::text", 'NULL::int', "'NaN'::float8", "'infinity'::timestamp",
		'ARRAY[1, NULL]', "ROW(1, 'a')", "'(1,)'::fuzz_pair", "1::fuzz_small", "'one'::fuzz_colour",
		"''::bytea", "'{}'::int[]", "'[1,2)'::int4range", "'{\"a\": 1}'::jsonb", "repeat('y',
		70000)",
		"'<a/>'::xml", "decode('00ff', 'hex')", "now()", "1.5", "'srv'::name",
		"'pg_class'::regclass",
		"(SELECT f FROM fuzz_rows f LIMIT 1)", "-1::bigint", "'-infinity'::numeric",
		"'(1,2)'::point",
		"B'1'", "'a'::\"char\"", "E'\\n\\\\'", "chr(8364)", "ARRAY['(1,2)'::fuzz_pair]"]);

# Lists of columns for what returns records.
my @lists = (
	('a int') x 6, 'a text', 'a text, b text', 'a int, b int', 'a numeric, b xml', 'a fuzz_pair',
	'a fuzz_small', 'a int[]', 'a record', 'a bytea, b bytea', 'a json', 'a "char"',
	'a fuzz_colour',
	'a date, b interval', 'a oid', 'a void', 'a refcursor', 'a name COLLATE "C"', 'a "any"',
	join(', ', map { "c$_ int" } 1 .. 1600), join(', ', map { "c$_ text" } 1 .. 1664), 'a int, a
	int');

# Where a set can stand: C is the call, L a list of columns with its AS.
my @sets = (
	('SELECT * FROM C L') x 4, 'SELECT count(*) FROM C L', 'SELECT * FROM C L LIMIT 1',
	'SELECT * FROM C', 'SELECT * FROM C WITH ORDINALITY', 'SELECT C', 'SELECT C, C',
	'SELECT * FROM ROWS FROM (C LIST, generate_series(1, 2)) WITH ORDINALITY',
	'SELECT f, r FROM fuzz_rows f, LATERAL C L', 'SELECT * FROM fuzz_rows f LEFT JOIN C L ON true',
	'SELECT * FROM C L LIMIT 0', 'WITH q AS MATERIALIZED (SELECT * FROM C L) SELECT * FROM q, q p',
	'WITH q AS (SELECT * FROM C L) SELECT 1', 'SELECT array_agg(r) FROM C L', 'SELECT r FROM C L',
	'SELECT EXISTS (SELECT FROM C L)', 'SELECT 1 WHERE 1 IN (SELECT 1 FROM C L)', 'TABLE fuzz_view',
	'COPY (SELECT * FROM C L) TO STDOUT', 'EXPLAIN (ANALYZE, VERBOSE, TIMING OFF) SELECT * FROM C
	L',
	'CREATE TEMP TABLE x ON COMMIT DROP AS SELECT * FROM C L', 'SELECT * INTO TEMP x FROM C L',
	'INSERT INTO fuzz_rows SELECT 1, r::text FROM C L', 'VALUES ((SELECT count(*) FROM C L))',
	'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT * FROM C L; FETCH 1 FROM c; FETCH PRIOR FROM c;
	COMMIT',
	'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM C L; FETCH 1 FROM c; COMMIT; FETCH ALL
	FROM c',
	'BEGIN; DECLARE c CURSOR FOR SELECT * FROM C L; SAVEPOINT s; FETCH 1 FROM c; ROLLBACK TO s;
		FETCH 1 FROM c; COMMIT',
	'DECLARE h CURSOR WITH HOLD FOR SELECT * FROM C L', 'FETCH ALL FROM h', 'CLOSE ALL',
	'SELECT row_number() OVER (ORDER BY r::text) FROM C L', 'SELECT DISTINCT r::text FROM C L',
	'SELECT r::text FROM C L UNION SELECT f::text FROM fuzz_rows f', 'SELECT (r).* FROM C L',
	'WITH RECURSIVE w AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM w, C L WHERE n < 3) TABLE w',
	'DO $do$ DECLARE r record; BEGIN FOR r IN SELECT * FROM C L LOOP EXIT; END LOOP; END $do$',
	'DO $do$ DECLARE r record; BEGIN FOR r IN SELECT * FROM C L LOOP
		RAISE division_by_zero; END LOOP; EXCEPTION WHEN OTHERS THEN NULL; END $do$',
	'BEGIN; CREATE VIEW v WITH (security_barrier) AS SELECT * FROM C L; TABLE v; ROLLBACK',
	'BEGIN; CREATE MATERIALIZED VIEW v AS SELECT * FROM C L; REFRESH MATERIALIZED VIEW v; ROLLBACK',
	'PREPARE p AS SELECT * FROM C L; EXECUTE p; EXECUTE p; DEALLOCATE p',
	'BEGIN; CREATE FUNCTION g() RETURNS SETOF record LANGUAGE sql AS $f$ SELECT * FROM C L $f$;
		SELECT g(); SELECT * FROM g() L; ROLLBACK',
	'BEGIN; CREATE FUNCTION g() RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER SET
	work_mem = 64
		AS $f$ BEGIN RETURN QUERY SELECT * FROM C L; END $f$; SELECT * FROM g() L; ROLLBACK',
	'BEGIN; CREATE TABLE x AS SELECT * FROM C L; ROLLBACK', 'SELECT sum(n) FROM fuzz_rows, C L',
	'SELECT * FROM C L FOR UPDATE', 'SELECT * FROM C L TABLESAMPLE system (1)',
	'MERGE INTO fuzz_rows f USING C L ON false WHEN NOT MATCHED THEN INSERT VALUES (2, NULL)');

# Where a value can stand, besides.
my @scalars = (
	('SELECT C') x 4, 'SELECT C, C', 'SELECT (C)::text', 'SELECT C FROM fuzz_rows',
	'VALUES (C), (C)',
	'SELECT coalesce(C, C)', 'SELECT count(C) FROM fuzz_rows', 'SELECT C FROM generate_series(1,
	9) LIMIT 2',
	'SELECT CASE WHEN random() < 0.5 THEN C END', 'SELECT 1 FROM fuzz_rows WHERE C IS NULL',
	'SELECT 1 ORDER BY C', 'SELECT C, count(*) GROUP BY 1 HAVING C IS NOT NULL', 'SELECT * FROM C',
	'SELECT max(n) FILTER (WHERE C IS NULL) FROM fuzz_rows', 'EXPLAIN ANALYZE SELECT C',
	'SELECT C OVER ()', 'DO $do$ BEGIN PERFORM C; END $do$', 'CREATE TABLE fuzz_t AS SELECT C',
	'DO $do$ BEGIN PERFORM C; RAISE division_by_zero; EXCEPTION WHEN OTHERS THEN PERFORM C; END
	$do$',
	'DO $do$ BEGIN FOR i IN 1..30 LOOP BEGIN PERFORM C; EXCEPTION WHEN OTHERS THEN NULL; END;
		END LOOP; END $do$',
	'DO $do$ BEGIN PERFORM C; COMMIT; PERFORM C; ROLLBACK; END $do$', 'COPY (SELECT C) TO STDOUT',
	'BEGIN; CREATE FUNCTION g() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN PERFORM C;
	RETURN 1;
		END $f$; CREATE INDEX ON fuzz_rows ((g())); CREATE INDEX ON fuzz_rows (n) WHERE g() = 1;
		ROLLBACK',
	'BEGIN; CREATE FUNCTION g() RETURNS int IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $f$ BEGIN
		PERFORM C; RETURN 1; END $f$; SELECT set_config(name, $s$on$s$, true) FROM
		pg_settings WHERE name ~ $s$^(force_parallel_mode|debug_parallel_query)$$s$;
		SELECT g() FROM fuzz_rows; ROLLBACK',
	'BEGIN; ALTER TABLE fuzz_rows ADD CHECK (C IS NOT NULL OR true); INSERT INTO fuzz_rows VALUES
	(1);
		ROLLBACK',
	'BEGIN; ALTER TABLE fuzz_rows ALTER t SET DEFAULT C; INSERT INTO fuzz_rows (n) VALUES (1);
	ROLLBACK',
	'BEGIN; ALTER TABLE fuzz_rows ADD g text GENERATED ALWAYS AS (C::text) STORED; ROLLBACK',
	'BEGIN; CREATE DOMAIN d AS int CHECK (C IS NOT NULL); SELECT 1::d; ROLLBACK',
	'BEGIN; CREATE POLICY p ON fuzz_rows USING (C IS NULL); ROLLBACK', 'INSERT INTO fuzz_rows
		VALUES (1) RETURNING C', 'UPDATE fuzz_rows SET t = C::text',
		'DELETE FROM fuzz_rows WHERE C IS NULL',
	'BEGIN; CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM C; RETURN NEW;
		END $f$; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON fuzz_rows DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION g(); INSERT INTO fuzz_rows VALUES (1); COMMIT;
		DROP TRIGGER t ON fuzz_rows; DROP FUNCTION g()',
	'BEGIN; CREATE FUNCTION g() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM C;
		END $f$; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION g(); CREATE TEMP TABLE
		x ();
		ROLLBACK',
	'BEGIN; CREATE TABLE x (a int) PARTITION BY RANGE ((C IS NULL)); ROLLBACK',
	'BEGIN; SAVEPOINT a; SELECT C; ROLLBACK TO a; SELECT C; RELEASE a; SELECT C; COMMIT',
	"BEGIN; SELECT C; PREPARE TRANSACTION 'fuzz'; ROLLBACK PREPARED 'fuzz'",
	'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT C; COMMIT', 'BEGIN; SELECT C; ABORT',
	'SET LOCAL search_path = pg_temp; SELECT C', 'CALL fuzz_procedure(1); SELECT C', 'CALL C',
	"BEGIN; SELECT set_config('fuzz.lease', pool_acquire('srv')::text, false); SELECT C; COMMIT");

my @others = (
	"SELECT set_config('fuzz.lease', pool_acquire('srv', hold => true)::text, false)",
	"SELECT pool_release(current_setting('fuzz.lease', true)::bigint)",
	'BEGIN', 'COMMIT', 'ROLLBACK', 'SAVEPOINT s', 'ROLLBACK TO s', 'DISCARD ALL', 'DISCARD PLANS',
	"SET statement_timeout = '20ms'", 'RESET statement_timeout', 'TABLE pool_stats',
	'TABLE pool_stats_times',
	'TABLE pool_stats_closed', 'TABLE pool_stats_events', 'TABLE pool_connections',
	'TABLE pool_waiters',
	"ALTER SERVER srv OPTIONS (SET max_size '2')", "ALTER SERVER srv OPTIONS (SET max_size '4')",
	"SELECT pool_resume('srv')", "SELECT pool_acquire('srv') FROM generate_series(1, 6)",
	"SET client_encoding = latin1", 'RESET client_encoding', 'SET ROLE fuzz_nobody', 'RESET ROLE');

sub one_of { return $_[ int rand @_ ]; }

# fuzz_objects(local, remote): what the statements refer to, besides server "srv"
sub fuzz_objects
{
	my ($local, $remote) = @_;

	sql($remote, 'CREATE TABLE far (n int); GRANT ALL ON far TO app', db => 'far');
	sql($local, <<'SQL');
CREATE TYPE fuzz_pair AS (a int, b text);
CREATE TYPE fuzz_colour AS ENUM ('one');
CREATE DOMAIN fuzz_small AS int CHECK (value < 10);
CREATE DOMAIN fuzz_text AS text;
CREATE TABLE fuzz_rows (n int, t text);
INSERT INTO fuzz_rows VALUES (1, 'a'), (2, NULL);
GRANT ALL ON fuzz_rows TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE VIEW fuzz_view WITH (security_barrier) AS
	SELECT * FROM pool_query('srv', 'select 1') AS r(a int);
CREATE PROCEDURE fuzz_procedure(n int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pool_acquire('srv');
	COMMIT;
	PERFORM pool_exec('srv', 'select 1');
	ROLLBACK;
END $$;
CREATE SERVER down FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', port '1',
	retry_attempts '0', acquire_timeout '300');
CREATE USER MAPPING FOR PUBLIC SERVER down OPTIONS (user 'app', password 'secret');
CREATE SERVER bare FOREIGN DATA WRAPPER pool;
CREATE ROLE fuzz_nobody;
CREATE ROLE fuzz_user LOGIN;
GRANT USAGE ON FOREIGN SERVER srv, down TO fuzz_user;
CREATE USER MAPPING FOR fuzz_user SERVER srv OPTIONS (user 'app', password 'secret');
SQL
	return;
}

# fuzz_functions(local): those of the extension: name, arguments, returns, number
# of defaults, set, and oid
sub fuzz_functions
{
	my ($local) = @_;
	my @functions;

	foreach my $line (split /\n/, sql($local, <<'SQL'))
SELECT p.oid, proname, proretset, pronargdefaults,
	(SELECT string_agg(format_type(t, NULL), ';' ORDER BY n)
		FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)),
	prorettype = 'record'::regtype AND proallargtypes IS NULL, provariadic <> 0
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pool') ORDER BY 1
SQL
	{
		my ($oid, $name, $set, $defaults, $types, $record, $variadic) = split /\|/, $line, -1;

		push @functions, {
			oid => $oid, name => $name, set => $set eq 't', defaults => $defaults,
			types => [ split /;/, $types ], record => $record eq 't',
			variadic => $variadic eq 't' };
	}
	return @functions;
}

# How it is called, with arguments by chance.
sub _call
{
	my ($function) = @_;
	my @types = @{ $function->{types} };
	my $any = $function->{variadic} && $types[-1] eq '"any"';
	my @arguments;

	pop @types if $any;
	splice @types, -1 - int rand $function->{defaults} if $function->{defaults} && rand() < 0.5;
	foreach my $i (0 .. $#types)
	{
		my $values = $types[$i] eq 'text' ? ($i ? \@queries : \@servers) : $values{ $types[$i] };

		push @arguments, $values ? one_of(@$values) : "NULL::$types[$i]";
	}
	s/^(.*) FROM_SERIES$/(SELECT $1 FROM generate_series(1, 1600) i)/ foreach @arguments;
	push @arguments, map { one_of(@{ $values{any} }) } 1 .. one_of(0, 1, 1, 2, 2, 3, 90)
	  if $any;
	push @arguments, one_of('VARIADIC NULL', "VARIADIC '{1,2}'::int[]", "VARIADIC ARRAY['a', NULL]",
		'VARIADIC NULL::text[]', "VARIADIC '{}'::fuzz_pair[]", 'VARIADIC 1',
		"VARIADIC '{{1},{2}}'::int[]")
	  if rand() < ($any ? 0.2 : 0.01);
	pop @arguments if rand() < 0.02;
	return "$function->{name}(" . join(', ', @arguments) . ')';
}

# fuzz_statement(function): one that calls it
sub fuzz_statement
{
	my ($function) = @_;
	my $call = _call($function);
	my $list = one_of(@lists);
	my $statement = one_of($function->{set} && rand() < 0.85 ? @sets : @scalars);

	return one_of(@others) if rand() < 0.2;
	if ($function->{record} && rand() < 0.97)
	{
		$statement =~ s/C LIST/$call AS ($list)/g;
		$statement =~ s/\bL\b/AS r($list)/g;
	}
	$statement =~ s/C LIST/C/g;
	$statement =~ s/\bL\b/AS r/g;
	$statement =~ s/\bC\b(?! COLLATE|")/$call/g;
	return $statement;
}

# fuzz_wrong(result): what no statement may come to, or nothing.  What the remote
# raises is its own: PostgreSQL has an internal error for a parameter of an empty
# statement.
sub fuzz_wrong
{
	my ($result) = @_;

	return if $result->{err} =~ /^(?:CONTEXT:  )?remote statement on server/m;
	return "$result->{state} $1"
	  if $result->{state} =~ /^XX/ && $result->{err} =~ /(.*\n?\z)/;
	return $result->{state} if $result->{state} =~ /^(?:lost|timeout)$/;
	return $1
	  if $result->{err} =~
	  /(.*(?:cache lookup failed|unrecognized|unexpected|TRAP|PANIC|reference leak|refcount leak|
		problem\ in\ alloc|still\ referenced).*)/x;
	return;
}

1;
