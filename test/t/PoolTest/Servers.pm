# Servers.pm
#	How a test alters a server, asks which remote process answers, and has the
#	worker look at it.

package PoolTest::Servers;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;

our @EXPORT = qw(alter_server pid_query acquire_lease make_worker_look);

# alter_server(local, server, options): sets options that were not set
sub alter_server
{
	my ($local, $name, %options) = @_;
	my $list = join ', ', map { "ADD $_ '$options{$_}'" } sort keys %options;

	return sql($local, "ALTER SERVER $name OPTIONS ($list)");
}

# pid_query(server or lease): a statement that tells which remote process runs it
sub pid_query
{
	my ($target) = @_;

	$target = "'$target'" if $target !~ /^\d+$/;
	return "SELECT p FROM pool_query($target, 'select pg_backend_pid()') AS t(p int)";
}

# acquire_lease(session, server): a lease that outlives its transaction, and the
# remote process of its connection
sub acquire_lease
{
	my ($session, $name) = @_;
	my $lease = $session->query("SELECT pool_acquire('$name', hold => true)")->{out};

	return ($lease, $session->query(pid_query($lease))->{out});
}

# make_worker_look(session, server): the worker looks at all its pools before
# this ends, since it has to open a connection for that server
sub make_worker_look
{
	my ($session, $name) = @_;
	my $answer = $session->query("SELECT pool_reconnect('$name'); " . pid_query($name));

	die $answer->{err} if $answer->{out} !~ /^\d+\n\d+$/;
	return;
}

1;
