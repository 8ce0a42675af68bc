# 008_security_socket.pl
#	Nothing is to be had at the worker's socket: not by messages of a stranger,
#	well-formed or not, with descriptors or without; and what somebody has planted
#	in the socket's place is replaced, not followed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Rogue;
use PoolTest::Security;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX SOCK_DGRAM SOCK_SEQPACKET MSG_DONTWAIT pack_sockaddr_un);
use Test::More;

my ($local, $remote) = start_security_pair();
my $me = q(SELECT u FROM pool_query('srv', 'select current_user') AS r(u text));

# The worker knows a password that is looked for at the end.
sql($local, "GRANT USAGE ON FOREIGN SERVER srv TO alice; CREATE USER MAPPING FOR alice"
	. " SERVER srv OPTIONS (user 'far_alice', password '$canary')");
is(sql($local, $me, user => 'alice'), 'far_alice', 'alice is connected as far_alice');

#
# The worker's socket
#
my $socket = $local->data_dir . '/pg_stat_tmp/pool.1.sock';
ok(-S $socket, 'the worker has a socket in the data directory');
is(sprintf('%04o', (stat $socket)[2] & 07777), '0600',
	'the socket of the worker is for its own user alone');

my $stranger = reach_worker($local);

my $worker = worker_pid($local);
my $holder = session($local);
my $lease = $holder->acquire('srv');
my ($slot, $holder_pid) = split /\|/,
  sql($local, q(SELECT slot, pid FROM pool_connections WHERE state = 'leased'));
my $descriptors = descriptors($worker);

# Messages of every plausible length, as if they asked for the leased slot
my @messages = ('', 'x', "\0", "GET / HTTP/1.0\r\n\r\n", "\xff" x 65000, 'x' x 8192);
foreach my $words (1 .. 8, 16, 199 .. 201, 1024)
{
	push @messages, pack("L*", (0) x $words), pack("L*", (0xffffffff) x $words),
	  pack("L*", ($slot) x $words),
	  pack("L*", map { $_ % 2 ? 0 : $slot } 0 .. $words - 1);
}

# And such as a session sends, from a process that does not hold the slot, or says
# that it is the one which does: magic, kind, pid, slot, generation.  If sessions
# send something else one day, these are only more of the above.
foreach my $pid ($$, $holder_pid)
{
	foreach my $kind (0 .. 3)
	{
		push @messages,
		  map { pack 'a4 L l l Q x8 L x764', "\x01OOP", $kind, $pid, $slot, $_, 1 } 0 .. 12;
	}
}

my ($sent, $unanswered, $given) = (0, 0, 0);
{
	local $SIG{PIPE} = 'IGNORE';
	foreach my $message (@messages)
	{
		socketpair(my $mine, my $theirs, AF_UNIX, SOCK_SEQPACKET, 0) or die "socketpair: $!";
		foreach my $with ([], [ fileno $theirs ], [ fileno $theirs, fileno STDIN, fileno $theirs ])
		{
			# Its queue may be full for a moment.
			$sent++ if wait_until(10, sub { return send_to_worker($stranger, $message, @$with); });
		}
		close $theirs;

		# A connection comes with what is known of its remote, so a refusal of a
		# few bytes brings none; or nothing comes but the end, when the worker
		# has closed its copy.
		my $read;
		my $ended = wait_until(10,
			sub { $read = ''; return defined recv($mine, $read, 65536, MSG_DONTWAIT); });
		$unanswered++ if !$ended;
		$given++ if length $read > 32;
	}
}
is($sent, 3 * @messages, 'a stranger can send ' . 3 * @messages . ' messages to the worker');
is($given, 0, 'a stranger gets no connection');
is($unanswered, 0, 'the worker has looked at all messages of a stranger');
is(worker_pid($local), $worker, 'the worker survives the messages of a stranger');
ok(wait_until(10, sub { return descriptors($worker) == $descriptors; }),
	'the worker keeps no descriptor of a stranger');
is($holder->query("SELECT t FROM pool_query($lease, 'select 3') AS r(t int)")->{out},
	'3', 'a lease is not disturbed by a stranger');
is(sql($local, $me), 'app', 'another session gets a connection after the messages of a stranger');
$holder->quit;
settled($local, 'after a stranger nothing is under way, and the sums hold');

#
# What somebody has planted in the socket's place
#
my $victim = $local->basedir . '/victim';
append_to_file($victim, "precious\n");
foreach my $plant ('symlink', 'dangling symlink', 'file', 'stale socket')
{
	$local->stop;
	unlink $socket;
	if ($plant eq 'symlink')
	{
		symlink $victim, $socket or die "symlink: $!";
	}
	elsif ($plant eq 'dangling symlink')
	{
		symlink "$victim.new", $socket or die "symlink: $!";
	}
	elsif ($plant eq 'file')
	{
		append_to_file($socket, "stale\n");
	}
	else
	{
		chdir $local->data_dir . '/pg_stat_tmp' or die "chdir: $!";
		socket(my $handle, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
		bind($handle, pack_sockaddr_un('pool.1.sock')) or die "bind: $!";
	}
		start_in_hostile_environment($local);
	my ($state, $err, $out);
	wait_until(15,
		sub { ($state, $err, $out) = sql_state($local, $me); return $state eq '00000'; });
	is("$err$out", 'app', "pool works after a $plant was planted in place of the socket");
	ok(-S $socket && !-l $socket, "a $plant in place of the socket is replaced by a socket");
	is(sprintf('%04o', (stat $socket)[2] & 07777), '0600',
		"the socket that replaces a $plant is for its user alone");
	is(slurp_file($victim), "precious\n",
		"a file is as it was after a $plant in place of the socket");
	ok(!-e "$victim.new", "no file is made for a $plant in place of the socket");
}

no_password_shown($local, $remote);
no_crash($local, $remote);
done_testing();
