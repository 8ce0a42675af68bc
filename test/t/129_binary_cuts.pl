# 129_binary_cuts.pl
#	A connection that is cut after each byte, in each direction, while a statement
#	that is known to return many rows is described and then executed; and the same
#	bytes in two pieces, parted at each place, and one by one.  The session gets all
#	rows, once, or an error that says that the connection was lost, and is served
#	again.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use PoolTest::TwoSessions;
use Test::More;

my ($local, $remote, $proxy, $session) = start_two_sessions(srv => {});

# Each text is new, so its first run is not described, and its second one is, however
# long a busy machine takes for that.
sql($local, <<'SQL');
CREATE SEQUENCE texts;
CREATE FUNCTION large(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	got text;
BEGIN
	SELECT concat_ws(' ', count(*), min(t), max(t), sum(f)) INTO got FROM pool_query('srv',
		format('select $1::text, g::float8 from generate_series(1, 1000) g /* %s */', token), token)
		AS r(t text, f float8);
	RETURN CASE WHEN got = format('1000 %1$s %1$s 500500', token) THEN 'right' ELSE 'WRONG ' || got END;
EXCEPTION WHEN query_canceled OR OTHERS THEN
	RETURN sqlstate;
END $$;

CREATE FUNCTION try(fault text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	token text := 't' || nextval('texts');
	first text := large(token);
	came text;
BEGIN
	PERFORM proxy('fault ' || fault);
	came := large(token);
	RETURN concat_ws(' ', nullif(first, 'right'), came, wrong('srv'));
END $$;
SQL

# described(code): how often the proxy saw a statement being described meanwhile
sub described
{
	my ($code) = @_;
	my %before = proxy_report($proxy);

	$code->();
	my %after = proxy_report($proxy);
	return $after{described} - $before{described};
}

# try_all(what, side, bytes, fault, allowed): each outcome that is allowed has to come,
# and the statement be described each time
sub try_all
{
	my ($what, $side, $bytes, $fault, @allowed) = @_;
	my $answer;
	my $described = described(sub {
		$answer = $session->query(
			"SELECT outcome, count(*), min(n) FROM (SELECT n, try(format('$fault', '$side', n))"
			  . " AS outcome FROM generate_series(0, $bytes) n) x GROUP BY 1 ORDER BY 1", 600);
	});
	my @seen = sort map { (split /\|/)[0] } split /\n/, $answer->{out};

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join('; ', @seen), join('; ', sort @allowed), "$what of the $side")
	  or diag($answer->{out}, $answer->{err});
	cmp_ok($described, '>', $bytes, 'the statement is described each time');
	return;
}

is(described(sub { $session->query(q(SELECT large('twice'))) }), 0, 'a large result comes');
is(described(sub { $session->query(q(SELECT large('twice'))) }), 1, 'and again, described');
foreach my $side ('client', 'remote')
{
	# Those of the client are fewer, and those of the remote go on with more rows.
	try_all('all rows come or 08006 wherever it is cut in the bytes',
		$side, 300, 'exchange %s byte %s 0 cut', '08006', 'right');
	try_all('all rows come in two parts, whatever the place in the bytes',
		$side, 200, 'exchange %s byte %s 0 split', 'right');
	try_all('all rows come one by one, by the bytes', $side, 0, 'exchange %s byte %s 0 drip', 'right');
}
end_two_sessions($local, $remote, $proxy, $session);
done_testing();
