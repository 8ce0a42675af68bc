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
use IO::Socket::INET;
use PoolTest;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

sub message { return $_[0] . pack('N', 4 + length $_[1]) . $_[1]; }

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

# serve(listen): a process that does so
sub serve
{
	my ($listen) = @_;
	my $pid = fork;

	die "cannot fork: $!" if !defined $pid;
	return $pid if $pid;
	local $SIG{TERM} = 'DEFAULT';
	local $SIG{CHLD} = 'IGNORE';
	local $SIG{PIPE} = 'IGNORE';
	while (my $socket = $listen->accept)
	{
		my ($start, $name) = ('');
		next if fork; # what comes by another connection is not kept waiting

		sysread $socket, $start, 10_000;
		($name) = $start =~ /\0database\0(\w+)\0/;
		syswrite $socket, message('R', pack 'N', 0) . ($strange{ $name || '' } || '')
		  . message('K', pack 'N N', 42, 4711) . message('Z', 'I') if defined $name;
		POSIX::_exit(0);
	}
	POSIX::_exit(0);
}

my $listen = IO::Socket::INET->new(Listen => 100, LocalAddr => '127.0.0.1')
  or die "cannot listen: $!";
my $server = serve($listen);
my $local = start_local();
my $worker = worker_pid($local);

foreach my $name (sort keys %strange)
{
	sql($local, "CREATE SERVER \"$name\" FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
		  . "port '" . $listen->sockport . "', dbname '$name', retry_attempts '0', "
		  . "acquire_timeout '3s', sslmode 'disable'); CREATE USER MAPPING FOR CURRENT_USER "
		  . "SERVER \"$name\" OPTIONS (user 'app', password 'secret')");
	my ($state) = sql_state($local, "SET statement_timeout = '20s'; " . select_42($name));
	like($state, qr/^(?:08|57)/, "a session that asks a remote that sends \"$name\" gets an error");
	is(worker_pid($local), $worker, "the worker is the same one after \"$name\"");
}
kill 'TERM', $server;
waitpid $server, 0;
unlike(slurp_file($local->logfile), qr/PANIC:|TRAP:|terminated by signal/,
	'no process of the server has crashed');
done_testing;
