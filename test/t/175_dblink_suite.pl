# 175_dblink_suite.pl
#	The regression suite of contrib/dblink, as it is in the source of the server's own
#	version, passes with dblink, and with pool_dblink in its place, in both modes, but
#	for the differences that test/dblink/differences names and explains: there are no
#	others, and none of these is missing.
#
#	The suite takes for granted that PGHOST in the environment of the server says where
#	a foreign server is that has no option "host".  For a pool it does not; so an event
#	trigger adds the option, with either extension.
#
# Runs in the plain round only.
# Needs the suite of dblink.

use strict;
use warnings;

use File::Copy;
use File::Path qw(make_path);
use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $home = "$FindBin::RealBin/../dblink";
my $source = "$home/suite";

plan skip_all => without_suite() if !-d $source;

# A statement of the suite that waits for something in vain fails in the end.
my $local = start_local(statement_timeout => q('120s'));
my $library = build_library();

note 'the suite is that of ' . slurp_file("$source/release");
is(join("\n", differences('dblink', 'CREATE EXTENSION dblink;', '')),
	'', 'with dblink the suite shows what it is expected to show');
foreach my $mode ('session', 'transaction')
{
	compare(
		$mode,
		[ differences($mode, 'CREATE EXTENSION pool_dblink CASCADE;',
			qq(NOTICE:  installing required extension "pool"\n)) ],
		[ named("$home/differences") ]);
}

my %acquires = map { $_ => acquires("suite_$_") } 'session', 'transaction';
cmp_ok($acquires{session}, '>', 0, 'pool_dblink has its connections from pools');
cmp_ok($acquires{transaction}, '>', $acquires{session},
	'in mode transaction a connection is acquired for each statement');
settled($local);
no_crash($local);

done_testing();

# without_suite(): why there is none; the last line is what matters
sub without_suite
{
	my ($why) = -e "$home/missing" ? slurp_file("$home/missing") =~ /(.+)\n\z/ : ();

	return 'the suite of dblink is not there: '
	  . ($why || 'test/dblink/fetch.sh fetches it, and test/run.sh calls that');
}

# build_library(): the directory of the one that has the suite's functions in C
sub build_library
{
	my $dir = "$PostgreSQL::Test::Utils::tmp_check/library";
	my $pgxs = `pg_config --pgxs`;

	chomp $pgxs;
	make_path($dir);
	copy("$source/regress.c", $dir) or die "cannot copy regress.c: $!";
	run_log([ 'make', '-s', '-C', $dir, '-f', $pgxs, "PGXS=$pgxs", 'MODULES=regress',
		'with_llvm=no' ]) or die "the suite's library cannot be built\n";
	return $dir;
}

# differences(name, statement, notice): of the suite with that statement in the place of
# the one that creates dblink: each as the lines that are missing and those that are
# there instead
sub differences
{
	my ($name, $statement, $notice) = @_;
	my $dir = "$PostgreSQL::Test::Utils::tmp_check/$name";
	my %file = (sql => "$dir/sql/dblink.sql", expected => "$dir/expected/dblink.out");

	make_database("suite_$name");
	sql($local, "ALTER DATABASE suite_$name SET pool_dblink.mode = $name") if $notice;
	make_path("$dir/sql", "$dir/expected");
	copy("$source/pg_service.conf", $dir) or die "cannot copy pg_service.conf: $!";
	replace("$source/sql/dblink.sql", $file{sql}, "$statement\n");
	replace("$source/expected/dblink.out", $file{expected}, "$statement\n$notice");
	run_log([
		$ENV{PG_REGRESS}, "--inputdir=$dir", "--outputdir=$dir",
		$local->pg_version >= 16 ? "--expecteddir=$dir" : (),
		"--dlpath=$library", '--bindir=', '--host=' . $local->host,
		'--port=' . $local->port, "--dbname=suite_$name", '--use-existing',
		'dblink' ]);

	my $result = "$dir/results/dblink.out";
	die "the suite did not run with $name\n" if !-s $result;
	my ($header, @hunks) = split /^@@.*\n/m, `diff -U0 '$file{expected}' '$result'`;
	return @hunks;
}

# make_database(name): one where foreign servers are told where this server is
sub make_database
{
	my ($name) = @_;

	sql($local, "CREATE DATABASE $name TEMPLATE template0");
	sql($local, <<'SQL', db => $name);
CREATE FUNCTION add_host() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
	server text;
BEGIN
	FOR server IN SELECT object_identity FROM pg_event_trigger_ddl_commands() LOOP
		EXECUTE format('ALTER SERVER %s OPTIONS (host %L)', server,
			current_setting('unix_socket_directories'));
	END LOOP;
END $$;
CREATE EVENT TRIGGER add_host ON ddl_command_end WHEN TAG IN ('CREATE SERVER')
	EXECUTE FUNCTION add_host();
SQL
	return;
}

# replace(from, to, text): a copy of a file of the suite with that text in the place of
# the statement that creates dblink
sub replace
{
	my ($from, $to, $text) = @_;
	my $content = slurp_file($from);

	$content =~ s/\ACREATE EXTENSION dblink;\n/$text/
	  or die "$from does not begin with the statement that creates dblink\n";
	append_to_file($to, $content);
	return;
}

# acquires(database): how many there were in all its pools
sub acquires
{
	my ($database) = @_;

	return sql($local,
		"SELECT coalesce(sum(acquires), 0) FROM pool_stats_all() WHERE database = '$database'");
}

# named(file): the differences in it for this version: in each paragraph one, after
# comments that may tell for which versions it is
sub named
{
	my ($file) = @_;
	my $version = $local->pg_version->major;
	my @named;

	foreach my $paragraph (split /\n\n+/, slurp_file($file))
	{
		my ($until) = $paragraph =~ /^# Only until version (\d+)\.$/m;
		my ($from) = $paragraph =~ /^# Only from version (\d+)\.$/m;
		my $lines = join '', map { "$_\n" } grep { !/^#/ } split /\n/, $paragraph;

		next if $until && $version > $until || $from && $version < $from;
		push @named, $lines if $lines ne '';
	}
	return @named;
}

# compare(mode, found, named): each that was found is named, and the other way round
sub compare
{
	my ($mode, $found, $named) = @_;
	my @left = @{$named};
	my @new;

	foreach my $difference (@{$found})
	{
		my ($match) = grep { matches($difference, $left[$_]) } 0 .. $#left;

		push @new, $difference if !defined $match;
		splice @left, $match, 1 if defined $match;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", @new),
		'', "in mode $mode pool_dblink differs from dblink by nothing that is not named");
	is(join("\n", @left),
		'', "in mode $mode pool_dblink differs from dblink by all that is named");
	return;
}

# matches(difference, named): is it that one?
sub matches
{
	my ($difference, $named) = @_;
	my $pattern = quotemeta $named;

	$pattern =~ s/^\\\+\\\.\\\.\\\.\\\n/(?:\\+.*\\n)*/mg;
	return $difference =~ /\A$pattern\z/;
}
