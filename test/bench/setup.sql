-- setup.sql
--	What the measurements need on the local server.  Variables: direct, how dblink
--	and PL/Proxy reach the remote, and port, the remote's.

CREATE EXTENSION pool;
CREATE EXTENSION dblink;
CREATE SCHEMA pool_dblink;
CREATE EXTENSION pool_dblink SCHEMA pool_dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION plproxy;

CREATE FUNCTION bench_row(int) RETURNS SETOF text
AS '$libdir/pool_bench' LANGUAGE C STRICT;
COMMENT ON FUNCTION bench_row(int) IS 'The least that a set-returning function does';

CREATE FUNCTION bench_lease(server text, leases int, OUT p50 float8, OUT p99 float8,
	OUT max float8, OUT clock float8)
AS '$libdir/pool_bench' LANGUAGE C STRICT;
COMMENT ON FUNCTION bench_lease(text, int) IS
'Times of pool_acquire() and pool_release(), and of reading the clock, in microseconds';

CREATE SERVER fdw FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host '127.0.0.1', port :'port', dbname 'postgres', sslmode 'disable');
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw OPTIONS (user 'postgres');
CREATE FOREIGN TABLE item (id int, name text, made timestamptz, ratio float8, amount bigint)
	SERVER fdw;

CREATE SERVER proxied FOREIGN DATA WRAPPER plproxy OPTIONS (p0 :'direct');
CREATE USER MAPPING FOR CURRENT_USER SERVER proxied OPTIONS (user 'postgres');
CREATE FUNCTION point_by_plproxy(n int) RETURNS SETOF text LANGUAGE plproxy AS
$$ CLUSTER 'proxied'; RUN ON 0; SELECT name FROM item WHERE id = n; $$;
-- It knows SELECT only: this calls the function of this name on the remote.
CREATE FUNCTION update_by_plproxy(n int) RETURNS SETOF text LANGUAGE plproxy AS
$$ CLUSTER 'proxied'; RUN ON 0; $$;

-- kB of a process, from a file of /proc: smaps_rollup or status.
CREATE FUNCTION bench_memory(process text, file text, what text) RETURNS int LANGUAGE sql AS
$$ SELECT substring(pg_read_file('/proc/' || process || '/' || file)
	FROM what || ':\s+([0-9]+) kB')::int $$;

-- The second of two runs of a query in ms, and what both have added to the most memory
-- that the session ever had, in kB.
CREATE FUNCTION bench_twice(query text, OUT ms float8, OUT kb int) LANGUAGE plpgsql AS $$
DECLARE
	start timestamptz;
	before int := bench_memory('self', 'status', 'VmHWM');
	result record;
BEGIN
	FOR run IN 1..2 LOOP
		start := clock_timestamp();
		EXECUTE query INTO result;
		ms := extract(epoch FROM clock_timestamp() - start) * 1000;
	END LOOP;
	kb := bench_memory('self', 'status', 'VmHWM') - before;
END $$;

-- A lease of each of so many connections at the same time, so that the session keeps
-- a copy of each; one session after the other.
CREATE PROCEDURE bench_copies(server text, connections int) LANGUAGE plpgsql AS $$
DECLARE
	leases bigint[];
BEGIN
	PERFORM pg_advisory_lock(1);
	SELECT array_agg(pool_acquire(server)) INTO leases FROM generate_series(1, connections);
	PERFORM pool_release(lease) FROM unnest(leases) AS lease;
	PERFORM pg_advisory_unlock(1);
END $$;

-- kB of private memory for each copy of a connection that the session keeps.
CREATE FUNCTION bench_copy_memory(server text, connections int) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
	before int;
BEGIN
	CALL bench_copies(server, 1);
	before := bench_memory('self', 'smaps_rollup', 'Private_Dirty');
	CALL bench_copies(server, connections);
	RETURN (bench_memory('self', 'smaps_rollup', 'Private_Dirty') - before)
		/ (connections - 1)::float8;
END $$;

-- kB of the worker's private memory for each of so many connections, after the first.
CREATE FUNCTION bench_connection_memory(server text, connections int) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
	worker text := (SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker');
	before int;
	first int := pool_prewarm(server, 10);
	last int;
BEGIN
	before := bench_memory(worker, 'smaps_rollup', 'Private_Dirty');
	last := pool_prewarm(server, connections);
	RETURN (bench_memory(worker, 'smaps_rollup', 'Private_Dirty') - before)
		/ (last - first)::float8;
END $$;

-- How long a pool took from two sessions at work or waiting to so many connections.
CREATE FUNCTION bench_growth(pool text, connections int) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	patience timestamptz := clock_timestamp() + interval '30 s';
	start timestamptz;
	now record;
BEGIN
	WHILE clock_timestamp() < patience LOOP
		SELECT open, active + waiting AS wanted INTO now FROM pool_stats WHERE server = pool;
		IF start IS NULL AND now.wanted > 1 THEN
			start := clock_timestamp();
		END IF;
		IF now.open >= connections THEN
			RETURN extract(epoch FROM clock_timestamp() - start) * 1000;
		END IF;
		PERFORM pg_sleep(0.0005);
	END LOOP;
	RETURN NULL;
END $$;
