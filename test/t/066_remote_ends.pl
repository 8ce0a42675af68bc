# 066_remote_ends.pl
#	A remote that ends its session while a statement is on its way.  What may have
#	been executed is never sent again; what certainly was not may go out once
#	more.  A fake remote ends before each message and after each byte, and counts
#	what it executes; then a real one is terminated before it has read anything.
#
# Runs in the plain round only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PoolTest::FakeRemote;
use Test::More;

my $local = start_local();
my $fake = start_fake_remote();

sql($local, "CREATE SERVER fake FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1', "
	  . "port '$fake->{port}', dbname 'fake', max_size '4'); CREATE USER MAPPING FOR CURRENT_USER "
	  . q(SERVER fake OPTIONS (user 'app', password 'secret')));
sql($local, <<'SQL');
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM pool_reconnect('fake'); -- a new connection has a handover
	RETURN coalesce((SELECT t FROM pool_query('fake', statement) AS r(t text)), 'done');
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' ', sqlstate, substring(hint FROM 'not executed|may have been executed'));
END $$;
SQL

# A SELECT goes out together with the proof, as messages 0 to 12: reset (Parse,
# Bind, Describe, Execute), nonce (the same), statement (the same), Sync.  Before
# a command there is one Sync more.
my %statement = ('a SELECT' => q(select 'x'), 'a command' => 'listen x');
my $number = 0;
my $session = session($local);

# try_all(statement, plans): for each plan what the session was told, how often
# the statement came, and how often it was executed
sub try_all
{
	my ($statement, @plans) = @_;
	my $first = $number + 1;
	my @statements = map { $number++; "$statement /* plan $number: $_ */" } @plans;
	my $list = join ', ', map { "\$q\$$_\$q\$" } @statements;
	my $answer = $session->query("SELECT try(s) FROM unnest(ARRAY[$list]) s", 120);
	my %counts = fake_counts($fake);
	my @told = split /\n/, $answer->{out};

	die $answer->{err} if $answer->{state} ne '00000';
	return map { "$told[$_]: " . ($counts{ $first + $_ } || 'never came') } 0 .. $#plans;
}

# all_are(expected, what, statement, plans): a test that lists all others
sub all_are
{
	my ($expected, $what, $statement, @plans) = @_;
	my @found = try_all($statement, @plans);
	my %wrong = map { $plans[$_] => $found[$_] } grep { $found[$_] ne $expected } 0 .. $#plans;

	return is_deeply(\%wrong, {}, $what);
}

foreach my $kind (sort keys %statement)
{
	my $statement = $statement{$kind};
	my $syncs = $kind eq 'a command' ? 1 : 0;
	my $begin = 8 + $syncs;

	all_are('done: 1, 1', "$kind is executed once when the remote goes on", $statement, 'fine');
	my $answer = fake_answer_length($fake, $number);

	all_are(
		'done: 2, 1',
		"$kind goes out again, and is executed once, when a FATAL comes in place of the proof",
		$statement, map { "fatal $_" } 0 .. $begin - 1);
	all_are(
		'57P01: 1, 0', "$kind is not sent again when a FATAL comes after the proof",
		$statement, map { "fatal $_" } $begin .. $begin + 3);
	all_are(
		'57P01: 1, 1', "$kind is not sent again when a FATAL comes after it was executed",
		$statement, 'fatal ' . ($begin + 4));
	all_are(
		'57P01 not executed: 2, 0', "$kind goes out again only once",
		$statement, map { "fatal $_ always" } 3, $begin - 1, 0);
	my $fatal = fake_answer_length($fake, $number);

	all_are(
		'57P01 may have been executed: 1, 0',
		"$kind is not sent again when a pooler reports the FATAL",
		$statement, map { "pooler $_" } 0 .. 7);
	all_are(
		'08006 may have been executed: 1, 0',
		"$kind is not sent again when the FATAL is cut off, after each byte",
		$statement, map { "fatal 0 cut $_" } 0 .. $fatal - 1);
	all_are(
		'08006 may have been executed: 1, 1',
		"$kind is not sent again when the connection is cut, after each byte of the answer",
		$statement, map { "cut $_" } 0 .. $answer - 1);
}

# On a lease: its first statement has the proof.
is( $session->query(
		q(BEGIN; SELECT pool_acquire('fake') AS lease \gset
		SELECT t FROM pool_query(:lease, 'select $1 /* plan 9001: fatal 7 */', 'x') AS r(t text);
		SELECT t FROM pool_query(:lease, 'select $1 /* plan 9002: fine */', 'x') AS r(t text);
		SELECT t FROM pool_query(:lease, 'select $1 /* plan 9003: fatal 1 */', 'x') AS r(t text);
		ROLLBACK;))->{out},
	"done\ndone",
	'the first statement of a lease goes out again, a later one does not');
my %counts = fake_counts($fake);
is_deeply([ @counts{ 9001 .. 9003 } ], [ '2, 1', '1, 1', '1, 0' ],
	'each statement of a lease is executed at most once');
$session->quit;
settled($local);
stop_fake_remote($fake);

#
# A real remote, whose backend is told to end while it is stopped, with the
# statement waiting in its socket
#
my $remote = start_remote();
create_server($local, 'srv', $remote, options => { max_size => 1, validate_after_idle => '1h' });
$remote->safe_psql('far', 'CREATE TABLE done (a int); GRANT ALL ON done TO app');
foreach my $turn (1 .. 3)
{
	my $pid = sql($local,
		q(SELECT p FROM pool_query('srv', 'select pg_backend_pid()') AS t(p int)));
	my $caller = session($local);
	my $answer;

	kill 'STOP', $pid;
	$caller->begin("SELECT pool_exec('srv', 'insert into done values (\$1)', $turn)");
	wait_for_value($local,
		'SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $caller->pid,
		'Extension', "turn $turn: the session waits for its statement");
	kill 'TERM', $pid;
	kill 'CONT', $pid;
	$answer = $caller->result(60);
	is($answer->{out}, 1, "turn $turn: a session does not notice that its remote was terminated")
	  or diag($answer->{err});
	$caller->quit;
}
is(sql($remote, 'SELECT string_agg(a::text, $$ $$ ORDER BY a) FROM done', db => 'far'),
	'1 2 3', 'each statement was executed once');

settled($local);
remote_count($local, $remote);
no_crash($local, $remote);

done_testing();
