# 027_statistics_columns.pl
#	What the statistics views have to show: few enough columns in pool_stats for a
#	terminal, words for each of them, and a place for everything that is counted.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Statistics;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pools();
my @views = qw(pool_stats pool_stats_times pool_stats_closed pool_stats_events pool_connections
  pool_waiters pool_requests);

# columns_of(view): their names, in order
sub columns_of
{
	my ($view) = @_;

	return split /\n/, sql($local, 'SELECT attname FROM pg_attribute'
		  . " WHERE attrelid = '$view'::regclass AND attnum > 0 AND NOT attisdropped"
		  . ' ORDER BY attnum');
}
my %columns = map { $_ => [ columns_of($_) ] } @views;


#
# Columns, and words for them
#
cmp_ok(scalar @{ $columns{pool_stats} }, '<=', 30, 'pool_stats has at most 30 columns');
foreach my $view (@views)
{
	is(sql($local, "SELECT length(obj_description('$view'::regclass, 'pg_class')) > 0"), 't',
		"$view has a comment");
	cmp_ok(scalar @{ $columns{$view} }, '>', 0, "$view has columns");
	is( sql($local, 'SELECT attname FROM pg_attribute'
			  . " WHERE attrelid = '$view'::regclass AND attnum > 0 AND NOT attisdropped"
			  . q( AND coalesce(col_description(attrelid, attnum), '') = '')),
		'', "each column of $view has a comment");
}


#
# Nothing that is counted is lost: the enums of the source against the views.
#

# source(name): a file of the extension's, whichever directory of src it is in
sub source
{
	my ($name) = @_;
	my $src = "$FindBin::RealBin/../../src";
	my @found = grep { -f } "$src/$name", glob("$src/*/$name");

	die "there are @{[ scalar @found ]} files $name" if @found != 1;
	return slurp_file($found[0]);
}

# members(type, prefix): of an enum in stats.h, as the views write them
sub members
{
	my ($type, $prefix) = @_;
	my ($body) = source('stats.h') =~ /typedef enum $type\s*\{(.*?)\}\s*$type;/s
	  or die "there is no enum $type";

	$body =~ s{/\*.*?\*/}{}gs;
	return map { lc } $body =~ /\b${prefix}_(\w+)/g;
}
my @reasons = grep { !/^(?:none|connect_failed)$/ } members('PoolCloseReason', 'POOL_CLOSE');
my @counts = members('PoolCounter', 'POOL_COUNT');
my @things = members('PoolTimed', 'POOL_TIMED');

# A pool that was used once, so that there are rows
create_server($local, 'accounting', $remote, for => 'PUBLIC', options => { %still, max_size => 3 });
my $one = session($local);
ask($one, 'accounting');

# listed(view, column): the rows of that pool
sub listed
{
	my ($view, $column) = @_;

	return split /\n/, sql($local, "SELECT $column FROM $view WHERE server = 'accounting'");
}
my @events = listed('pool_stats_events', 'event');
cmp_ok(scalar @reasons, '>=', 19, 'the source has close reasons');
is_deeply([ listed('pool_stats_closed', 'reason') ], \@reasons,
	'pool_stats_closed has a row for each close reason of the source');
my @names = source('stats.c') =~ /\[POOL_CLOSE_\w+\] = "(\w+)"/g;
is_deeply(\@names, [ 'none', 'connect_failed', @reasons ],
	'closing_reason of pool_connections has the same names as pool_stats_closed');
is_deeply([ listed('pool_stats_times', 'metric') ], \@things,
	'pool_stats_times has a row for each thing that the source times');
is(join(' ', sort keys %timed), join(' ', sort @things), 'the tests know all that is timed');
cmp_ok(scalar @counts, '>=', 26, 'the source has counters');
foreach my $counter (@counts)
{
	is(scalar(grep { $_ eq $counter } @events, @{ $columns{pool_stats} }), 1,
		"$counter is counted in pool_stats or in pool_stats_events");
}
is(join(' ', grep { my $event = $_; !grep { $_ eq $event } @counts } @events), '',
	'pool_stats_events has only counters of the source');
is_deeply([ sort @counters, 'closed' ], [ sort @counts, map { "closed_$_" } @reasons ],
	'the tests know all that is counted');
foreach my $view ('pool_stats_closed', 'pool_stats_events')
{
	is(sql($local, "SELECT count(*) FROM $view WHERE coalesce(description, '') = ''"), 0,
		"each row of $view has a description");
}

my ($all, $shown, @wrong) = figures_of('postgres', 'accounting', 'public');
is(join("\n", @wrong), '', 'no figure is in two views with different values');
is(join(' ', grep { !exists $shown->{$_} } sort keys %$all),
	'closing limited_by resetting',
	'only closing, limited_by and resetting are in pool_stats_all() and in no view');
is(join(' ', grep { !exists $all->{$_} } sort keys %$shown), '',
	'pool_stats_all() returns all that the views show');


#
# What one looks at first fits a terminal.
#

# width_of_ten(): of the first ten columns, as psql prints them, and the whole
sub width_of_ten
{
	my ($out, $err) = run_command([ 'psql', '-X', '-P', 'pager=off',
			'-d', $local->connstr('postgres'), '-c', 'SELECT * FROM pool_stats ORDER BY server' ]);
	my ($line) = $out =~ /^((?:-+\+){9}-+)\+/m or die "not aligned: $out$err";

	return (length $line, $out);
}

# Pools whose states are long words: one of three is leased, and a breaker is open.
my ($dead, $dead_port) = dead_port();
sql($local, 'CREATE ROLE webshop_app LOGIN');
create_server($local, 'reporting', $remote, for => 'webshop_app',
	options => { %still, port => $dead_port, retry_attempts => 1, breaker_threshold => 1,
		breaker_timeout => '1h' });
sql($local, 'GRANT USAGE ON FOREIGN SERVER reporting TO webshop_app');
my $app = session($local, user => 'webshop_app');
ask($app, 'reporting');
comes_true(q(state = 'failing' AND breaker = 'open' FROM pool_stats WHERE server = 'reporting'));
my ($width, $printed) = width_of_ten();
cmp_ok($width, '<=', 120, "the first ten columns of pool_stats are $width characters wide")
  || diag($printed);
my $lease = acquire($one, 'accounting');
is(call(q(utilization FROM pool_stats WHERE server = 'accounting')), '33.3',
	'utilization is 33.3 while one of three connections is leased');
($width, $printed) = width_of_ten();
like($printed, qr/\| +33\.3 \|/, 'psql prints a utilization of 33.3 with one digit');
cmp_ok($width, '<=', 120,
	"the first ten columns of pool_stats are $width characters wide while utilization is 33.3")
  || diag($printed);
release($one, $lease);

$_->quit foreach $one, $app;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
