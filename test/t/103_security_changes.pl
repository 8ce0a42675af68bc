# 103_security_changes.pl
#	Rights and passwords that are taken away while they are in use: what the old
#	password opened serves no lease that begins afterwards, wherever it is just then
#	(idle, leased, in a statement, on its way to another session, in copies), and is
#	closed; USAGE, a mapping, a server and the superuser's rights are gone for the
#	next lease.
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
sql($local, 'CREATE ROLE alice LOGIN');
sql($local, 'CREATE ROLE bob LOGIN');
my @alice = map { session($local, user => 'alice') } 0 .. 4;
my ($holder, $runner, $copier, $waiter, $later) = @alice;
my $gate = session($remote, db => $PoolTest::remote_db);
my $behind_gate = 'from pg_advisory_xact_lock(1)';
my $number = 0;

# start_server(max_size): a server that alice may use
sub start_server
{
	my ($max_size) = @_;
	my $name = 'server' . ++$number;

	create_server($local, $name, $remote, for => 'alice',
		options => { max_size => $max_size, acquire_timeout => '60s' });
	sql($local, "GRANT USAGE ON FOREIGN SERVER $name TO alice");
	return $name;
}

# set_password(server, password): here and there
sub set_password
{
	my ($server, $password) = @_;

	sql($remote, "ALTER ROLE app PASSWORD '$password'");
	sql($local, "ALTER USER MAPPING FOR alice SERVER $server"
		. " OPTIONS (SET password '$password')");
	return;
}

# old_ones_end(pids, what): a test: the remote has none of these sessions any more
sub old_ones_end
{
	my ($pids, $what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_app_sessions($remote, 0, $what,
		condition => 'pid IN (' . join(', ', @$pids) . ')', seconds => 20);
}

#
# The password is altered while one connection is leased, one runs a statement, one
# is idle with copies in several sessions.
#
my $name = start_server(3);
my ($lease, $leased) = acquire_lease($holder, $name);
$runner->query(pid_query($name));
my %old = ($leased => 1);
$old{ $_->query(pid_query($name))->{out} } = 1 foreach $copier, $later, $copier;
$gate->query('SELECT pg_advisory_lock(1)');
$runner->begin("SELECT p FROM pool_query('$name', 'select pg_backend_pid() $behind_gate')"
	  . ' AS t(p int)');
wait_for_remote_statement($remote, 'a statement runs when the password is altered');
$old{$_} = 1 foreach split /\n/,
  sql($remote, q(SELECT pid FROM pg_stat_activity WHERE usename = 'app'));
set_password($name, 'second');
foreach my $session ($copier, $later)
{
	my $pid = $session->query(pid_query($name))->{out};

	like($pid, qr/^\d+$/, 'a session that has copies of old connections gets an answer');
	ok(!$old{$pid}, 'it is from a connection that the new password has opened');
}
$gate->query('SELECT pg_advisory_unlock(1)');
my $answer = $runner->result;
ok($old{ $answer->{out} }, 'a statement that has begun ends on its old connection');
ok(!$old{ $runner->query(pid_query($name))->{out} || $leased }, 'the next one has a new one');
is($holder->query(pid_query($lease))->{out}, $leased, 'a lease that has begun goes on');
$holder->release($lease);
old_ones_end([ keys %old ],
	'no connection that the old password has opened is left when its lease has ended');

# With a password that is wrong nobody gets in by what is open.
($lease, $leased) = acquire_lease($holder, $name);
sql($local, "ALTER USER MAPPING FOR alice SERVER $name OPTIONS (SET password 'wrong')");
$holder->release($lease);
foreach my $session (@alice)
{
	is($session->query(pid_query($name))->{state}, '28P01',
		'with a wrong password no connection is had, though some were open');
}
wait_for_app_sessions($remote, 0, 'none of them is left');
set_password($name, 'second');

#
# On its way: a session is granted a connection, and stopped before it has it, while
# the password is altered and another session has the worker know.
#
my $single = start_server(1);
set_password($single, 'third');
($lease, $leased) = acquire_lease($holder, $single);
$waiter->begin(pid_query($single));
wait_for_waiters($local, 1, 'a session waits for the only connection', $single);
kill 'STOP', $waiter->pid;
$holder->release($lease);
wait_for_value($local,
	"SELECT pid FROM pool_connections WHERE server = '$single' AND state = 'leased'",
	$waiter->pid, 'it is granted the connection, and does not know it yet');
set_password($single, 'fourth');
$later->begin(pid_query($single));
wait_for_waiters($local, 1, 'another session asks with the new password', $single);
kill 'CONT', $waiter->pid;
$answer = $waiter->result;
is($answer->{err}, '', 'a session that was on its way gets an answer');
my $new = $later->result->{out};
like($new, qr/^(?!$leased$)\d+$/, 'the one that asked later gets it from a new connection');
old_ones_end([$leased], 'the old connection is closed');

#
# Rights
#
($lease, $leased) = acquire_lease($holder, $single);
sql($local, "REVOKE USAGE ON FOREIGN SERVER $single FROM alice");
is($holder->query(pid_query($lease))->{out}, $leased,
	'a lease that has begun goes on when USAGE is revoked');
is($holder->query(pid_query($single))->{state}, '42501', 'its session gets no other one');
$waiter->begin(pid_query($single));
is($waiter->result(20)->{state}, '42501', 'nor does another session: it does not even wait');
is(sql($local, "SELECT pool_close('$single')"), '1', 'an administrator can end the lease');
like($holder->query(pid_query($lease))->{state}, qr/^0800[36]$/, 'then it is over');
$holder->release($lease);

# USAGE is revoked while a session waits: the lease was asked for before.
sql($local, "GRANT USAGE ON FOREIGN SERVER $single TO alice");
($lease) = acquire_lease($holder, $single);
$waiter->begin(pid_query($single));
wait_for_waiters($local, 1, 'a session waits when USAGE is revoked', $single);
sql($local, "REVOKE USAGE ON FOREIGN SERVER $single FROM alice");
$holder->release($lease);
like($waiter->result->{state}, qr/^(00000|42501)$/,
	'it gets the connection for which it waits, or is refused');
is($waiter->query(pid_query($single))->{state}, '42501', 'and no other one');

# A mapping and a server are dropped under a lease.
foreach my $drop ('USER MAPPING FOR alice SERVER %s', 'SERVER %s CASCADE')
{
	my $server = start_server(2);
	my $what = 'DROP ' . sprintf $drop, 'srv';

	set_password($server, 'fifth');
	($lease, $leased) = acquire_lease($holder, $server);
	my $idle = $later->query(pid_query($server))->{out};
	$gate->query('SELECT pg_advisory_lock(1)');
	$later->begin("SELECT pool_query('$server', 'select 1 $behind_gate')");
	wait_for_remote_statement($remote, "a statement runs before $what");
	sql($local, 'DROP ' . sprintf $drop, $server);
	$gate->query('SELECT pg_advisory_unlock(1)');
	is($later->result->{state}, '00000', "a statement that has begun ends after $what");
	is($holder->query(pid_query($lease))->{out}, $leased, "a lease goes on after $what");
	is($_->query(pid_query($server))->{state}, '42704', "no lease begins after $what")
	  foreach $holder, $later;
	old_ones_end([$idle], "what is not leased is closed after $what");
	is($holder->release($lease)->{err}, '', "the lease is released after $what");
	old_ones_end([$leased], "its connection is closed after $what");
}

# A superuser connects without a password where the remote wants none, until he is one
# no more.
PoolTest::hba($remote, 'trust');
$remote->reload;
my $trusting = start_server(2);
sql($local, "ALTER USER MAPPING FOR alice SERVER $trusting OPTIONS (DROP password)");
is($holder->query(pid_query($trusting))->{state}, '2F003',
	'alice needs a password where the remote trusts everybody');
sql($local, 'ALTER ROLE alice SUPERUSER');
my $open = $holder->query(pid_query($trusting))->{out};
like($open, qr/^\d+$/, 'as a superuser she needs none');
like($later->query(pid_query($trusting))->{out}, qr/^\d+$/, 'nor in another session');
sql($local, 'ALTER ROLE alice NOSUPERUSER');
is($_->query(pid_query($trusting))->{state}, '2F003',
	'when she is none any more she needs a password again, though connections are open')
  foreach $holder, $later;

$_->quit foreach @alice, $gate;
settled($local);
no_crash($local, $remote);

done_testing();
