# 002_tokens.pl
#	Many sessions over four connections.  Every statement carries a token of its
#	own, and what comes back - rows, errors, notices, rows inserted on the
#	remote - must carry that token: nothing wrong, nothing missing, nothing
#	doubled, and never more than four sessions on the remote.  Then the same
#	while sessions are cancelled and terminated at random.
#
#	POOL_TEST_STATEMENTS: how many statements (20000), a fifth of them in the
#	second part.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $statements = $ENV{POOL_TEST_STATEMENTS} || 20000;
my $connections = 4;
my $clients = 32;

my $remote = start_remote();
my $local = start_local(
	max_connections => 60,
	log_min_messages => 'notice');

# None is given up, and no attempt is made beside one, because the machine is slow.
create_server($local, 'srv', $remote,
	options => {
		max_size => $connections,
		acquire_timeout => '5min',
		health_check_timeout => '5min',
		breaker_timeout => '5min' });

sql($remote, <<'SQL', db => 'far', user => 'app');
CREATE TABLE kept (token text);
CREATE FUNCTION raise_token(token text) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION USING MESSAGE = 'error ' || token, ERRCODE = 'PT001',
		DETAIL = 'detail ' || token;
END $$;
CREATE FUNCTION notice_token(token text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'notice %', token;
	RETURN token;
END $$;
SQL

# ask() runs one statement of some kind and compares every byte that came back.
# A mismatch goes to the log, which no abort can undo.
sql($local, <<'SQL');
CREATE SEQUENCE tokens CACHE 100;
CREATE UNLOGGED TABLE answered (token text, kind int);

CREATE FUNCTION wrong(token text, got text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'WRONG ANSWER to "%": "%"', token, left(got, 500);
	RAISE EXCEPTION 'wrong answer';
END $$;

CREATE FUNCTION ask(token text, kind int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 1 + abs(hashtext(token)) % 7;
	got text;
	detail text;
	lease bigint;
BEGIN
	IF kind <= 3 THEN				-- a few rows
		SELECT string_agg(t || ':' || g, ',') INTO got
			FROM pool_query('srv',
				'select $1::text, g from generate_series(1, $2::int) g', token, n)
			AS r(t text, g int);
		IF got IS DISTINCT FROM (SELECT string_agg(token || ':' || g, ',')
								 FROM generate_series(1, n) g) THEN
			PERFORM wrong(token, got);
		END IF;
	ELSIF kind = 4 THEN				-- many rows
		n := n * 300;
		SELECT count(*) || ' ' || count(*) FILTER (WHERE t = token) || ' ' || sum(g)
			INTO got
			FROM pool_query('srv',
				'select $1::text, g from generate_series(1, $2::int) g', token, n)
			AS r(t text, g int);
		IF got <> n || ' ' || n || ' ' || n * (n + 1) / 2 THEN
			PERFORM wrong(token, got);
		END IF;
	ELSIF kind = 5 THEN				-- an error
		BEGIN
			PERFORM pool_query('srv', 'select raise_token($1)', token);
			got := 'no error';
		EXCEPTION WHEN SQLSTATE 'PT001' THEN
			GET STACKED DIAGNOSTICS got = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			got := got || ', ' || detail;
		END;
		IF got IS DISTINCT FROM 'error ' || token || ', detail ' || token THEN
			PERFORM wrong(token, got);
		END IF;
	ELSIF kind = 6 THEN				-- a notice, compared in the log later
		SELECT t INTO got FROM pool_query('srv', 'select notice_token($1)', token)
			AS r(t text);
		IF got IS DISTINCT FROM token THEN
			PERFORM wrong(token, got);
		END IF;
	ELSIF kind = 7 THEN				-- a lease with a remote transaction
		lease := pool_acquire('srv');
		PERFORM pool_exec(lease, 'begin');
		PERFORM pool_exec(lease, 'create temporary table mine (token text)');
		PERFORM pool_exec(lease, 'insert into mine select $1 from generate_series(1, 3)', token);
		PERFORM pool_query(lease, 'select set_config(''test.left'', $1, false)', token);
		SELECT string_agg(t, ',') INTO got
			FROM pool_query(lease, 'select token from mine') AS r(t text);
		IF n > 3 THEN
			PERFORM pool_exec(lease, 'commit');
			PERFORM pool_release(lease);
		END IF;						-- else the end of the transaction ends both
		IF got IS DISTINCT FROM token || ',' || token || ',' || token THEN
			PERFORM wrong(token, got);
		END IF;
	ELSIF kind = 8 THEN				-- something that must happen once
		got := pool_exec('srv', 'insert into kept values ($1)', token);
		IF got IS DISTINCT FROM '1' THEN
			PERFORM wrong(token, got);
		END IF;
	ELSE							-- nothing is left of anybody else
		SELECT s || '|' || t INTO got FROM pool_query('srv',
			'select coalesce(current_setting(''test.left'', true), ''''),
				to_regclass(''pg_temp.mine'') is not null')
			AS r(s text, t text);
		IF got <> '|f' AND split_part(got, '/', 2) <> pg_backend_pid()::text THEN
			PERFORM wrong(token, got);
		END IF;
	END IF;
	INSERT INTO answered VALUES (token, kind);
END $$;

-- Each statement is a transaction of its own.  A statement that is cancelled
-- is not repeated; only a cancel may get here.
CREATE PROCEDURE churn(client text, number int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. number LOOP
		BEGIN
			PERFORM ask(client || '/' || pg_backend_pid() || '/' || nextval('tokens'),
				(random() * 9)::int);
		EXCEPTION WHEN query_canceled THEN
			NULL;
		END;
		COMMIT;
	END LOOP;
END $$;
SQL

# How many sessions the remote has, again and again, until stop_watching()
my $watched = $local->basedir . '/watched';
my $watch;

sub start_watching
{
	my $query = $local->basedir . '/watch.sql';

	unlink $query, $watched;
	append_to_file($query,
		"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' \\watch 0.05\n");
	$watch = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $remote->connstr('postgres'), '-f', $query ],
		'>', $watched, '2>', '/dev/null');
	return;
}

# Returns the most it has seen, and how often it has looked.
sub stop_watching
{
	$watch->kill_kill(grace => 0);
	my @seen = sort { $b <=> $a } grep { /^\d+$/ } split /\n/,
	  slurp_file($watched);
	return ($seen[0], scalar @seen);
}

# What must hold after each part: no wrong answer, each notice where it
# belongs and once, each insert once.
sub check_answers
{
	my ($part, $offset) = @_;
	my $log = log_since($local, $offset);
	my %notices;
	my ($astray, $missing) = (0, 0);

	is(log_count($local, qr/WRONG ANSWER/, $offset), 0, "$part no statement gets a wrong answer")
	  or diag(join "\n", ($log =~ /WRONG ANSWER.*/g)[ 0 .. 4 ]);

	while ($log =~ m{\[(\d+)\] .*NOTICE:  notice (\S+)}g)
	{
		my ($pid, $token) = ($1, $2);

		$notices{$token}++;
		$astray++ if (split m{/}, $token)[1] != $pid;
	}
	is($astray, 0, "$part no notice comes to another session");
	is(scalar(grep { $_ != 1 } values %notices), 0, "$part no notice comes twice");
	foreach my $token (
		split /\n/, sql($local, 'SELECT token FROM answered WHERE kind = 6'))
	{
		$missing++ if !delete $notices{$token};
	}
	is($missing, 0, "$part no notice is missing");

	is(sql($remote, 'SELECT count(*) - count(DISTINCT token) FROM kept', db => 'far'),
		0, "$part no statement is sent twice");
	my %kept = map { $_ => 1 }
	  split /\n/, sql($remote, 'SELECT token FROM kept', db => 'far');
	is( scalar(
			grep { !delete $kept{$_} }
			  split /\n/,
			sql($local, 'SELECT token FROM answered WHERE kind = 8')),
		0,
		"$part every insert that was answered has happened");
	sql($local, 'TRUNCATE answered');
	sql($remote, 'TRUNCATE kept', db => 'far');
	return (scalar keys %kept, scalar keys %notices);
}

#
# In peace: every statement is answered.
#
my $each = int($statements / $clients) || 1;
my $script = $local->basedir . '/ask.sql';
append_to_file($script, <<'SQL');
\set number :number + 1
\set kind random(0, 9)
SELECT ask(:client_id || '/' || pg_backend_pid() || '/' || :number, :kind);
SQL

my $offset = log_offset($local);
my ($out, $err) = ('', '');
my $start = time;
start_watching();
my $ok = IPC::Run::run(
	[
		'pgbench', '-n', '-M', 'prepared',
		'-D', 'number=0', '-c', $clients,
		'-j', 2, '-t', $each,
		'-f', $script,
		$local->connstr('postgres') . q( options='-c client_min_messages=error')
	],
	'>', \$out, '2>', \$err);
my ($most, $looks) = stop_watching();
note sprintf('%d statements in %.1f s, %d looks', $each * $clients, time - $start, $looks);

ok($ok, 'pgbench ends without an error') or diag($err);
is(sql($local, 'SELECT count(*) FROM answered'),
	$each * $clients, 'every statement is answered');
is(sql($local, 'SELECT count(DISTINCT token) FROM answered'),
	$each * $clients, 'every statement is answered once');
my @extra = check_answers('in peace', $offset);
is("@extra", '0 0', 'nothing happens on the remote that is not answered');
cmp_ok($most, '<=', $connections, 'in peace the remote never has more than four sessions');
cmp_ok($most, '>=', 2, 'several remote sessions work at the same time');
at_rest($local, $remote, 'in peace');
is(stat_of($local, 'lost'), 0, 'no lease loses its connection in peace');
is(stat_of($local, 'closed'), 0, 'no connection is closed in peace');
is(stat_of($local, 'connects'), stat_of($local, 'peak_active'),
	'no connection is opened that nobody needs');
cmp_ok(stat_of($local, 'peak_active'), '<=', $connections, 'peak_active stays within max_size');
cmp_ok(stat_of($local, 'queries'), '>=', $each * $clients, 'queries counts every statement');
is(stat_of($local, 'cancels + acquire_timeouts + acquire_failures'),
	0, 'nobody is cancelled, times out or fails in peace');

#
# 32 sessions are cancelled and terminated all the time.
#
my $wanted = int($statements / 5);
my $limit = 60 + $statements / 200;
my (@sessions, %outcome);
my $control = session($local);
my ($cancelled, $terminated) = (0, 0);
my ($done, $lost) = (0, 0);
my $next_look = 0;

srand($ENV{POOL_TEST_SEED} || time);
$offset = log_offset($local);
$start = time;
start_watching();
while (($done < $wanted || $cancelled < 40 || $terminated < 10 || $lost < 5)
	&& time < $start + $limit)
{
	# All at work; those that are lost are replaced.
	foreach my $i (0 .. 31)
	{
		my $session = $sessions[$i];

		if ($session && !$session->busy)
		{
			my $result = $session->result;

			$outcome{ $result->{state} }++;
			diag("$result->{state}: $result->{err}")
			  if $result->{state} !~ /^(00000|57014|57P01)$/;
			if ($result->{state} =~ /^(00000|57014)$/)
			{
				$session->begin("CALL churn('w$i', 200)");
			}
			else
			{
				undef $sessions[$i];
			}
		}
		next if $sessions[$i];
		$sessions[$i] = session($local, options => '-c client_min_messages=error');
		$sessions[$i]->begin("CALL churn('w$i', 200)");
	}

	my $victim = $sessions[ int rand 32 ]->pid;
	if (rand() < 0.7)
	{
		$control->query("SELECT pg_cancel_backend($victim)");
		$cancelled++;
	}
	else
	{
		$control->query("SELECT pg_terminate_backend($victim)");
		$terminated++;
	}
	usleep(int rand 20_000);
	if (time > $next_look)
	{
		$done = $control->query('SELECT count(*) FROM answered')->{out};
		$lost = $control->query('SELECT lost FROM pool_stats_all()')->{out};
		$next_look = time + 0.5;
	}
}
($most, $looks) = stop_watching();
note sprintf('%d statements in %.1f s, %d cancels, %d terminations, %d looks',
	$done, time - $start, $cancelled, $terminated, $looks);
note explain \%outcome;

# Those that still run end, one way or the other.
$control->query(
	"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL churn%'");
$_->result foreach @sessions;
undef @sessions;
$control->quit;

cmp_ok($done, '>=', $wanted, 'enough statements are answered in spite of cancels and terminations');
is(join(' ', sort grep { !/^(00000|57014|57P01)$/ } keys %outcome),
	'', 'sessions meet cancels and terminations and nothing else');
cmp_ok($cancelled, '>=', 40, 'at least 40 cancels are sent');
cmp_ok($terminated, '>=', 10, 'at least 10 terminations are sent');
cmp_ok($lost, '>=', 5, 'at least 5 leases are lost to cancels and terminations');
is(log_count($local, qr/ERROR:  (?!canceling statement|wrong answer|error )/, $offset),
	0, 'the log has no error but cancels and those of the test')
  or diag(join "\n",
	(log_since($local, $offset) =~ /.*ERROR:  (?!canceling statement|error ).*/g)[ 0 .. 4 ]);
check_answers('under cancels and terminations', $offset);
cmp_ok($most, '<=', $connections, 'under cancels the remote never has more than four sessions');
at_rest($local, $remote, 'after the cancels');
is( sql($remote,
		q(SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.usename = 'app')),
	0,
	'no remote session holds a lock after the cancels');
is(sql($local, q(SELECT t FROM pool_query('srv', 'select 7') AS r(t int))),
	7, 'a new statement is answered after the cancels');

no_crash($local, $remote);
done_testing();
