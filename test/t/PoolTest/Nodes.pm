# Nodes.pm
#	The servers of a test: a local one with pool, remotes that want a password,
#	and the foreign servers that lead from one to the other.

package PoolTest::Nodes;

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(
  start_remote start_local start_pair tls_conf create_server new_server mute_remote
);
our @EXPORT_OK = qw(hba $password $remote_db $tls);

# What a test may rely on at the remote: this role's password and this database.
our $password = 'secret';
our $remote_db = 'far';

# The directory with certificates, if all remotes are to insist on TLS.
our $tls = $ENV{POOL_TEST_TLS};

my $number = 0;

# start_remote(settings): a server that wants a password on 127.0.0.1
sub start_remote
{
	my (%conf) = @_;
	my $name = delete $conf{name} || 'remote';
	my $node = PostgreSQL::Test::Cluster->new($name);

	%conf = (tls_conf($tls), %conf) if $tls;
	$node->init;
	_configure($node, %conf, listen_addresses => "'127.0.0.1'");
	hba($node, 'scram-sha-256');
	$node->start;
	$node->safe_psql('postgres',
		"CREATE ROLE app LOGIN PASSWORD '$password'");
	$node->safe_psql('postgres', "CREATE DATABASE $remote_db OWNER app");
	return $node;
}

# tls_conf(directory): the settings of a server that has certificates there
sub tls_conf
{
	my ($dir) = @_;

	return (
		ssl => 'on',
		ssl_cert_file => "'$dir/server.crt'",
		ssl_key_file => "'$dir/server.key'");
}

# hba(node, method, line...): how a remote lets in those who come by TCP
sub hba
{
	my ($node, $method, @first) = @_;
	my $file = $node->data_dir . '/pg_hba.conf';
	my $host = $tls ? 'hostssl' : 'host';

	unlink $file;
	append_to_file(
		$file,
		join("\n",
			@first,
			'local all all trust',
			"$host all all 127.0.0.1/32 $method",
			''));
	return;
}

# start_local(settings): a server with pool; the extension is in "postgres"
sub start_local
{
	my (%conf) = @_;
	my $name = delete $conf{name} || 'local';
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	_configure($node, shared_preload_libraries => 'pool', %conf);
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION pool');
	return $node;
}

# start_pair(server options): both servers, and "srv" from one to the other
sub start_pair
{
	my (%options) = @_;
	my $remote = start_remote();
	my $local = start_local();

	create_server($local, 'srv', $remote, options => \%options);
	return ($local, $remote);
}

sub _configure
{
	my ($node, %conf) = @_;

	# The tests' own statements would only drown what they look for.
	%conf = (log_statement => 'none', %conf);
	$node->append_conf('postgresql.conf', "$_ = $conf{$_}\n")
	  for sort keys %conf;
	return;
}

# create_server(local, name, remote, how): a server and a mapping for the
# superuser (how: db, options, user, password, dbname, for)
sub create_server
{
	my ($local, $name, $remote, %how) = @_;
	my %options = (
		host => '127.0.0.1',
		port => $remote->port,
		dbname => $remote_db,
		%{ $how{options} || {} });
	my $list = join ', ', map { "\"$_\" '$options{$_}'" } sort keys %options;
	my $user = defined $how{user} ? $how{user} : 'app';
	my $secret = defined $how{password} ? $how{password} : $password;
	my $for = defined $how{for} ? $how{for} : 'CURRENT_USER';

	$local->safe_psql($how{db} || 'postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER pool OPTIONS ($list);\n"
		  . "CREATE USER MAPPING FOR $for SERVER $name"
		  . " OPTIONS (user '$user', password '$secret')");
	return;
}

# new_server(local, remote, options, how): the same with a name of its own, which
# it returns
sub new_server
{
	my ($local, $remote, $options, %how) = @_;
	my $name = 's' . ++$number;

	create_server($local, $name, $remote, %how, options => $options);
	return $name;
}

# mute_remote(): a socket on 127.0.0.1 where one can connect and hears nothing
sub mute_remote
{
	return IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
	  || die "cannot listen: $!";
}

1;
