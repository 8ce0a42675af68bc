# 032_statistics_privileges.pl
#	Who sees what: a role sees its own pools in every view and function of the
#	statistics, and of other sessions what pg_stat_activity would show it.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Statistics;
use Test::More;

my ($local, $remote) = start_pools();

sql($local, "CREATE ROLE $_") foreach 'alice LOGIN', 'bob LOGIN', 'team',
  'carol LOGIN IN ROLE team', 'dan LOGIN IN ROLE team', 'dave LOGIN', 'erin LOGIN',
  'stranger LOGIN', 'reader LOGIN IN ROLE pg_read_all_stats';
sql($local, q(CREATE FUNCTION lease_of(server text) RETURNS bigint LANGUAGE plpgsql AS
	$$ BEGIN RETURN pool_acquire(server, hold => true); END $$));
my %owner = (private => 'alice', shared => 'alice', teamed => 'team', common => 'PUBLIC');
create_server($local, $_, $remote, for => $owner{$_},
	options => { %still, max_size => 1, leak_threshold => '1h' })
  foreach sort keys %owner;
my $mapping = "OPTIONS (user 'app', password '$PoolTest::password')";
sql($local, "CREATE USER MAPPING FOR bob SERVER private $mapping;"
	  . "CREATE USER MAPPING FOR bob SERVER shared $mapping;"
	  . 'GRANT USAGE ON FOREIGN SERVER private, shared TO alice, bob;'
	  . 'GRANT USAGE ON FOREIGN SERVER teamed TO team;'
	  . 'GRANT USAGE ON FOREIGN SERVER common TO dave, erin');

# Of each pool but those of "shared" there is who holds its connection, and who waits
# for it.
my %holds_and_waits = (
	'private alice' => [ 'alice', 'alice' ], 'private bob' => [ 'bob', 'bob' ],
	'teamed team' => [ 'dan', 'carol' ], 'common public' => [ 'dave', 'erin' ]);
my @sharing;
foreach my $pool (sort keys %holds_and_waits)
{
	my ($server, $user_name) = split / /, $pool;
	my ($holds, $waits) = map { session($local, user => $_) } @{ $holds_and_waits{$pool} };

	push @sharing, $holds, $waits;
	if ($server eq 'teamed')
	{
		$_->query('SET ROLE team') foreach $holds, $waits;
	}
	like($holds->query("SELECT lease_of('$server')")->{out}, qr/^\d+$/,
		"$holds_and_waits{$pool}[0] holds the connection of the pool $pool");
	$waits->begin("SELECT lease_of('$server')");
	comes_true("waiting = 1 FROM pool_stats WHERE server = '$server' AND user_name = '$user_name'");
}

my %sees = (
	alice => [ 'private alice', 'shared alice' ], bob => [ 'private bob', 'shared bob' ],
	carol => ['teamed team'], dan => ['teamed team'], dave => ['common public'],
	erin => ['common public'], stranger => []);
my %eyes = map { $_ => session($local, user => $_) } keys %sees, 'reader';
is(ask($eyes{$_}, 'shared')->{out}, 1, "$_ uses the server shared") foreach 'alice', 'bob';

my @sources = ((map { "pool_stats$_" } '', '_all()', '_times', '_closed', '_events'),
	'pool_connections', 'pool_waiters', 'pool_histogram()');
my $as_shown = '(v.usename, v.application_name, v.query) IS NOT DISTINCT FROM'
  . ' (a.usename, a.application_name, a.query)';
foreach my $user (sort keys %eyes)
{
	foreach my $from (@sources)
	{
		my $list = "SELECT DISTINCT server || ' ' || user_name FROM $from ORDER BY 1";
		my @should = $user eq 'reader' ? split /\n/, sql($local, $list) : @{ $sees{$user} };

		# Nobody waits for the server shared; and its connections are not held.
		@should = grep { $from ne 'pool_waiters' || $holds_and_waits{$_} } @should;
		is($eyes{$user}->query($list)->{out}, join("\n", @should),
			"$user sees in $from its own pools, which are " . @should);
	}
	foreach my $from ('pool_connections', 'pool_waiters')
	{
		is( $eyes{$user}->query("SELECT bool_and($as_shown)"
				  . " FROM $from v JOIN pg_stat_activity a USING (pid)")->{out},
			$user eq 'stranger' ? '' : 't',
			"$user sees of sessions in $from what pg_stat_activity shows");
	}
}

# Of another's session the process is shown, and not what it does.
foreach my $pool ('teamed team', 'common public')
{
	my ($server) = split / /, $pool;
	my ($holds, $waits) = @{ $holds_and_waits{$pool} };
	my $statement = "SELECT lease_of('$server')";
	my %about = (
		pool_connections => [ $holds, q(, context LIKE 'PL/pgSQL function lease_of%') ],
		pool_waiters => [ $waits, '' ]);

	foreach my $user ($holds, $waits, 'reader')
	{
		foreach my $from (sort keys %about)
		{
			my ($whom, $column) = @{ $about{$from} };
			my $open = $user eq $whom || $user eq 'reader';
			my $place = 2 * (grep { $_ lt $pool } keys %holds_and_waits) + ($whom eq $waits);

			is( $eyes{$user}->query("SELECT pid, usename, split_part(query, E'\\n', 1)$column"
					  . " FROM $from WHERE server = '$server'")->{out},
				join('|', $sharing[$place]->pid, $whom,
					$open ? $statement : '<insufficient privilege>',
					$column ? $open ? 't' : '' : ()),
				"$user sees in $from of ${whom}'s session "
				  . ($open ? 'all of it' : 'the process only'));
		}
	}
}
is((sql_state($local, "SELECT pool_stats_reset($_->[1])", user => $_->[0]))[0], '42501',
	"$_->[0] may not call pool_stats_reset($_->[1])")
  foreach [ 'alice', '' ], [ 'alice', q('private') ], [ 'reader', '' ];

$_->quit foreach @sharing, values %eyes;
settled($local, 'every lease and connection is accounted for');
no_crash($local, $remote);

done_testing();
