# 131_metrics_clients.pl
#	Clients of the metrics that mean no good: they say nothing, or little at a time,
#	come by the thousand, send nonsense, do not read.  Others are answered all the
#	same, statements run, and in the end the process is as before.
#
#	The others have an address of their own, as the limit of connections for each
#	address supposes.  POOL_TEST_SEED repeats what is chosen at random.
#
# Runs in the plain round only.
# Not with sanitizers or valgrind.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use IO::Socket::INET;
use PoolTest;
use PoolTest::Http;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Test::More;

my $seed = $ENV{POOL_TEST_SEED} || int(rand(2**31));
note("seed $seed");
srand($seed);
local $SIG{PIPE} = 'IGNORE';

my $port = metrics_port();
my $remote = start_remote();
my $local = start_local(
	'pool.metrics_listen' => "'127.0.0.1:$port'",
	'pool.max_pools' => 1000,
	'pool.max_role_pools' => 0);
create_server($local, 'srv', $remote, options => { max_size => 2 });

# Many pools, so that the text is larger than what the kernel keeps for a client.
sql($local, <<'SQL');
DO $$
BEGIN
	FOR i IN 1..400 LOOP
		EXECUTE format('CREATE SERVER many%s FOREIGN DATA WRAPPER pool OPTIONS (host ''127.0.0.1'')', i);
		EXECUTE format('CREATE USER MAPPING FOR CURRENT_USER SERVER many%s OPTIONS (user ''x'')', i);
	END LOOP;
END
$$;
SQL
sql($local, q(SELECT pool_prewarm(srvname, 0) FROM pg_foreign_server WHERE srvname LIKE 'many%'));

# hostile(): a connection from another address
sub hostile
{
	my (%how) = @_;

	return IO::Socket::INET->new(
		PeerAddr => '127.0.0.1', PeerPort => $port, LocalAddr => '127.0.0.2', Timeout => 30, %how);
}

# serves(what): tests that others are answered and that statements run
sub serves
{
	my ($what) = @_;
	my ($status, $body) = http_get($port, '/metrics');
	my %values = samples($body);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($status, '200', "$what: others get the metrics");
	ok(exists $values{'pg_pool_all_pools'} && $body =~ /lease_seconds_count\{.*\} \d+\n\z/,
		"$what: all of them");
	is(sql($local, q(SELECT pool_query('srv', 'select 1'))), '(1)', "$what: statements run");
	return;
}

ok(wait_until(60, sub { return (http_get($port, '/healthz'))[0] eq '200' }), 'it serves');
serves('at first');
my $pid = metrics_pid($local);

# idle(): waits until the process has no client
my $descriptors = 0;
sub idle
{
	return wait_until(60, sub { return scalar(descriptors($pid)) == $descriptors });
}

# Without clients it has one socket, to listen.
wait_until(30, sub { return 1 == grep { /^socket/ } descriptors($pid) });
$descriptors = descriptors($pid);
http_get($port, '/metrics') for 1 .. 20;
my $memory = memory_of($pid, 'RssAnon');
my $text_kb = length((http_get($port, '/metrics'))[1]) / 1024;
note(sprintf 'a text of %d kB, %d kB of memory, %d descriptors', $text_kb, $memory, $descriptors);

#
# Those that say nothing, or half of it
#
my @silent = map { hostile() } 1 .. 60;
cmp_ok(scalar(grep { defined } @silent), '>', 16, 'more connect than one address may have');
syswrite $_, "GET /metrics HTTP/1.1\r\nHost: x" foreach grep { defined } @silent[ 0 .. 29 ];
serves('while 60 connections say nothing');

# That of the one that was answered may end a moment later.
wait_until(1, sub { return scalar(descriptors($pid)) <= $descriptors + 16 });
cmp_ok(scalar(descriptors($pid)), '<=', $descriptors + 16,
	'one address has no more than its connections');
is(scalar(grep { defined && !(http_rest($_, 60))[1] } @silent), 0, 'all of them are closed');
undef @silent;
ok(idle(), 'no descriptor is left of them');

#
# One that sends a byte at a time, which is never idle
#
my $slow = hostile();
my $request = "GET /metrics HTTP/1.1\r\n" . 'X-Slow: ' . 'y' x 1000;
my $sent = 0;
my $ended = wait_until(
	60,
	sub {
		return 1 if $sent >= length $request;
		return 1 if !syswrite $slow, substr($request, $sent++, 1);
		my ($text, $closed) = http_rest($slow, 0.3);
		return $closed;
	});
ok($ended && $sent < length $request, 'one that sends byte by byte is closed');
serves('after a slow one');

#
# One that does not read, and many of them: memory has a bound, too
#
my @deaf = map { hostile() } 1 .. 15;
foreach my $socket (@deaf)
{
	setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 4096;
	syswrite $socket, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
	serves('while some do not read') if $socket == $deaf[4] || $socket == $deaf[14];
}
cmp_ok(memory_of($pid, 'RssAnon') - $memory, '<', 8 * $text_kb + 4096,
	'those that do not read share what they are sent');
ok(idle(), 'they are closed though they do not read');
undef @deaf;

#
# By the thousand
#
my @crowd = map { hostile(Timeout => 5) } 1 .. 1000;
cmp_ok(scalar(grep { defined } @crowd), '>', 32, 'more connect than all may have');
serves('in a crowd of 1,000');
cmp_ok(scalar(descriptors($pid)), '<=', $descriptors + 32, 'descriptors have a bound');
undef @crowd;
ok(idle(), 'no descriptor is left of them');

# Each is answered, if they come one after the other.
my $good = grep { (http_get($port, '/healthz'))[0] eq '200' } 1 .. 1000;
is($good, 1000, 'of 1,000 requests in a row each is answered');

#
# Nonsense
#
my @words = (
	'GET', 'HEAD', 'POST', ' ', '/metrics', '/healthz', '?', '%00', '%', "\0", 'HTTP/1.1', 'HTTP/1.0',
	'HTTP/9.9', "\r\n", "\n", "\r", ':', 'Host: x', 'Content-Length: ', '-1', '99999999999999999999',
	'Transfer-Encoding: chunked', 'Expect: 100-continue', 'Connection: keep-alive',
	'Upgrade: websocket', 'ffffffffffffffff', "\x{ff}\x{fe}", ';', ',', '"', '../', 'A' x 5000,
	"\x16\x03\x01\x02\x00", 'PRI * HTTP/2.0');
my %answers;
foreach my $turn (1 .. 400)
{
	my $bytes = $turn % 4 == 0
	  ? join('', map { chr int rand 256 } 1 .. rand 500)
	  : ($turn % 2 ? 'GET /metrics HTTP/1.1' : '')
	  . join('', map { $words[ rand @words ] } 1 .. rand 40)
	  . ($turn % 3 ? "\r\n\r\n" : '');
	my $socket = hostile() or die "nobody listens at turn $turn of seed $seed";

	# Closed with a reset: where a client may only be slow, its place is kept a while.
	setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
	syswrite $socket, $bytes;
	my ($answer) = http_rest($socket, 0.05);
	$answers{ $answer =~ m{^HTTP/1\.[01] (\d+)} ? $1 : $answer eq '' ? 'none' : 'strange' }++;
	close $socket;
}
note(join ', ', map { "$_: $answers{$_}" } sort keys %answers);
is(join(' ', grep { !/^(none|200|400|404|405|408|411|413|414|417|431|500|501|505)$/ } sort keys %answers),
	'', 'nonsense is refused or not answered');
ok(grep({ /^4/ } keys %answers), 'some of it is refused');
my $huge = http_ask($port, "GET /metrics HTTP/1.1\r\n" . ('X-Header: ' . 'y' x 1000 . "\r\n") x 1000);
like($huge, qr{^(HTTP/1\.1 4\d\d|$)}, 'a head of 1 MB is refused');
$huge = http_ask($port, 'GET /' . 'x' x 1_000_000 . " HTTP/1.1\r\n\r\n");
like($huge, qr{^(HTTP/1\.1 4\d\d|$)}, 'so is a path of 1 MB');
is(() = http_ask($port, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" x 1000) =~ m{HTTP/1\.1}g,
	1, 'of 1,000 requests at once in a connection one is answered');
serves('after nonsense');

#
# All is as before
#
ok(idle(), 'the process has no more descriptors than before');
is(metrics_pid($local), $pid, 'it is the same one');
cmp_ok(memory_of($pid, 'RssAnon') - $memory, '<', 4 * $text_kb + 4096, 'its memory has not grown');
settled($local, 'the pool');
no_crash($local, $remote);

done_testing();
