# 096_sql_fuzz.pl
#	Calls of all functions by chance, with odd arguments and in odd places: no
#	statement ends the server or its session, none comes to an internal error, and
#	after each hundred nothing is leased, nothing is lost, and the pool works.
#
#	POOL_TEST_SECONDS: for how long (15).  POOL_TEST_SEED: of the choice.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::SqlFuzz;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{POOL_TEST_SECONDS} || 15;
my $seed = $ENV{POOL_TEST_SEED} || int time;
my ($local, $remote) = start_pair(
	max_size => 4, acquire_timeout => '500', query_timeout => '3s', retry_attempts => 1);
my (@wrong, @log, %states, %called);

$local->append_conf('postgresql.conf', "max_prepared_transactions = 5\nlog_min_messages = log\n");
$local->restart;
fuzz_objects($local, $remote);
my @functions = fuzz_functions($local);
cmp_ok(scalar @functions, '>=', 30, 'the functions are known by the catalogs');

note "POOL_TEST_SEED=$seed";
srand($seed);

# batch(user): a hundred statements in a session of that user
sub batch
{
	my ($user) = @_;

	# Which RESET leaves: a session may wait for its own lease, in pool_drain() say.
	my $session = session($local,
		user => $user,
		options => '-c statement_timeout=2s -c idle_in_transaction_session_timeout=30s');

	foreach (1 .. 100)
	{
		my $function = $functions[ $called{all}++ % @functions ];
		my $statement = fuzz_statement($function);
		my $result = $session->query($statement, 60);
		my $what = fuzz_wrong($result);

		$states{ $result->{state} }++;
		$called{ $function->{oid} } ||= $result->{state} eq '00000';
		push @log, $statement;
		push @wrong, "$what\nin $statement" if defined $what;
		last if $result->{state} =~ /^(?:lost|timeout)$/;
	}
	$session->quit;
	return;
}

my $start = time;
my $batches = 0;

while (time < $start + $seconds && !@wrong)
{
	batch($batches++ % 3 == 2 ? 'fuzz_user' : 'postgres');
	sql($local, "ROLLBACK PREPARED '$_'") foreach split /\n/, sql($local, 'SELECT gid FROM
	pg_prepared_xacts');
	sql($local, q(DROP TABLE IF EXISTS fuzz_t; SELECT pool_resume('srv');
		ALTER SERVER srv OPTIONS (SET max_size '4')));
	my ($state, $err, $out) =
	  sql_state($local, q(SET pool.acquire_timeout = '30s'; ) . select_42('srv'));
	push @wrong, "the pool does not work: $err" if $out ne '42';
	my $leased = '';
	wait_until(20, sub {
		$leased = sql($local, q(SELECT c FROM pool_connections c WHERE state <> 'idle'));
		return $leased eq '';
	});
	push @wrong, "not released: $leased\nafter\n" . join "\n", @log if $leased ne '';
	@log = ();
}
note "$called{all} statements: " . join ', ', map { "$_ $states{$_}" } sort keys %states;
is(join("\n", @wrong), '', 'nothing went wrong');
cmp_ok($states{'00000'}, '>', $called{all} / 10, 'many statements do what they say');
cmp_ok($called{all}, '>=', @functions, 'each function was called');

at_rest($local, $remote, 'after that');
no_crash($local, $remote);
done_testing;
