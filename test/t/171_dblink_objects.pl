# 171_dblink_objects.pl
#	What CREATE EXTENSION pool_dblink makes is what dblink's makes: 41 functions with the
#	same signatures and rights, a type, and a wrapper whose validator says the same.  The
#	two live side by side in two schemas; a wrapper that is there stays; in which schema
#	does not matter; and DROP EXTENSION leaves nothing.
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
my $local = start_local();
sql($local, 'CREATE ROLE app LOGIN');

# new_database(name, statement...): with pool, and a schema for the functions
sub new_database
{
	my ($db, @statements) = @_;

	sql($local, "CREATE DATABASE $db");
	sql($local, $_, db => $db) foreach 'CREATE EXTENSION pool', 'CREATE SCHEMA far', @statements;
	return;
}

# members(database, extension, expression): of the row o of each object that it has
sub members
{
	my ($db, $extension, $expression) = @_;

	return sql($local, <<SQL, db => $db);
SET search_path = far;
SELECT $expression FROM pg_depend o
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = '$extension')
ORDER BY 1
SQL
}

# described(database, extension, catalog): its objects in that catalog, with all that a
# catalog says of them but where their code is
sub described
{
	my ($db, $extension, $catalog) = @_;
	my $not = '{oid,pronamespace,prosrc,probin,typnamespace,typrelid,typarray,typelem,'
	  . 'fdwvalidator,prorettype}';
	my $more = $catalog eq 'pg_proc'
	  ? q( || jsonb_build_object('arguments', pg_get_function_arguments(c.oid),
			'result', pg_get_function_result(c.oid)))
	  : $catalog eq 'pg_foreign_data_wrapper'
	  ? q( || jsonb_build_object('validator', fdwvalidator::regproc::text))
	  : '';

	return sql($local, <<SQL, db => $db);
SET search_path = far;
SELECT to_jsonb(c) - '$not'::text[]$more FROM $catalog c, pg_depend o
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = '$extension')
	AND classid = '$catalog'::regclass AND objid = c.oid
ORDER BY 1
SQL
}

# numbers(database): how much is in each catalog in which an extension leaves something
sub numbers
{
	my ($db) = @_;

	return sql($local, join(', ', 'SELECT 1',
		map { "(SELECT count(*) FROM pg_$_)" } 'proc', 'type', 'class', 'attribute', 'depend',
			'description', 'foreign_data_wrapper', 'init_privs', 'extension'), db => $db);
}

#
# The objects
#
new_database('theirs', 'CREATE EXTENSION dblink SCHEMA far');
new_database('ours');
my $before = numbers('ours');
sql($local, 'CREATE EXTENSION pool_dblink SCHEMA far', db => 'ours');

my $names = 'pg_describe_object(classid, objid, objsubid)';
is(members('ours', 'pool_dblink', $names), members('theirs', 'dblink', $names),
	'it has the objects that dblink has');
is(sql($local, q(SELECT count(*) FROM pg_proc WHERE pronamespace = 'far'::regnamespace),
		db => 'ours'), 41, 'among them are 41 functions');
foreach my $catalog ('pg_proc', 'pg_type', 'pg_foreign_data_wrapper')
{
	my $ours = described('ours', 'pool_dblink', $catalog);

	isnt($ours, '', "it has something in $catalog");
	is($ours, described('theirs', 'dblink', $catalog), "which is there as dblink's");
}
my $columns = <<'SQL';
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'far.dblink_pkey_results'::regclass ORDER BY attnum
SQL
is(sql($local, $columns, db => 'ours'), sql($local, $columns, db => 'theirs'),
	'the type has the same columns');
my $without = <<'SQL' =~ s/\s+$//r;
string_agg(pg_describe_object(classid, objid, objsubid), ', ') FILTER
	(WHERE obj_description(objid, classid::regclass::text) IS NULL
		AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT typarray FROM pg_type)))
SQL
is(members('ours', 'pool_dblink', $without), '', 'each object has a comment');
is(members('ours', 'pool_dblink', 'count(*) >= 43'), 't', 'all of them');
is(sql($local, q(SELECT count(col_description(attrelid, attnum)) FROM pg_attribute
	WHERE attrelid = 'far.dblink_pkey_results'::regclass), db => 'ours'), 2,
	'each column of the type has one');
is(sql($local, q(SELECT string_agg(DISTINCT proname, ' ') FROM pg_proc
	WHERE probin = '$libdir/pool' AND pronamespace = 'far'::regnamespace
		AND NOT has_function_privilege('app', oid, 'EXECUTE')), db => 'ours'), 'dblink_connect_u',
	'one function is not for everybody');
is(sql($local, q(SELECT count(*) FROM pg_proc WHERE pronamespace = 'far'::regnamespace
		AND prosrc !~ '^pool_dblink_'), db => 'ours'), 0, 'its code has names of its own');

#
# Without pool, without rights, and without CREATE EXTENSION
#
sql($local, 'CREATE DATABASE bare OWNER app');
my ($state, $said) = sql_state($local, 'CREATE EXTENSION pool_dblink', db => 'bare');
is($state, '42704', 'without pool there is none');
like($said, qr/required extension "pool" is not installed.*CASCADE/s, 'the error says what to do');
is((sql_state($local, 'CREATE EXTENSION pool_dblink CASCADE', db => 'bare', user => 'app'))[0],
	'42501', 'an owner of a database does not make one');
my ($script) = run_command([ 'psql', '-X', '-d', $local->connstr('bare'), '-f',
	"$FindBin::RealBin/../../sql/pool_dblink--1.1.sql" ]);
is($script, 'Use "CREATE EXTENSION pool_dblink" to load this file.',
	'psql does not run the script');
my $empty = numbers('bare');
sql($local, 'CREATE EXTENSION pool_dblink CASCADE', db => 'bare');
is(sql($local, q(SELECT string_agg(extname, ' ' ORDER BY 1) FROM pg_extension
	WHERE extname ~ 'pool'), db => 'bare'), 'pool pool_dblink', 'CASCADE makes both');
is((sql_state($local, 'DROP EXTENSION pool', db => 'bare'))[0], '2BP01', 'pool is needed');
sql($local, 'DROP EXTENSION pool CASCADE', db => 'bare');
is(numbers('bare'), $empty, 'and takes it along with CASCADE');

#
# A server of the wrapper, before and after the functions move
#
my $server = sprintf q(CREATE SERVER srv FOREIGN DATA WRAPPER dblink_fdw OPTIONS
	(host '127.0.0.1', port '%d', dbname 'far'); CREATE USER MAPPING FOR CURRENT_USER SERVER srv
	OPTIONS (user 'app', password 'secret')), $remote->port;
sql($local, $server, db => 'ours');
is(sql($local, select_42('srv'), db => 'ours'), '42', 'the pool uses a server of the wrapper');
sql($local, 'CREATE SCHEMA "Else where"; ALTER EXTENSION pool_dblink SET SCHEMA "Else where"',
	db => 'ours');
is(sql($local, select_42('srv'), db => 'ours'), '42', 'also when the functions have moved');
is(sql($local, q(SELECT "Else where".dblink_build_sql_delete('pg_class', '1', 1, '{7}')),
		db => 'ours'), q(DELETE FROM pg_class WHERE oid = '7'), 'which work there');
is((sql_state($local, q(ALTER SERVER srv OPTIONS (nonsense 'x')), db => 'ours'))[0], 'HV00J',
	'its validator works there');
is((sql_state($local, 'DROP EXTENSION pool_dblink', db => 'ours'))[0], '2BP01',
	'a server depends on the extension');
sql($local, 'DROP SERVER srv CASCADE; DROP EXTENSION pool_dblink; DROP SCHEMA "Else where"',
	db => 'ours');
is(numbers('ours'), $before, 'DROP EXTENSION leaves nothing');

#
# A wrapper of that name that is there
#
sql($local, 'CREATE FOREIGN DATA WRAPPER dblink_fdw', db => 'ours');
sql($local, 'CREATE SERVER kept FOREIGN DATA WRAPPER dblink_fdw', db => 'ours');
sql($local, 'CREATE EXTENSION pool_dblink SCHEMA far', db => 'ours');
my $wrapper = q(SELECT fdwvalidator, obj_description(oid, 'pg_foreign_data_wrapper') IS NULL
	FROM pg_foreign_data_wrapper WHERE fdwname = 'dblink_fdw');
is(sql($local, $wrapper, db => 'ours'), '0|t', 'a wrapper that is there stays as it is');
unlike(members('ours', 'pool_dblink', $names), qr/dblink_fdw$/m, 'it does not become a member');
like(members('ours', 'pool_dblink', $names), qr/dblink_fdw_validator/, 'the validator is there');
sql($local, 'DROP EXTENSION pool_dblink', db => 'ours');
is(sql($local, $wrapper, db => 'ours'), '0|t', 'it outlives the extension, with its servers');

#
# Side by side
#
my $conflict;
($state, $conflict) = sql_state($local, 'CREATE EXTENSION pool_dblink SCHEMA far', db => 'theirs');
is($state, '42723', 'not in the same schema as dblink');
like($conflict, qr/already exists with same argument types/, 'the error says why');
sql($local, 'CREATE SCHEMA pooled', db => 'theirs');
sql($local, 'CREATE EXTENSION pool_dblink SCHEMA pooled', db => 'theirs');
is(sql($local, q(SELECT far.dblink_build_sql_delete('pg_class', '1', 1, '{7}')
	= pooled.dblink_build_sql_delete('pg_class', '1', 1, '{7}')), db => 'theirs'), 't',
	'in another one both work');
unlike(members('theirs', 'pool_dblink', $names), qr/dblink_fdw$/m, 'the wrapper is dblink\'s');

# The validators, side by side.  What libpq has is in the hints of ours.
my @libpq = map { (sql_state($local, "SELECT pool_fdw_validator('{nothing_like_it=x}',"
				. "'pg_$_'::regclass)", db => 'theirs'))[1]
	  =~ /Valid options in this context are: (.*)\./ }
  'foreign_server', 'user_mapping';
my $list = join ',', map({ split /, /, $_ } @libpq), qw(client_encoding replication options
	fallback_application_name oauth_issuer oauth_scope scram_client_key scram_server_key
	sslkeylogfile use_scram_passthrough hst Host pot passwd usr usre pasword aplication_name x
	sslcertt no_such_thing_at_all), 'x' x 63, 'x' x 64, 'x' x 500, '""';
sql($local, <<'SQL', db => 'theirs');
CREATE FUNCTION verdict(schema text, option text, catalog oid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE format('SELECT %I.dblink_fdw_validator($1, $2)', schema) USING ARRAY[option], catalog;
	RETURN 'valid';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = pg_exception_detail, hint = pg_exception_hint;
	RETURN concat_ws('|', sqlstate, sqlerrm, detail, hint);
END
$$
SQL
my ($asked, $valid, $hinted, $different) = split /\|/, sql($local, <<SQL, db => 'theirs');
SELECT count(*), count(*) FILTER (WHERE far = 'valid'), count(DISTINCT far),
	string_agg(concat_ws(' ', option, catalog, far, pooled), ', ') FILTER (WHERE far <> pooled)
FROM unnest('{$list}'::text[]) name, unnest('{=x,=true,=on,=0,=,""}'::text[]) value,
	unnest('{pg_foreign_server,pg_user_mapping,pg_foreign_data_wrapper,pg_foreign_table,0}'
		::regclass[]) catalog,
	concat(name, value) option, verdict('far', option, catalog) far,
	verdict('pooled', option, catalog) pooled
SQL
note("$asked questions, $valid times valid, $hinted answers");
cmp_ok($valid, '>', 200, 'the validators accept options');
cmp_ok($hinted, '>', 20, 'and refuse others');
is($different || '', '', 'they say the same');

# Dumped and restored, extensions come in the order of their names.
my $dump = $local->basedir . '/theirs.dump';
sql($local, $server, db => 'theirs');
$local->command_ok([ 'pg_dump', '-Fc', '-f', $dump, 'theirs' ], 'both can be dumped');
sql($local, 'CREATE DATABASE restored');
$local->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', $dump ], 'and restored');
is(members('restored', $_, $names), members('theirs', $_, $names), "$_ has its objects")
  foreach 'dblink', 'pool_dblink';
is(sql($local, select_42('srv'), db => 'restored'), '42', 'the pool uses a restored server');

# Without dblink the wrapper is gone; it can be made again, and be a member.
sql($local, 'DROP SERVER srv CASCADE', db => 'theirs');
sql($local, 'DROP EXTENSION dblink', db => 'theirs');
is(sql($local, 'SELECT count(*) FROM pg_foreign_data_wrapper', db => 'theirs'), 1,
	'the wrapper goes with dblink');
sql($local, q(CREATE FOREIGN DATA WRAPPER dblink_fdw VALIDATOR pooled.dblink_fdw_validator;
	ALTER EXTENSION pool_dblink ADD FOREIGN DATA WRAPPER dblink_fdw), db => 'theirs');
sql($local, $server, db => 'theirs');
is(sql($local, select_42('srv'), db => 'theirs'), '42', 'one that is made by hand does the same');
is((sql_state($local, 'CREATE EXTENSION dblink SCHEMA far', db => 'theirs'))[0], '42710',
	'dblink cannot come where its wrapper is');

settled($local);
no_crash($local, $remote);

done_testing();
