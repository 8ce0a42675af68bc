# 080_cuts.pl
#	A connection that is cut after each byte, in each direction: while it is made,
#	in the statement of the session that has it first, in the handover to another
#	session, and in a reset by the worker.  The same bytes are also delivered in
#	two pieces, parted at each place, and one by one.
#
#	Each session gets its own rows, all of them and once, or an error that says that
#	the connection was lost; after each case nothing is leased, no session waits,
#	another pool answers, and both sessions are served again.
#
#	POOL_TEST_CUT_EVERY: cut after every so many bytes (3), beginning with any of
#	these; 1 takes a minute.
#
# Runs in the plain round only.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 sha256);
use FindBin;
use lib $FindBin::RealBin;
use MIME::Base64 qw(encode_base64);
use PoolTest;
use PoolTest::Proxy;
use PoolTest::TwoSessions;
use Test::More;

my $every = $ENV{POOL_TEST_CUT_EVERY} || 3;
my ($local, $remote, $proxy, $session, $other) = start_two_sessions(srv => {});

# A password with one iteration instead of thousands: there are many connections.
my $salted = hmac_sha256("salt" . pack('N', 1), $PoolTest::password);
sql($remote, sprintf q(ALTER ROLE app PASSWORD 'SCRAM-SHA-256$1:%s$%s:%s'),
	map { encode_base64($_, '') } 'salt', sha256(hmac_sha256('Client Key', $salted)),
	hmac_sha256('Server Key', $salted));

# One case: a new connection that has the fault goes from this session to the other
# one and to the worker.
sql($local, <<'SQL');
CREATE FUNCTION try(fault text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	came text[];
BEGIN
	PERFORM pool_reconnect('srv'), proxy('fault ' || fault);
	came := ARRAY[ask('srv', 'a'), other('leave(''srv'')')];
	RETURN concat_ws(' ', came, wrong('srv'));
END $$;
SQL

# try_all(what, side, bytes, step, fault, allowed): a test of a fault after every
# so many bytes of that side; "fault" has a place for the byte.  Each outcome that
# is allowed has to come.
sub try_all
{
	my ($what, $side, $bytes, $step, $fault, @allowed) = @_;
	my $first = int rand $step;
	my $answer = $session->query(
		"SELECT outcome, count(*), min(n) FROM (SELECT n, try(format('$fault', '$side', n))"
		  . " AS outcome FROM generate_series($first, $bytes, $step) n) x GROUP BY 1 ORDER BY 1",
		600);
	my %seen = map { /^(.*)\|(\d+)\|(\d+)$/ ? ($1 => $2) : ($_ => 1) } split /\n/, $answer->{out};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	note "$first, and every $step bytes" if $step > 1;
	is(join('; ', sort keys %seen), join('; ', sort @allowed), $what)
	  or diag($answer->{out}, $answer->{err});
	note join ', ', map { "$_: $seen{$_}" } sort keys %seen;
	return;
}

# What passes while all goes well: until the worker has reset the connection.
my $clean = $session->query(q(SELECT try('connect client byte 0 split')));
is($clean->{out}, '{right,right}', 'all goes well when nothing is cut') or diag $clean->{err};
sql($local, q(SELECT pool_reconnect('srv')));
is($session->query(q(SELECT ask('srv', 'a'), other('leave(''srv'')')))->{out},
	'right|right', 'two sessions use a connection');
wait_for_value($local, q(SELECT idle FROM pool_stats WHERE server = 'srv'),
	1, 'the worker has reset what they leave');
my %passed = proxy_report($proxy);
my $worker = worker_pid($local);
my @watched = ($worker, $session->pid, $other);
my @descriptors = map { scalar descriptors($_) } @watched;

foreach my $side ('client', 'remote')
{
	my $bytes = $passed{"$side bytes"};

	cmp_ok($bytes, '>', 800, "many bytes of the $side are recorded: $bytes");
	try_all("sessions get their rows or 08006 wherever it is cut in the bytes of the $side",
		$side, $bytes, $every, 'connect %s byte %s 0 cut',
		'{right,right}', '{08006,right}', '{right,08006}');
	try_all("sessions get their rows when bytes of the $side come in two parts, whatever the place",
		$side, 500, 1, 'every exchange %s byte %s 0 split', '{right,right}');
	try_all("sessions get their rows when the bytes of the $side come one by one",
		$side, 0, 1, 'every connect %s byte %s 0 drip', '{right,right}');
}
my %after = proxy_report($proxy);
cmp_ok($after{fired}, '>', ($passed{'client bytes'} + $passed{'remote bytes'}) / $every + 1000,
	'the proxy has cut and split as often as it was told');

ok( wait_until(20, sub {
		return join(' ', map { scalar descriptors($_) } @watched) eq join ' ', @descriptors;
	}) && worker_pid($local) == $worker,
	'the worker and both sessions have as many files open as before');
end_two_sessions($local, $remote, $proxy, $session);

done_testing();
