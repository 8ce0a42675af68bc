# 014_tls.pl
#	Encrypted remotes: every sslmode means what it means to libpq, nothing is
#	downgraded, and certificates and protocols are those that were asked for.
#	Each case is a server of its own; pool and the remote must agree on how its
#	connection travels.
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

# The remote that has TLS, and one that has not.
my $tls = start_tls_remote($dir, only_tls => 'hostnossl reject', only_plain => 'hostssl reject');
my $plain = start_remote(name => 'plain');
my $local = start_local();

# server(remote, options, how): a new server's name
sub server
{
	my ($remote, $options, %how) = @_;

	return new_server($local, $remote, { retry_attempts => 3, %$options }, %how);
}

# refused(options, pattern, what, how): not connected, for that reason, and not
# tried a second time
sub refused
{
	my ($remote, $options, $pattern, $what, %how) = @_;
	my $name = server($remote, $options, %how);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(transport($local, $name), $pattern, $what);
	is(stat_of($local, 'connect_errors || $$/$$ || connects', $name),
		'1/0', "$what, after one attempt");
	return;
}


# Every mode with a remote that has TLS, and with one that has not.
my %ca = (sslrootcert => "$dir/ca.crt");
my %host = (host => 'localhost', hostaddr => '127.0.0.1');

is(transport($local, server($tls, {})), 'relayed',
	'a server without sslmode uses TLS if the remote has it');
is(transport($local, server($tls, { sslmode => $_->[0] })), $_->[1],
	"sslmode $_->[0] is $_->[1] if the remote has TLS")
  foreach [ 'disable', 'direct' ], [ 'allow', 'direct' ], [ 'prefer', 'relayed' ],
  [ 'require', 'relayed' ];
is(transport($local, server($tls, { %host, %ca, sslmode => $_ })), 'relayed',
	"sslmode $_ is relayed if the remote has TLS")
  foreach 'verify-ca', 'verify-full';
is(transport($local, server($plain, { sslmode => $_ })), 'direct',
	"sslmode $_ is direct if the remote has no TLS")
  foreach 'disable', 'allow', 'prefer';
refused($plain, { sslmode => $_, %ca }, qr/^08001 .*SSL, but SSL was required/s,
	"sslmode $_ is refused if the remote has no TLS")
  foreach 'require', 'verify-ca', 'verify-full';

# The remote's own rules: no fallback but those of the mode.
refused($tls, { sslmode => 'disable' }, qr/^28000 .*no encryption/s,
	'sslmode disable is refused if the remote insists on TLS', user => 'only_tls');
is(transport($local, server($tls, { sslmode => 'allow' }, user => 'only_tls')),
	'relayed', 'sslmode allow uses TLS if the remote insists on it');
is(transport($local, server($tls, { sslmode => 'prefer' }, user => 'only_plain')),
	'direct', 'sslmode prefer does without TLS if the remote refuses it');
refused($tls, { sslmode => 'require' }, qr/^28000 .*SSL encryption/s,
	'sslmode require is refused if the remote refuses TLS', user => 'only_plain');

# Certificates of the remote.
my %other = (sslrootcert => "$dir/other.crt");
refused($tls, { %host, %other, sslmode => $_ }, qr/^08001 .*certificate verify failed/s,
	"sslmode $_ with another CA is refused")
  foreach 'verify-ca', 'verify-full';
refused($tls, { %host, sslrootcert => "$dir/none.crt", sslmode => 'verify-ca' },
	qr/^08001 .*root certificate file .* does not exist/s, 
	'sslmode verify-ca with a file of a CA that is not there is refused');
my %wrong = (host => 'elsewhere.example', hostaddr => '127.0.0.1', %ca);
refused($tls, { %wrong, sslmode => 'verify-full' }, qr/^08001 .*does not match host name/s,
	'sslmode verify-full with another name is refused');
is(transport($local, server($tls, { %wrong, sslmode => 'verify-ca' })),
	'relayed', 'sslmode verify-ca does not look at the name');

# Protocol versions and channel binding.
my $old = server($tls, { ssl_max_protocol_version => 'TLSv1.2' });
is(transport($local, $old), 'relayed', 'a connection with an older protocol is relayed');
is(sql($local, "SELECT DISTINCT tls_version FROM pool_connections WHERE server = '$old'"),
	'TLSv1.2', 'the protocol is the one that was asked for');
is( sql($local,
		"SELECT count(*), sum(length(t)) FROM pool_query('$old',"
		  . " 'select repeat(n::text, 100) from generate_series(1, 100000) n') AS r(t text)"),
	'100000|48889500',
	'a connection with an older protocol passes on large results');
is(transport($local, server($tls, { channel_binding => 'require' })), 'relayed',
	'channel binding works with TLS');
refused($tls, { channel_binding => 'require', sslmode => 'disable' },
	qr/^08001 .*channel binding/s, 'channel binding without TLS is refused');

settled($local);
no_crash($local, $tls, $plain);
done_testing();
