# 054_limits_of_roles.pl
#	What one role can take by its user mappings and their sizes: connections and
#	pools up to a limit, and of what is idle no more than a fair share when others
#	wait.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local(
	'pool.max_connections' => 8,
	'pool.max_pools' => 6,
	'pool.workers' => 2);

# owned(role, name, options): a server of that role, which makes a user mapping with
# these sizes for itself
sub owned
{
	my ($role, $name, %options) = @_;
	my $list = join '', map { ", $_ '$options{$_}'" } sort keys %options;

	create_server($local, $name, $remote, options => { acquire_timeout => '60s' });
	sql($local, "ALTER SERVER $name OWNER TO $role");
	sql($local, "CREATE USER MAPPING FOR $role SERVER $name"
		  . " OPTIONS (user 'app', password '$PoolTest::password'$list)",
		user => $role);
	return;
}

# open_of(server): open connections of all its pools
sub open_of
{
	my ($name) = @_;

	return stat_of($local, 'coalesce(sum(open), 0)', $name);
}

sub reload
{
	my (%settings) = @_;

	sql($local, "ALTER SYSTEM SET $_ = $settings{$_}") foreach keys %settings;
	sql($local, 'SELECT pg_reload_conf()');
	return;
}

# prewarm(session, server, connections): how many are open then
sub prewarm
{
	my ($session, $name, $n) = @_;

	return $session->query("SELECT pool_prewarm('$name', $n)", 20)->{out};
}

# leases(session, server, n): so many
sub leases
{
	my ($session, $name, $n) = @_;

	return split /\n/, $session->query("SELECT pool_acquire('$name', hold => true)"
		  . " FROM generate_series(1, $n)", 20)->{out};
}

sql($local, "CREATE ROLE $_ LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER pool TO $_")
  foreach 'greedy', 'modest';
my ($greedy, $modest) = map { session($local, user => $_) } 'greedy', 'modest';
my $super = session($local);

#
# Connections of a role
#
owned('greedy', 'big', min_size => 100, max_size => 100);
owned('modest', 'small');
is(prewarm($greedy, 'big', 100), '4',
	'by default a role can have half of pool.max_connections, whatever its sizes say,'
	  . ' and pool_prewarm() does not wait for more');
is($modest->query(pid_query('small'), 20)->{state}, '00000',
	'another role has a place when one role has as many as it may');
owned('greedy', 'more');
is($greedy->query(pid_query('more'), 20)->{state}, '00000',
	'a role that has all its connections gets one for another pool');
is(open_of('big') + open_of('more'), 4,
	'a role has no more connections when it uses another pool');
my @leases = (leases($greedy, 'big', 3), leases($greedy, 'more', 1));
is(scalar @leases, 4, 'a role can lease all its connections');
$greedy->query(q(SET pool.acquire_timeout = '300ms'));
is($greedy->query(pid_query($_), 20)->{state}, '53300',
	"a role that has leased all its connections waits for another one to server $_")
  foreach 'big', 'more';
$greedy->query('RESET pool.acquire_timeout');
is($modest->query(pid_query('small'), 20)->{state}, '00000', 'another role goes on meanwhile');

# A user mapping FOR PUBLIC counts as the owner's of the server.
sql($local, "CREATE USER MAPPING FOR PUBLIC SERVER more"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER more TO modest');
$modest->query(q(SET pool.acquire_timeout = '300ms'));
is($modest->query(pid_query('more'), 20)->{state}, '53300',
	'a user mapping FOR PUBLIC counts as one of the owner of the server');
$modest->query('RESET pool.acquire_timeout');
sql($local, 'ALTER ROLE greedy SUPERUSER');
is($modest->query(pid_query('more'), 20)->{state}, '00000',
	'a role that becomes a superuser has no limit any more');
sql($local, 'ALTER ROLE greedy NOSUPERUSER');
$greedy->query("SELECT pool_release($_)") foreach @leases;
sql($local, 'DROP SERVER more CASCADE');

# The setting
reload('pool.max_role_connections' => 5);
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'big'), 5,
	'a higher pool.max_role_connections takes effect at a reload');
reload('pool.max_role_connections' => 0);
wait_for_value($local, q(SELECT open FROM pool_stats WHERE server = 'big'), 7,
	'with pool.max_role_connections 0 there is no limit but pool.max_connections', seconds => 20);
reload('pool.max_role_connections' => -1);
sql($local, 'DROP SERVER big CASCADE');
create_server($local, 'ours', $remote, options => { max_size => 8 });
wait_for_value($local, q(SELECT count(*) FROM pool_connections WHERE server = 'big'), 0,
	'the connections of the greedy role are closed');
is(prewarm($super, 'ours', 7), '7', 'the user mapping of a superuser has no limit');

owned('greedy', 'soon');
sql($local, q(SELECT pool_close('ours')));
is(prewarm($greedy, 'soon', 4), '4', 'pool_prewarm() waits for places that are just becoming free');

#
# The sizes of a user mapping
#
create_server($local, 'ceiling', $remote, for => 'modest', options => { max_size => 3 });
sql($local, 'GRANT USAGE ON FOREIGN SERVER ceiling TO modest');
foreach my $case (
	[ q(ADD min_size '2', ADD max_size '50'), '2 3', 'a user mapping cannot raise max_size' ],
	[ q(SET min_size '40'), '3 3', 'nor keep more connections by a min_size' ],
	[ q(DROP min_size, SET max_size '2'), '0 2', 'a user mapping can lower max_size' ])
{
	my ($change, $sizes, $what) = @$case;

	sql($local, "ALTER USER MAPPING FOR modest SERVER ceiling OPTIONS ($change)", user => 'modest');
	$modest->query(q(SELECT pool_prewarm('ceiling', 0)));
	is(stat_of($local, q(min_size || ' ' || max_size), 'ceiling'), $sizes,
		"$what that the server names");
}
sql($local, "DROP SERVER $_ CASCADE") foreach 'ceiling', 'ours', 'soon', 'small';
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0, 'all places are free');

#
# A fair share of what is idle.  The hog keeps all places by its min_size, and is
# exempt from the limits of roles.
#
# pair(hog options, late options): the two servers
sub fair_share
{
	my ($hog, $late, $hog_role, $late_role, $places) = @_;
	my $share = $places / 2;
	my $sessions = session($local, user => $late_role);
	my $hogs = session($local, user => $hog_role);
	my $counts = "SELECT string_agg(user_name || server || open, ' ' ORDER BY user_name, server)"
	  . " FROM pool_stats WHERE server IN ('$hog', '$late')";

	is(prewarm($hogs, $hog, $places), $places, "$hog: one pool keeps all places");
	my @late = leases($sessions, $late, $share);
	is(scalar @late, $share, "$late: a pool gets its share of the places");
	my @hog = leases($hogs, $hog, $share);
	is(scalar @hog, $share, "$hog: the pool that kept all places has its share left");

	# Both wait for more than their share now, and neither gets it from the other.
	my $before = sql($local, $counts);
	my $evicted = sql($local, 'SELECT sum(closed_evicted) FROM pool_stats_all()');
	my @waiting = map { session($local, user => $_) } $hog_role, $late_role;
	$_->query(q(SET pool.acquire_timeout = '1s')) foreach @waiting;
	$waiting[0]->begin(pid_query($hog));
	$waiting[1]->begin(pid_query($late));
	is($_->result(20)->{state}, '53300', 'what is leased is not evicted') foreach @waiting;
	$sessions->query("SELECT pool_release($_)") foreach @late;
	$hogs->query("SELECT pool_release($_)") foreach @hog;
	$_->query('RESET pool.acquire_timeout') foreach @waiting;
	is($_->query($_ == $waiting[0] ? pid_query($hog) : pid_query($late), 20)->{state},
		'00000', 'each pool serves its own sessions from its share')
	  foreach @waiting;
	is(sql($local, $counts), $before, 'each pool has its share');
	is(sql($local, 'SELECT sum(closed_evicted) FROM pool_stats_all()'), $evicted,
		'no pool goes on taking places from the other');
	$_->quit foreach @waiting, $sessions, $hogs;
	return;
}

create_server($local, 'hog', $remote,
	options => { min_size => 8, max_size => 8, acquire_timeout => '60s' });
create_server($local, 'late', $remote,
	options => { min_size => 8, max_size => 8, acquire_timeout => '60s' });
my $me = sql($local, 'SELECT current_user');
fair_share('hog', 'late', $me, $me, 8);
sql($local, 'DROP SERVER hog CASCADE; DROP SERVER late CASCADE');
wait_for_value($local, 'SELECT count(*) FROM pool_connections', 0, 'all places are free again');

create_server($local, 'common', $remote, for => 'greedy',
	options => { min_size => 4, max_size => 4, max_server_size => 4, acquire_timeout => '60s' });
sql($local, "CREATE USER MAPPING FOR modest SERVER common"
	  . " OPTIONS (user 'app', password '$PoolTest::password');"
	  . 'GRANT USAGE ON FOREIGN SERVER common TO greedy, modest');
fair_share('common', 'common', 'greedy', 'modest', 4);
sql($local, 'DROP SERVER common CASCADE');

#
# Pools of a role
#
owned('greedy', "g$_", min_size => 1) foreach 1 .. 4;
owned('modest', 'm1');
is($greedy->query(pid_query("g$_"), 20)->{state}, '00000',
	"by default a role can have half of pool.max_pools: pool $_")
  foreach 1 .. 3;
my $answer = $greedy->query(pid_query('g4'), 20);
like($answer->{err},
	qr/53400: no room for another pool of role "greedy".*All 3 pools that pool\.max_role_pools/s,
	'a role that has half of all pools is refused another one');
is($modest->query(pid_query('m1'), 20)->{state}, '00000', 'another role has room for a pool then');
is($super->query(pid_query('g4'), 20)->{state}, '00000',
	'the user mapping of a superuser has room for a pool then');
sql($local, "ALTER USER MAPPING FOR greedy SERVER g1 OPTIONS (SET min_size '0')", user => 'greedy');
$greedy->query(q(SELECT pool_prewarm('g1', 0)));
sql($local, q(SELECT pool_reconnect('g1')));
wait_for_value($local, q(SELECT open + connecting + closing FROM pool_stats_all()
	WHERE server = 'g1'), 0, 'a pool of the role has no connections any more');
is($greedy->query(pid_query('g4'), 20)->{state}, '00000',
	'a pool without connections makes room for another one of its role');
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE server = 'g1')), 0,
	'the pool without connections is gone');
reload('pool.max_role_pools' => 0);
ok( wait_until(20, sub { $greedy->query(pid_query('g1'), 20)->{state} eq '00000' }),
	'with pool.max_role_pools 0 there is no limit but pool.max_pools');

$_->quit foreach $greedy, $modest, $super;
settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
