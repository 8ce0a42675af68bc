# 024_soak.pl
#	Everything at once: fifty sessions ask for answers of all kinds over ten
#	connections, while the remote is restarted, sessions here and there are
#	terminated, statements time out, leases are forgotten, and connections grow
#	old and idle.  Each answer carries a token of its own and is compared byte by
#	byte; each error must be one that these faults explain; after each restart a
#	new session must soon be served; and in the end nothing is left.
#
#	POOL_TEST_SECONDS: for how long (25).  POOL_TEST_SEED: of the faults' choice.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min sum0);
use PoolTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $seconds = $ENV{POOL_TEST_SECONDS} || 25;
my $seed = $ENV{POOL_TEST_SEED} || int time;
my $clients = 50;
my $restart_every = min(20, $seconds / 2.5);

# The log tells to the millisecond when the remote accepts connections again.
my $remote = start_remote(log_line_prefix => "'%n [%p] %q%a '");
my $local = start_local(
	max_connections => 80,
	synchronous_commit => 'off');

# Short times, so that all of it happens often.  There are quiet moments (see
# churn), in which connections are idle for longer than these.
my %options = (
	max_size => 10,
	acquire_timeout => '5s',
	retry_delay => '50ms',
	retry_max_delay => '250ms',
	breaker_threshold => 3,
	breaker_timeout => '250ms',
	idle_timeout => '400ms',
	max_lifetime => '2s',
	validate_after_idle => '20ms',
	health_check_interval => '100ms',
	leak_threshold => '1s',
	leak_action => 'reclaim');

create_server($local, 'srv', $remote, options => \%options);
create_server($local, 'hasty', $remote,
	options => { %options, max_size => 2, query_timeout => '100ms' });

sql($remote, 'CREATE TABLE kept (token text PRIMARY KEY)', db => 'far', user => 'app');

sql($local, <<'SQL');
CREATE SEQUENCE tokens CACHE 100;

-- What happened: statements that were answered, by kind, and errors.
CREATE UNLOGGED TABLE met (kind text, state text, message text, n bigint);

-- What is in the remote's table for certain.
CREATE UNLOGGED TABLE answered (token text);

-- A mismatch goes to the log, which no abort can take back.
CREATE FUNCTION compare(token text, got text, expected text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF got IS DISTINCT FROM expected THEN
		RAISE WARNING 'WRONG ANSWER to "%": "%"', token, left(got, 500);
		RAISE EXCEPTION 'wrong answer';
	END IF;
END $$;

-- Numbers in messages are of no interest, nor are their lines.
CREATE FUNCTION met_error(kind text, state text, message text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO met VALUES (kind, state,
		regexp_replace(regexp_replace(message, '\d+', 'N', 'g'), '\s+', ' ', 'g'), 1)
$$;

-- One statement of some kind.
CREATE FUNCTION ask(kind text, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 1 + (random() * 6)::int;
	got text;
	lease bigint;
BEGIN
	CASE kind
	WHEN 'rows' THEN				-- a few, and nothing is left of anybody else
		SELECT string_agg(concat_ws(':', t, g, s), ',') INTO got
			FROM pool_query('srv',
				'select $1::text, g, coalesce(current_setting(''soak.left'', true), '''')
					from generate_series(1, $2::int) g', token, n)
			AS r(t text, g int, s text);
		PERFORM compare(token, got, (SELECT string_agg(concat_ws(':', token, g, ''), ',')
									 FROM generate_series(1, n) g));
	WHEN 'many' THEN
		n := n * 200;
		SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE t = token || '/' || g),
						 count(DISTINCT g), sum(g)) INTO got
			FROM pool_query('srv',
				'select $1::text || ''/'' || g, g from generate_series(1, $2::int) g', token, n)
			AS r(t text, g int);
		PERFORM compare(token, got, concat_ws(' ', n, n, n, n * (n + 1) / 2));
	WHEN 'insert' THEN				-- commits by itself, and must happen once
		got := pool_exec('srv', 'insert into kept values ($1)', token);
		PERFORM compare(token, got, '1');
		INSERT INTO answered VALUES (token);
	WHEN 'commit', 'rollback' THEN	-- sometimes there is little time for a lease
		lease := pool_acquire('srv', CASE WHEN n = 1 THEN interval '30 ms' END);
		PERFORM pool_exec(lease, 'begin');
		got := pool_exec(lease, 'insert into kept values ($1)', token);
		PERFORM compare(token, got, '1');
		PERFORM pool_query(lease, 'select set_config(''soak.left'', $1, false)', token);
		SELECT string_agg(t, ',') INTO got
			FROM pool_query(lease, 'select token from kept where token = $1', token) AS r(t text);
		PERFORM compare(token, got, token);
		IF kind = 'commit' THEN
			PERFORM pool_exec(lease, 'commit');
			INSERT INTO answered VALUES (token);
		END IF;
		PERFORM pool_release(lease);
	WHEN 'error' THEN				-- carries the token as well
		BEGIN
			PERFORM pool_query('srv', 'select $1::text::int', token);
			got := 'no error';
		EXCEPTION WHEN invalid_text_representation THEN
			got := SQLERRM;
		END;
		PERFORM compare(token, got, format('invalid input syntax for type integer: "%s"', token));
	WHEN 'sleep' THEN
		SELECT t INTO got FROM pool_query('srv', 'select $1::text from pg_sleep(0.1)', token) AS r(t text);
		PERFORM compare(token, got, token);
	WHEN 'hasty' THEN				-- is ended by query_timeout
		BEGIN
			PERFORM pool_query('hasty', 'select $1::text from pg_sleep(60)', token);
			got := 'no error';
		EXCEPTION WHEN query_canceled THEN
			got := SQLERRM;
			IF got ~ 'statement timeout' THEN
				RAISE;
			END IF;
		END;
		PERFORM compare(token, got, 'canceling remote statement on server "hasty" due to query_timeout');
	WHEN 'long' THEN				-- for longer than leak_threshold, but in use
		lease := pool_acquire('srv');
		SELECT t INTO got FROM pool_query(lease, 'select $1::text from pg_sleep(1.3)', token) AS r(t text);
		PERFORM compare(token, got, token);
		PERFORM pool_release(lease);
	WHEN 'held' THEN				-- for too long: mostly an error
		lease := pool_acquire('srv');
		PERFORM pg_sleep(2.2);
		SELECT t INTO got FROM pool_query(lease, 'select $1::text', token) AS r(t text);
		PERFORM compare(token, got, token);
	WHEN 'forgotten' THEN			-- never released
		PERFORM pool_acquire('srv', hold => true);
	END CASE;
END $$;

CREATE UNLOGGED TABLE stop (now bool);

-- Asks again and again for some seconds, or until all have to stop.  First
-- something odd, perhaps; it must be rare, since there are fifty sessions.
CREATE PROCEDURE churn(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	kinds text[] := ARRAY['rows', 'rows', 'rows', 'many', 'insert', 'commit', 'commit',
						  'rollback', 'error', 'sleep', 'hasty', 'long', 'held', 'forgotten'];
	good int[] := array_fill(0, ARRAY[array_length(kinds, 1)]);
	odd float8[] := ARRAY[0.20, 0.15, 0.04, 0.05, 0.05];
	until timestamptz := clock_timestamp() + seconds * interval '1 second';
	pick float8 := random();
	i int;
BEGIN
	FOR place IN 1 .. array_length(odd, 1) LOOP
		IF pick >= 0 AND pick < odd[place] THEN
			i := 9 + place;
		END IF;
		pick := pick - odd[place];
	END LOOP;
	WHILE clock_timestamp() < until AND NOT EXISTS (SELECT FROM stop) LOOP
		i := coalesce(i, 1 + floor(random() * 9)::int);
		BEGIN
			PERFORM ask(kinds[i], kinds[i] || '/' || pg_backend_pid() || '/' || nextval('tokens'));
			good[i] := good[i] + 1;
		EXCEPTION WHEN query_canceled OR OTHERS THEN
			IF SQLSTATE = '57014' AND SQLERRM ~ 'statement timeout' THEN
				RAISE;				-- of this very CALL
			END IF;
			PERFORM met_error(kinds[i], SQLSTATE, SQLERRM);
			PERFORM pg_sleep(random() * 0.05);
		END;
		COMMIT;
		i := NULL;

		-- Two of ten seconds are quiet.
		IF extract(epoch FROM clock_timestamp())::bigint % 10 >= 8 THEN
			PERFORM pg_sleep(random() * 2);
		END IF;
	END LOOP;
	INSERT INTO met SELECT k, '00000', NULL, n FROM unnest(kinds, good) AS u(k, n) WHERE n > 0;
END $$;

-- When a new session is served at last.
CREATE FUNCTION probe() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	token text := 'probe/' || pg_backend_pid() || '/' || nextval('tokens');
	got text;
BEGIN
	LOOP
		BEGIN
			SELECT t INTO got FROM pool_query('srv', 'select $1::text', token) AS r(t text);
			PERFORM compare(token, got, token);
			RETURN extract(epoch FROM clock_timestamp());
		EXCEPTION WHEN OTHERS THEN
			PERFORM met_error('probe', SQLSTATE, SQLERRM);
			PERFORM pg_sleep(0.01);
		END;
	END LOOP;
END $$;
SQL

#
# The errors that the faults explain.  Of a cancel none comes from the remote:
# that would be one that hit somebody else's statement.
#
my $any = qr/^/;
my $lease = qr/^(?:commit|rollback|long|held)$/;
my $srv = qr/server "(?:srv|hasty)"/;
my @explained = (
	# Here, a session is terminated, and a statement takes too long.
	[ qr/^session$/, '57P01', qr/^terminating connection due to administrator command$/ ],
	[ qr/^session$/, '57014', qr/^canceling statement due to statement timeout$/ ],

	# The remote's session is terminated, or all of them, since the remote stops.
	# What it says before it goes is seen, or it is not: then it is 08006, before
	# the statement was sent (in a lease that was used before), in the proof, or
	# after that.
	[ $any, '57P01', qr/^terminating connection due to administrator command$/ ],
	[ $any, '08006', qr/^connection to the remote (?:was lost|is out of step)$/ ],
	[ $any, '08006', qr/^could not send the statement to the remote$/ ],
	[ $any, '08006', qr/^connection to $srv failed$/ ],
	[ $lease, '08006', qr/^connection of lease N to $srv was lost$/ ],

	# It is down, stopping or starting, and nobody is there or says so.
	[ $any, '08001', qr/^could not connect to $srv$/ ],
	[ $any, '57P03', qr/^could not connect to $srv$/ ],

	# It stops, or its session is terminated, while that begins.
	[ $any, '57P01', qr/^could not connect to $srv$/ ],

	# There was no connection in time: of 30 ms; of 5 s on a busy machine.
	[ $any, '53300', qr/^could not get a connection to $srv within N ms$/ ],

	# A lease that lasted for too long was taken away; in the very moment in which
	# it was used again, nobody knows what became of the statement.
	[ $lease, '08003', qr/^connection of lease N to $srv was taken away$/ ],
	[ $lease, '08006', qr/^connection of lease N to $srv was taken away$/ ]);

sub is_explained
{
	my ($kind, $state, $message) = @_;

	return scalar grep {
		$kind =~ $_->[0] && $state eq $_->[1] && $message =~ $_->[2]
	} @explained;
}

# open_files(pid): how many, and how many of them are sockets
sub open_files
{
	my ($pid) = @_;
	my @files = map { readlink($_) || '' } glob "/proc/$pid/fd/*";

	return (scalar @files, scalar grep { /^socket:/ } @files);
}

# worker(): its process, how many files it has open, and its memory in kB
sub worker
{
	my $pid = sql($local,
		q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'));
	my ($memory) = slurp_file("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;

	return ($pid, (open_files($pid))[0], $memory);
}

my (@sessions, %met);
my $started = 0;

# What went wrong with a session's own statements; or with itself, if it did not
# answer or was lost without an SQLSTATE
sub note_errors
{
	my ($result) = @_;

	while ($result->{err} =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}): (.*)/g)
	{
		$met{"session|$1|$2"}++;
	}
	$met{"session|$result->{state}|$result->{err}"}++
	  if $result->{state} =~ /^(?:timeout|lost)$/;
	return;
}

# Several calls, so that a session has something to do while nobody looks after
# it.  Some have little time, which ends at any moment.
sub work
{
	return join ";\n", map {
		sprintf 'SET statement_timeout = %d; CALL churn(%.1f)',
		  rand() < 0.2 ? 20 + rand 400 : 0, 1 + rand 4;
	} 1 .. 5;
}

sub new_session
{
	$started++;
	return session($local, options => '-c client_min_messages=error');
}

# collect(session, seconds): what has come of its work; false if it has ended
sub collect
{
	my ($session, $patience) = @_;
	my $result = $session->result($patience);

	note_errors($result);
	return $result->{state} =~ /^(?:00000|57014)$/;
}

# All at work; those that were lost are replaced.
sub look_after_sessions
{
	foreach my $session (@sessions)
	{
		next if $session->busy;
		$session = new_session() if !collect($session);
		$session->begin(work());
	}
	return;
}

# restart(mode): the remote; how many seconds after it accepts connections
# again a session is served that has never used the pool
sub restart
{
	my ($mode) = @_;
	my $probe = new_session();
	my $offset;

	$remote->stop($mode);
	$offset = log_offset($remote);
	$probe->begin(q(SET statement_timeout = '60s'; SELECT probe()));
	$remote->start;
	my $result = $probe->result(90);
	my ($accepts) = log_since($remote, $offset) =~
	  /^(\d+\.\d+) .*database system is ready to accept connections/m;
	my $took = $result->{out} ? max(0, $result->{out} - $accepts) : 99;

	$probe->quit;
	diag("no answer after a restart: $result->{err}") if !$result->{out};
	note sprintf('%s restart: served after %.0f ms', $mode, $took * 1000);
	return $took;
}

# Has that time come?  Then it comes again after so many seconds.
my %next;

sub due
{
	my ($what, $every) = @_;

	$next{$what} = time + $every if !$next{$what};
	return 0 if time < $next{$what};
	$next{$what} = time + $every;
	return 1;
}

sub all_closed
{
	my ($what) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for_value($local, 'SELECT sum(open + connecting + closing) FROM pool_stats', 0, $what,
		seconds => 30);
}

#
# Before: the worker, when it had connections and has none.
#
sql($local, "SELECT pool_prewarm('$_', 2), pool_query('$_', 'select 1')") foreach 'srv', 'hasty';
all_closed('idle_timeout leaves no connection');
my ($worker, $files, $memory) = worker();

#
# Everything at once
#
note "POOL_TEST_SEED=$seed";
srand($seed);
my $control = session($local);
my (%faults, @served);

@sessions = map { new_session() } 1 .. $clients;
$_->begin(work()) foreach @sessions;
my $start = time;

# A machine that is very busy gets time for both restarts.
while (time < $start + $seconds || (@served < 2 && time < $start + $seconds + 120))
{
	look_after_sessions();
	if (due('terminated here', 1))
	{
		my $pid = $sessions[ int rand $clients ]->pid;

		$faults{'terminated here'}++
		  if $control->query("SELECT pg_terminate_backend($pid)")->{out} eq 't';
	}
	if (due('terminated there', 2))
	{
		$faults{'terminated there'} += sql($remote, <<'SQL');
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM (SELECT pid FROM pg_stat_activity WHERE usename = 'app' ORDER BY random() LIMIT 1) a
SQL
	}
	push @served, restart(@served % 2 ? 'immediate' : 'fast')
	  if time > $start + $restart_every * (1 + @served);
	usleep(100_000);
}

# The sessions end what they do.
sql($local, 'INSERT INTO stop VALUES (true)');
@sessions = grep { collect($_, 60) } @sessions;
is(scalar(grep { /^session\|timeout/ } keys %met), 0, 'no session is stuck');

# Those that are left can go on, and with them there nothing is leased.
$_->begin(q(SET statement_timeout = 0;
	SELECT t FROM pool_query('srv', 'select $1::text', pg_backend_pid()) AS r(t text)))
  foreach @sessions;
my @silent = grep { $_->result->{out} ne $_->pid } @sessions;
is(scalar @silent, 0, 'all sessions that are left can go on')
  or diag(join "\n", map { $_->{last}{err} } @silent);
settled($local, 'settled, with all these sessions there', 30);
remote_count($local, $remote);
is(sql($local, 'SELECT count(*) FROM pool_connections WHERE leaked'), 0, 'nothing is leaked');

# Copies of what there is now, two sockets of its own, and leases it forgot.
my $sockets = max(map { (open_files($_->pid))[1] } @sessions);
cmp_ok($sockets, '<=', 30, 'no session keeps copies of connections that are gone');

#
# What has come of it
#
my $log = log_since($local);
my @wrong = $log =~ /WRONG ANSWER.*/g;

is(scalar @wrong, 0, 'no wrong answer') or diag(join "\n", @wrong[ 0 .. min(9, $#wrong) ]);

foreach my $line (
	split /\n/,
	sql($local, 'SELECT sum(n), kind, state, message FROM met GROUP BY 2, 3, 4'))
{
	my ($n, $what) = split /\|/, $line, 2;

	$met{$what} += $n;
}
note join "\n", "sessions: $started", map { "$_: $met{$_}" } sort keys %met;
my @errors = grep { (split /\|/)[1] ne '00000' } keys %met;
my @odd = grep { !is_explained(split /\|/, $_, 3) } @errors;
is(scalar @odd, 0, 'no error but those that the faults explain') or diag(join "\n", sort @odd);

# total(pattern): how often that was met
sub total
{
	my ($pattern) = @_;

	return sum0(map { $met{$_} } grep { /$pattern/ } keys %met);
}

cmp_ok(total(qr/^$_\|00000/), '>', 0, "answers of kind $_")
  foreach 'rows', 'many', 'insert', 'commit', 'rollback', 'error', 'sleep', 'hasty', 'long', 'forgotten';
cmp_ok(total(qr/^held\|08003/), '>', 0, 'leases were missed that had been held for too long');
cmp_ok(total(qr/^session\|57014/), '>', 0, 'statements took too long');
cmp_ok(total(qr/^session\|57P01/), '>', 0, 'sessions were terminated');
cmp_ok($faults{$_}, '>', 0, $_) foreach 'terminated here', 'terminated there';

my @stats = (
	'leaks_reclaimed', 'closed_remote_closed', 'closed_idle_timeout', 'closed_max_lifetime',
	'closed_canceled', 'health_checks', 'resets', 'reused');
cmp_ok(stat_of($local, $_), '>', 0, $_) foreach @stats;
note explain(sql($local, 'SELECT row_to_json(s) FROM pool_stats s'));

# What was answered has happened, once; what was rolled back has not.
my %kept;
$kept{$_}++ foreach split /\n/, sql($remote, 'SELECT token FROM kept', db => 'far');
my @answered = split /\n/, sql($local, 'SELECT token FROM answered');
is(scalar(grep { !$kept{$_} } @answered), 0, 'what was answered has happened');
is(scalar(grep { /^rollback/ } keys %kept), 0, 'what was rolled back has not');
note sprintf('%d kept, %d of them without an answer', scalar keys %kept, keys(%kept) - @answered);

# The wait after a restart.  It should be a second at most; a busy machine is
# granted more.
my @sorted = sort { $a <=> $b } @served;
cmp_ok(scalar @served, '>=', 2, 'the remote was restarted');
cmp_ok($sorted[-1], '<', 5, 'each time a new session was soon served');
diag(sprintf('%d restarts of the remote; the first answer came after %.0f ms (median), %.0f ms (at most)',
	scalar @sorted, $sorted[ $#sorted / 2 ] * 1000, $sorted[-1] * 1000));

#
# After: the same worker, without connections
#
$_->quit foreach @sessions, $control;
all_closed('idle_timeout leaves no connection again');
is(app_sessions($remote), 0, 'and none on the remote');
my ($worker_after, $files_after, $memory_after) = worker();
is($worker_after, $worker, 'it is the same worker');
cmp_ok($files_after, '<=', $files + 2, 'which has no more files open than before');
cmp_ok($memory_after, '<', $memory + 50 * 1024, 'nor much more memory');
note "sockets of a session: at most $sockets";
note "worker: $files files before, $files_after after; $memory kB before, $memory_after kB after";
is(sql($local, q(SELECT pool_query('srv', 'select 42'))), '(42)', 'it works');

no_crash($local, $remote);
done_testing();
