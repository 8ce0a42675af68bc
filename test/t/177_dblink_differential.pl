# 177_dblink_differential.pl
#	What a user of dblink may write gives the same with pool_dblink, in both modes: rows,
#	SQLSTATEs, messages, details, hints and contexts.  The scripts of test/dblink run
#	with dblink of this very version, too, so there is no expected output.  What differs
#	by design is listed here, with the reason, and must differ in just that way.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Differential;
use Test::More;

# by item: mode, what dblink prints, what we print, and why
my %differences = ();

my $remote = start_remote(max_prepared_transactions => 5);
my $local = start_local(max_prepared_transactions => 5, restart_after_crash => 'on');
my %modes = map { ($_ => { 'pool_dblink.mode' => $_ }) } 'session', 'transaction';
my $ours = [ 'pool', 'pool_dblink' ];

if (!sql($local, q(SELECT count(*) FROM pg_available_extensions WHERE name = 'pool_dblink')))
{
	%modes = (again => {});
	$ours = ['dblink'];
}

PoolTest::hba($remote, 'scram-sha-256', 'host all trusted 127.0.0.1/32 trust');
$remote->reload;
sql($remote, <<'SQL');
CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'secret';
CREATE ROLE stylish LOGIN PASSWORD 'secret';
CREATE ROLE trusted LOGIN PASSWORD 'secret';
GRANT stylish TO app;
SQL
sql($local, 'CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN');

foreach my $encoding ('UTF8', 'LATIN1')
{
	my $prefix = lc $encoding;
	my @scripts = grep { /^encodings$/ ? $encoding eq 'LATIN1' : $encoding eq 'UTF8' } scripts();

	@scripts = grep { /^($ENV{POOL_TEST_SCRIPTS})$/ } @scripts if $ENV{POOL_TEST_SCRIPTS};
	differential_database($local, $remote, "${prefix}_dblink", encoding => $encoding,
		extensions => ['dblink']);
	differential_database($local, $remote, "${prefix}_$_", encoding => $encoding,
		extensions => $ours, settings => $modes{$_})
	  foreach sort keys %modes;
	foreach my $script (@scripts)
	{
		my @items = items_of($script);
		my @theirs = run_items($local, "${prefix}_dblink", $script, @items);

		foreach my $mode (sort keys %modes)
		{
			compare_items($script, $mode, \@items, \@theirs,
				[ run_items($local, "${prefix}_$mode", $script, @items) ], \%differences);
		}
	}
}

no_crash($local, $remote);
done_testing();
