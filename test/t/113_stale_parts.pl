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

-- A new connection, and so many handovers of it, by both sessions in turn
CREATE FUNCTION turns(server text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
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

# The second handover prepares, the third one is in parts; without the cache each is
# by DISCARD ALL.
my %stale;
foreach ([ 'DISCARD ALL', 'plain', 1 ], [ 'DISCARD ALL and what it prepares', 'srv', 1 ],
	[ 'parts', 'srv', 3 ])
{
	my ($form, $server, $n) = @$_;

	$session->query("SELECT turns('$server', $n); SELECT fail('$server', 'secret')");
	$stale{"$form, and an error"} = unpack 'H*', last_answer($proxy);
	$session->query("SELECT turns('$server', $n); SELECT ask('$server', 'secret')");
	$stale{"$form, and rows"} = unpack 'H*', last_answer($proxy);
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

$session->quit;
settled($local);
no_crash($local, $remote);

done_testing();
