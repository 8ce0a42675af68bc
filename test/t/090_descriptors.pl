# 090_descriptors.pl
#	A connection's descriptor on its way through a session: one that does not
#	arrive is an error, a stranger at the session's own socket does not get in
#	between, programs that the session starts do not inherit it, and the session's
#	environment is what it was.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IPC::Run;
use PoolTest;
use PoolTest::Security;
use PostgreSQL::Test::Utils;
use Socket qw(AF_UNIX SOCK_STREAM);
use Test::More;

my ($local, $remote) = start_security_pair();
my $session = session($local);
my $pid = $session->pid;

# told_by(program): what a program says that the session runs
sub told_by
{
	my ($program) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/told";

	unlink $file;
	$session->query("COPY (SELECT 1) TO PROGRAM '$program >$file'");
	return slurp_file($file);
}

sub inherited
{
	return scalar(() = told_by('ls -l /proc/self/fd') =~ /socket:/g);
}

#
# Programs and the environment
#
my $environment = told_by('env | sort');
my $sockets = inherited();
like($environment, qr/^PGSERVICE=evil$/m, 'the session has variables for libpq in its environment');
is($session->query(select_42('srv'))->{out}, 42, 'the session has a copy of a connection');
is(inherited(), $sockets, 'a program that the session starts does not get its connection');
is(told_by('env | sort'), $environment, 'the environment of the session is what it was');

#
# A descriptor that cannot be received: the session may open no more when the
# worker answers.  It is stopped meanwhile, so that it opens none by itself.
#
sub limit_descriptors
{
	my ($limit) = @_;

	return system('prlimit', '--pid', $pid, "--nofile=$limit:") == 0;
}

create_server($local, 'narrow', $remote, options => { max_size => 1 });
is(sql($local, q(SELECT pool_prewarm('narrow', 1))), 1, 'a connection is open');
my ($usual) = slurp_file("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m;
my $worker = worker_pid($local);
my $owner = q(SELECT pid FROM pool_connections WHERE server = 'narrow');
kill 'STOP', $worker;
$session->begin(select_42('narrow'));
wait_for_value($local, $owner, $pid, 'the session has leased the connection');
wait_for_value($local, "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $pid",
	'Extension', 'the session waits for the worker');
kill 'STOP', $pid;
ok(limit_descriptors(3), 'the session may open no more descriptors');
kill 'CONT', $worker;
my $other = session($local);
is($other->query(select_42('srv'))->{out}, 42, 'the worker has answered, one after the other');
kill 'CONT', $pid;
my $answer = $session->result;
ok(limit_descriptors($usual), 'the session may open descriptors again');
is($answer->{state}, '53000', 'a descriptor that cannot be received is an error');
like($answer->{err}, qr/could not receive a descriptor.*: Too many open files/,
	'the error says what is missing');
is($session->query(select_42('narrow'))->{out}, 42, 'the next statement is answered');
is(stat_of($local, 'connects', 'narrow'), 1, 'the connection was not lost');

#
# A stranger at the socket that the session makes for itself: it listens, and is
# held up for five seconds before it connects.
#
SKIP:
{
	skip 'strace is not installed', 2 if system('strace -V >/dev/null 2>&1') != 0;

	my ($err, $out) = ('', '');
	my @delay = ('-e', 'trace=listen', '-e', 'inject=listen:delay_exit=5000000');
	my $strace = IPC::Run::start([ 'strace', '-o', '/dev/null', @delay, '-p', $pid ],
		'<', \undef, '>', \$out, '2>', \$err);

	wait_until(20, sub { $strace->pump_nb; return $err =~ /attached|not permitted|invalid/ });
	if ($err !~ /attached/)
	{
		$strace->kill_kill;
		skip 'strace may not hold up a process here', 2;
	}
	create_server($local, 'crowded', $remote, options => { max_size => 1 });
	$session->begin(select_42('crowded'));

	my ($name, @strangers);
	wait_until(20,
		sub { ($name) = slurp_file('/proc/net/unix') =~ m{\@(pool\.$pid\.\w+/\S+)}; return $name });
	foreach (1 .. 2)
	{
		socket(my $stranger, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
		push @strangers, $stranger if connect $stranger, pack('S a*', AF_UNIX, "\0$name");
	}
	is(scalar @strangers, 2, 'strangers come first to the socket of the session');
	$answer = $session->result;
	is($answer->{out}, 42, 'the session is answered all the same') or diag($answer->{err});
	$strace->signal('INT');
	$strace->finish;
}

$_->quit foreach $session, $other;
settled($local);
no_crash($local, $remote);
done_testing();
