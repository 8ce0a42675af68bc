# 176_dblink_switch.pl
#	pool_dblink_switch.sql: a database goes from dblink to pool_dblink, and back, with
#	all that depends on dblink's functions, type and wrapper, and with everybody's
#	rights.  Nothing else differs in the catalogs afterwards, a dump has the same, and
#	so has what is restored from it.  What cannot go along is refused, and then nothing
#	has changed.
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

my ($sharedir) = run_command([ 'pg_config', '--sharedir' ]);
my $script = "$sharedir/extension/pool_dblink_switch.sql";

my $remote = start_remote();
my $local = start_local();
my $far = "host=127.0.0.1 port=@{[ $remote->port ]} dbname=far user=app password=secret";

# switch(database, psql's arguments): by the script; its status and what it says
sub switch
{
	my ($db, @arguments) = @_;
	my $said;
	local $ENV{PGAPPNAME} = 'switch';
	my $status = IPC::Run::run(
		[ 'psql', '-X', '-d', $local->connstr($db), @arguments, '-f', $script ],
		'<', '/dev/null', '>', \my $out, '2>', \$said);

	is($out, '', "the script prints nothing else ($db)");

	# Its session drops its temporary functions when psql has ended.
	wait_for_value($local, "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db'
		AND application_name = 'switch'", 0,
		"the script's session has ended ($db)");
	return ($status ? 0 : 1, $said);
}

#
# What there is in a database
#

# Columns that anything may change, or that a switch is to change; rights have no order.
my %but = (
	pg_class => [qw(relpages reltuples relallvisible relallfrozen relfrozenxid relminmxid)],
	pg_proc => [qw(probin prosrc)]);
my %rights = (pg_proc => 'proacl', pg_type => 'typacl', pg_foreign_data_wrapper => 'fdwacl');
my %only = (
	(map { ($_ => 'attrelid >= 16384') } 'pg_attribute'),
	(map { ($_ => 'indexrelid >= 16384') } 'pg_index'),
	(map { ($_ => 'ftrelid >= 16384') } 'pg_foreign_table'),
	pg_namespace => q(oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_'),
	pg_depend => q(objid >= 16384 AND classid <> 'pg_extension'::regclass
		AND refclassid <> 'pg_extension'::regclass),
	# Not those of first rights: where none were kept, since they were the usual ones, they
	# are kept afterwards.
	pg_shdepend => q(deptype <> 'i'
		AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND classid <> 'pg_extension'::regclass),
	pg_description => q(objoid >= 16384 AND classoid <> 'pg_extension'::regclass AND NOT EXISTS
		(SELECT FROM pg_depend d WHERE (d.classid, objid) = (classoid, objoid) AND deptype = 'e')
		AND objoid NOT IN (SELECT typrelid FROM pg_type WHERE typname = 'dblink_pkey_results')));

sub rights_sorted
{
	my ($expression) = @_;

	return "(SELECT jsonb_agg(a::text ORDER BY a::text) FROM unnest($expression) AS a)";
}

# catalogs(database): the rows of one's own objects, and the rights from which a dump
# tells the difference
sub catalogs
{
	my ($db) = @_;
	my @parts = map {
		my $except = join ', ', map { "'$_'" } @{ $but{$_} || [] }, $rights{$_} || ();
		my $sorted = $rights{$_} ? rights_sorted($rights{$_}) : 'NULL';
		my $rows = $only{$_} || 'oid >= 16384';

		"SELECT '$_', (to_jsonb(c) - ARRAY[$except]::text[])::text, ${sorted}::text FROM $_ c"
		  . " WHERE $rows";
	} qw(pg_class pg_attribute pg_type pg_proc pg_rewrite pg_trigger pg_policy pg_attrdef
	  pg_constraint pg_index pg_foreign_server pg_user_mapping pg_foreign_data_wrapper
	  pg_foreign_table pg_default_acl pg_namespace pg_description pg_depend pg_shdepend);

	push @parts, "SELECT 'rights at first', pg_describe_object(classid, objid, 0), "
	  . rights_sorted(q(coalesce(initprivs, acldefault(CASE classid
			WHEN 'pg_proc'::regclass THEN 'f'::"char" WHEN 'pg_type'::regclass THEN 'T'
			ELSE 'F' END,
			coalesce((SELECT proowner FROM pg_proc WHERE oid = objid),
			(SELECT typowner FROM pg_type WHERE oid = objid),
			(SELECT fdwowner FROM pg_foreign_data_wrapper WHERE oid = objid)))))) . q(::text
		FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND deptype = 'e'
		LEFT JOIN pg_init_privs p ON (p.classoid, p.objoid) = (d.classid, d.objid)
		WHERE refclassid = 'pg_extension'::regclass AND extname IN ('dblink', 'pool_dblink')
		AND classid IN ('pg_proc'::regclass, 'pg_type'::regclass,
			'pg_foreign_data_wrapper'::regclass));
	return sql($local, 'SELECT * FROM (' . join("\nUNION ALL ", @parts)
		  . ') AS p(kind, what, rights) ORDER BY (kind || what) COLLATE "C", rights', db => $db);
}

# extensions(database): all but that of every database
sub extensions
{
	my ($db) = @_;

	return sql($local, q(SELECT string_agg(extname || ' in ' || extnamespace::regnamespace, ', '
		ORDER BY extname) FROM pg_extension WHERE extname <> 'plpgsql'), db => $db);
}

# members(database, extension): all that tells one made by the switch from another
sub members
{
	my ($db, $extension) = @_;

	return sql($local, <<"SQL", db => $db);
WITH members AS (
	SELECT classid, objid, pg_describe_object(classid, objid, 0) AS name
	FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND extname = '$extension'
), lines(name, what) AS (
	SELECT extname, to_jsonb(e) - 'oid' || jsonb_build_object('comment',
		obj_description(oid, 'pg_extension')) FROM pg_extension e WHERE extname = '$extension'
	UNION ALL
	SELECT name, to_jsonb(p) - 'oid' || jsonb_build_object('prorettype', prorettype::regtype)
	FROM members JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
	UNION ALL
	SELECT name, to_jsonb(w) - 'oid' || jsonb_build_object('fdwvalidator',
		fdwvalidator::regprocedure)
	FROM members JOIN pg_foreign_data_wrapper w
	ON classid = 'pg_foreign_data_wrapper'::regclass AND objid = w.oid
	UNION ALL
	SELECT name, jsonb_build_array(typacl, typowner, (SELECT jsonb_agg(jsonb_build_array(attname,
		atttypid, col_description(typrelid, attnum)) ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = typrelid AND attnum > 0))
	FROM members JOIN pg_type t ON classid = 'pg_type'::regclass AND objid = t.oid
	UNION ALL
	SELECT name, jsonb_build_array(d.deptype, pg_describe_object(refclassid, refobjid, 0),
		obj_description(objid, classid::regclass::name))
	FROM members JOIN pg_depend d USING (classid, objid)
	UNION ALL
	SELECT name, to_jsonb(initprivs) FROM members JOIN pg_init_privs p
	ON (p.classoid, p.objoid) = (classid, objid)
	UNION ALL
	SELECT 'the extension needs', to_jsonb(pg_describe_object(refclassid, refobjid, 0))
	FROM pg_depend d JOIN pg_extension e ON d.objid = e.oid
	WHERE classid = 'pg_extension'::regclass AND extname = '$extension'
)
SELECT * FROM lines ORDER BY (name || ': ' || what::text) COLLATE "C"
SQL
}

# code(database): what the functions call
sub code
{
	my ($db) = @_;

	return sql($local, q(SELECT proname, proargtypes, probin, prosrc FROM pg_proc
		WHERE proname LIKE 'dblink%' ORDER BY 1, 2), db => $db);
}

# dump_of(database, extensions): what pg_dump writes, each statement with its object, without
# what names an extension, unless that is asked for
sub dump_of
{
	my ($db, $extensions) = @_;
	my ($text) = run_command([ 'pg_dump', '-d', $local->connstr($db) ]);
	my @statements = grep { /\S/ } map { s/^(--.*|\\(un)?restrict .*)$//mgr =~ s/^\s+|\s+$//gr }
	  split /^(?=-- Name: |-- Data for Name: )/m, $text;

	@statements = grep { !/EXTENSION/ } @statements if !$extensions;

	# The rights on one object come in the order in which they were given.
	return join "\n\n", map { /^(GRANT|REVOKE)/m ? join("\n", sort split /\n/) : $_ } @statements;
}

# everything(database): to see that it has not changed
sub everything
{
	my ($db) = @_;

	return join "\n", catalogs($db), dump_of($db, 'with extensions'), extensions($db),
	  members($db, 'dblink'), members($db, 'pool_dblink');
}

# same(now, before, name): line by line, and only the lines that differ are shown
sub same
{
	my ($now, $then, $name) = @_;
	my %lines;

	$lines{$_}++ foreach split /\n/, $now;
	$lines{$_}-- foreach split /\n/, $then;
	is(join("\n", map { ($lines{$_} > 0 ? '+ ' : '- ') . $_ } grep { $lines{$_} } sort keys %lines),
		'', $name);
	return;
}

sub new_database
{
	my ($db, @statements) = @_;

	sql($local, "CREATE DATABASE $db");
	sql($local, $_, db => $db) foreach @statements;
	return;
}

#
# From a new dblink to what a new pool_dblink is, and back
#
new_database('fresh', 'CREATE EXTENSION pool', 'CREATE EXTENSION pool_dblink');
new_database('plain', 'CREATE EXTENSION pool', 'CREATE EXTENSION dblink');
my $before = catalogs('plain');
my $dblink = members('plain', 'dblink');
cmp_ok(scalar(() = $dblink =~ /^/mg), '>', 120, 'the catalogs tell what the extension has');

my $code = code('fresh');
my ($status, $said) = switch('plain');
is($status, 0, 'a database is switched') || diag($said);
like($said, qr/NOTICE: +database "plain" has pool_dblink in the place of dblink now\n\z/,
	'the script says so');
is(extensions('plain'), 'pool in public, pool_dblink in public', 'it has the other extension');
same(members('plain', 'pool_dblink'),
	members('fresh', 'pool_dblink'), 'with what a new one has in it');
same(catalogs('plain'), $before, 'and all else as it was');

$before = everything('plain');
($status, $said) = switch('plain');
is($status, 0, 'a second time is no error');
like($said, qr/NOTICE: +database "plain" has pool_dblink already; nothing to do\n\z/,
	'but there is nothing to do');
same(everything('plain'), $before, 'and nothing is done');

foreach my $db ('plain', 'fresh')
{
	($status, $said) = switch($db, '-v', 'back=1');
	is($status, 0, "$db is switched back") || diag($said);
	like($said, qr/has dblink in the place of pool_dblink now\n\z/, 'the script says so');
	is(extensions($db), 'dblink in public, pool in public', 'it has dblink');
	same(members($db, 'dblink'), $dblink, 'with what a new one has in it');
}
($status, $said) = switch('plain', '-v', 'back=1');
like($said, qr/NOTICE: +database "plain" has dblink already; nothing to do\n\z/,
	'back there is nothing to do a second time');

#
# A database in use
#
sql($remote, <<'SQL', db => 'far', user => 'app');
CREATE TABLE item (id int, name text);
INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3) AS i;
SQL
sql($local, <<'SQL');
CREATE ROLE clerk LOGIN;
CREATE ROLE "the reader" LOGIN;
CREATE ROLE chief LOGIN;
CREATE ROLE deputy LOGIN;
CREATE ROLE other LOGIN;
SQL
new_database('shop', 'CREATE EXTENSION pool');
sql($local, <<"SQL", db => 'shop');
CREATE SCHEMA "Far away";
GRANT USAGE ON SCHEMA "Far away" TO PUBLIC;
GRANT CREATE ON SCHEMA "Far away" TO clerk;
CREATE EXTENSION dblink SCHEMA "Far away";
COMMENT ON EXTENSION dblink IS 'as we use it';
SET search_path = "Far away", pg_catalog;

-- Servers
CREATE SERVER depot FOREIGN DATA WRAPPER dblink_fdw
OPTIONS (host '127.0.0.1', port '@{[ $remote->port ]}', dbname 'far');
CREATE USER MAPPING FOR PUBLIC SERVER depot OPTIONS (user 'app', password 'secret');
CREATE USER MAPPING FOR clerk SERVER depot OPTIONS (user 'app', password 'secret');
CREATE SERVER spare VERSION '9' FOREIGN DATA WRAPPER dblink_fdw OPTIONS (dbname 'far');
COMMENT ON SERVER spare IS 'for bad days';
CREATE FOREIGN TABLE never (a int) SERVER spare;
GRANT USAGE ON FOREIGN SERVER depot TO clerk, "the reader";
GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO chief WITH GRANT OPTION;
SET ROLE chief;
GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO clerk;
RESET ROLE;
ALTER SERVER spare OWNER TO clerk;

-- What depends on functions
CREATE VIEW items WITH (security_barrier) AS
SELECT * FROM dblink('depot', 'SELECT id, name FROM item') AS t(id int, name text);
ALTER VIEW items OWNER TO clerk;
COMMENT ON VIEW items IS 'those of the depot';
ALTER VIEW items ALTER COLUMN name SET DEFAULT 'nameless';
GRANT SELECT (name) ON items TO "the reader";
CREATE VIEW names AS SELECT id, upper(name) AS name FROM items;
GRANT SELECT, INSERT ON names TO "the reader";
CREATE RULE add AS ON INSERT TO names DO INSTEAD
	SELECT dblink_exec('depot', format('INSERT INTO item VALUES (%s, %L)', new.id, new.name));
CREATE FUNCTION put() RETURNS trigger LANGUAGE plpgsql
AS \$\$ BEGIN RETURN NULL; END \$\$;
CREATE TRIGGER put INSTEAD OF INSERT ON items FOR EACH ROW EXECUTE FUNCTION put();
CREATE MATERIALIZED VIEW copies AS
SELECT * FROM dblink('$far', 'SELECT id, name FROM item') AS t(id int, name text);
CREATE UNIQUE INDEX copies_id ON copies (id);
CREATE MATERIALIZED VIEW none AS SELECT * FROM copies WHERE id > 1 WITH NO DATA;
CREATE FUNCTION how_many() RETURNS bigint STABLE
BEGIN ATOMIC SELECT count(*) FROM dblink('depot', 'SELECT 1 FROM item') AS t(a int); END;
CREATE FUNCTION by_name() RETURNS SETOF text LANGUAGE sql
AS \$\$SELECT a FROM "Far away".dblink('depot', 'SELECT name FROM item') AS t(a text)\$\$;
CREATE TABLE log (id int PRIMARY KEY, query text DEFAULT dblink_current_query(),
	CHECK (dblink_get_connections() IS NULL OR id > 0), key dblink_pkey_results,
	keys dblink_pkey_results[]);
INSERT INTO log VALUES (1, 'first', (1, 'id'), '{"(1,id)"}');
ALTER TABLE log ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON log USING (dblink_get_connections() IS NULL);
GRANT SELECT ON log TO "the reader";

-- Rights on members, and what else of them is not as it was made
REVOKE EXECUTE ON FUNCTION dblink_exec(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO clerk;
REVOKE EXECUTE ON FUNCTION dblink_connect_u(text) FROM CURRENT_USER;
REVOKE EXECUTE ON FUNCTION dblink(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dblink(text, text, boolean) TO chief WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION dblink(text, text, boolean) TO other;
SET ROLE chief;
GRANT EXECUTE ON FUNCTION dblink(text, text, boolean) TO deputy WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION dblink(text, text, boolean) TO other;
SET ROLE deputy;
GRANT EXECUTE ON FUNCTION dblink(text, text, boolean) TO "the reader";
RESET ROLE;
REVOKE USAGE ON TYPE dblink_pkey_results FROM PUBLIC;
GRANT USAGE ON TYPE dblink_pkey_results TO "the reader";
ALTER FUNCTION dblink_cancel_query(text) OWNER TO clerk;
GRANT EXECUTE ON FUNCTION dblink_cancel_query(text) TO chief;
ALTER FUNCTION dblink(text) COST 500 ROWS 10 SET work_mem = '8MB';
COMMENT ON FUNCTION dblink(text) IS 'of the unnamed one';

-- These are for what is made from now on, and not for what is switched.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO other;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
SQL

# goes_on(database, when): it does what it did
sub goes_on
{
	my ($db, $when) = @_;
	my @in = (db => $db);

	is(sql($local, q(SELECT string_agg(name, ',' ORDER BY id) FROM "Far away".names), @in,
			user => q('the reader')), 'ITEM 1,ITEM 2,ITEM 3', "$when views have their rows");
	is(sql($local, q(SELECT count(*) FROM "Far away".copies), @in), 3,
		"$when a materialized view has its rows");
	sql($local, 'REFRESH MATERIALIZED VIEW CONCURRENTLY "Far away".copies', @in);
	is(sql($local, q(SELECT count(*) FROM "Far away".copies), @in), 3,
		"$when it is refreshed");
	is(sql($local, q(SELECT "Far away".how_many() || ' ' || count(*) FROM "Far away".by_name()),
			@in), '3 3', "$when functions work");
	is(sql($local, q(SELECT key, keys FROM "Far away".log), @in, user => q('the reader')),
		'(1,id)|{"(1,id)"}', "$when the type has its values, and a policy works");
	is(sql($local, q(SELECT position || colname FROM "Far away".dblink_get_pkey('"Far away".log')),
			@in), '1id', "$when a function returns the type");
	sql($local, q(INSERT INTO "Far away".names VALUES (4, 'four')), @in, user => q('the reader'));
	is(sql($remote, 'DELETE FROM item WHERE id > 3 RETURNING name', db => 'far'),
		"four\nDELETE 1" =~ s/\n.*//r, "$when a rule works");
	return;
}

# rights(database): who may call what
sub rights
{
	my ($db) = @_;

	return sql($local, q(SELECT rolname, p.oid::regprocedure,
			has_function_privilege(r.oid, p.oid, 'EXECUTE'),
			has_function_privilege(r.oid, p.oid, 'EXECUTE WITH GRANT OPTION')
		FROM pg_roles r, pg_proc p WHERE proname LIKE 'dblink%' AND rolname !~ '^pg_'
		UNION ALL
		SELECT rolname, 0, has_foreign_data_wrapper_privilege(r.oid, 'dblink_fdw', 'USAGE'),
			has_type_privilege(r.oid, '"Far away".dblink_pkey_results', 'USAGE')
		FROM pg_roles r WHERE rolname !~ '^pg_'
		UNION ALL
		SELECT rolname, s.oid, has_server_privilege(r.oid, s.oid, 'USAGE'), NULL
		FROM pg_roles r, pg_foreign_server s WHERE rolname !~ '^pg_'
		ORDER BY 1, 2, 3, 4), db => $db) =~ s/\|\d{5,}\|/||/gr;
}

# restored(database, when): from a dump, into a new database
sub restored
{
	my ($db, $when) = @_;
	my $file = $local->basedir . "/$db.dump";
	my $copy = "${db}_$when";

	$local->command_ok([ 'pg_dump', '-Fc', '-f', $file, $db ], "it is dumped $when");
	new_database($copy);
	$local->command_ok([ 'pg_restore', '--exit-on-error', '-d', $copy, $file ],
		"and restored $when");
	return $copy;
}

goes_on('shop', 'with dblink');
my $session = session($local, db => 'shop');
$session->query('PREPARE rows AS SELECT count(*) FROM "Far away".items');
is($session->query('EXECUTE rows')->{out}, 3, 'a session reads a view');
my $connect = qq(SELECT "Far away".dblink_connect('kept', '$far'));
my $names = 'SELECT "Far away".dblink_get_connections()';
is($session->query($connect)->{out}, 'OK', 'and has a connection');

my %was = (
	catalogs => catalogs('shop'),
	dump => dump_of('shop', 'with extensions'),
	others => dump_of('shop'),
	rights => rights('shop'),
	restored => rights(restored('shop', 'before')));

($status, $said) = switch('shop');
is($status, 0, 'it is switched') || diag($said);
is(extensions('shop'), 'pool in public, pool_dblink in "Far away"', 'and has the extension');
same(catalogs('shop'), $was{catalogs}, 'nothing else in the catalogs has changed');
same(dump_of('shop'), $was{others}, 'a dump has all the same');
same(rights('shop'), $was{rights}, 'everybody has the same rights');
is(sql($local, q(SELECT obj_description(oid, 'pg_extension') FROM pg_extension
	WHERE extname = 'pool_dblink'), db => 'shop'), 'as we use it', 'a comment goes along');
is(sql($local, q(SELECT obj_description('"Far away".dblink(text)'::regprocedure, 'pg_proc')),
		db => 'shop'), 'of the unnamed one', 'and so does one on a function');
same(code('shop'), $code, 'all functions have the code of pool_dblink');
is($session->query('EXECUTE rows')->{out}, 3, 'the session still reads the view');
is($session->query($names)->{out}, '', 'the connection of dblink is not one of pool_dblink');
is($session->query($connect)->{out}, 'OK', 'and its name can be used again');
is($session->query($names)->{out}, '{kept}', 'for a connection of pool_dblink');
goes_on('shop', 'with pool_dblink');
cmp_ok(sql($local, q(SELECT sum(acquires) FROM pool_stats_all() WHERE database = 'shop')),
	'>', 5, 'by way of the pool');

my $copy = restored('shop', 'switched');
same(dump_of($copy, 'with extensions'), dump_of('shop', 'with extensions'),
	'what is restored has the same dump');
same(rights($copy), $was{restored}, 'and everybody the rights that a dump of dblink gives');
goes_on($copy, 'restored');

($status, $said) = switch('shop', '-v', 'back=1');
is($status, 0, 'it is switched back') || diag($said);
same(catalogs('shop'), $was{catalogs}, 'nothing in the catalogs has changed');
same(dump_of('shop', 'with extensions'), $was{dump}, 'and the dump is the same');
is($session->query('EXECUTE rows')->{out}, 3, 'the session reads the view again');
is($session->query($names)->{out}, '{kept}', 'and has the connection of dblink again');
goes_on('shop', 'back with dblink');
$session->quit;

#
# What is refused
#
sql($local, 'CREATE ROLE second SUPERUSER');
my $me = sql($local, 'SELECT quote_ident(current_user)');
my @both = ('CREATE EXTENSION pool', 'CREATE EXTENSION dblink');
my @refused = (
	[ 'no dblink', [], qr/database "refused" has no extension dblink/ ],
	[ 'no pool', ['CREATE EXTENSION dblink'],
		qr/extension pool_dblink needs extension pool\n.*HINT: .*CREATE EXTENSION pool;/ ],
	[ 'both', [ @both, 'CREATE SCHEMA s', 'CREATE EXTENSION pool_dblink SCHEMA s' ],
		qr/has both dblink and pool_dblink/ ],
	[ 'an older dblink', [ @both, q(UPDATE pg_extension SET extversion = '1.1'
			WHERE extname = 'dblink') ],
		qr/extension dblink has version 1\.1, not 1\.2\n.*HINT: .*ALTER EXTENSION dblink UPDATE/ ],
	[ 'what goes with the extension', [ @both, 'CREATE FUNCTION f() RETURNS int RETURN 1',
			'ALTER FUNCTION f() DEPENDS ON EXTENSION dblink' ],
		qr/something depends on extension dblink itself\n.*DETAIL: .*: function public\.f\(\)\./ ],
	[ 'a member elsewhere', [ @both, 'CREATE SCHEMA s',
			'ALTER FUNCTION dblink_fetch(text, int) SET SCHEMA s' ],
		qr/not all of .*\n.*DETAIL: .*: function s\.dblink_fetch\(text,integer\)\./ ],
	[ 'another member', [ @both, 'CREATE TABLE t (a int)', 'ALTER EXTENSION dblink ADD TABLE t' ],
		qr/do not have the same members\n.*DETAIL: .*: table t in dblink only/ ],
	[ 'a member less', [ @both, 'ALTER EXTENSION dblink DROP FUNCTION dblink_get_result(text)' ],
		qr/DETAIL: .*: function dblink_get_result\(text\) in pool_dblink only\./ ],
	[ 'a wrapper of another name', [ @both,
			'ALTER FOREIGN DATA WRAPPER dblink_fdw RENAME TO w' ],
		qr/DETAIL: .*foreign data wrapper w in dblink only/ ],
	[ 'a function that is called otherwise', [ @both,
			'ALTER FUNCTION dblink_send_query(text, text) CALLED ON NULL INPUT' ],
		qr/were altered\n.*DETAIL: .*: function public\.dblink_send_query\(text,text\)\./ ],
	[ 'options of a server', [ @both, 'ALTER FOREIGN DATA WRAPPER dblink_fdw NO VALIDATOR',
			q(CREATE SERVER s FOREIGN DATA WRAPPER dblink_fdw OPTIONS (nonsense '1')),
			'ALTER FOREIGN DATA WRAPPER dblink_fdw VALIDATOR dblink_fdw_validator' ],
		qr/pool_dblink does not take the options of server s\n.*DETAIL: .*nonsense/ ],
	[ 'options of a user mapping', [ @both, 'ALTER FOREIGN DATA WRAPPER dblink_fdw NO VALIDATOR',
			'CREATE SERVER s FOREIGN DATA WRAPPER dblink_fdw',
			q(CREATE USER MAPPING FOR clerk SERVER s OPTIONS (nonsense '1')),
			'ALTER FOREIGN DATA WRAPPER dblink_fdw VALIDATOR dblink_fdw_validator' ],
		qr/does not take the options of user mapping for clerk on server s\n/ ],
	[ 'rights that nobody can grant again', [ @both,
			'GRANT EXECUTE ON FUNCTION dblink(text) TO chief WITH GRANT OPTION',
			'SET ROLE chief; GRANT EXECUTE ON FUNCTION dblink(text) TO other',
			'ALTER ROLE chief SUPERUSER' ],
		qr/cannot grant the rights on function public\.dblink\(text\) again/ ]);

foreach my $case (@refused)
{
	my ($what, $statements, $message) = @$case;

	new_database('refused', @$statements);
	$before = everything('refused');
	($status, $said) = switch('refused');
	isnt($status, 0, "$what: is refused");
	like($said, $message, "$what: the message says so");
	same(everything('refused'), $before, "$what: nothing has changed");
	sql($local, 'DROP DATABASE refused');
	sql($local, 'ALTER ROLE chief NOSUPERUSER');
}

# By somebody who is no superuser, and by another one
sql($local, 'GRANT CREATE ON DATABASE plain TO clerk');
$before = everything('plain');
($status, $said) = switch('plain', '-U', 'clerk');
isnt($status, 0, 'no superuser: is refused');
like($said, qr/must be superuser to switch from dblink to pool_dblink/,
	'no superuser: the message says so');
same(everything('plain'), $before, 'no superuser: nothing has changed');

sql($local, 'ALTER ROLE second LOGIN');
$before = catalogs('plain');
sql($local, 'GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO clerk', db => 'plain');
my $owned = catalogs('plain');
isnt($owned, $before, 'the catalogs tell of a right');
($status, $said) = switch('plain', '-U', 'second');
is($status, 0, 'another superuser can switch') || diag($said);
same(catalogs('plain'), $owned, 'all belongs to whom it belonged to, with the same rights');

# A function that was given away, with rights that a dump has to tell from the first ones
new_database('given', @both, 'ALTER FUNCTION dblink_connect_u(text) OWNER TO clerk',
	'GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO chief');
($status, $said) = switch('given');
is($status, 0, 'a member that belongs to somebody else is switched') || diag($said);
is(sql($local, q(SELECT proacl, initprivs FROM pg_proc p JOIN pg_init_privs i
		ON objoid = p.oid AND classoid = 'pg_proc'::regclass
		WHERE p.oid = 'dblink_connect_u(text)'::regprocedure), db => 'given'),
	'{clerk=X/clerk,chief=X/clerk}|{clerk=X/clerk}', 'and its first rights are of its owner');

settled($local);
no_crash($local, $remote);

done_testing();
