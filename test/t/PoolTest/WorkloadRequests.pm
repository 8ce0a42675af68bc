# WorkloadRequests.pm
#	What the sessions of 024_soak.pl and 107_stress.pl ask for without waiting for each
#	answer: requests on servers and leases, many servers at a time, the first of
#	several, and requests that nobody fetches.  As in PoolTest/Workload.pm, which uses
#	this, each answer carries a token and is compared byte by byte.

package PoolTest::WorkloadRequests;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(workload_requests);

# workload_requests(): functions
sub workload_requests
{
	return (_fetch(), _ask_requests(), _ask_all());
}

sub _fetch
{
	return <<'SQL';
-- Sends a query for so many rows.
CREATE FUNCTION send_rows(token text, n int) RETURNS bigint LANGUAGE sql AS $$
	SELECT pool_send('srv',
		'select $1::text || ''/'' || g, g from generate_series(1, $2::int) g', token, n)
$$;

-- Fetches them.
CREATE FUNCTION fetch_rows(request bigint, token text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	got text;
BEGIN
	SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE t = token || '/' || g),
					 count(DISTINCT g), sum(g)) INTO got
		FROM pool_result(request) AS r(t text, g int);
	PERFORM compare(token, got, concat_ws(' ', n, n, n, n * (n + 1) / 2));
END $$;

-- What pool_poll() says, or 'gone'.
CREATE FUNCTION state_of(request bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN pool_poll(request);
EXCEPTION WHEN undefined_object THEN
	RETURN 'gone';
END $$;

-- Ends the lease that is kept for the next transaction, if there is one.
CREATE FUNCTION forget_across() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	lease bigint := nullif(current_setting('soak.lease', true), '');
BEGIN
	IF lease IS NOT NULL THEN
		IF state_of(current_setting('soak.request')::bigint) <> 'gone' THEN
			PERFORM pool_abandon(current_setting('soak.request')::bigint);
		END IF;
		PERFORM set_config('soak.lease', '', false);
		BEGIN
			PERFORM pool_release(lease);
		EXCEPTION WHEN undefined_object THEN	-- released, before that was rolled back here
			NULL;
		END;
	END IF;
END $$;
SQL
}

sub _ask_requests
{
	return <<'SQL';
CREATE FUNCTION ask_requests(kind text, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 1 + (random() * 4)::int;
	sent bigint[] := '{}';
	left_over bigint[];
	request bigint;
	other bigint;
	lease bigint;
	i int;
	got text;
BEGIN
	CASE kind
	WHEN 'send' THEN				-- fetched as they come
		FOR i IN 1 .. n LOOP
			sent := sent || send_rows(token || '.' || i, 100 * i);
		END LOOP;
		left_over := sent;
		WHILE left_over <> '{}' LOOP
			FOR request IN
				SELECT w FROM pool_wait(left_over, (random() * n)::int,
					CASE WHEN random() < 0.5 THEN interval '20 ms' END) w
			LOOP
				i := array_position(sent, request);
				PERFORM fetch_rows(request, token || '.' || i, 100 * i);
				left_over := array_remove(left_over, request);
			END LOOP;
		END LOOP;
	WHEN 'leased' THEN				-- in a transaction of the remote
		lease := pool_acquire('srv', hold => n > 3);
		PERFORM pool_exec(lease, 'begin');
		request := pool_send(lease, 'insert into kept values ($1) returning token', token);
		SELECT t INTO got FROM pool_result(request) AS r(t text);
		PERFORM compare(token, got, token);
		request := pool_send(lease, 'commit');
		PERFORM pool_wait(ARRAY[request]);
		PERFORM compare(token, (state_of(request) IN ('ready', 'failed'))::text, 'true');
		PERFORM FROM pool_result(request) AS r(t text);
		INSERT INTO answered VALUES (token);
		PERFORM pool_release(lease);
	WHEN 'across' THEN				-- is fetched in the next transaction
		PERFORM forget_across();
		lease := pool_acquire('srv', hold => true);
		PERFORM set_config('soak.lease', lease::text, false);
		PERFORM set_config('soak.request', pool_send(lease,
			'select $1::text from pg_sleep($2::float8)', token, random() * 0.05)::text, false);
	WHEN 'fetched' THEN
		SELECT t INTO got
			FROM pool_result(current_setting('soak.request')::bigint) AS r(t text);
		PERFORM compare(token, got, token);
		PERFORM pool_release(current_setting('soak.lease')::bigint);
		PERFORM set_config('soak.lease', '', false);
	WHEN 'abandon' THEN				-- one of two, in any state
		sent := ARRAY[
			pool_send('srv', 'select $1::text, $2::int from pg_sleep($3::float8)', token || '/1', 1,
				random() * 0.1),
			send_rows(token, 3000)];
		PERFORM pool_wait(sent, (random() * 2)::int, random() * interval '0.1 s');
		i := 1 + (random())::int;
		PERFORM pool_abandon(sent[i]);
		PERFORM compare(token, state_of(sent[i]), 'cancelled');
		PERFORM fetch_rows(sent[3 - i], token, CASE WHEN i = 1 THEN 3000 ELSE 1 END);
		BEGIN
			PERFORM fetch_rows(sent[i], token, 0);
			got := 'no error';
		EXCEPTION WHEN query_canceled THEN
			got := SQLERRM;
			IF got ~ 'statement timeout' THEN
				RAISE;
			END IF;
			got := state_of(sent[i]);
		END;
		PERFORM compare(token, got, 'gone');
	WHEN 'block' THEN				-- a request ends with its subtransaction, no other does
		request := send_rows(token, n);
		BEGIN
			other := send_rows(token || '.other', 300);
			PERFORM pool_send('srv', 'select 1 from pg_sleep(0.05)');
			PERFORM pool_wait(ARRAY[request, other], (random() * 2)::int);
			RAISE EXCEPTION USING ERRCODE = 'UNDUN';
		EXCEPTION WHEN SQLSTATE 'UNDUN' THEN
			PERFORM compare(token, state_of(other), 'gone');
		END;
		SELECT string_agg(j::text, ',') INTO got FROM pool_result_json(request) AS j;
		PERFORM compare(token, got,
			(SELECT string_agg(jsonb_build_object('?column?', token || '/' || g, 'g', g)::text, ',')
			 FROM generate_series(1, n) g));
	WHEN 'any' THEN
		SELECT string_agg(t || ':' || g, ',') INTO got
			FROM pool_query_any(ARRAY['srv', 'hasty', 'srv'],
				'select $1, g from generate_series(1, $2::int) g, pg_sleep(random() * 0.03)',
				ARRAY[token, n::text], hedge_after => interval '5 ms') AS r(t text, g int);
		PERFORM compare(token, got,
			(SELECT string_agg(token || ':' || g, ',') FROM generate_series(1, n) g));
	WHEN 'unfinished' THEN			-- ends with the transaction
		FOR i IN 1 .. n LOOP
			PERFORM pool_send('srv', 'select $1::text from pg_sleep(random() * 0.05)', token);
		END LOOP;
	WHEN 'unattended' THEN			-- for too long: mostly an error
		PERFORM set_config('pool.request_timeout', '100ms', true);
		request := pool_send('srv', 'select $1::text from pg_sleep(0.5)', token);
		WHILE pool_poll(request) = 'waiting' LOOP
			PERFORM pool_wait(ARRAY[request], 1, interval '10 ms');
		END LOOP;
		PERFORM pg_sleep(1.5);
		SELECT t INTO got FROM pool_result(request) AS r(t text);
		PERFORM compare(token, got, token);
	ELSE
		PERFORM ask_all(kind, token, n);
	END CASE;
END $$;
SQL
}

sub _ask_all
{
	return <<'SQL';
-- Several servers, of which some fail, perhaps in the middle of their rows.
CREATE FUNCTION ask_all(kind text, token text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	rows_each int := 50;
	row record;
	good int := 0;
	failed int := 0;
BEGIN
	FOR row IN
		SELECT * FROM pool_query_all(
			(SELECT array_agg(CASE WHEN random() < 0.8 THEN 'srv' ELSE 'hasty' END)
			 FROM generate_series(1, n)),
			'select $1 || ''/'' || g, case when g = 40 and random() < $3::float8 then 1 / (g - 40)
				else g end from generate_series(1, $2::int) g',
			ARRAY[token, rows_each::text, CASE WHEN random() < 0.7 THEN '0' ELSE '0.3' END],
			on_error => split_part(kind, '_', 2),
			parallel => CASE WHEN random() < 0.3 THEN 2 END,
			timeout => CASE WHEN random() < 0.1 THEN random() * interval '0.1 s' END)
			AS r(server text, sqlstate text, error text, t text, g int)
	LOOP
		IF row.error IS NULL THEN
			PERFORM compare(token, concat_ws(' ', row.t, row.sqlstate), token || '/' || row.g);
			good := good + 1;
		ELSE
			PERFORM compare(token, concat_ws(' ', row.t, row.g), '');
			failed := failed + 1;
			-- without the detail, which is a sentence
			PERFORM met_error(kind, row.sqlstate, regexp_replace(row.error, ': [A-Z].*', ''));
		END IF;
	END LOOP;
	IF kind = 'all_skip' THEN
		PERFORM compare(token, (good % rows_each)::text, '0');
		PERFORM compare(token, (good <= n * rows_each)::text, 'true');
	ELSE
		PERFORM compare(token, good::text, ((n - failed) * rows_each)::text);
	END IF;
END $$;
SQL
}

1;
