# 085_fault_caught.pl
#	An error at each point of a statement's way, caught by PL/pgSQL: what the same
#	transaction asks next gets its own answer, by way of another lease or of the
#	same one.  Then errors, cancels and ends of sessions between rows.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FaultPoints;
use PoolTest::FaultSession;
use PoolTest::Invariants;
use Test::More;

my ($local, $remote) = start_invariant_pair(
	options => { max_size => 1, statement_cache => 64, fairness_round => '100ms' });
my $case = PoolTest::Invariants->new($local, $remote);
my $way = PoolTest::FaultSession->new($case, $local, $remote);
my $session = $case->open_session;
my $control = session($local);

# What is caught is the point's error and nothing else.
sql($local, <<'SQL');
CREATE FUNCTION caught(text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pool_query('srv', $1);
EXCEPTION WHEN internal_error THEN
	NULL;
END $$;
CREATE FUNCTION caught(bigint, text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pool_query($1, $2);
EXCEPTION WHEN internal_error THEN
	NULL;
END $$;
SQL

# run(point, how, statements...): with the point armed, then a statement with a
# token in the same transaction; tests
sub run
{
	my ($point, $how, $target, @statements) = @_;
	my $offset = log_offset($local);
	my ($token, $statement) = $case->tokens($target, 4);
	my $answer = $session->query(join '; ', @statements, $statement);

	$case->check($token, 4, $answer);
	disarm($session) if $answer->{state} eq '00000';
	$session->query("ROLLBACK; SET pool.fault_point = ''");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ($answer,
		log_count($local, qr/fault point "$point error" is reached/, $offset));
}

foreach my $point (grep { $way->is_passed_by_statement($_) } fault_points($local))
{
	my $name = $point->{name};
	my ($answer, $reached);

	# What does not have to be waited for by chance is not waited for.
	foreach (1 .. 50)
	{
		sql($control, q(SELECT pool_reconnect('srv')));
		$case->ask($control, 'srv');
		($answer, $reached) = run($name, 'block', 'srv', 'BEGIN',
			"SET LOCAL pool.fault_point = '$name error'", q(SELECT caught('select 1')));
		last if $reached;
	}
	ok($reached, "$name is reached in a block that catches its error");
	is($answer->{state}, '00000',
		"the next statement of the transaction is answered after $name") or diag($answer->{err});
	$case->hold("after $name was caught");

	# On the way of a lease's second statement only some of them are.
	my $lease = $session->acquire('srv');
	$case->ask($session, $lease);
	($answer, $reached) = run($name, 'lease', $lease, 'BEGIN',
		"SET LOCAL pool.fault_point = '$name error'", "SELECT caught($lease, 'select 1')");
	if ($reached)
	{
		like($answer->{state}, qr/^(00000|08003)$/,
			"after $name the lease works, or has lost its connection") or diag($answer->{err});
	}
	else
	{
		is($answer->{state}, '00000', "a lease's second statement does not come by $name");
	}
	$session->release($lease);
	$case->hold("after $name was caught on a lease");
}

foreach my $action (qw(error cancel terminate))
{
	$way->fail_at('run_row', $action, $_) foreach 2, 5;
}

$session->quit;
no_crash($local, $remote);
done_testing();
