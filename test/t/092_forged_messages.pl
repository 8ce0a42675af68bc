# 092_forged_messages.pl
#	The worker gives a connection to the session that has leased it, and to nobody
#	else; it takes options from a session for that session's pool, and from nobody
#	else.  Messages that are good in all but one thing come from a process that is
#	no session, from another session, and from the right session about another
#	slot, lease or pool.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Rogue;
use PostgreSQL::Test::Utils;
use Test::More;

my $remote = start_remote();
my $peer = PostgreSQL::Test::Utils::tempdir() . '/peer';
my $local;
{
	local $ENV{LD_PRELOAD} = preload_peer();
	local $ENV{POOL_TEST_PEER} = $peer;
	$local = start_local('pool.workers' => 2);
}
load_rogue($local);
create_server($local, 'srv', $remote, options => { max_size => 3 });
create_server($local, 'other', $remote);
is(sql($local, select_42($_)), '42', "there is a pool of server $_") foreach 'srv', 'other';

my $workers = worker_pid($local);
my ($holder, $thief) = map { session($local) } 1 .. 2;

# inherited(): how many sockets a program has that the session starts
sub inherited
{
	my $file = PostgreSQL::Test::Utils::tempdir() . '/descriptors';

	$holder->query("COPY (SELECT 1) TO PROGRAM 'ls -l /proc/self/fd >$file'");
	return scalar grep { /socket:/ } split /\n/, slurp_file($file);
}
my $inherited = inherited();
my $lease = $holder->acquire('srv');
is($holder->query("SELECT t FROM pool_query($lease, 'select 6') AS r(t int)")->{out}, '6',
	'a session uses a connection');
is(inherited(), $inherited, 'a program that the session starts does not get the connection');
my %slot = slot_of($local, $holder->pid);
my $places = sql($local, q(SELECT current_setting('pool.max_connections')));
my $pools = sql($local, q(SELECT current_setting('pool.max_pools')));

# as_session(session, message, how): what the worker answers; how: worker,
# descriptors
sub as_session
{
	my ($session, $message, %how) = @_;

	return $session->query(sprintf 'SELECT rogue_send(%d, %s, %d)', $how{worker} || 1, $message,
		$how{descriptors} // 1)->{out};
}

# as_stranger(message): the same from this process
sub as_stranger
{
	my ($message) = @_;

	return ask_worker(reach_worker($local), pack 'H*',
		sql($local, "SELECT encode($message, 'hex')"));
}

#
# The descriptor of a connection
#
my $fetch = forge('fetch', %slot);
is(as_session($holder, $fetch), 'ok, a descriptor',
	'the session that has leased a slot gets its descriptor');
is(as_stranger($fetch), 'refused', 'a process that says it is that session is refused');
is(as_session($thief, $fetch), 'refused', 'a session that says it is another one is refused');
is(as_session($thief, forge('fetch', %slot, pid => $thief->pid)), 'refused',
	'a session that asks for the slot of another one is refused');
is(as_session($holder, forge('fetch', %slot, serial => $slot{serial} - 1)), 'refused',
	'an earlier session of the same pid is refused');
is(as_session($holder, forge('fetch', %slot, generation => $slot{generation} + $_)), 'refused',
	"a lease of another connection in the same slot is refused ($_)") foreach -1, 1;
is(as_session($holder, forge('fetch', %slot, slot => $_)), 'refused', "slot $_ is refused")
  foreach -1, $places, 1_000_000_000;
is(as_session($holder, $fetch, worker => 2), 'refused',
	'a worker that does not have the connection refuses it');
is(as_session($holder, forge(0x504f4f03, %slot)), 'refused', 'an unknown message is refused');
is(as_session($holder, $fetch, descriptors => $_), 'closed',
	"a message with $_ descriptors is not heeded") foreach 2, 3, 8;
my $offset = log_offset($local);
as_session($holder, $fetch, descriptors => 0);
ok( wait_until(10,
		sub { return log_count($local, 'ignored a malformed message', $offset) == 1; }),
	'a message without a way to reply is not heeded');

# Of a longer one the end is cut off.
my $length = sql($local, "SELECT length($fetch)");
my $room = 128 * 1024 - $length;
my $long = forge('fetch', %slot, nstrings => $room,
	strings => sprintf q(decode(repeat('00', %d), 'hex')), $room + 1000);
is(as_session($holder, $long), 'closed', 'a message that is too long is not heeded');

# As the kernel tells it
foreach ([ 'another user of the operating system', '-1 65534' ],
	[ 'a process that cannot be named here', '0 -1' ])
{
	my ($who, $what) = @$_;

	append_to_file($peer, $what);
	is(as_session($holder, $fetch), 'closed', "a message of $who is not heeded");
	unlink $peer;
}

#
# How to connect
#
my $configure = forge('configure', %slot);
my %nobody = (pid => 0, procno => 99, serial => 0);
is(as_stranger($configure), 'refused', 'options from a process that says it is a session');
is(as_stranger(forge('configure', %slot, pid => $$, procno => $_)), 'refused',
	"options from a process that is no session, with procno $_")
  foreach $slot{procno}, -1, 99_999, 1_000_000_000;
is(as_session($thief, forge('configure', %slot)), 'refused',
	'options from a session that says it is another one');
is(as_session($holder, forge('configure', %slot, serial => $slot{serial} - 1)), 'refused',
	'options from an earlier session of the same pid');
append_to_file($peer, '0 -1');
is(as_session($holder, forge('configure', %slot, %nobody)), 'closed',
	'options from a process that cannot be named here');
unlink $peer;
my %wrong = (
	'of a pool that is no more' => { pool_id => $slot{pool_id} + 1000 },
	'of an empty place' => { place => 2, pool_id => 0 },
	'of a place before the first' => { place => -2 },
	'of a place after the last' => { place => $pools },
	'of a place far after the last' => { place => 1_000_000_000 },
	'of another user mapping' => { mapping => 1 },
	'with a name without a value' => { nstrings => 1, strings => q('\x6100') });
is(as_session($holder, forge('configure', %slot, %{ $wrong{$_} })), 'refused', "options $_")
  foreach sort keys %wrong;
is(as_session($holder, $configure, worker => 2), 'refused',
	'options of a pool that another worker has');
is(as_session($holder, forge('configure', %slot, nstrings => $_)), 'closed',
	"a message that says to have $_ strings is not heeded")
  foreach -1, -2, 1, 1_000_000, 2_000_000_000;

# The rest of such a message is the one before, where the worker has it.
is(as_session($holder, "substring($fetch FOR $_)"), 'closed',
	"a message that ends after $_ bytes is not heeded") foreach 0, 40;

is(as_session($holder, forge('configure', %slot, %$_)), 'closed',
	"a message with other strings than it says is not heeded: $_->{nstrings} of $_->{strings}")
  foreach { nstrings => 0, strings => q('\x6100') }, { nstrings => 2, strings => q('\x6162') };

#
# A lease that has ended, and one that is a worker's no more
#
is($holder->query("SELECT t FROM pool_query($lease, 'select 7') AS r(t int)")->{out}, '7',
	'the lease is not disturbed by all of this');
is(worker_pid($local), $workers, 'the workers are the same');
$holder->release($lease);
is(as_session($holder, $fetch), 'refused', 'a session whose lease has ended is refused');
$lease = $holder->acquire('srv');
%slot = slot_of($local, $holder->pid);
sql($local, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
	. q( WHERE backend_type = 'pool worker'));
wait_for_value($local, select_42('srv'), '42', 'there are new workers', seconds => 30);
is(as_session($holder, forge('fetch', %slot)), 'refused',
	'a connection of a worker that has ended is refused');
$holder->release($lease);

#
# A session that is gone and has left a lease behind loses it.
#
$lease = $holder->acquire('srv');
%slot = slot_of($local, $holder->pid);
sql($local, "SELECT rogue_forget(size, $slot{procno}) FROM rogue_size");
wait_for_value($local, q(SELECT closed_holder_exited FROM pool_stats_all()
	WHERE server = 'srv'), 1, 'a lease whose session is gone ends');
$_->quit foreach $holder, $thief;
settled($local);
no_crash($local, $remote);

done_testing();
