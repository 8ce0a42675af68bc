# 113_stale_parts.pl
#	The answer to an earlier handover, of each form that a reset has, comes once more
#	before the answer to a handover of each form: no session takes any of it for its
#	own, and none is told the error of another one in it.
#
# Runs in the plain round only.
# Needs statement_cache.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use PoolTest::TwoSessions;
use Test::More;

my ($local, $remote, $proxy, $session) =
  start_two_sessions(srv => {}, plain => { statement_cache => 0 });

sql($local, <<'SQL');
-- An error that carries the token, with all that is said.
CREATE FUNCTION fail(server text, token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	PERFORM pool_query(server, 'select $1::text::int', token);
	RETURN 'no error';
EXCEPTION WHEN query_canceled OR OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', sqlstate, sqlerrm, detail);
END $$;

-- A new connection, and so many handovers of it, by both sessions in turn; what they
-- run has run often enough to be prepared.
CREATE FUNCTION turns(server text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 2 LOOP
		PERFORM fail(server, '1'), ask(server, 'turn');
		PERFORM other(format('ask(%L, ''turn'')', server));
	END LOOP;
	PERFORM pool_reconnect(server);
	FOR i IN 1 .. n LOOP
		IF (n - i) % 2 = 0 THEN
			PERFORM other(format('ask(%L, ''turn'')', server));
		ELSE
			PERFORM ask(server, 'turn');
		END IF;
	END LOOP;
END $$;
SQL

# The first handover that runs what is to be prepared prepares the parts, too, the
# next ones are in parts; without the cache each is by DISCARD ALL.  What tells an
# answer: the tag of DISCARD ALL, ten ParseComplete, the tag of CLOSE ALL.
my $discard_all = unpack 'H*', "DISCARD ALL\0";
my $close_all = unpack 'H*', "CLOSE CURSOR ALL\0";
my %form = (
	'DISCARD ALL' => qr/^(?!.*(?:3100000004.*){5}).*$discard_all/,
	'DISCARD ALL and what it prepares' => qr/$discard_all.*(?:3100000004.*){10}/,
	'parts' => qr/^(?!.*$discard_all).*$close_all/);
my %stale;

# answer_of(form, server, n, call): the answer to that call, after so many turns.  If the
# worker has reset the connection meanwhile, it is of another form.
sub answer_of
{
	my ($form, $server, $n, $call) = @_;
	my $answer;

	foreach (1 .. 5)
	{
		$session->query("SELECT turns('$server', $n), $call('$server', 'secret')");
		$answer = unpack 'H*', last_answer($proxy);
		last if $answer =~ $form{$form};
	}
	return $answer;
}

foreach ([ 'DISCARD ALL', 'plain', 1 ], [ 'DISCARD ALL and what it prepares', 'srv', 1 ],
	[ 'parts', 'srv', 3 ])
{
	my ($form, $server, $n) = @$_;

	$stale{"$form, and an error"} = answer_of($form, $server, $n, 'fail');
	$stale{"$form, and rows"} = answer_of($form, $server, $n, 'ask');
	like($stale{$_}, $form{$form}, "an answer is of its form: $_")
	  foreach "$form, and an error", "$form, and rows";
}
is(scalar(grep { /^(..)*5a0000000549$/ } values %stale), 6, 'there are six answers to the end');

foreach my $what (sort keys %stale)
{
	foreach ([ 'plain', 1 ], [ 'srv', 1 ], [ 'srv', 3 ])
	{
		my ($server, $n) = @$_;

		foreach my $call ("fail('$server', 'own')", "ask('$server', 'own')")
		{
			my $found = $session->query("SELECT turns('$server', $n);"
				  . " SELECT proxy('fault handover remote message 0 0 inject $stale{$what}');"
				  . " SELECT $call")->{out};

			like($found, qr/^08006/m, "$call, after $n turns, is no answer: $what");
			unlike($found, qr/secret/, "and nothing of it is told: $what");
			is($session->query("SELECT wrong('$server')")->{out}, '', 'all is well after that');
		}
	}
}

end_two_sessions($local, $remote, $proxy, $session);

done_testing();
