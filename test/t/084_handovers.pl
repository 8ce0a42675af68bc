# 084_handovers.pl
#	Many sessions over few connections, through a proxy that does something at random
#	to most handovers: bytes in pieces or late, notices, notifications, parameters,
#	answers that were given before, garbage, wrong lengths, connections that are cut.
#	Each statement asks for its own token, and compares what it gets byte by byte,
#	rows and errors; in the end nothing is left.
#
#	It goes on until so many handovers were hit.  A handover is a statement that came
#	to the remote with a proof before it, and it was hit if the proxy has changed,
#	parted, held back or cut what went there or came back, or has sent something just
#	before it; the proxy counts.  What is told in the output besides: what it did to
#	resets by the worker, statements without a handover, and idle connections.
#
#	POOL_TEST_HANDOVERS: how many (20000).  POOL_TEST_SEED: of what is chosen.  The
#	test has ten minutes, and as many seconds more as POOL_TEST_SECONDS says.
#
# Runs in the plain round only.
# Runs with --long only.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(max min);
use PoolTest;
use PoolTest::Proxy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $wanted = $ENV{POOL_TEST_HANDOVERS} || 20_000;
my $seed = $ENV{POOL_TEST_SEED} || int time;
my ($clients, $connections) = (16, 6);

# In so many of a hundred handovers the proxy does something.
my $percent = 90;

# The password of the mapping, which nothing may show
my $canary = 'canary-handover-7c1e';

my $remote = start_remote();
my $local = start_local(max_connections => $clients + 20, log_min_messages => 'debug1');
my $proxy = start_proxy($remote);
sql($remote, "ALTER ROLE app PASSWORD '$canary'");
create_server($local, 'srv', $remote, password => $canary,
	options => {
		port => $proxy->{port},
		max_size => $connections,
		retry_delay => '1ms',
		retry_max_delay => '2ms',
		breaker_threshold => 0,
		acquire_timeout => '60s',
		query_timeout => '300ms' });
create_server($local, 'beside', $remote, password => $canary, options => { max_size => 1 });
sql($local, <<'SQL');
CREATE UNLOGGED TABLE stop (now bool);
CREATE UNLOGGED TABLE met (state text, message text);
CREATE UNLOGGED TABLE done (statements bigint);

-- A mismatch goes to the log, which no abort can remove.
CREATE FUNCTION compare(token text, got text, good bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF good IS NOT TRUE THEN
		RAISE LOG 'WRONG ANSWER to "%": "%"', token, left(got, 500);
		RAISE EXCEPTION 'wrong answer';
	END IF;
END $$;

-- What a connection has of earlier statements is nothing, or this session's own.
CREATE FUNCTION ask(lease bigint, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	query CONSTANT text := 'select $1::text || ''/'' || g, current_setting(''hand.over'', true),
		set_config(''hand.over'', $1, false) from generate_series(1, 2) g';
	got text;
BEGIN
	IF lease IS NULL THEN
		SELECT string_agg(concat_ws(' ', t, l, s), ',') INTO got
			FROM pool_query('srv', query, token) AS r(t text, l text, s text);
	ELSE
		SELECT string_agg(concat_ws(' ', t, l, s), ',') INTO got
			FROM pool_query(lease, query, token) AS r(t text, l text, s text);
	END IF;
	PERFORM compare(token, got, got ~ format('^%1$s/1 (%2$s/\d+)? ?%1$s,%1$s/2 %1$s %1$s$',
											 token, pg_backend_pid()));
END $$;

CREATE PROCEDURE hand_over() LANGUAGE plpgsql AS $$
DECLARE
	token text;
	lease bigint;
	n bigint := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		n := n + 1;
		token := pg_backend_pid() || '/' || n;
		lease := NULL;
		BEGIN
			IF n % 20 = 7 THEN			-- the worker has something to reset
				lease := pool_acquire('srv');
				PERFORM ask(lease, token), ask(lease, token);
				PERFORM pool_release(lease);
			ELSIF n % 20 = 14 THEN		-- an error carries the token as well
				PERFORM pool_query('srv', 'select $1::text::int', token);
				PERFORM compare(token, 'no error', false);
			ELSE
				PERFORM ask(NULL, token);
			END IF;
		EXCEPTION WHEN invalid_text_representation THEN
			PERFORM compare(token, SQLERRM,
				SQLERRM = format('invalid input syntax for type integer: "%s"', token));
		WHEN query_canceled OR OTHERS THEN
			INSERT INTO met VALUES (SQLSTATE, regexp_replace(SQLERRM, '\d+', 'N', 'g'));
		END;
		COMMIT;
	END LOOP;
	INSERT INTO done VALUES (n);
END $$;
SQL

# What an error may be: the connection was lost or is not to be trusted, or the
# remote's answer never ended.
my %explained = map { $_ => 1 } (
	'08006 connection to the remote was lost',
	'08006 connection to the remote is out of step',
	'08006 could not send the statement to the remote',
	'08006 connection to server "srv" failed',
	'57014 canceling remote statement on server "srv" due to query_timeout');

# What a new connection has, and one after a handover
my $state = q(SELECT concat_ws('/', current_user, session_user,
	coalesce(current_setting('hand.over', true), ''), current_setting('search_path'),
	(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
	(SELECT count(*) FROM pg_prepared_statements WHERE name !~ '^pool_'),
	(SELECT count(*) FROM pg_cursors WHERE name <> ''),
	(SELECT count(*) FROM pg_listening_channels())));

# states(sessions): of the connections that these lease at once
sub states
{
	$_->begin("BEGIN; SELECT pool_acquire('srv') AS lease \\gset\n"
		  . "SELECT t FROM pool_query(:lease, \$\$$state\$\$) AS r(t text)") foreach @_;
	my @states = map { $_->result->{out} } @_;
	$_->query('ROLLBACK') foreach @_;
	return @states;
}

my @sessions = map { session($local, options => '-c client_min_messages=error') } 1 .. $clients;
my $watch = session($local);
my @watched = (worker_pid($local), map { $_->pid } @sessions);
$_->query(q(SELECT pool_query('srv', 'select 1'))) foreach @sessions;
my ($worker_files) = map { scalar descriptors($_) } @watched;

note "POOL_TEST_SEED=$seed";
tell_proxy($proxy, "random $seed $percent");
my ($start, $slowest, $faulted, $moved) = (time, 0, 0, time);
my %report;
$_->begin('CALL hand_over()') foreach @sessions;
while ($faulted < $wanted && time < $moved + 60)
{
	my $answer = $watch->query(select_42('beside'));

	die $answer->{err} if $answer->{out} ne '42';
	$slowest = max($slowest, $answer->{secs});
	usleep(300_000);
	%report = proxy_report($proxy);
	$moved = time if $report{faulted} > $faulted;
	$faulted = $report{faulted};
}
my $took = time - $start;
sql($local, 'INSERT INTO stop VALUES (true)');
my @results = map { $_->result(120) } @sessions;
%report = proxy_report($proxy);
tell_proxy($proxy, "random $seed 0", 'clear');

#
# What has come of it
#
cmp_ok($report{faulted}, '>=', $wanted, "$wanted handovers were hit");
diag(sprintf('%d of %d handovers were hit in %.0f s: %.0f per second; %d connections were made',
	@report{ 'faulted', 'handovers' }, $took, $report{faulted} / $took, $report{accepted}));
foreach (sort grep { exists $report{"$_ elsewhere"} } keys %report)
{
	cmp_ok($report{$_} + $report{"$_ elsewhere"}, '>', 0, "the proxy did: $_");
	note sprintf '%8d and %d elsewhere: %s', $report{$_}, $report{"$_ elsewhere"}, $_;
}
is(join("\n", map { $_->{err} || () } @results),
	'', 'no session was lost, and none is stuck');
my @wrong = log_since($local) =~ /WRONG ANSWER.*/g;
is(scalar @wrong, 0, 'no answer is wrong') or diag(join "\n", @wrong[ 0 .. min(9, $#wrong) ]);

my @met = split /\n/, sql($local, q(SELECT state || ' ' || message || '|' || count(*)
	FROM met GROUP BY state, message ORDER BY 1));
note $_ foreach @met;
is(join("\n", grep { !$explained{ (split /\|/)[0] } } @met),
	'', 'no error is met but those that the faults explain');
note 'statements: ' . sql($local, 'SELECT sum(statements) FROM done');
cmp_ok($slowest, '<', 10, 'another pool answers all the time');
note sprintf 'the slowest answer of another pool took %.0f ms', 1000 * $slowest;

# By sessions that find nothing of their own.
my @new_sessions = map { session($local) } 1 .. $connections;
is(join("\n", states(@new_sessions)),
	join("\n", ('app/app//"$user", public/0/0/0/0') x $connections),
	'all connections look like new ones');
is((grep { $_->query(select_42('srv'))->{out} ne '42' } @sessions) + 0,
	0, 'all sessions are served when the remote is well');
settled($local, undef, 30);
remote_count($local, $remote);
is(worker_pid($local), $watched[0], 'the worker is the same process');
my ($files, @of_sessions) = map { scalar descriptors($_) } @watched;
cmp_ok($files, '<=', $worker_files + $connections,
	'the worker has no more files open than connections');
cmp_ok(max(@of_sessions), '<=', 60, 'no session keeps files of connections that are gone');

# The password was sent and received thousands of times.
is(join(' ', grep { slurp_file($_->logfile) =~ /\Q$canary\E/ } $local, $remote),
	'', 'no log has the password');
is( sql($local, "SELECT count(*) FROM pool_stats_all() s, pool_connections c, pg_stat_activity a"
		  . " WHERE concat(s, c, a) LIKE '%' || 'canary' || '-handover%'"),
	0, 'no view has the password');

$_->quit foreach @sessions, @new_sessions, $watch;
stop_proxy($proxy);
no_crash($local, $remote);
done_testing();
