# 120_affinity.pl
#	Which idle connection a session takes: its own one, else one that nobody comes
#	back for, else the one that was not used for the longest time; and when another
#	one is opened or closed for it.  No reset and no check of the worker comes
#	between, so each connection keeps its last user.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Servers;
use Test::More;

my $remote = start_remote();
my $local = start_local();
my @names = qw(a b c);

sub server
{
	my (%options) = @_;

	return new_server($local, $remote,
		{ reset_query => '', health_check_interval => 0, max_lifetime => 0, %options });
}

# settle(server): three sessions that each have a connection of their own, released
# in their order; and which
sub settle
{
	my ($server) = @_;
	my %session = map { $_ => session($local) } @names;
	my (%lease, %pid);

	($lease{$_}, $pid{$_}) = acquire_lease($session{$_}, $server) foreach @names;
	$session{$_}->query("SELECT pool_release($lease{$_})") foreach @names;
	return (\%session, \%pid);
}

my $server = server(max_size => 3);
my ($session, $pid) = settle($server);
my $query = pid_query($server);
my $before = stat_of($local, 'acquires - reused', $server);

foreach my $name (reverse(@names), @names, reverse(@names))
{
	is($session->{$name}->query($query)->{out}, $pid->{$name},
		"session $name goes on with its own connection");
}
is(stat_of($local, 'acquires - reused', $server), $before, 'no lease needs a handover');

# The last order was c, b, a.
my $newcomer = session($local);
is($newcomer->query($query)->{out}, $pid->{c},
	'a newcomer takes the connection that was not used for the longest time');
$newcomer->quit;
wait_for_value($local, "SELECT count(*) FROM pg_stat_activity WHERE pid = "
	  . $newcomer->pid, 0, 'the newcomer has ended');
is($session->{c}->query($query)->{out}, $pid->{c},
	'who has lost its connection takes one whose user has ended');

is($session->{$_}->query($query)->{out}, $pid->{$_}, "session $_ still has its own")
  foreach qw(b a);
$session->{a}->quit;
wait_for_value($local, "SELECT count(*) FROM pg_stat_activity WHERE pid = "
	  . $session->{a}->pid, 0, 'a session has ended');
is(sql($local, $query), $pid->{a},
	'a newcomer takes the connection whose user has ended, though others are older');
is(stat_of($local, 'open', $server), 3, 'no more connections are open than there may be');
$session->{$_}->quit foreach qw(b c);

# Two sessions that come back for the same connection at once get one each.
my $growing = server(max_size => 2);
my @pair = map { session($local) } 1, 2;
wait_until(60, sub {
	$_->query(pid_query($growing)) foreach @pair;
	return stat_of($local, 'open', $growing) == 2;
});
is(stat_of($local, 'open', $growing), 2,
	'another connection is opened for sessions that take it from each other');
is(stat_of($local, 'acquire_failures + acquire_timeouts + waiting', $growing), 0,
	'nobody waits for it');
my $own = join ' ', map { $_->query(pid_query($growing))->{out} } @pair;
$before = stat_of($local, 'acquires - reused', $growing);
is(join(' ', map { $_->query(pid_query($growing))->{out} } @pair), $own,
	'each of them has a connection now') foreach 1 .. 5;
is(stat_of($local, 'acquires - reused', $growing), $before,
	'and they need no more handovers');
$_->quit foreach @pair;

# One at a time is in use, so one is enough, though each is used.
my $spare = server(max_size => 3, idle_timeout => '1s');
($session) = settle($spare);
wait_until(60, sub {
	$session->{$_}->query(pid_query($spare)) foreach @names;
	return stat_of($local, 'closed_idle_timeout', $spare) >= 2;
});
cmp_ok(stat_of($local, 'closed_idle_timeout', $spare), '>=', 2,
	'idle_timeout closes connections beyond the most that were in use at a time');
$session->{$_}->quit foreach @names;

settled($local);
remote_count($local, $remote);
no_crash($local, $remote);
done_testing();
