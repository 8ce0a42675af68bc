# 093_keys_of_pools.pl
#	Whose pool it is: not that of a superuser who needs no password, not that of a
#	role whose membership is over, not that of the same server in a copy of the
#	database; and who the user on the remote is, whatever the rows say that another
#	wrapper let somebody write.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Security;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_security_pair();
my $options = "host '127.0.0.1', port '" . $remote->port . "', dbname 'postgres',"
  . q( retry_attempts '0');

# who(server): asks for the user on the remote
sub who
{
	my ($server) = @_;

	return "SELECT u FROM pool_query('$server', 'select current_user') AS r(u text)";
}

#
# A mapping FOR PUBLIC, and a remote that asks for no password: a superuser may have
# that connection, and nobody else.
#
sql($local, <<"SQL");
CREATE SERVER open FOREIGN DATA WRAPPER pool OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER open OPTIONS (user 'trusted', password '$canary');
GRANT USAGE ON FOREIGN SERVER open TO alice;
SQL
is(sql($local, who('open')), 'trusted', 'a superuser is connected without the password');
refused($local, 'the connection of a superuser does not serve a role by the same mapping', '2F003',
	who('open'), user => 'alice');
is(sql($local, who('open')), 'trusted', 'the superuser is served as before');
is(sql($local, q(SELECT string_agg(connects || '/' || open, ' ' ORDER BY connects DESC)
	FROM pool_stats WHERE server = 'open')),
	'1/1 0/0', 'the mapping has two pools, and only that of the superuser a connection');

#
# USAGE by membership: its end is seen by a session that has used the server.
#
sql($local, <<"SQL");
CREATE ROLE users;
GRANT USAGE ON FOREIGN SERVER srv TO users;
GRANT users TO alice;
CREATE USER MAPPING FOR alice SERVER srv OPTIONS (user 'far_alice', password '$canary');
SQL
my $session = session($local, user => 'alice');
is($session->query(who('srv'))->{out}, 'far_alice', 'a member of a role has its USAGE');
sql($local, 'REVOKE users FROM alice');
is($session->query(who('srv'))->{state}, '42501',
	'a session is refused when its role is no member any more');
$session->quit;

#
# A pool that was dropped is not found again, though somebody has a lease of it and
# its key is what it was: with and without a password, and with one again.
#
sql($local, 'GRANT USAGE ON FOREIGN SERVER srv TO alice');
$session = session($local, user => 'alice');
my $lease = $session->acquire('srv');
foreach my $change (q(ADD password_required 'false'), q(SET password_required 'true'))
{
	sql($local, "ALTER USER MAPPING FOR alice SERVER srv OPTIONS ($change)");
	is(sql($local, q(SET pool.acquire_timeout = '10s'; ) . who('srv'), user => 'alice'),
		'far_alice', "a role has a pool after $change");
}
$session->query("SELECT pool_release($lease)");
$session->quit;

#
# A longer name is not that of a server.
#
my $name = 's' x 63;
create_server($local, $name, $remote, user => 'app');
$session = session($local);
is($session->query(who($name))->{out}, 'app', 'a server has a name of 63 bytes');
is($session->query(who($name . 's'))->{state}, '42704',
	'a name that begins with that of a server is not found, by who knows the server, too');
$session->quit;

#
# The user on the remote: not that of the operating system who runs the server
#
sql($remote, "CREATE ROLE chief LOGIN PASSWORD '$canary'; GRANT CONNECT ON DATABASE far TO chief");
sql($local, <<"SQL");
CREATE ROLE chief SUPERUSER LOGIN;
CREATE USER MAPPING FOR chief SERVER srv OPTIONS (password '$canary');
CREATE SERVER nobody FOREIGN DATA WRAPPER pool OPTIONS ($options);
CREATE USER MAPPING FOR PUBLIC SERVER nobody OPTIONS (password '$canary');
SQL
is(sql($local, who('srv'), user => 'chief'), 'chief',
	'a mapping without a user has the name of its role');
refused($local, 'a mapping FOR PUBLIC without a user is refused', 'HV00J', who('nobody'));

# A service speaks for who runs the server, and so for superusers only.
sql($local, <<"SQL");
CREATE SERVER service FOREIGN DATA WRAPPER pool
	OPTIONS ($options, service 'nowhere', gssencmode 'disable');
CREATE USER MAPPING FOR alice SERVER service OPTIONS (user 'far_alice', password '$canary');
CREATE USER MAPPING FOR CURRENT_USER SERVER service OPTIONS (user 'far_alice', password '$canary');
GRANT USAGE ON FOREIGN SERVER service TO alice;
SQL
is(sql($local, who('service'), user => 'alice'), 'far_alice',
	'a service is not looked up for a role that needs a password');
like(refused($local, 'a service is looked up for a superuser', '08001', who('service')),
	qr/service/, 'the error of a service that is not found names it');

#
# What was written when nobody looked at it: a wrapper that had no validator gets one.
#
my $written = "user 'trusted', password_required 'false'";
sql($local, <<"SQL");
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE FOREIGN DATA WRAPPER lax;
GRANT USAGE ON FOREIGN DATA WRAPPER lax TO alice;
SQL
sql($local, <<"SQL", user => 'alice');
CREATE SERVER lax FOREIGN DATA WRAPPER lax OPTIONS (host '127.0.0.1',
	port '@{[ $remote->port ]}', dbname 'far', "user" 'trusted', password '$canary-bob');
CREATE USER MAPPING FOR alice SERVER lax OPTIONS ($written);
CREATE SERVER astray FOREIGN DATA WRAPPER lax OPTIONS (host '127.0.0.1',
	port '@{[ $remote->port ]}', dbname 'far', "user" 'trusted', password '$canary-bob');
CREATE USER MAPPING FOR alice SERVER astray OPTIONS (user 'far_alice', password '$canary',
	host '192.0.2.1', dbname 'nowhere', reset_query 'select 1/0');
SQL
refused($local, 'servers of a wrapper without a validator are refused', '0A000', who('lax'),
	user => 'alice');
sql($local, 'ALTER FOREIGN DATA WRAPPER lax VALIDATOR dblink_fdw_validator');
refused($local, 'password_required that a role can have written is not heeded', '2F003',
	who('lax'), user => 'alice');
is(sql($local, who('astray'), user => 'alice'), 'far_alice',
	'options that do not belong on a server or a mapping are not heeded');
is(sql($local, who('astray'), user => 'alice'), 'far_alice',
	'nor are options of the pool that do not belong on a mapping');

#
# A copy of a database has servers and mappings of the same numbers.
#
sql($local, 'CREATE DATABASE one');
sql($local, 'CREATE EXTENSION pool', db => 'one');
sql($remote, 'CREATE DATABASE far2 OWNER app');
create_server($local, 'same', $remote, db => 'one', user => 'app', options => { max_size => 2 });
sql($local, 'CREATE DATABASE two TEMPLATE one');
sql($local, q(ALTER SERVER same OPTIONS (SET dbname 'far2')), db => 'two');
my $where = q(SELECT d FROM pool_query('same', 'select current_database()') AS r(d text));
my %there = (one => 'far', two => 'far2');
foreach my $turn (1, 2)
{
	is(sql($local, $where, db => $_), $there{$_},
		"turn $turn: a copy of a database has pools of its own, seen from $_")
	  foreach 'one', 'two';
}
my $open = q(SELECT string_agg(database || ' ' || open, ', ' ORDER BY database)
	FROM pool_stats WHERE server = 'same');
is(sql($local, q(SELECT pool_close('same')), db => 'two'), 1,
	'pool_close() closes the connections of its own database');
wait_for_value($local, $open, 'one 1, two 0',
	'connections of the same server in another database stay');
is(sql($local, q(SELECT count(DISTINCT database) FROM pool_histogram('same', 1)), db => 'two'), 1,
	'pool_histogram() shows a server of its own database');

# Each has a place of its own by max_server_size.
sql($local, q(ALTER SERVER same OPTIONS (ADD max_server_size '1')), db => $_)
  foreach 'one', 'two';
my $holder = session($local, db => 'one');
$holder->acquire('same');
is(sql($local, "SET pool.acquire_timeout = '20s'; $where", db => 'two'), 'far2',
	'max_server_size does not count connections of another database');
$holder->quit;
sql($local, 'DROP SERVER same CASCADE', db => 'two');
wait_for_value($local, $open, 'one 1',
	'a server that is dropped in a copy stays in the other database');

settled($local);
no_password_shown($local, $remote);
no_crash($local, $remote);
done_testing();
