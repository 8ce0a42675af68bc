# Wait.pm
#	Waiting for a state.  Nothing waits for a fixed time: everything is looked at
#	again and again until it is so or a deadline has passed.  The deadlines are
#	far longer than what pool promises, so that a busy machine does not fail a
#	test, and longer still where a memory tool slows the server down.

package PoolTest::Wait;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;
use Time::HiRes qw(time usleep);

use PoolTest::Sql;

our @EXPORT = qw(
  wait_until wait_for_value wait_for_waiters wait_for_app_sessions
  wait_for_remote_statement wait_for_session_end
);

# How many times as long everything may take, as run.sh says.
my $patience = $ENV{POOL_TEST_PATIENCE} || 1;

# How long to wait where nothing else is said: less than the half minute after which
# the worker would notice by itself what it should have been told.
my $usual = 20;

# wait_until(seconds, code): true as soon as the code is, false at the deadline.  It is
# looked at after that once more: this process may not have run in between.
sub wait_until
{
	my ($seconds, $code) = @_;
	my $deadline = time + $patience * $seconds;

	while (1)
	{
		my $late = time > $deadline;

		return 1 if $code->();
		return 0 if $late;
		usleep(20_000);
	}
}

# wait_for_value(node, query, value, what, how): a test; db and seconds in how
sub wait_for_value
{
	my ($node, $query, $value, $what, %how) = @_;
	my ($state, $err, $out);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$how{seconds} || $usual,
		sub {
			($state, $err, $out) = sql_state($node, $query, %how);
			return $state eq '00000' && $out eq $value;
		});
	return is($err ? $err : $out, $value, $what);
}

# wait_for_waiters(local, count, what, server): a test: so many sessions are in
# the queue of the server, or of all servers
sub wait_for_waiters
{
	my ($local, $count, $what, $server) = @_;
	my $of = defined $server ? "WHERE server = '$server'" : '';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local,
		"SELECT coalesce(sum(waiting), 0) FROM pool_stats $of", $count, $what);
}

# wait_for_app_sessions(remote, count, what, how): a test: role app has so many
# sessions there; condition and seconds in how
sub wait_for_app_sessions
{
	my ($remote, $count, $what, %how) = @_;
	my $found;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		$how{seconds} || $usual,
		sub {
			$found = app_sessions($remote, $how{condition});
			return $found == $count;
		});
	return is($found, $count, $what);
}

# What pool itself has a remote run: resets, by DISCARD ALL or in parts, proofs and
# checks.  These are over soon, and no sign of a test's statement.
my $of_pool = join '|', 'DISCARD', 'ROLLBACK', 'BEGIN ISOLATION', 'CLOSE ALL',
  'SET SESSION AUTHORIZATION', 'RESET ALL', 'UNLISTEN', 'COMMIT', 'SELECT pg_catalog\.', '$';

# wait_for_remote_statement(remote, what, count): a test: one session of role
# app, or so many, run a statement of the test there
sub wait_for_remote_statement
{
	my ($remote, $what, $count) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, $count || 1, $what,
		condition => "state = 'active' AND query !~ '^($of_pool)'");
}

# wait_for_session_end(node, pid, what): a test
sub wait_for_session_end
{
	my ($node, $pid, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($node,
		"SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", 0, $what);
}

1;
