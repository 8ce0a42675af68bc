# 146_library.pl
#	The library and the extension may be of different versions: a new library serves
#	databases that have 1.0, all of it; a server that runs goes on with the library that
#	it was started with, whatever lies on the disk, until it is restarted.  In an
#	installation of its own, whose files this test changes.
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

my ($bin) = run_command([ 'pg_config', '--bindir' ]);
my ($usr, $version) = $bin =~ m{^(/.*)/lib/postgresql/(\d+)/bin$}
  or plan skip_all => 'this installation is not laid out as Debian does it';
my $copy = PostgreSQL::Test::Utils::tempdir . '/usr';
my $home = "$copy/lib/postgresql/$version";
my $scripts = "$copy/share/postgresql/$version/extension";

system_or_bail('mkdir', '-p', "$copy/lib/postgresql", "$copy/share/postgresql");
system_or_bail('cp', '-a', "$usr/$_/postgresql/$version", "$copy/$_/postgresql/")
  foreach 'lib', 'share';

# write_file(path, text): a new file takes the place of the old one, as dpkg does it
sub write_file
{
	my ($path, $text) = @_;

	open(my $file, '>', "$path.new") || die "$path: $!";
	print $file $text;
	close($file);
	rename("$path.new", $path) || die "$path: $!";
	return;
}

my $control = slurp_file("$scripts/pool.control");
my ($newest) = $control =~ /^default_version = '(.*)'$/m;

#
# A new library, and CREATE EXTENSION makes 1.0: the regress tests, but for those of what
# is newer
#
write_file("$scripts/pool.control", $control =~ s/^(default_version = )'.*'$/$1'1.0'/mr);
$ENV{PGUSER} = 'postgres';
my $old = PostgreSQL::Test::Cluster->new('old', install_path => $home);
$old->init(extra => [ '--username=postgres', '--encoding=UTF8', '--locale=C.UTF-8' ]);
$old->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pool'
listen_addresses = '127.0.0.1'
max_connections = 100
log_statement = 'none'
CONF
$old->start;

sql($old, 'CREATE DATABASE new');
sql($old, 'CREATE DATABASE old');
sql($old, "CREATE EXTENSION pool VERSION '$newest'", db => 'new');
sql($old, 'CREATE EXTENSION pool', db => 'old');
my $objects = <<'SQL';
SELECT regexp_replace(pg_describe_object(classid, objid, 0), '^\w+ |[(].*', '', 'g')
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
SQL
my %old = map { ($_ => 1) } split /\n/, sql($old, $objects, db => 'old');
my @new = grep { !$old{$_} } split /\n/, sql($old, $objects, db => 'new');
note("newer than 1.0: @new");
ok($old{pool_query}, 'the catalogs tell what is in 1.0');

# What lists the objects of the extension lists those of the newest version.
my $top = "$FindBin::RealBin/../..";
my $newer = join '|', 'pg_describe_object', map { "\\b$_\\b" } @new;
my @tests = grep { -e "$top/expected/$_.out" && slurp_file("$top/sql/$_.sql") !~ /$newer/ }
  map { m{([^/]+)\.sql$} } glob "$top/sql/*.sql";
@tests = ('init', grep { $_ ne 'init' } @tests);
cmp_ok(scalar @tests, '>', 20, 'there are tests of what 1.0 has');
my $out = PostgreSQL::Test::Utils::tempdir;
my $passed = system($ENV{PG_REGRESS}, "--inputdir=$top", "--outputdir=$out", "--bindir=$home/bin",
	'--host=' . $old->host, '--port=' . $old->port, '--user=postgres', @tests) == 0;
ok($passed, 'with a new library all that 1.0 has works')
  or diag(-e "$out/regression.diffs" ? slurp_file("$out/regression.diffs") : 'no differences');
is(sql($old, q(SELECT extversion FROM pg_extension WHERE extname = 'pool'), db => 'regression'),
	'1.0', 'these tests had 1.0');
$old->stop;
no_crash($old);
write_file("$scripts/pool.control", $control);
delete $ENV{PGUSER};

#
# A server that runs while its files are replaced: by ones that are no library, so that
# whoever opened them would fail
#
my $remote = start_remote();
my $local = PostgreSQL::Test::Cluster->new('local', install_path => $home);
my $module = "$home/lib/pool_metrics.so";
$local->init;
$local->append_conf('postgresql.conf', "shared_preload_libraries = 'pool'\nlog_statement = 'none'");
$local->append_conf('postgresql.conf', q(pool.metrics_listen = '127.0.0.1:)
	  . PostgreSQL::Test::Cluster::get_free_port() . q(')) if -e $module;
$local->start;
sql($local, 'CREATE EXTENSION pool');
create_server($local, 'srv', $remote);
my $before = session($local);
is($before->query(select_42('srv'))->{out}, '42', 'a session uses the pool before the upgrade');

my $library = "$home/lib/pool.so";
my $good = slurp_file($library);
write_file($library, 'of tomorrow');
write_file("$scripts/pool--$newest--tomorrow.sql", <<'SQL');
CREATE FUNCTION pool_today() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION pool_tomorrow() RETURNS int LANGUAGE c AS 'MODULE_PATHNAME', 'pool_sql_tomorrow';
SQL
write_file("$scripts/pool.control", $control =~ s/^(default_version = )'.*'$/$1'tomorrow'/mr);

is($before->query(select_42('srv'))->{out}, '42', 'a session goes on with the library that it has');
is(sql($local, select_42('srv')), '42', 'a new session has that library, too');
my $worker = worker_pid($local);
kill 'TERM', $worker;
wait_for_value($local, "SELECT count(*) FROM pg_stat_activity WHERE pid = $worker",
	0, 'the worker ends');
wait_for_value($local, select_42('srv'), '42', 'a worker that is started anew works');

my ($state, $err) = sql_state($local, 'ALTER EXTENSION pool UPDATE');
is($state, '42883', 'what the library does not have cannot be declared before the restart');
like($err, qr/could not find function "pool_sql_tomorrow" in file ".*pool\.so"/,
	'the error says what is missing where');
is(sql($local, q(SELECT extversion FROM pg_extension WHERE extname = 'pool')), $newest,
	'an update that failed leaves the version as it is');
is(sql($local, q(SELECT count(*) FROM pg_proc WHERE proname = 'pool_today')), 0,
	'an update that failed leaves nothing behind');
is(sql($local, select_42('srv')), '42', 'queries go on after an update that failed');
sql($local, 'CREATE DATABASE other');
sql($local, "CREATE EXTENSION pool VERSION '$newest'", db => 'other');
is(sql($local, 'SELECT count(*) FROM pool_stats', db => 'other'), 1,
	'another database can have the version that the library knows');
$before->quit;
settled($local);
remote_count($local, $remote);

# The process that serves metrics loads its module anew each time, and so may meet one
# that does not fit the library that the server has.
SKIP:
{
	skip 'the module for metrics was not built', 4 if !-e $module;

	my $dir = PostgreSQL::Test::Utils::tempdir;
	my $served = qr/\[(\d+)\] LOG:  pool metrics are served/;

	system_or_bail('cp', '-R', "$top/Makefile", glob("$top/*.control"), "$top/sql", "$top/src",
		$dir);
	my $header = slurp_file("$dir/src/metrics/endpoint.h");
	ok($header =~ s/(#define POOL_ENDPOINT_VERSION) \d+/$1 77/, 'the module has a version');
	write_file("$dir/src/metrics/endpoint.h", $header);
	system_or_bail('make', '-s', '-C', $dir, 'with_llvm=no', 'pool_metrics.so');
	write_file($module, slurp_file("$dir/pool_metrics.so"));

	ok(wait_until(60, sub { log_count($local, $served) }), 'metrics are served');
	my ($pid) = log_since($local) =~ $served;
	kill 'TERM', $pid;
	ok(wait_until(60, sub { log_count($local, qr/modules .* are of different versions/) }),
		'a module of another version says so');
	is(sql($local, select_42('srv')), '42', 'queries go on beside it');
	unlink($module);
}

# With the files that fit it starts again, and the extension is what it was.
write_file($library, $good);
write_file("$scripts/pool.control", $control);
$local->append_conf('postgresql.conf', q(pool.metrics_listen = ''));
$local->restart;
is(sql($local, select_42('srv')), '42', 'after the restart the pool works');
no_crash($local, $remote);

done_testing();
