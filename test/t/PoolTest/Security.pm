# Security.pm
#	For the tests of who may use what: a local server that starts in an environment
#	full of traps, statements that must be refused, and passwords that must not be
#	shown.  All passwords on the remote but that of role app contain a word that is
#	looked for at the end of each test: in logs, errors, views and process titles.

package PoolTest::Security;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  $canary start_security_pair start_in_hostile_environment refused keep_error
  no_password_shown
);

our $canary = 'canary-8f2d-tweet';

my @errors;

# start_security_pair(): a local server and a remote one, with the server srv,
# the local roles alice and bob, and their roles on the remote; there is one
# more that needs no password there
sub start_security_pair
{
	my $remote = start_remote();
	my $local = PostgreSQL::Test::Cluster->new('local');

	PoolTest::hba($remote, 'scram-sha-256',
		'host all trusted 127.0.0.1/32 trust');
	$remote->reload;
	sql($remote, <<"SQL");
CREATE ROLE trusted LOGIN PASSWORD '$canary';
CREATE ROLE far_alice LOGIN PASSWORD '$canary';
CREATE ROLE far_bob LOGIN PASSWORD '$canary-bob';
SQL

	$local->init;
	$local->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'pool'
log_statement = none
log_min_messages = debug1
CONF
	start_in_hostile_environment($local);
	sql($local, <<'SQL');
CREATE EXTENSION pool;
CREATE ROLE alice LOGIN;
CREATE ROLE bob LOGIN;
SQL
	create_server($local, 'srv', $remote, user => 'app');
	return ($local, $remote);
}

# start_in_hostile_environment(local, variables): the postmaster's environment is
# full of traps
sub start_in_hostile_environment
{
	my ($local, %more) = @_;
	local %ENV = (
		%ENV, %more,
		PGSERVICE => 'evil',
		PGSERVICEFILE => '/nonexistent/pg_service.conf',
		PGUSER => 'evil',
		PGPASSWORD => 'evil',
		PGPASSFILE => '/nonexistent/pgpass',
		PGDATABASE => 'postgres',
		PGOPTIONS => '-c search_path=evil -c work_mem=123kB',
		PGAPPNAME => 'evil',
		PGSSLROOTCERT => '/nonexistent/root.crt',
		PGREQUIREPEER => 'evil',
		PGREQUIREAUTH => 'none',
		PGCHANNELBINDING => 'require',
		PGTARGETSESSIONATTRS => 'standby',
		PGCLIENTENCODING => 'LATIN1',
		PGDATESTYLE => 'German',
		PGTZ => 'Asia/Tokyo',
		PGGEQO => 'off',
		PGCONNECT_TIMEOUT => '1',
		PGKRBSRVNAME => 'evil',
		PGSSLMINPROTOCOLVERSION => 'TLSv1.3',
		PGMINPROTOCOLVERSION => '3.2',
		PGLOADBALANCEHOSTS => 'random');
	$local->start;
	return;
}

# refused(local, what, state, statement, how): a test: the statement fails with
# that SQLSTATE; returns the messages
sub refused
{
	my ($local, $what, $state, $statement, %how) = @_;
	my ($got, $err, $out) = sql_state($local, $statement, %how);

	keep_error($err);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like($got, qr/^($state)$/, $what) or diag("$err$out");
	return $err;
}

# keep_error(messages): look for a password in them, too
sub keep_error
{
	push @errors, @_;
	return;
}

# no_password_shown(local, remote): tests
sub no_password_shown
{
	my ($local, $remote) = @_;
	my $titles = server_titles();

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	foreach my $query ('SELECT * FROM pool_stats', 'SELECT * FROM pool_stats_all()',
		'SELECT * FROM pool_connections', 'SELECT * FROM pg_stat_activity')
	{
		unlike(sql($local, $query), qr/canary/, "no password is shown by $query");
	}
	unlike(join("\n", @errors), qr/canary/, 'no password is shown in an error');
	unlike(slurp_file($_->logfile), qr/canary/, 'no password is in the log of ' . $_->name)
	  foreach $local, $remote;
	like($titles, qr/postgres: /, 'processes have titles');
	unlike($titles, qr/canary/, 'no password is shown in the title of a process');
	return;
}

1;
