# Workload.pm
#	What the sessions of 024_soak.pl and 107_stress.pl ask for: functions of the local server that
#	run statements of every kind through pool, each with a token of its own, and
#	compare the answers byte by byte.  What they ask for without waiting is in
#	PoolTest/WorkloadRequests.pm, and by dblink's functions in WorkloadDblink.pm.
#
#	churn() is what a session calls; it picks kinds at random.  What it met is
#	counted in the table "met", and tokens that are on the remote for certain are
#	in "answered".  probe() waits until it is served, and tells when that was.

package PoolTest::Workload;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use PoolTest::WorkloadDblink;
use PoolTest::WorkloadRequests;

our @EXPORT = qw(create_workload);

# Short times, so that all of it happens often.  There are quiet moments (see
# churn), in which connections are idle for longer than these.  What happens after
# an outage is left to the defaults.
my %options = (
	max_size => 10,
	acquire_timeout => '5s',
	idle_timeout => '400ms',
	max_lifetime => '2s',
	validate_after_idle => '20ms',
	health_check_interval => '100ms',
	leak_threshold => '1s',
	leak_action => 'reclaim');

# create_workload(local, remote): servers, tables and functions
sub create_workload
{
	my ($local, $remote) = @_;

	create_server($local, 'srv', $remote, options => \%options);
	create_server($local, 'hasty', $remote,
		options => { %options, max_size => 2, query_timeout => '100ms' });
	sql($remote, 'CREATE TABLE kept (token text PRIMARY KEY)', db => 'far', user => 'app');
	sql($local, $_) foreach _tables(), workload_requests(), workload_dblink(), _ask(),
	  _churn(), _probe();
	return;
}

sub _tables
{
	return <<'SQL';
CREATE SEQUENCE tokens CACHE 100;

-- What happened: statements that were answered, by kind, and errors.
CREATE UNLOGGED TABLE met (kind text, state text, message text, n bigint);

-- What is in the remote's table for certain.
CREATE UNLOGGED TABLE answered (token text);

CREATE UNLOGGED TABLE stop (now bool);

-- A mismatch goes to the log, which no abort can remove.
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
SQL
}

sub _ask
{
	return <<'SQL';
-- One statement of some kind.
CREATE FUNCTION ask(kind text, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 1 + (random() * 6)::int;
	got text;
	lease bigint;
BEGIN
	CASE kind
	WHEN 'rows' THEN				-- a few, and nothing is left of another session
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
	WHEN 'undone' THEN				-- a lease ends with its subtransaction
		BEGIN
			lease := pool_acquire('srv');
			PERFORM pool_exec(lease, 'begin');
			PERFORM pool_exec(lease, 'insert into kept values ($1)', token);
			PERFORM pool_query(lease, 'select set_config(''soak.left'', $1, false)', token);
			RAISE EXCEPTION USING ERRCODE = 'UNDUN';
		EXCEPTION WHEN SQLSTATE 'UNDUN' THEN
			BEGIN
				got := pool_exec(lease, 'select 1');
			EXCEPTION WHEN undefined_object THEN
				got := 'no lease';
			END;
		END;
		PERFORM compare(token, got, 'no lease');
	WHEN 'error' THEN				-- carries the token as well
		BEGIN
			PERFORM pool_query('srv', 'select $1::text::int', token);
			got := 'no error';
		EXCEPTION WHEN invalid_text_representation THEN
			got := SQLERRM;
		END;
		PERFORM compare(token, got, format('invalid input syntax for type integer: "%s"', token));
	WHEN 'sleep' THEN
		SELECT t INTO got
			FROM pool_query('srv', 'select $1::text from pg_sleep(0.1)', token) AS r(t text);
		PERFORM compare(token, got, token);
	WHEN 'hasty' THEN				-- is ended by query_timeout
		BEGIN
			PERFORM pool_query('hasty', 'select $1::text from pg_sleep(60)', token);
			got := 'no error';
		EXCEPTION WHEN query_canceled THEN
			got := SQLERRM;
			IF got ~ 'statement timeout|user request' THEN
				RAISE;
			END IF;
		END;
		PERFORM compare(token, got,
			'canceling remote statement on server "hasty" due to query_timeout');
	WHEN 'long' THEN				-- for longer than leak_threshold, but in use
		lease := pool_acquire('srv');
		SELECT t INTO got
			FROM pool_query(lease, 'select $1::text from pg_sleep(1.3)', token) AS r(t text);
		PERFORM compare(token, got, token);
		PERFORM pool_release(lease);
	WHEN 'held' THEN				-- for too long: mostly an error
		lease := pool_acquire('srv');
		PERFORM pg_sleep(2.2);
		SELECT t INTO got FROM pool_query(lease, 'select $1::text', token) AS r(t text);
		PERFORM compare(token, got, token);
	WHEN 'forgotten' THEN			-- never released
		PERFORM pool_acquire('srv', hold => true);
	WHEN 'dl_call', 'dl_named', 'dl_cursor', 'dl_send', 'dl_cancel' THEN
		PERFORM ask_dblink(kind, token);
	ELSE
		PERFORM ask_requests(kind, token);
	END CASE;
END $$;
SQL
}

sub _churn
{
	return <<'SQL';
-- Asks again and again for some seconds, or until all have to stop.  First
-- something odd, perhaps; it must be rare, since there are fifty sessions.
CREATE PROCEDURE churn(seconds float8) LANGUAGE plpgsql AS $$
DECLARE
	usual text[] := ARRAY['rows', 'rows', 'rows', 'many', 'insert', 'commit', 'commit',
						  'rollback', 'error', 'undone', 'send', 'send', 'leased', 'across',
						  'abandon', 'block', 'any', 'all_raise', 'all_row', 'all_skip',
						  'unfinished', 'dl_call', 'dl_named', 'dl_cursor', 'dl_send',
						  'dl_cancel'];
	kinds text[] := usual || ARRAY['sleep', 'hasty', 'long', 'held', 'forgotten', 'unattended',
								   'fetched'];
	good int[] := array_fill(0, ARRAY[array_length(kinds, 1)]);
	odd float8[] := ARRAY[0.20, 0.15, 0.04, 0.05, 0.05, 0.08];
	until timestamptz := clock_timestamp() + seconds * interval '1 second';
	pick float8 := random();
	i int;
	token text;
	context text;
BEGIN
	FOR place IN 1 .. array_length(odd, 1) LOOP
		IF pick >= 0 AND pick < odd[place] THEN
			i := array_length(usual, 1) + place;
		END IF;
		pick := pick - odd[place];
	END LOOP;
	WHILE clock_timestamp() < until AND NOT EXISTS (SELECT FROM stop) LOOP
		i := coalesce(i, 1 + floor(random() * array_length(usual, 1))::int);
		IF kinds[i] <> 'fetched' THEN
			token := kinds[i] || '/' || pg_backend_pid() || '/' || nextval('tokens');
		END IF;
		BEGIN
			PERFORM ask(kinds[i], token);
			good[i] := good[i] + 1;
		EXCEPTION WHEN query_canceled OR OTHERS THEN
			IF SQLSTATE = '57014' AND SQLERRM ~ 'statement timeout' THEN
				RAISE;				-- of this very CALL
			END IF;
			GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
			PERFORM met_error(kinds[i], SQLSTATE, SQLERRM || CASE
				WHEN SQLSTATE = '57014' AND context ~ 'remote statement on server'
				THEN ' (by the remote)' ELSE '' END);
			PERFORM pg_sleep(random() * 0.05);
			i := NULL;
		END;
		COMMIT;
		i := CASE WHEN kinds[i] = 'across' THEN array_position(kinds, 'fetched') END;

		-- Two of ten seconds are quiet.
		IF extract(epoch FROM clock_timestamp())::bigint % 10 >= 8 THEN
			PERFORM pg_sleep(random() * 2);
		END IF;
	END LOOP;
	INSERT INTO met SELECT k, '00000', NULL, n FROM unnest(kinds, good) AS u(k, n) WHERE n > 0;
END $$;
SQL
}

sub _probe
{
	return <<'SQL';
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
}

1;
