# 076_watched_sockets.pl
#	Nobody but the holder of a connection watches its socket: a session that is
#	idle, with a copy, is not woken by what others read and write.  /proc tells
#	which sockets are in the epoll sets of a process.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

my ($local, $remote) = start_pair(max_size => 1);
my @sessions = map { session($local) } 1 .. 6;

# sockets(session): inodes of the sockets that it has open
sub sockets
{
	return map { /^socket:\[(\d+)\]$/ ? $1 : () } descriptors($_[0]->pid);
}

# epoll_sets(pid): what the kernel tells of each
sub epoll_sets
{
	my ($pid) = @_;
	my @files = grep { (readlink($_) || '') =~ /eventpoll/ } glob "/proc/$pid/fd/*";

	return map { s{/fd/}{/fdinfo/}r } @files;
}

# watchers(socket): the sessions in one of whose epoll sets the socket is, by number
sub watchers
{
	my ($socket) = @_;
	my $member = sprintf '^tfd:.* ino:%x ', $socket;

	return join ' ', grep {
		grep { slurp_file($_) =~ /$member/m } epoll_sets($sessions[$_]->pid)
	} 0 .. $#sessions;
}

my @before = sockets($sessions[0]);
is(join(',', map { $_->query(select_42('srv'))->{out} } @sessions, @sessions),
	join(',', (42) x 12), 'six sessions use one connection, twice');
my @new = grep { my $inode = $_; !grep { $_ eq $inode } @before } sockets($sessions[0]);
is(scalar @new, 1, 'a copy of a connection is one descriptor more');
my $socket = $new[0];
is(scalar(grep { my $session = $_; grep { $_ eq $socket } sockets($session) } @sessions), 6,
	'six sessions have a copy of the connection');
is(watchers($socket), '', 'no idle session watches the connection');

# The holder, and nobody else
$sessions[2]->begin(q(SELECT pool_query('srv', 'select pg_sleep(600)')));
ok(wait_until(20, sub { watchers($socket) eq '2' }),
	'a session watches the connection while it waits for its answer')
  or diag(watchers($socket));
$sessions[4]->begin(select_42('srv'));
wait_for_waiters($local, 1, 'another session waits for the connection');
is(watchers($socket), '2', 'the session that waits for the connection does not watch it');
terminate_app_sessions($remote);
is($sessions[2]->result->{state}, '57P01', 'the remote ends the statement');
is($sessions[4]->result->{out}, '42', 'the session that has waited gets a new connection');

# libpq has closed the lost connection's descriptor; what watched it is there
# again for the next one.
is($sessions[2]->query(select_42('srv'))->{out}, '42',
	'the session whose connection was lost uses another one');
is($sessions[4]->query(select_42('srv'))->{out}, '42', 'and so does the other session');
($socket) = grep { my $inode = $_; !grep { $_ eq $inode } @before } sockets($sessions[0]);
is($sessions[0]->query(select_42('srv'))->{out}, '42', 'a third session uses it as well');
@new = grep { my $inode = $_; !grep { $_ eq $inode } @before } sockets($sessions[0]);
isnt(scalar @new, 0, 'the third session has a copy of it');
is(join(',', map { watchers($_) } @new), ',' x $#new, 'no idle session watches the new connection');

# A lease watches from its first wait to its end.
my ($lease) = acquire_lease($sessions[1], 'srv');
is(watchers($new[-1]), '1', 'the holder of a lease watches its connection between its statements');
is($sessions[1]->query("SELECT pool_release($lease)")->{state}, '00000', 'the lease is released');
is(watchers($new[-1]), '', 'nobody watches the connection when the lease is released');

# A statement that was canceled leaves nothing behind.
$sessions[3]->begin(q(SET statement_timeout = '200ms';
	SELECT pool_query('srv', 'select pg_sleep(600)')));
is($sessions[3]->result->{state}, '57014', 'a statement is canceled');
is($sessions[3]->query(q(RESET statement_timeout; ) . select_42('srv'))->{out}, '42',
	'the session goes on with another connection');

$_->quit foreach @sessions;
settled($local);
no_crash($local, $remote);
done_testing;
