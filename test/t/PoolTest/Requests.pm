# Requests.pm
#	Requests: statements that were sent without waiting, which their remote answers
#	when the test says so.
#
#	A gate is an advisory lock at the remote.  behind(n, 'select 1') is a statement
#	that stands before gate n until it is opened.

package PoolTest::Requests;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use Test::More;

our @EXPORT = qw(
  create_caught answers caught send_request wait_for_state states_of start_gates shut
  open_gate behind wait_for_gate
);

# create_caught(local): caught(statement): its first value, or "SQLSTATE message", and
# detail if there is one; what was sent before it stays
sub create_caught
{
	my ($local) = @_;

	sql($local, <<'SQL');
CREATE FUNCTION caught(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
	what text;
	more text;
BEGIN
	EXECUTE statement INTO answer;
	RETURN answer;
EXCEPTION WHEN query_canceled OR OTHERS THEN
	GET STACKED DIAGNOSTICS what = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
	RETURN sqlstate || ' ' || what || CASE WHEN more <> '' THEN ' (' || more || ')' ELSE '' END;
END $$;
SQL
	return;
}

# answers(session, statement, expected, what): a test: that is its answer, or matches it
sub answers
{
	my ($session, $statement, $expected, $what) = @_;
	my $result = $session->query($statement);
	my $got = $result->{state} eq '00000' ? $result->{out} : "$result->{state} $result->{err}";

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ref $expected ? like($got, $expected, $what) : is($got, $expected, $what);
}

# caught(session, statement): what caught() says of it
sub caught
{
	my ($session, $statement) = @_;
	my $result = $session->query("SELECT caught(\$caught\$$statement\$caught\$)");

	return $result->{state} eq '00000' ? $result->{out} : "$result->{state} $result->{err}";
}

# send_request(session, to, statement): its number; to: a server, or a lease
sub send_request
{
	my ($session, $to, $statement) = @_;
	my $quoted = $statement =~ s/'/''/gr;
	my $result = $session->query(
		'SELECT pool_send(' . ($to =~ /^\d+$/ ? $to : "'$to'") . ", '$quoted')");

	die "$statement\nwas not sent: $result->{err}" if $result->{out} !~ /^\d+$/;
	return $result->{out};
}

# states_of(session, request...): what pool_poll() says of each, with blanks between
sub states_of
{
	my ($session, @requests) = @_;

	return join ' ', map { $session->query("SELECT pool_poll($_)")->{out} } @requests;
}

# wait_for_state(session, request, state, what): a test: pool_poll() says so soon
sub wait_for_state
{
	my ($session, $request, $state, $what) = @_;
	my $found;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(20, sub { ($found = states_of($session, $request)) eq $state });
	return is($found, $state, $what);
}

# start_gates(remote): all of them open
sub start_gates
{
	my ($remote) = @_;

	return session($remote, db => $PoolTest::Nodes::remote_db);
}

sub shut
{
	my ($gates, @numbers) = @_;

	sql($gates, join ' ', map { "SELECT pg_advisory_lock($_);" } @numbers);
	return;
}

sub open_gate
{
	my ($gates, @numbers) = @_;

	sql($gates, join ' ', map { "SELECT pg_advisory_unlock($_);" } @numbers);
	return;
}

sub behind
{
	my ($gate, $statement) = @_;

	return "$statement from pg_advisory_xact_lock_shared($gate)";
}

# wait_for_gate(gates, number, count, what, session): a test: so many sessions stand
# before it; meanwhile the session, if there is one, moves its requests on
sub wait_for_gate
{
	my ($gates, $number, $count, $what, $session) = @_;
	my $found;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_until(
		20,
		sub {
			$session->query(q(SELECT pool_wait('{}', 0))) if $session;
			$found = sql($gates, 'SELECT count(*) FROM pg_locks'
				  . " WHERE NOT granted AND locktype = 'advisory' AND objid = $number");
			return $found == $count;
		});
	return is($found, $count, $what);
}

1;
