# 102_security_identity.pl
#	What belongs to the operating system's user who runs the server is not for its
#	roles: no peer authentication, no password file, no service file, no variable of
#	the environment, no certificate speaks for them, whatever the options and the
#	remote say.  The traps are real here: each would let them in, and lets in a
#	superuser.
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
my $port = $remote->port;
my $home = PostgreSQL::Test::Utils::tempdir;
my ($user) = getpwuid $<;

# What lies in the home directory of that user
mkdir "$home/.postgresql" or die "mkdir: $!";
append_to_file("$home/.pgpass", "*:*:*:app:$PoolTest::password\n");
chmod 0600, "$home/.pgpass";
append_to_file("$home/.pg_service.conf", <<"CONF");
[remote]
host=127.0.0.1
port=$port
dbname=far
user=app
password=$PoolTest::password
CONF
my $local = start_local();
$local->stop;
{
	local %ENV = (
		%ENV,
		HOME => $home,
		PGHOST => '127.0.0.1',
		PGUSER => 'app',
		PGPASSWORD => $PoolTest::password,
		PGPASSFILE => "$home/.pgpass",
		PGSERVICEFILE => "$home/.pg_service.conf",
		PGSYSCONFDIR => $home);
	$local->start;
}
my $sockets = $remote->host;

# The remote believes the system who comes by its socket, and has a role of that name.
PoolTest::hba($remote, 'scram-sha-256', 'local far,postgres os_user peer map=os',
	'local all all trust');
append_to_file($remote->data_dir . '/pg_ident.conf', "os $user os_user\n");
sql($remote, 'CREATE ROLE os_user LOGIN');
$remote->reload;
sql($local, 'CREATE ROLE alice LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER pool TO alice');

# who(options, mapping): as whom the remote lets in a superuser, and alice, or the
# SQLSTATE; by a server with these options and a mapping for both
my $number = 0;
sub who
{
	my ($options, $mapping) = @_;
	my $name = 'server' . ++$number;
	my %result;

	sql($local, "CREATE SERVER $name FOREIGN DATA WRAPPER pool OPTIONS ($options,"
		  . " retry_attempts '0', breaker_threshold '0');"
		  . "CREATE USER MAPPING FOR PUBLIC SERVER $name OPTIONS ($mapping);"
		  . "GRANT USAGE ON FOREIGN SERVER $name TO alice");
	foreach my $role ('alice', 'super')
	{
		my ($state, $err, $out) = sql_state($local,
			"SELECT u FROM pool_query('$name', 'select session_user') AS t(u text)",
			$role eq 'alice' ? (user => $role) : ());

		$result{$role} = $out || $state;
	}
	sql($local, "DROP SERVER $name CASCADE");
	return "$result{super} $result{alice}";
}

my $tcp = "host '127.0.0.1', port '$port', dbname 'far'";
my $by_socket = "host '$sockets', port '$port', dbname 'far'";

# The socket: who the system says that one is
is(who($by_socket, q(user 'os_user')), 'os_user 2F003',
	'peer authentication is for a superuser, and refused without a password');
is(who($by_socket, q(user 'os_user', password 'x')), 'os_user 2F003',
	'peer authentication is refused with a password that nobody asks for');
is(who("$by_socket, requirepeer '$user'", q(user 'os_user', password 'x')), 'os_user 2F003',
	'peer authentication is refused with requirepeer, too');
is(who($by_socket, q(user 'app', password 'x')), 'app 2F003',
	'a socket that trusts everybody is refused, too');

# The password file
is(who($tcp, q(user 'app')), 'app 2F003',
	'the password file is for a superuser, and refused without a password');
is(who($tcp, q(user 'app', password '')), 'app 2F003',
	'the password file is refused with an empty password');
is(who($tcp, q(user 'app', password 'x')), '28P01 28P01',
	'the password file is not looked at where there is a password');
is(who("$tcp, passfile '$home/.pgpass'", q(user 'app', password 'x')), '28P01 28P01',
	'nor is one that the server names');
is(who("$tcp, passfile '$home/nothing'", q(user 'app')), '08001 2F003',
	'a superuser can be led to another password file by the server, and needs a password');

# The service file
is(who(q(service 'remote', gssencmode 'disable'), q(password 'x', user 'app')),
	'28P01 08001', 'a service is for a superuser; others do not even learn its host');
is(who(q(service 'remote', gssencmode 'disable'), q(user 'app')), 'app 2F003',
	'a service has a password for a superuser, and none for others');

# Two hosts: the first asks for the password and is not the one that is wanted, the
# second lets everybody in.  What the first has asked for is no proof for the second.
my $trusting = start_remote(name => 'trusting');
PoolTest::hba($trusting, 'trust');
$trusting->reload;
sql($remote, 'ALTER ROLE app SET default_transaction_read_only = on');
my $both = "host '127.0.0.1,127.0.0.1', port '$port," . $trusting->port . "', dbname 'far'";
is(who("$both, target_session_attrs 'read-write'", "user 'app', password '$PoolTest::password'"),
	'app 2F003', 'a host that trusts everybody is refused after one that asked for the password');
is(who($both, "user 'app', password '$PoolTest::password'"), 'app app',
	'the one that asks is not');

# The environment
is(who($tcp, q(user 'os_user', password 'x')), '28P01 28P01',
	'no variable says who one is, or with which password');

no_crash($local, $remote, $trusting);
done_testing();
