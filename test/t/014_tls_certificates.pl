# 014_tls_certificates.pl
#	Certificates of clients speak only for those who may have them: a mapping that
#	a superuser made, with a password that the remote asks for, and never the files
#	in the home directory of the server's user.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Tls;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = make_certificates();
my $tls = start_tls_remote($dir,
	app_cert => 'hostssl cert map=lent',
	by_both => 'hostssl scram-sha-256 clientcert=verify-ca');
my $local = start_local();

append_to_file($tls->data_dir . '/pg_ident.conf', "lent app app_cert\n");
$tls->reload;
sql($local, 'CREATE ROLE clerk LOGIN');

# Certificates of clients: a superuser may lend one to a mapping.
my %client = (sslcert => "$dir/client.crt", sslkey => "$dir/client.key");

# with_mapping(server, role, mapping options): a mapping with these
sub with_mapping
{
	my ($name, $role, %options) = @_;
	my $list = join ', ', map { "$_ '$options{$_}'" } sort keys %options;

	sql($local, "DROP USER MAPPING IF EXISTS FOR $role SERVER $name;"
		  . "CREATE USER MAPPING FOR $role SERVER $name OPTIONS ($list)");
	return;
}

# as(role, server): what becomes of a query
sub as
{
	my ($role, $name) = @_;
	my ($state, $err) =
	  sql_state($local, "SELECT pool_query('$name', 'select 1')", user => $role);

	return "$state $err";
}

my $lent = new_server($local, $tls, { sslmode => 'require', retry_attempts => 3 });
sql($local, "GRANT USAGE ON FOREIGN SERVER $lent TO clerk");
with_mapping($lent, 'postgres', user => 'app_cert', %client);
is(as('postgres', $lent), '00000 ',
	'a superuser connects with a certificate instead of a password');
with_mapping($lent, 'postgres', user => 'app_cert');
like(as('postgres', $lent), qr/^28000 .*client certificate/s,
	'a mapping without the certificate is refused');
with_mapping($lent, 'clerk', user => 'by_both', password => $PoolTest::password, %client);
is(as('clerk', $lent), '00000 ', 'a certificate can be lent to a role that shows a password, too');
with_mapping($lent, 'clerk', user => 'app_cert', password => $PoolTest::password, %client);
like(as('clerk', $lent), qr/^2F003 .*password is required/s,
	'a role with a lent certificate whose password nobody asks for is refused');
with_mapping($lent, 'clerk', user => 'app_cert', password_required => 'false', %client);
is(as('clerk', $lent), '00000 ',
	'a role with a lent certificate needs no password if a superuser says so');

sql($local, "CREATE ROLE owner LOGIN; ALTER SERVER $lent OWNER TO owner;"
	  . 'GRANT USAGE ON FOREIGN DATA WRAPPER pool TO owner');
is( (   sql_state($local,
			"CREATE USER MAPPING FOR owner SERVER $lent OPTIONS"
			  . " (user 'by_both', password 'x', $_ '$client{$_}')",
			user => 'owner'))[0],
	'42501',
	"only a superuser may set $_ in a mapping")
  foreach sort keys %client;

# What lies in the home directory of the server's user is not lent to others.
my $home = "$ENV{HOME}/.postgresql";
mkdir $home;
system_or_bail('cp', "$dir/client.$_", "$home/postgresql.$_") foreach 'crt', 'key';
my $default = new_server($local, $tls, { sslmode => 'require', retry_attempts => 3 },
	user => 'by_both');
sql($local, "GRANT USAGE ON FOREIGN SERVER $default TO clerk");
with_mapping($default, 'clerk', user => 'by_both', password => $PoolTest::password);
is(as('postgres', $default), '00000 ', 'the default certificate serves a superuser');
like(as('clerk', $default), qr/^28000 .*client certificate/s,
	'the default certificate does not serve another role');
with_mapping($default, 'clerk', user => 'by_both', password => $PoolTest::password,
	password_required => 'false');
is(as('clerk', $default), '00000 ',
	'the default certificate serves a role whose mapping a superuser trusts');
unlink glob "$home/*";
rmdir $home;

settled($local);
no_crash($local, $tls);
done_testing();
