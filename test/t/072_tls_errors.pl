# 072_tls_errors.pl
#	OpenSSL keeps errors in one queue for all connections of a worker.  What one
#	server's certificates lack is not told to those who use another server.
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
my $tls = start_tls_remote($dir);
my $local = start_local();

# Three files that are not what they should be, each in a way of its own.
append_to_file("$dir/garbage.key", 'neither a key nor anything else');
append_to_file("$dir/broken.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
append_to_file("$dir/empty.crt", '');
chmod 0600, "$dir/garbage.key";

my %common = (retry_attempts => 1, breaker_threshold => 0, retry_delay => '1ms',
	retry_max_delay => '1ms');
my %server = (
	'no key' => new_server($local, $tls, { %common, sslmode => 'require' }),
	'no certificate' => new_server($local, $tls,
		{ %common, sslmode => 'verify-ca', sslrootcert => "$dir/empty.crt" }),
	'a broken certificate' => new_server($local, $tls,
		{ %common, sslmode => 'verify-ca', sslrootcert => "$dir/broken.crt" }),
	'another CA' => new_server($local, $tls,
		{ %common, sslmode => 'verify-ca', sslrootcert => "$dir/other.crt" }));

sql($local, "ALTER USER MAPPING FOR postgres SERVER $server{'no key'}"
	  . " OPTIONS (ADD sslcert '$dir/client.crt', ADD sslkey '$dir/garbage.key')");

# failure(what): why one cannot connect to that server
sub failure
{
	my ($what) = @_;
	my ($state, $err) = sql_state($local, select_42($server{$what}));

	return $err =~ /^DETAIL:  (.*)/m ? "$state $1" : "$state $err";
}

# Each of them is told first by a worker that has seen no other failure.
my %alone;
foreach my $what (sort keys %server)
{
	my $worker = worker_pid($local);

	sql($local, "SELECT pg_terminate_backend($worker)");
	wait_until(20, sub { return worker_pid($local) =~ /^\d+$/ && worker_pid($local) ne $worker; });
	$alone{$what} = failure($what);
	like($alone{$what}, qr/^08001 connection to server at "127.0.0.1", port \d+ failed: /,
		"a server with $what is an error of its own");
}
my @different = do { my %seen; grep { !$seen{$_}++ } values %alone };
is(scalar @different, scalar keys %server,
	'servers that lack different things have different errors');

# Then one after the other, in each order.
foreach my $first (sort keys %server)
{
	foreach my $second (sort keys %server)
	{
		failure($first);
		is(failure($second), $alone{$second},
			"after a failure for $first, that for $second has its own message");
	}
}

# What can be connected is connected, whatever has failed before.
failure('no key');
is(sql($local, select_42(new_server($local, $tls, { sslmode => 'require' }))), '42',
	'after a failure with TLS another server is connected');
no_crash($local, $tls);

done_testing();
