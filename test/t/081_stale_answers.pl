# 081_stale_answers.pl
#	An answer of the remote that comes once more, in whole or in part, at each place
#	in a handover up to the proof: no session takes it for its own.  And bytes that
#	are no answer at all, or messages with wrong lengths, in the proof, in a
#	statement and in a reset: an error, or another connection, and never a wrong row.
#
#	What comes between the proof and ReadyForQuery is the remote's answer to this
#	session, whatever it is; there it is only seen to that one statement has one
#	answer.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::Proxy;
use PoolTest::TwoSessions;
use PoolTest::Wire;
use Test::More;

# With the first server the proof goes together with the statement, with the second
# one alone; the third gives up soon.  The reset is one command, so that each place in
# its answer is known.
my ($local, $remote, $proxy, $session) = start_two_sessions(
	srv => { health_check_timeout => '2s', statement_cache => 0 },
	careful => { validate_after_idle => 0, statement_cache => 0 },
	hasty => { query_timeout => '1s', statement_cache => 0 });

# One case: the other session has a connection first, then this one has a handover
# with that fault.
sql($local, <<'SQL');
CREATE FUNCTION try(server text, fault text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	came text;
BEGIN
	IF other(format('ask(%L, ''other'')', server)) <> 'right' THEN
		RETURN 'the other session is not served';
	END IF;
	PERFORM proxy('fault ' || fault);
	came := ask(server, 'own');
	RETURN concat_ws(' ', came, wrong(server));
END $$;
SQL

# outcomes(server, faults): what came of each
sub outcomes
{
	my ($server, @faults) = @_;
	my $list = join ', ', map {"'$_'"} @faults;
	my $answer = $session->query("SELECT try('$server', f) FROM unnest(ARRAY[$list]) f", 300);

	diag($answer->{err}) if $answer->{state} ne '00000';
	return split /\n/, $answer->{out};
}

# all_are(allowed, what, server, faults): a test that lists all others
sub all_are
{
	my ($allowed, $what, $server, @faults) = @_;
	my @found = outcomes($server, @faults);

	# On a busy machine a statement may take longer than it may, be there a fault or not.
	foreach (1 .. 2)
	{
		my @late = grep { $found[$_] =~ /is not served/ } 0 .. $#faults;

		@found[@late] = outcomes($server, @faults[@late]) if @late;
	}
	my %wrong = map { $faults[$_] => $found[$_] }
	  grep { $found[$_] !~ /^(?:$allowed)$/ } 0 .. $#faults;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is_deeply(\%wrong, {}, $what . ' (' . @faults . ' cases)');
}

#
# The answer to a handover of the other session: that to the reset, the row with
# the nonce, the rows of the statement.
#
$session->query(q(SELECT ask('srv', 'own'), other('ask(''srv'', ''other'')')));
my $whole = last_answer($proxy);
my @whole = messages($whole);
my @ends = grep { substr($whole[$_], 0, 1) eq 'C' } 0 .. $#whole;

is(scalar @ends, 3, 'the answer to a handover ends three commands');
like($whole, qr/other1.*other2.*other3/s,
	'the answer to a handover has the rows of the other session');
my ($reset, $nonce, $rows) = map { join '', @whole[ $_->[0] .. $_->[1] ] }
  [ 0, $ends[0] ], [ $ends[0] + 1, $ends[1] ], [ $ends[1] + 1, $ends[2] ];
my ($nonce_row) = grep { /^D/ } messages($nonce);
my ($row) = grep { /^D/ } messages($rows);
my %stale = (
	'all of it' => $whole,
	'all but ReadyForQuery' => $reset . $nonce . $rows,
	'what answers the reset' => $reset,
	'what answers the reset, twice' => $reset . $reset,
	'what answers the worker' =>
	  message('1', '') . message('2', '') . $whole[ $ends[0] ] . $whole[-1],
	'the proof' => $reset . $nonce,
	'the row with the nonce, and what is around it' => $nonce,
	'the statement' => $rows,
	'the statement, with ReadyForQuery' => $rows . $whole[-1],
	'the row with the nonce' => $nonce_row,
	'a row' => $row,
	'CommandComplete' => $whole[ $ends[1] ],
	'ReadyForQuery' => $whole[-1]);
my $proven = $ends[0] + 4;    # ParseComplete, BindComplete, RowDescription, the row
like($whole[$proven], qr/^D.*pool postgres/s, 'the row with the nonce is where it is looked for');

foreach my $what (sort keys %stale)
{
	my $bytes = unpack 'H*', $stale{$what};
	my @faults = map {"handover remote message $_ 0 inject $bytes"} 0 .. $#whole;
	my @late = splice @faults, $proven + 1;

	all_are('08006', "a stale answer before the proof is no answer to it: $what", 'srv', @faults);
	all_are('right', "a stale answer to a proof alone takes another connection: $what",
		'careful', @faults[ grep { $_ % 3 == 0 || $_ == $proven } 0 .. $#faults ]);

	# Among a statement's rows a row more is the remote's word.
	all_are('08006|42804|right', "a statement has no second answer: $what", 'srv', @late)
	  if $what !~ /^(?:a row|the row with the nonce)$/;
}
all_are('08006', 'a proof of two rows is none', 'srv',
	map { 'handover remote message ' . ($proven + 1) . ' 0 inject ' . unpack 'H*', $_ }
	  $row, $nonce_row);
is(stat_of($local, 'closed_proof_failed >= ' . keys(%stale) * ($proven + 1)), 't',
	'connections are closed since their proof has failed');
my $fault = 'fault handover remote message 0 0 inject ' . unpack 'H*', $whole;
like(
	$session->query("SELECT other('ask(''srv'', ''x'')'), proxy('$fault');"
		  . q(SELECT pool_query('srv', 'select 1')))->{err},
	qr/08006: .*connection to server "srv" failed\nDETAIL: .*not answer the reset .*as expected/s,
	'the error says that the answer to the reset was not the one that is expected');

#
# Bytes that are no answer, and messages that are longer or shorter than they say
#
foreach my $place (0 .. $#whole)
{
	my @faults = map {"handover remote message $place 0 $_"} 'garbage 1', 'garbage 5', 'garbage 20',
	  'length -100', 'length -1', $place % 3 ? () : 'length 2000000000',
	  $place < @whole - 2 ? 'length 5' : (), $place % 5 == 2 ? 'length 1000' : ();

	all_are('08006|57014', 'garbage and wrong lengths are an error at message '
		  . $place . ' of an answer', 'hasty', @faults);
}
cmp_ok(stat_of($local, 'closed_canceled', 'hasty'), '>', 0,
	'an answer that never ends is given up after query_timeout');

#
# The same in a reset: the worker closes the connection, and nobody sees an error.
# No other pool has a connection that may have to be reset.
#
sql($local, 'SELECT pool_reconnect(s) FROM unnest(ARRAY[$$careful$$, $$hasty$$]) s');
sql($local, <<'SQL');
CREATE FUNCTION try_reset(fault text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	came text[];
BEGIN
	IF ask('srv', 'first') <> 'right' THEN
		RETURN 'the session is not served';
	END IF;
	PERFORM proxy('fault unproven ' || fault);
	came := ARRAY[other('leave(''srv'')'), ask('srv', 'own')];
	RETURN concat_ws(' ', came, wrong('srv'));
END $$;
SQL
my $before = stat_of($local, 'closed_reset_failed');
my @faults;
foreach my $place (0 .. 3)
{
	push @faults, map {"remote message $place 0 $_"} 'garbage 1', 'garbage 5',
	  'length -100', 'length -1', 'length 1', 'length 2000000000',
	  map { 'inject ' . unpack 'H*', $_ } $whole, $reset, $whole[-1],
	  $stale{'what answers the worker'},
	  $place == 2 ? () : $row;    # where the rows of a reset would be
}
my $list = join ', ', map {"'$_'"} @faults;
my $answer = $session->query("SELECT f, x FROM unnest(ARRAY[$list]) f, try_reset(f) x", 300);
is(join("\n", grep { !/\|\{right,right\}$/ } split /\n/, $answer->{out}),
	'', 'nobody sees that a reset gets a wrong answer') or diag($answer->{err});
is(stat_of($local, 'closed_reset_failed') - $before, scalar @faults,
	'a connection whose reset gets a wrong answer is closed');

end_two_sessions($local, $remote, $proxy, $session);

done_testing();
