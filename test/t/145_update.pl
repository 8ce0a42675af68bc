# 145_update.pl
#	ALTER EXTENSION pool UPDATE: from every version to the newest, with servers, user
#	mappings, rights, views and a lease that go on; what it leaves is what a new
#	CREATE EXTENSION makes, and so is what a dump of the old version becomes.  The
#	scripts of versions that are out are as they were.
#
# Runs in the plain round only.

use strict;
use warnings;

use Digest::SHA;
use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $sql_dir = "$FindBin::RealBin/../../sql";
my @scripts = map { s{.*/}{}r } glob "$sql_dir/pool--*.sql";

#
# Scripts of versions that are out
#
my %sum;
foreach my $line (split /\n/, slurp_file("$sql_dir/released.sha256"))
{
	next if $line =~ /^#/;
	my ($sum, $name) = split / +/, $line;

	$sum{$name} = $sum;
	is(Digest::SHA->new(256)->addfile("$sql_dir/$name")->hexdigest,
		$sum, "$name, which is out, is as it was");
}
my %out = map { ($_ => 1) }
  slurp_file("$sql_dir/../CHANGELOG.md") =~ /^# (\S+) \(\d{4}-\d\d-\d\d\)$/mg;
ok($out{'1.0'}, 'CHANGELOG.md says which versions are out');
is(join(' ', sort grep { /([^-]+)\.sql$/ && $out{$1} } @scripts),
	join(' ', sort keys %sum), 'the script of each version that is out has its checksum');

#
# What there is of the extension in a database: a line for each thing
#
my $catalog = <<'SQL';
WITH members AS (
	SELECT d.classid, d.objid, (pg_identify_object(d.classid, d.objid, 0)).identity AS name
	FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pool'
), lines(kind, name, what) AS (
	SELECT 'extension', extname, to_jsonb(e) - 'oid'
		|| jsonb_build_object('comment', obj_description(oid, 'pg_extension'))
	FROM pg_extension e WHERE extname = 'pool'
	UNION ALL
	SELECT 'function', name, to_jsonb(p) - 'oid' FROM members JOIN pg_proc p
	ON classid = 'pg_proc'::regclass AND objid = p.oid
	UNION ALL
	SELECT 'relation', name, jsonb_build_object('kind', c.relkind, 'acl', c.relacl,
		'owner', c.relowner, 'options', c.reloptions, 'definition', pg_get_viewdef(c.oid),
		'columns', (SELECT jsonb_agg(jsonb_build_array(attname,
			format_type(atttypid, atttypmod), attcollation, attacl) ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = c.oid))
	FROM members JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
	UNION ALL
	SELECT 'wrapper', name, to_jsonb(w) - 'oid' - 'fdwvalidator'
		|| jsonb_build_object('validator', fdwvalidator::regprocedure)
	FROM members JOIN pg_foreign_data_wrapper w
	ON classid = 'pg_foreign_data_wrapper'::regclass AND objid = w.oid
	UNION ALL
	SELECT 'comment', name, jsonb_build_array(objsubid, description)
	FROM members JOIN pg_description ON classid = classoid AND objid = objoid
	UNION ALL
	SELECT 'initial rights', name, jsonb_build_array(objsubid, privtype, initprivs)
	FROM members JOIN pg_init_privs p ON classid = p.classoid AND objid = p.objoid
	UNION ALL
	SELECT 'dependency', name, jsonb_build_array(d.deptype,
		(pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid)).identity)
	FROM members JOIN pg_depend d USING (classid, objid)
	UNION ALL
	SELECT 'member', name, to_jsonb(classid::regclass::text) FROM members
)
SELECT kind || ' ' || name || ': ' || what::text FROM lines
ORDER BY (kind || ' ' || name || ': ' || what::text) COLLATE "C"
SQL

sub catalog
{
	my ($node, $db) = @_;

	return sql($node, $catalog, db => $db);
}

my $remote = start_remote();
my $local = start_local();
my $newest = sql($local, q(SELECT default_version FROM pg_available_extensions
	WHERE name = 'pool'));
my @older = split /\n/, sql($local, qq(SELECT version FROM pg_available_extension_versions
	WHERE name = 'pool' AND version <> '$newest' ORDER BY 1));

sub new_database
{
	my ($db, $version) = @_;

	sql($local, "CREATE DATABASE $db");
	sql($local, "CREATE EXTENSION pool VERSION '$version'", db => $db) if $version;
	return;
}

sub version
{
	my ($db) = @_;

	return sql($local, q(SELECT extversion FROM pg_extension WHERE extname = 'pool'), db => $db);
}

# From each version that there is or was, to what is made anew
cmp_ok(scalar @older, '>', 0, 'there are older versions');
is(join(' ', sort map { /^pool--([^-]+)\.sql$/ } @scripts),
	'1.0', 'the first version has a script of its own, each other one a step');
is(sql($local, q(SELECT string_agg(source, ' ') FROM pg_extension_update_paths('pool')
		WHERE target = (SELECT default_version FROM pg_available_extensions WHERE name = 'pool')
			AND path IS NULL)), '', 'from every version there is a way to the newest');
my $fresh = catalog($local, 'postgres');
cmp_ok(scalar(() = $fresh =~ /^/mg), '>', 200, 'the catalogs tell what the extension has');
foreach my $version (@older)
{
	my $db = 'from_' . $version =~ s/\W/_/gr;

	new_database($db, $version);
	is(version($db), $version, "$version can still be made");
	sql($local, 'ALTER EXTENSION pool UPDATE', db => $db);
	is(version($db), $newest, "ALTER EXTENSION UPDATE goes from $version to the newest");
	is(catalog($local, $db), $fresh, "from $version to what a new CREATE EXTENSION makes");
}

#
# 1.0 in use
#
my $used = <<'SQL';
CREATE ROLE operator LOGIN;
CREATE ROLE clerk LOGIN;
SQL
my $mine = <<'SQL';
GRANT USAGE ON FOREIGN SERVER srv TO clerk;
CREATE USER MAPPING FOR clerk SERVER srv OPTIONS (user 'app', password 'secret');
GRANT EXECUTE ON FUNCTION pool_pause(text, boolean), pool_resume(text) TO operator;
REVOKE SELECT ON pool_connections FROM PUBLIC;
CREATE VIEW busy AS SELECT server, user_name, open FROM pool_stats
	WHERE database = current_database();
GRANT SELECT ON busy TO clerk;
CREATE VIEW slow AS SELECT server, p95 FROM pool_stats_times WHERE metric = 'query';
CREATE FUNCTION far(text) RETURNS text LANGUAGE sql
	AS $$SELECT a FROM pool_query('srv', 'select $1', $1) AS t(a text)$$;
SQL
new_database('used', '1.0');
sql($local, $used);
create_server($local, 'srv', $remote, db => 'used', options => { max_size => 1 });
sql($local, $mine, db => 'used');

# goes_on(database, when): all of the above works
sub goes_on
{
	my ($db, $when) = @_;

	is(sql($local, q(SELECT far('there')), db => $db), 'there',
		"$when a function that calls the pool works");
	is(sql($local, q(SELECT far('clerk')), db => $db, user => 'clerk'),
		'clerk', "$when a role with USAGE and a user mapping is served");
	is(sql($local, 'TABLE busy', db => $db, user => 'clerk'),
		'srv|clerk|1', "$when a view over pool_stats works");
	is(sql($local, q(SELECT count(*) > 0 FROM slow), db => $db), 't',
		"$when a view over pool_stats_times works");
	is(sql($local, q(SELECT pool_pause('srv') = pool_resume('srv')), db => $db, user => 'operator'),
		't', "$when what was granted is granted");
	is((sql_state($local, q(SELECT pool_close('srv')), db => $db, user => 'operator'))[0],
		'42501', "$when what was not granted is refused");
	is((sql_state($local, 'TABLE pool_connections', db => $db, user => 'clerk'))[0],
		'42501', "$when what was revoked is refused");
	is((sql_state($local, 'DROP EXTENSION pool', db => $db))[0],
		'2BP01', "$when the extension is not dropped while views need it");
	return;
}

# restored(database, when): a dump of it, in a new database
sub restored
{
	my ($db, $when) = @_;
	my $dump = $local->basedir . "/$db.dump";
	my $copy = $db . '_restored_' . $when;

	$local->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $db ], "pg_dump works $when the update");
	new_database($copy);
	$local->command_ok([ 'pg_restore', '--exit-on-error', '-d', $copy, $dump ],
		"what was dumped $when the update is restored");
	return $copy;
}

goes_on('used', 'before the update');
my $before = restored('used', 'before');

# A lease that has begun, and a session with an open transaction, notice nothing.
my $session = session($local, db => 'used');
my $lease = $session->acquire('srv');
my $pid = "SELECT p FROM pool_query($lease, 'select pg_backend_pid()') AS t(p int)";
$session->query('BEGIN');
my $remote_pid = $session->query($pid)->{out};
my $connects = sql($local, q(SELECT sum(connects) FROM pool_stats WHERE database = 'used'));
sql($local, 'ALTER EXTENSION pool UPDATE', db => 'used');
is(version('used'), $newest, 'a version in use is updated');
is($session->query($pid)->{out}, $remote_pid, 'a lease goes on through the update');
$session->query('COMMIT');
is($session->query("SELECT pool_release($lease)")->{state}, '00000', 'and is released');
goes_on('used', 'after the update');
is(sql($local, q(SELECT sum(connects) FROM pool_stats WHERE database = 'used')),
	$connects, 'the update costs no connection');
my $state = (sql_state($local, 'ALTER EXTENSION pool UPDATE', db => 'used'))[0];
is($state, '00000', 'a second update does nothing');

my $after = restored('used', 'after');
foreach my $db ($before, $after)
{
	is(version($db), $newest, "$db has the newest version");
	goes_on($db, "in $db");
	is(catalog($local, $db), catalog($local, 'used'), "$db is as what was updated");
}

$session->quit;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
