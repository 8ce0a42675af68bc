# 014_tls_proxy.pl
#	What goes over the wire to an encrypted remote, and what happens when the wire
#	is cut.  A proxy between pool and the remote sees how each connection begins,
#	and cuts all of them when it is told to: cancels are encrypted, too, and a cut
#	is an error with its cause, or not noticed at all.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Select;
use IO::Socket::INET;
use PoolTest;
use PoolTest::Child;
use PoolTest::Tls;
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

my $dir = make_certificates();
my $tls = start_tls_remote($dir);
my $local = start_local();
my $worker = worker_pid($local);

# A proxy that sees what goes over the wire, and can cut it.
my $listen = mute_remote();
my ($seen, $cut) = ("$dir/seen", "$dir/cut");
my $proxy = start_child(\&proxy);

sub proxy
{
	my ($goes_on) = @_;
	my $all = IO::Select->new($listen);
	my (%peer, %begun);

	while ($goes_on->())
	{
		foreach my $from ($all->can_read(0.02))
		{
			if ($from == $listen)
			{
				my $near = $listen->accept;
				my $far =
				  IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $tls->port);

				next if !$near || !$far;
				$all->add($near, $far);
				@peer{ $near, $far } = ($far, $near);
				$begun{$near} = '';
				next;
			}
			my $to = $peer{$from} or next;
			my $got = sysread $from, my $data, 65536;
			if (!$got)
			{
				$all->remove($from, $to);
				close $_ foreach $from, $to;
				next;
			}
			if (defined $begun{$from} && length $begun{$from} < 8)
			{
				$begun{$from} .= $data;
				append_to_file($seen, unpack('N', substr $begun{$from}, 4, 4) . "\n")
				  if length $begun{$from} >= 8;
			}
			syswrite $to, substr $data, 0, length $data, '' while length $data;
		}
		if (unlink $cut)
		{
			foreach my $socket ($all->handles)
			{
				next if $socket == $listen;
				setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0;
				$all->remove($socket);
				close $socket;
			}
		}
	}
	return;
}

# seen(): how the connections through it began
sub seen
{
	return -e $seen ? slurp_file($seen) : '';
}

my $proxied = new_server($local, $tls, {
	port => $listen->sockport, sslmode => 'require', max_size => 2, retry_attempts => 3 });
close $listen;
is(transport($local, $proxied), 'relayed', 'a connection through the proxy is relayed');
my $request = 80877103;    # SSLRequest, after which all is encrypted
is(seen(), "$request\n", 'a connection begins with a request for TLS');
my $sleeping = session($local);
$sleeping->begin("SELECT pool_query('$proxied', 'select pg_sleep(60)')");
wait_for_remote_statement($tls, 'a statement runs before its session is cancelled');
sql($local, 'SELECT pg_cancel_backend(' . $sleeping->pid . ')');
is($sleeping->result->{state}, '57014', 'a session is cancelled over TLS');
wait_for_value($tls,
	q(SELECT count(*) FROM pg_stat_activity
		WHERE query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid()),
	0, 'the cancel reaches the remote');
cmp_ok(stat_of($local, 'cancels', $proxied), '>=', 1, 'the cancel is counted');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied' AND state = 'closing'",
	0, 'the connection of a cancelled statement is closed');
like(seen(), qr/^($request\n){2,}$/,
	'the cancel begins with a request for TLS and does not show its key');
$sleeping->quit;

# A connection that is cut.
my $log = log_offset($local);
my $victim = session($local);
is($victim->query("SELECT pool_query('$proxied', 'select 1')")->{out}, '(1)',
	'a session gets an answer before the cut');
$victim->begin("SELECT count(*) FROM pool_query('$proxied',"
	  . " 'select n, pg_sleep(0.001) from generate_series(1, 100000) n') AS t(n int, s text)");
wait_for_remote_statement($tls, 'a statement runs before the cut');
append_to_file($cut, '');
my $answer = $victim->result(30);
is($answer->{state}, '08006', 'a cut within a result is an error');
like($answer->{err}, qr/may have been executed or not/,
	'the error of a cut says what is not known');
ok( wait_until(
		10,
		sub {
			return log_since($local, $log) =~
			  /lost its connection to .* remote process \d+: Connection reset by peer/;
		}),
	'the log has the cause of the cut');
is($victim->query("SELECT pool_query('$proxied', 'select 2')")->{out}, '(2)',
	'a session gets answers after a cut');

# A connection that is cut while idle.
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 1,
	'one connection is idle before the cut');
append_to_file($cut, '');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 0,
	'a connection that is cut while idle is closed');
is($victim->query("SELECT pool_query('$proxied', 'select 3')")->{out}, '(3)',
	'a connection that was cut while idle is replaced');

# A connection that is cut while the worker resets it.
sql($local, "ALTER SERVER $proxied OPTIONS (ADD reset_query 'select pg_sleep(60)')");
$victim->query("SELECT pool_release(pool_acquire('$proxied'))");
$victim->query('BEGIN');
my $lease = $victim->query("SELECT pool_acquire('$proxied')")->{out};
$victim->query("SELECT pool_exec($lease, 'select 1')");
$victim->query('COMMIT');
wait_for_value($local,
	"SELECT string_agg(DISTINCT state, ',') FROM pool_connections WHERE server = '$proxied'",
	'resetting', 'the worker resets the connection before the cut');
append_to_file($cut, '');
wait_for_value($local,
	"SELECT count(*) FROM pool_connections WHERE server = '$proxied'", 0,
	'a connection that is cut in a reset is closed');
is(worker_pid($local), $worker, 'the worker goes on after the cuts');
wait_for_value($tls,
	q(SELECT count(*) FROM pg_stat_activity
		WHERE query = 'select pg_sleep(60)' AND state = 'active'),
	0, 'the reset is cancelled on the remote');
$victim->quit;
sql($local, "DROP SERVER $proxied CASCADE");
wait_for_value($local, "SELECT count(*) FROM pool_connections WHERE server = '$proxied'",
	0, 'all connections of a dropped server are closed');
stop_child($proxy);

settled($local);
no_crash($local, $tls);
done_testing();
