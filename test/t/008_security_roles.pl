# 008_security_roles.pl
#	Who may use what: USAGE and the user's own mapping, nothing else; with a
#	password that the remote has asked for; and what each role sees in the views.
#	Two roles and a superuser try what is theirs and what is not.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Security;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_security_pair();
my $me = q(SELECT u FROM pool_query('srv', 'select current_user') AS r(u text));

#
# USAGE and mappings
#
my %mapping = (
	alice => "user 'far_alice', password '$canary'",
	bob => "user 'far_bob', password '$canary-bob'");
is(sql($local, $me), 'app', 'a superuser connects by its own mapping');
refused($local, 'pool_query() is refused without USAGE', '42501', $me, user => 'alice');
refused($local, 'pool_acquire() is refused without USAGE', '42501',
	q(SELECT pool_acquire('srv')), user => 'alice');
refused($local, 'pool_prewarm() is refused without USAGE', '42501',
	q(SELECT pool_prewarm('srv', 1)), user => 'alice');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
refused($local, 'pool_query() is refused without a mapping', '42704', $me, user => 'alice');
refused($local, 'pool_prewarm() is refused without a mapping', '42704',
	q(SELECT pool_prewarm('srv', 1)), user => 'alice');
sql($local, "CREATE USER MAPPING FOR $_ SERVER srv OPTIONS ($mapping{$_})")
  foreach 'alice', 'bob';
refused($local, 'a role with a mapping is refused without USAGE', '42501', $me, user => 'bob');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO bob');

my %session = map { $_ => session($local, user => $_) } 'alice', 'bob';
my $root = session($local);

# Nobody gets a second connection while the worker resets the one that there is.
sql($local, q(ALTER SERVER srv OPTIONS (ADD max_size '1')));
foreach my $turn (1 .. 5)
{
	is($session{alice}->query($me)->{out}, 'far_alice',
		"turn $turn: alice is connected as far_alice");
	is($session{bob}->query($me)->{out}, 'far_bob', "turn $turn: bob is connected as far_bob");
	is($root->query($me)->{out}, 'app', "turn $turn: the superuser is connected as app");
}
is(sql($local, q(SELECT count(*) FROM pool_stats WHERE open = 1)), 3,
	'three roles have three pools of one connection');
sql($local, q(ALTER SERVER srv OPTIONS (DROP max_size)));

sql($local, 'DROP USER MAPPING FOR alice SERVER srv');
refused($local, 'a role whose mapping was dropped is refused', '42704', $me, user => 'alice');
is($session{alice}->query($me)->{state}, '42704',
	'a session that has used a mapping is refused when it was dropped');
sql($local, "CREATE USER MAPPING FOR alice SERVER srv OPTIONS ($mapping{alice})");
sql($local, 'REVOKE USAGE ON FOREIGN SERVER srv FROM alice');
is($session{alice}->query($me)->{state}, '42501',
	'a session is refused when USAGE was revoked');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
is($session{alice}->query($me)->{out}, 'far_alice',
	'a session gets an answer when USAGE is granted again');

# A session that is one role after the other by SET ROLE
my $lease = $root->query(q(SET ROLE alice; SELECT pool_acquire('srv', hold => true)))->{out};
my $who = "SELECT u FROM pool_query($lease, 'select current_user') AS r(u text)";
is($root->query($who)->{out}, 'far_alice', 'alice uses her lease after SET ROLE');
my $result = $root->query("SET ROLE bob; $who");
is($result->{state}, '42501', 'a lease of alice is refused to bob in the same session')
  or diag($result->{out});
is($root->query($me)->{out}, 'far_bob', 'bob is connected as far_bob after SET ROLE');
foreach my $function ('pool_query_json', 'pool_exec')
{
	is($root->query("SELECT $function($lease, 'select 1')")->{state},
		'42501', "$function() refuses a lease of alice to bob in the same session");
}
is($root->query("SET ROLE alice; $who")->{out}, 'far_alice',
	'alice goes on with her lease after bob was refused');
$root->query("SELECT pool_release($lease); RESET ROLE");

# Another session's lease
$lease = $session{alice}->acquire('srv');
foreach my $statement ("SELECT pool_query($lease, 'select 1')", "SELECT pool_release($lease)")
{
	$result = $session{bob}->query($statement);
	isnt($result->{state}, '00000',
		"a lease is refused to another role's session: $result->{state}");
	$result = $root->query($statement);
	isnt($result->{state}, '00000',
		"a lease is refused to a superuser's session: $result->{state}");
}
is($session{alice}->query("SELECT t FROM pool_query($lease, 'select 5') AS r(t int)")->{out},
	'5', 'a lease is not disturbed by others that were refused');
$session{alice}->release($lease);

# SECURITY DEFINER: its owner's mapping and rights
sql($local, 'GRANT CREATE ON SCHEMA public TO alice');
sql($local, <<'SQL', user => 'alice');
CREATE FUNCTION public.as_alice() RETURNS text LANGUAGE sql SECURITY DEFINER
SET search_path = public, pg_temp
AS $$ SELECT u FROM pool_query('srv', 'select current_user') AS r(u text) $$;
CREATE FUNCTION public.lease_of_alice() RETURNS bigint LANGUAGE sql SECURITY DEFINER
AS $$ SELECT public.pool_acquire('srv', hold => true) $$;
SQL
is($session{bob}->query('SELECT as_alice()')->{out}, 'far_alice',
	'a SECURITY DEFINER function connects as its owner');
is($session{bob}->query($me)->{out}, 'far_bob',
	'bob is connected as far_bob after the SECURITY DEFINER function');
$lease = $session{bob}->query('SELECT lease_of_alice()')->{out};
$result = $session{bob}->query(
	"SELECT u FROM pool_query($lease, 'select current_user') AS r(u text)");
is($result->{state}, '42501',
	'a lease begun in a SECURITY DEFINER function is refused to the caller')
  or diag($result->{out});
$session{bob}->quit;
sql($local, 'REVOKE USAGE ON FOREIGN SERVER srv FROM bob');
is(sql($local, 'SELECT as_alice()', user => 'bob'), 'far_alice',
	'the caller of a SECURITY DEFINER function needs no USAGE');
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO bob');

#
# The password must be there, and used
#
sql($local, 'GRANT USAGE ON FOREIGN DATA WRAPPER pool TO alice');
my $trusting = 'CREATE SERVER trusting FOREIGN DATA WRAPPER pool OPTIONS '
  . "(host '127.0.0.1', port '" . $remote->port . "', dbname 'postgres', retry_attempts '0')";
sql($local, $trusting, user => 'alice');
(my $trusted = $me) =~ s/srv/trusting/;
sql($local, q(CREATE USER MAPPING FOR alice SERVER trusting OPTIONS (user 'trusted')),
	user => 'alice');
refused($local, 'a mapping without a password is refused', '2F003', $trusted, user => 'alice');
sql($local, q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password '')),
	user => 'alice');
refused($local, 'an empty password is refused', '2F003', $trusted, user => 'alice');
is(sql($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'trusted')),
	0, 'no session on the remote was begun without a password');
sql($local, "ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (SET password '$canary')",
	user => 'alice');
refused($local, 'a password that the remote does not ask for is refused', '2F003', $trusted,
	user => 'alice');
refused($local, 'a password that the remote does not ask for is refused again', '2F003', $trusted,
	user => 'alice');
wait_for_value($remote, q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'trusted'),
	0, 'a connection that needed no password is not kept');
refused($local, 'password_required is not for a role to set to false', '42501',
	q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password_required 'false')),
	user => 'alice');
refused($local, 'password_required is not for a role to set in a new mapping', '42501', q(BEGIN;
	DROP USER MAPPING FOR alice SERVER trusting;
	CREATE USER MAPPING FOR alice SERVER trusting
		OPTIONS (user 'trusted', password_required 'false')),
	user => 'alice');
sql($local, q(CREATE USER MAPPING FOR CURRENT_USER SERVER trusting OPTIONS (user 'trusted')));
is(sql($local, $trusted), 'trusted', 'a superuser needs no password');
refused($local, 'the connection of a superuser does not serve alice', '2F003', $trusted,
	user => 'alice');
sql($local,
	q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (ADD password_required 'false')));
is(sql($local, $trusted, user => 'alice'), 'trusted',
	'a role needs no password when a superuser set password_required to false');
sql($local, q(ALTER USER MAPPING FOR alice SERVER trusting OPTIONS (DROP password_required)));
refused($local, 'a role needs a password when password_required is dropped', '2F003', $trusted,
	user => 'alice');
sql($local, 'DROP SERVER trusting CASCADE');

#
# Views
#
is($session{alice}->query('SELECT DISTINCT user_name FROM pool_stats')->{out},
	'alice', 'a role sees only its own pools in pool_stats');
is($session{alice}->query('SELECT DISTINCT user_name FROM pool_connections')->{out},
	'alice', 'a role sees only its own connections in pool_connections');
sql($local, 'GRANT pg_read_all_stats TO bob');
foreach my $view ('pool_stats', 'pool_connections')
{
	my $all = "SELECT string_agg(DISTINCT user_name, ' ' ORDER BY user_name) FROM $view"
	  . " WHERE server = 'srv'";
	is(sql($local, $all, user => 'bob'), sql($local, $all),
		"pg_read_all_stats sees all rows of $view");
	like(sql($local, $all, user => 'bob'), qr/alice bob \w+/,
		"the rows of $view are of several roles");
}
refused($local, 'pool_stats cannot be written', '42501|55000', 'DELETE FROM pool_stats',
	user => 'alice');

#
# A password that fails is not shown either.
#
sql($remote, q(ALTER ROLE far_alice PASSWORD 'changed'));
sql($local, "ALTER USER MAPPING FOR alice SERVER srv OPTIONS (SET password '$canary-x')");
$result = $session{alice}->query($me);
is($result->{state}, '28P01', 'a session with a wrong password is refused');
keep_error($result->{err});
$session{alice}->quit;
$root->quit;
settled($local);

no_password_shown($local, $remote);
no_crash($local, $remote);
done_testing();
