# Rogue.pm
#	Messages to the worker that no session of pool would send: from a process that is
#	no session, and, by the functions of rogue.c, from one that is.

package PoolTest::Rogue;

use strict;
use warnings;

use Cwd qw(getcwd);
use Exporter qw(import);
use File::Basename qw(dirname);
use FindBin;
use POSIX ();
use PoolTest;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX SOCK_DGRAM SOCK_SEQPACKET MSG_DONTWAIT pack_sockaddr_un);

our @EXPORT = qw(
  reach_worker send_to_worker ask_worker preload_peer load_rogue slot_of forge
);

# reach_worker(local): a socket of a stranger, which leads to the first worker
sub reach_worker
{
	my ($local) = @_;
	my $here = getcwd();

	# The path of the socket is too long for an address.
	chdir $local->data_dir . '/pg_stat_tmp' or die "chdir: $!";
	socket(my $stranger, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
	my $reached = connect($stranger, pack_sockaddr_un('pool.1.sock'));
	my $why = $!;
	chdir $here;
	die "the worker's socket: $why" if !$reached;
	return $stranger;
}

# send_to_worker(socket, message, descriptor...): as sendmsg(2), which Perl has not
my %sendmsg = (x86_64 => 46, aarch64 => 211);
my $sendmsg = $sendmsg{ (POSIX::uname())[4] };

sub send_to_worker
{
	my ($stranger, $message, @descriptors) = @_;
	my $address = sub { return unpack 'J', pack 'p', $_[0] };

	return defined send($stranger, $message, MSG_DONTWAIT)
	  if !@descriptors || !$sendmsg;
	my $rights = pack('J l l l*', 16 + 4 * @descriptors, 1, 1, @descriptors);
	$rights .= "\0" x (-length($rights) % 8);
	my $iov = pack 'J J', $address->($message), length $message;
	my $header = pack 'J L x4 J J J J l x4', 0, 0, $address->($iov), 1,
	  $address->($rights), length $rights, 0;
	return syscall($sendmsg, fileno $stranger, $header, MSG_DONTWAIT) >= 0;
}

# ask_worker(socket, message): the same with a way to reply; what comes back: ok,
# refused, closed (the worker has closed its end and said nothing), or silence
sub ask_worker
{
	my ($stranger, $message) = @_;
	my $reply = '';

	socketpair(my $mine, my $theirs, AF_UNIX, SOCK_SEQPACKET, 0) or die "socketpair: $!";
	wait_until(10, sub { send_to_worker($stranger, $message, fileno $theirs) })
	  or return 'not sent';
	close $theirs;
	return 'silence'
	  if !wait_until(10,
		sub { defined recv($mine, $reply, 65536, MSG_DONTWAIT) || $!{ECONNRESET} });
	return 'closed' if !length $reply;
	return (unpack 'L', $reply) == 0x504f4f81 ? 'ok' : 'refused';
}

# compile(name, flag...): a library from the source of that name
sub compile
{
	my ($name, @flags) = @_;
	my $library = PostgreSQL::Test::Utils::tempdir() . "/$name.so";

	system_or_bail('cc', '-shared', '-fPIC', '-D_GNU_SOURCE', @flags, '-o', $library,
		"$FindBin::RealBin/$name.c", '-ldl');
	return $library;
}

# preload_peer(): what to preload, so that the worker takes others for the senders of
# messages; see peer.c
sub preload_peer
{
	return compile('peer');
}

# load_rogue(local): the functions of rogue.c
sub load_rogue
{
	my ($local) = @_;
	my @include = map { (run_command([ 'pg_config', $_ ]))[0] } '--includedir-server', '--includedir';
	my $library = compile('rogue', (map { "-I$_" } @include), "-I$FindBin::RealBin/../../src");

	sql($local, <<"SQL");
CREATE FUNCTION rogue_slot(bigint, int) RETURNS text AS '$library' LANGUAGE C STRICT;
CREATE FUNCTION rogue_message(bigint, int, int, int, bigint, int, bigint, int, bigint, oid, int,
	bytea) RETURNS bytea AS '$library' LANGUAGE C STRICT;
CREATE FUNCTION rogue_send(int, bytea, int) RETURNS text AS '$library' LANGUAGE C STRICT;
CREATE FUNCTION rogue_forget(bigint, int) RETURNS void AS '$library' LANGUAGE C STRICT;
CREATE VIEW rogue_size AS
	SELECT size FROM pg_shmem_allocations WHERE name = 'pool';
SQL
	return;
}

# slot_of(local, pid): what a message to the worker can say of the slot that this
# session has leased
sub slot_of
{
	my ($local, $pid) = @_;
	my $slot = sql($local, "SELECT slot FROM pool_connections WHERE pid = $pid");
	my %slot = (slot => $slot);

	@slot{ 'generation', 'pid', 'procno', 'serial', 'place', 'pool_id' } =
	  split ' ', sql($local, "SELECT rogue_slot(size, $slot) FROM rogue_size");
	return %slot;
}

# forge(kind, slot): a call of rogue_message() with these values and no strings; the
# kind is fetch or configure
sub forge
{
	my ($kind, %how) = (@_);
	my %code = (fetch => 0x504f4f01, configure => 0x504f4f02);

	return sprintf '(SELECT rogue_message(size, %d, %d, %d, %d, %d, %d, %d, %d, %d, %d, %s)'
	  . ' FROM rogue_size)', $code{$kind} || $kind,
	  @how{ 'pid', 'procno', 'serial', 'slot', 'generation', 'place', 'pool_id' },
	  $how{mapping} || 0, $how{nstrings} || 0, $how{strings} || q(''::bytea);
}

1;
