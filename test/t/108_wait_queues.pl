# 108_wait_queues.pl
#	Which processes wait for a connection's socket.  All copies of a connection are
#	one socket, which calls at each byte whatever watches it: so none of the sessions
#	that have a copy watches it, and of their processes only the worker does.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::Servers;
use PostgreSQL::Test::Utils;
use Test::More;

# sockets_of(pid): the inodes of its sockets
sub sockets_of
{
	my ($pid) = @_;

	return map { /^socket:\[(\d+)\]$/ ? $1 : () } descriptors($pid);
}

# watched_by(pid): the inodes of what its epoll instances watch
sub watched_by
{
	my ($pid) = @_;
	my @inodes;

	foreach my $fd (glob "/proc/$pid/fd/*")
	{
		next unless (readlink($fd) || '') eq 'anon_inode:[eventpoll]';
		my $info = slurp_file($fd =~ s{/fd/}{/fdinfo/}r);

		# Decimal where the descriptor's own are, hexadecimal here.
		push @inodes, map { hex } $info =~ /^tfd:.* ino:([0-9a-f]+)/mg;
	}
	return @inodes;
}

my $remote = start_remote();
my $local = start_local();
my $name = new_server($local, $remote, { max_size => 1, min_size => 1 });
my @sessions = map { session($local) } 1 .. 5;
my $worker = $local->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'");

is($_->query(select_42($name))->{out}, '42', 'a session uses the connection') foreach @sessions;
my %of_worker = map { $_ => 1 } sockets_of($worker);
my %shared;
foreach my $session (@sessions)
{
	$shared{$_}++ foreach grep { $of_worker{$_} } sockets_of($session->pid);
}
my @connections = grep { $shared{$_} == @sessions } keys %shared;
is(scalar @connections, 1, 'all of them have a copy of one socket of the worker');

# watching(process...): how many of them watch the connection's socket
sub watching
{
	my (@pids) = @_;

	return scalar grep {
		my $pid = $_;
		grep { $_ == $connections[0] } watched_by($pid)
	} @pids;
}

is(watching($worker), 1, 'the worker watches it');
is(watching(map { $_->pid } @sessions), 0, 'no session that had it watches it');

# One of them waits for an answer.
$sessions[0]->begin("SELECT pool_exec('$name', 'select pg_sleep(600)')");
wait_for_value(
	$local,
	"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension'"
	  . ' AND pid = ' . $sessions[0]->pid,
	1, 'one session waits for an answer');
is(watching(map { $_->pid } @sessions), 0, 'none of the others watches it');
my $cancelled = $local->safe_psql('postgres', "SELECT pg_cancel_backend(@{[$sessions[0]->pid]})");
is($cancelled, 't', 'the statement is cancelled');
is($sessions[0]->result->{state}, '57014', 'which ends the wait');

# A cancel just before the sleep, and one between the look and the sleep: if it is slept
# over, the statement comes to its end on the remote.
foreach my $point ('wait_begin', 'wait_blocked')
{
	my $sleep = "SELECT pool_exec('$name', 'select pg_sleep(8)')";
	my $offset = log_offset($remote);

	is($sessions[1]->query(select_42($name))->{out}, '42', 'the next one uses the connection');
	arm($sessions[1], "$point cancel");
	is($sessions[1]->query($sleep)->{state}, '57014', "a statement is cancelled at $point");
	disarm($sessions[1]);
	ok(wait_until(20, sub { return log_count($remote, 'canceling statement', $offset) > 0; }),
		"a cancel at $point is not slept over");
}

no_crash($remote, $local);
done_testing();
