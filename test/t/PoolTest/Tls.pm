# Tls.pm
#	For the tests of encrypted remotes: certificates, a remote that has TLS, and
#	how a connection to it travels.

package PoolTest::Tls;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use FindBin;

use PoolTest;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(make_certificates start_tls_remote transport);

# make_certificates(): the directory where they are
sub make_certificates
{
	my $dir = PostgreSQL::Test::Utils::tempdir();

	run_log([ 'bash', abs_path("$FindBin::RealBin/..") . '/certificates.sh', $dir ])
	  or die 'no certificates';
	return $dir;
}

# start_tls_remote(directory, role => rule...): a remote that has TLS and those
# certificates; the rules are how pg_hba.conf lets these roles in
sub start_tls_remote
{
	my ($dir, %rules) = @_;
	my $node = start_remote(name => 'tls', tls_conf($dir), ssl_ca_file => "'$dir/ca.crt'");
	my $hba = $node->data_dir . '/pg_hba.conf';
	my @lines = ('local all all trust');

	foreach my $role (sort keys %rules)
	{
		my ($type, $method) = split ' ', $rules{$role}, 2;

		push @lines, "$type all $role 127.0.0.1/32 $method";
		sql($node, "CREATE ROLE $role LOGIN PASSWORD '$PoolTest::password'");
	}
	unlink $hba;
	append_to_file($hba,
		join("\n", @lines, 'host all all 127.0.0.1/32 scram-sha-256', ''));
	$node->reload;
	return $node;
}

# transport(local, server): how it is connected, as pool and the remote say it:
# "direct", "relayed", or the error
sub transport
{
	my ($local, $server) = @_;
	my ($state, $err, $there) = sql_state($local, <<"SQL");
SELECT format('%s %s', version, cipher)
FROM pool_query('$server', 'select version, cipher from pg_stat_ssl where pid = pg_backend_pid()')
	AS t(version text, cipher text)
SQL
	my $here = sql($local,
		"SELECT DISTINCT format('%s %s', tls_version, tls_cipher), relayed"
		  . " FROM pool_connections WHERE server = '$server'");

	return "$state $err" if $state ne '00000';
	return 'direct' if "$there|$here" eq ' | |f';
	return 'relayed' if $there =~ /^TLSv1\.\d \S+$/ && $here eq "$there|t";
	return "there $there, here $here";
}

1;
