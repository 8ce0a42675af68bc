-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION pool UPDATE TO '1.1'" to load this file. \quit

-- Objects are referred to by no name that a search_path could change.

CREATE FUNCTION pool_metrics()
RETURNS text
AS 'MODULE_PATHNAME', 'pool_sql_metrics'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION pool_metrics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pool_metrics() TO pg_monitor;
COMMENT ON FUNCTION pool_metrics() IS
'The metrics of all pools of all databases, in the text format of Prometheus';

-- Requests

CREATE FUNCTION pool_requests(
	OUT request bigint,
	OUT pid int,
	OUT database text,
	OUT usename text,
	OUT server text,
	OUT state text,
	OUT since timestamptz
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_requests'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_requests() IS
'What view pool_requests shows';

CREATE VIEW pool_requests AS
SELECT r.request, r.pid, r.database, r.usename, r.server, r.state, r.since
FROM pool_requests() r;
COMMENT ON VIEW pool_requests IS
'A row for each request: a statement that was sent without waiting for its answer';
COMMENT ON COLUMN pool_requests.request IS 'Its number, as its session has it';
COMMENT ON COLUMN pool_requests.pid IS 'Session that sent it';
COMMENT ON COLUMN pool_requests.database IS 'Database of that session';
COMMENT ON COLUMN pool_requests.usename IS 'Role that sent it';
COMMENT ON COLUMN pool_requests.server IS 'Foreign server';
COMMENT ON COLUMN pool_requests.state IS
'waiting (for a connection), running, ready (its rows are here), failed (its error is), or '
'cancelled';
COMMENT ON COLUMN pool_requests.since IS 'Since when it is in that state';
GRANT SELECT ON pool_requests TO PUBLIC;

-- Statistics of requests.  The views keep their rights and what depends on them.

ALTER FUNCTION pool_stats_all() RENAME TO pool_stats_all_before;

CREATE FUNCTION pool_stats_all(
	OUT database text,
	OUT server text,
	OUT user_name text,
	OUT state text,
	OUT min_size int,
	OUT max_size int,
	OUT size_limit int,
	OUT limited_by text,
	OUT open int,
	OUT active int,
	OUT idle int,
	OUT resetting int,
	OUT connecting int,
	OUT closing int,
	OUT waiting int,
	OUT peak_active int,
	OUT utilization float8,
	OUT breaker text,
	OUT breaker_opened_at timestamptz,
	OUT acquires bigint,
	OUT acquire_timeouts bigint,
	OUT acquire_failures bigint,
	OUT releases bigint,
	OUT lost bigint,
	OUT reused bigint,
	OUT leaks bigint,
	OUT leaks_reclaimed bigint,
	OUT queries bigint,
	OUT query_errors bigint,
	OUT rows bigint,
	OUT connects bigint,
	OUT connect_errors bigint,
	OUT retries bigint,
	OUT retry_successes bigint,
	OUT retry_failures bigint,
	OUT breaker_trips bigint,
	OUT scale_ups bigint,
	OUT scale_downs bigint,
	OUT cancels bigint,
	OUT resets bigint,
	OUT validations bigint,
	OUT validation_failures bigint,
	OUT health_checks bigint,
	OUT health_check_failures bigint,
	OUT statement_hits bigint,
	OUT statement_parses bigint,
	OUT statement_evictions bigint,
	OUT statement_invalidations bigint,
	OUT requests bigint,
	OUT hedges bigint,
	OUT hedges_won bigint,
	OUT closed bigint,
	OUT closed_idle_timeout bigint,
	OUT closed_max_lifetime bigint,
	OUT closed_config_changed bigint,
	OUT closed_reconnect bigint,
	OUT closed_admin bigint,
	OUT closed_reclaimed bigint,
	OUT closed_surplus bigint,
	OUT closed_evicted bigint,
	OUT closed_dropped bigint,
	OUT closed_remote_closed bigint,
	OUT closed_canceled bigint,
	OUT closed_error bigint,
	OUT closed_unclean bigint,
	OUT closed_proof_failed bigint,
	OUT closed_reset_failed bigint,
	OUT closed_check_failed bigint,
	OUT closed_holder_exited bigint,
	OUT closed_handover_failed bigint,
	OUT closed_worker_exited bigint,
	OUT closed_unattended bigint,
	OUT wait_count bigint,
	OUT wait_avg float8,
	OUT wait_p50 float8,
	OUT wait_p95 float8,
	OUT wait_p99 float8,
	OUT wait_max float8,
	OUT connect_count bigint,
	OUT connect_avg float8,
	OUT connect_p50 float8,
	OUT connect_p95 float8,
	OUT connect_p99 float8,
	OUT connect_max float8,
	OUT query_count bigint,
	OUT query_avg float8,
	OUT query_p50 float8,
	OUT query_p95 float8,
	OUT query_p99 float8,
	OUT query_max float8,
	OUT lease_count bigint,
	OUT lease_avg float8,
	OUT lease_p50 float8,
	OUT lease_p95 float8,
	OUT lease_p99 float8,
	OUT lease_max float8,
	OUT last_error text,
	OUT last_error_at timestamptz,
	OUT stats_reset timestamptz
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_stats_all'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_stats_all() IS
'All statistics in one row for each pool, taken at one moment: what the views pool_stats, '
'pool_stats_times, pool_stats_closed and pool_stats_events show, and limited_by (which limit '
'keeps the pool from a connection that it wants), resetting and closing (connections just now)';

CREATE OR REPLACE VIEW pool_stats AS
SELECT s.database, s.server, s.user_name, s.state, s.active, s.idle, s.waiting,
	s.size_limit, s.utilization, s.breaker, s.breaker_opened_at, s.min_size,
	s.max_size, s.open, s.connecting, s.peak_active, s.acquires,
	s.acquire_timeouts, s.acquire_failures, s.queries, s.query_errors, s.rows,
	s.connects, s.connect_errors, s.closed, s.wait_p95, s.query_p95,
	s.last_error, s.last_error_at, s.stats_reset
FROM pool_stats_all() s;
CREATE OR REPLACE VIEW pool_stats_times AS
SELECT s.database, s.server, s.user_name, t.metric, t.count, t.avg, t.p50, t.p95, t.p99, t.max
FROM pool_stats_all() s, LATERAL (VALUES
	('wait', s.wait_count, s.wait_avg, s.wait_p50, s.wait_p95, s.wait_p99, s.wait_max),
	('connect', s.connect_count, s.connect_avg, s.connect_p50, s.connect_p95, s.connect_p99,
		s.connect_max),
	('query', s.query_count, s.query_avg, s.query_p50, s.query_p95, s.query_p99, s.query_max),
	('lease', s.lease_count, s.lease_avg, s.lease_p50, s.lease_p95, s.lease_p99, s.lease_max)
) t(metric, count, avg, p50, p95, p99, max);
CREATE OR REPLACE VIEW pool_stats_closed AS
SELECT s.database, s.server, s.user_name, c.reason, c.count, c.description
FROM pool_stats_all() s, LATERAL (VALUES
	('idle_timeout', s.closed_idle_timeout, 'Closed after idle_timeout'),
	('max_lifetime', s.closed_max_lifetime, 'Closed because they were older than max_lifetime'),
	('config_changed', s.closed_config_changed,
		'Closed because the options to connect were changed'),
	('reconnect', s.closed_reconnect, 'Closed by pool_reconnect()'),
	('admin', s.closed_admin, 'Closed by pool_close() or pool_drain()'),
	('reclaimed', s.closed_reclaimed, 'Closed because the lease was reclaimed'),
	('surplus', s.closed_surplus,
		'Closed because max_size was lowered, or size_limit by autoscale'),
	('evicted', s.closed_evicted, 'Closed because another pool needed the place'),
	('dropped', s.closed_dropped,
		'Closed because the server, the user mapping or the database was dropped'),
	('remote_closed', s.closed_remote_closed, 'Closed because the remote closed them'),
	('canceled', s.closed_canceled, 'Closed because a statement was canceled or timed out'),
	('error', s.closed_error, 'Closed because an error left a statement unfinished'),
	('unclean', s.closed_unclean,
		'Closed because they were out of step with the remote when they were released'),
	('proof_failed', s.closed_proof_failed,
		'Closed because the handover to another session could not be proven clean'),
	('reset_failed', s.closed_reset_failed,
		'Closed because the rollback or the reset query failed'),
	('check_failed', s.closed_check_failed,
		'Closed because they were found dead before use, or failed a health check'),
	('holder_exited', s.closed_holder_exited,
		'Closed because the session that held them ended in the middle of a statement'),
	('handover_failed', s.closed_handover_failed,
		'Closed because their descriptor could not be handed over'),
	('worker_exited', s.closed_worker_exited, 'Closed because the pool worker stopped'),
	('unattended', s.closed_unattended,
		'Closed because their session left a request alone for longer than pool.request_timeout')
) c(reason, count, description);
CREATE OR REPLACE VIEW pool_stats_events AS
SELECT s.database, s.server, s.user_name, e.event, e.count, e.description
FROM pool_stats_all() s, LATERAL (VALUES
	('releases', s.releases, 'Leases that ended with a usable connection'),
	('lost', s.lost, 'Leases that ended with the connection being closed'),
	('reused', s.reused,
		'Leases by the session and role that had that connection before, which need no reset'),
	('leaks', s.leaks, 'Leases that were not used for longer than leak_threshold'),
	('leaks_reclaimed', s.leaks_reclaimed, 'Leases that were reclaimed for that, by leak_action'),
	('retries', s.retries, 'Attempts to connect after one that had failed'),
	('retry_successes', s.retry_successes, 'Retries that made a connection'),
	('retry_failures', s.retry_failures, 'Retries that failed'),
	('breaker_trips', s.breaker_trips, 'Times the circuit breaker opened'),
	('scale_ups', s.scale_ups, 'Times autoscale raised size_limit'),
	('scale_downs', s.scale_downs, 'Times autoscale lowered size_limit'),
	('cancels', s.cancels, 'Cancel requests sent to the remote'),
	('resets', s.resets, 'Rollbacks and resets done by the worker'),
	('validations', s.validations,
		'Checks before use, by sessions, of connections that were idle for longer than '
		'validate_after_idle'),
	('validation_failures', s.validation_failures,
		'Validations that found the connection dead, so that it was replaced'),
	('health_checks', s.health_checks,
		'Checks of idle connections, after health_check_interval, that went well'),
	('health_check_failures', s.health_check_failures, 'Checks of idle connections that failed'),
	('statement_hits', s.statement_hits, 'Statements executed by name, as the remote had them '
		'prepared'),
	('statement_parses', s.statement_parses, 'Statements prepared on a connection'),
	('statement_evictions', s.statement_evictions,
		'Prepared statements given up to make room for others, by statement_cache'),
	('statement_invalidations', s.statement_invalidations,
		'Prepared statements that the remote no longer had, or that a change there had made invalid'),
	('requests', s.requests, 'Requests: statements that were sent without waiting'),
	('hedges', s.hedges, 'Times pool_query_any() asked this server since another one was slow'),
	('hedges_won', s.hedges_won, 'Hedges whose answer was the first')
) e(event, count, description);

DROP FUNCTION pool_stats_all_before();

-- Requests: statements that are sent without waiting.

CREATE FUNCTION pool_send(server text, query text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_send_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_send(text, text) IS
'Sends a statement to any pooled connection to the server without waiting, and returns the number of the request';

CREATE FUNCTION pool_send(server text, query text, VARIADIC parameters "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_send_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_send(text, text, VARIADIC "any") IS
'Sends a statement to any pooled connection to the server without waiting, with parameters $1, $2, ..., and returns the number of the request';

CREATE FUNCTION pool_send(lease bigint, query text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_send_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_send(bigint, text) IS
'Sends a statement on a leased connection without waiting, and returns the number of the request';

CREATE FUNCTION pool_send(lease bigint, query text, VARIADIC parameters "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_send_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_send(bigint, text, VARIADIC "any") IS
'Sends a statement on a leased connection without waiting, with parameters $1, $2, ..., and returns the number of the request';

CREATE FUNCTION pool_wait(requests bigint[], n int DEFAULT 1,
	timeout interval DEFAULT NULL)
RETURNS SETOF bigint
AS 'MODULE_PATHNAME', 'pool_sql_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_wait(bigint[], int, interval) IS
'Waits until n of the requests are done, or the timeout is over; returns those that are, in the order of completion';

CREATE FUNCTION pool_poll(request bigint)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_sql_poll'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_poll(bigint) IS
'State of a request, without waiting: waiting, running, ready, failed or cancelled';

CREATE FUNCTION pool_result(request bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_result'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_result(bigint) IS
'Waits for a request, returns its rows or raises its error, and frees it';

CREATE FUNCTION pool_result_json(request bigint)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pool_sql_result_json'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_result_json(bigint) IS
'Waits for a request, returns each of its rows as a JSON object or raises its error, and frees it';

CREATE FUNCTION pool_abandon(request bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'pool_sql_abandon'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_abandon(bigint) IS
'Cancels a request, here and at the remote';

-- Asking several servers at a time.

CREATE FUNCTION pool_query_all(servers text[], query text,
	parameters text[] DEFAULT NULL, on_error text DEFAULT 'raise',
	parallel int DEFAULT NULL, timeout interval DEFAULT NULL)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_all'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_all(text[], text, text[], text, int, interval) IS
'Runs a statement on each of the servers, several at a time, and returns their rows, each after server, sqlstate and error';

CREATE FUNCTION pool_query_all_json(servers text[], query text,
	parameters text[] DEFAULT NULL, on_error text DEFAULT 'raise',
	parallel int DEFAULT NULL, timeout interval DEFAULT NULL,
	OUT server text, OUT sqlstate text, OUT error text, OUT result jsonb)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_all_json'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_all_json(text[], text, text[], text, int, interval) IS
'Runs a statement on each of the servers, several at a time, and returns each row as a JSON object';

CREATE FUNCTION pool_query_any(servers text[], query text,
	parameters text[] DEFAULT NULL, hedge_after interval DEFAULT NULL)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_any(text[], text, text[], interval) IS
'Runs a query on the first of the servers, and on another one when that is slow or fails; returns the rows of the first answer';

-- Column lists

CREATE FUNCTION pool_columns(server text, query text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_sql_columns'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_columns(text, text) IS
'The column list of a statement, as the remote describes it; nothing is executed';

CREATE FUNCTION pool_create_view(view text, server text, query text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_sql_create_view'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_create_view(text, text, text) IS
'Makes a view of a statement on the server and returns the command that has made it';

CREATE FUNCTION pool_create_function(name text, server text, query text,
	VARIADIC parameters regtype[] DEFAULT '{}')
RETURNS text
AS 'MODULE_PATHNAME', 'pool_sql_create_function'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_create_function(text, text, text, regtype[]) IS
'Makes a function of a statement with parameters of these types on the server and returns the '
'command that has made it';
