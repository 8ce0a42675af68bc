-- fanout.sql
--	What asking many servers needs on the local server.  Variables: servers, how many;
--	port, the remote's, and direct, how dblink and PL/Proxy reach it.

SELECT format('CREATE SERVER fan%s FOREIGN DATA WRAPPER pool OPTIONS (host %L, port %L,
		dbname %L, max_size %L, sslmode %L)', n, '127.0.0.1', :'port', 'part' || n % 8, 2,
		'disable'),
	format('CREATE USER MAPPING FOR CURRENT_USER SERVER fan%s OPTIONS (user %L)', n, 'postgres')
FROM generate_series(0, :servers - 1) AS n \gexec

-- The names of so many servers.
CREATE FUNCTION bench_fan(n int) RETURNS text[] LANGUAGE sql IMMUTABLE AS
$$ SELECT array_agg('fan' || i ORDER BY i) FROM generate_series(0, n - 1) AS i $$;

-- Eight databases, each on a connection of its own.
SELECT format('CREATE SERVER proxied_all FOREIGN DATA WRAPPER plproxy OPTIONS (%s)',
	string_agg(format('p%s %L', n, :'direct' || ' dbname=part' || n), ', '))
FROM generate_series(0, 7) AS n \gexec
CREATE USER MAPPING FOR CURRENT_USER SERVER proxied_all OPTIONS (user 'postgres');
CREATE FUNCTION fan_by_plproxy(n int) RETURNS SETOF text LANGUAGE plproxy AS
$$ CLUSTER 'proxied_all'; RUN ON ALL; SELECT name FROM item WHERE id = 1 + n % 10000; $$;

-- The same with dblink, on connections that the session keeps.
CREATE FUNCTION fan_by_dblink(n int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0..7 LOOP
		PERFORM dblink_send_query('p' || i,
			'SELECT name FROM item WHERE id = 1 + ' || n || ' % 10000');
	END LOOP;
	FOR i IN 0..7 LOOP
		RETURN QUERY SELECT t.name FROM dblink_get_result('p' || i) AS t(name text);
		-- That there is no more has to be fetched, too.
		PERFORM FROM dblink_get_result('p' || i) AS t(name text);
	END LOOP;
END $$;

-- The median time of a statement in ms and its mean processor time in this session in
-- µs, of so many runs after some that do not count.
CREATE FUNCTION bench_repeat(query text, times int, OUT ms float8, OUT cpu float8)
LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
	took float8[] := array_fill(0, ARRAY[times]);
	before bigint;
BEGIN
	FOR run IN -(times / 5) .. times LOOP
		IF run = 1 THEN
			before := bench_cpu();
		END IF;
		start := clock_timestamp();
		EXECUTE query;
		IF run > 0 THEN
			took[run] := extract(epoch FROM clock_timestamp() - start) * 1000;
		END IF;
	END LOOP;
	cpu := (bench_cpu() - before) / 1000.0 / times;
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY t) INTO ms FROM unnest(took) AS t;
END $$;

-- Nanoseconds for which this session has run.
CREATE FUNCTION bench_cpu() RETURNS bigint LANGUAGE sql AS
$$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint $$;

-- kB of private memory for each of so many requests that are under way, each on a server
-- of its own; with the connection's copy and what is looked up once, if the session has
-- never used it.
CREATE FUNCTION bench_request_memory(n int, first bool) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	before int;
	busy int;
	sent bigint[];
BEGIN
	IF NOT first THEN
		PERFORM FROM pool_query_all(bench_fan(n), 'SELECT 1', NULL)
			AS t(server text, sqlstate text, error text, one int);
	END IF;
	PERFORM bench_memory('self', 'smaps_rollup', 'Private_Dirty');
	before := bench_memory('self', 'smaps_rollup', 'Private_Dirty');
	SELECT array_agg(pool_send(name, 'SELECT pg_sleep(1)')) INTO sent
	FROM unnest(bench_fan(n)) name;
	PERFORM pool_wait(sent, 1, interval '0.2 s');
	SELECT count(*) INTO busy FROM unnest(sent) AS r WHERE pool_poll(r) = 'running';
	IF busy < n THEN
		RAISE EXCEPTION 'only % requests are under way', busy;
	END IF;
	busy := bench_memory('self', 'smaps_rollup', 'Private_Dirty');
	PERFORM pool_wait(sent, n);
	RETURN (busy - before) / n::float8;
END $$;
