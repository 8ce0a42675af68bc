# 097_strange_messages.pl
#	A remote that lets the worker in and then sends, before it is ready, messages
#	that have no place there and say that they are longer than they are.  The
#	worker is one process for all pools: it closes such a connection, or goes on,
#	but it must not read beyond what has come.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::HostileServer;
use PoolTest::Wire;
use Test::More;

# What comes between AuthenticationOk and ReadyForQuery, by the name of the database.
my %strange = (
	row => message('D', pack 'n N', 1, 0x7fffffff),
	row_of_many => message('D', pack 'n N', 0x7fff, 100),
	bind => message('B', "\0\0" . pack 'n n N', 0, 1, 0x7fffffff),
	parse => message('P', "\0\0" . pack 'n', 0x7fff),
	query => message('Q', 'x' x 5),
	call => message('F', pack 'N n n N', 1, 0, 1, 0x7fffffff),
	result_of_call => message('V', pack 'N', 0x7fffffff),
	columns => message('T', pack 'n', 0x7fff),
	types => message('t', pack 'n', 0x7fff),
	copy => message('G', "\0" . pack 'n', 0x7fff),
	password => message('p', 'x' x 5),
	key => message('K', pack 'N', 1),
	unknown => message('?', pack 'N', 0x7fffffff));

# It says so in place of its parameters, and hangs up when it is ready.
sub play
{
	my ($messages) = @_;

	return sub { $_[0]->let_in(parameters => $messages) };
}

my $port = start_hostile_server(map { $_ => play($strange{$_}) } keys %strange);
my $local = start_local();
my $worker = worker_pid($local);

foreach my $name (sort keys %strange)
{
	sql($local, "CREATE SERVER \"$name\" FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
		  . "port '$port', dbname '$name', retry_attempts '0', "
		  . "acquire_timeout '3s', sslmode 'disable'); CREATE USER MAPPING FOR CURRENT_USER "
		  . "SERVER \"$name\" OPTIONS (user 'app', password 'secret')");
	my ($state, $err) = sql_state($local, "SET statement_timeout = '20s'; " . select_42($name));
	like($state, qr/^08/, "a session that asks a remote that sends \"$name\" gets an error")
	  or diag($err);
	is(worker_pid($local), $worker, "the worker is the same one after \"$name\"");
}
settled($local);
stop_hostile_servers();
no_crash($local);

done_testing;
