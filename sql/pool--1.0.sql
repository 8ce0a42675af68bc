-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool" to load this file. \quit

-- Objects are referred to by no name that a search_path could change: C
-- functions, and views over functions of this script alone.

CREATE FUNCTION pool_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'pool_validator'
LANGUAGE C STRICT;
COMMENT ON FUNCTION pool_fdw_validator(text[], oid) IS
'Checks the options of servers and user mappings';

CREATE FOREIGN DATA WRAPPER pool VALIDATOR pool_fdw_validator;
COMMENT ON FOREIGN DATA WRAPPER pool IS
'Remote databases reached over the shared connections of extension pool';

CREATE FUNCTION pool_query(server text, query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query(text, text) IS
'Runs a statement on any pooled connection to the server and returns its rows';

CREATE FUNCTION pool_query(server text, query text, VARIADIC parameters "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query(text, text, VARIADIC "any") IS
'Runs a statement on any pooled connection to the server and returns its rows, with parameters '
'$1, $2, ...';

CREATE FUNCTION pool_query(lease bigint, query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query(bigint, text) IS
'Runs a statement on a leased connection and returns its rows';

CREATE FUNCTION pool_query(lease bigint, query text, VARIADIC parameters "any")
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_query_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query(bigint, text, VARIADIC "any") IS
'Runs a statement on a leased connection and returns its rows, with parameters $1, $2, ...';

CREATE FUNCTION pool_query_json(server text, query text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pool_sql_query_json_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_json(text, text) IS
'Runs a statement on any pooled connection to the server and returns each row as a JSON object';

CREATE FUNCTION pool_query_json(server text, query text, VARIADIC parameters "any")
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pool_sql_query_json_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_json(text, text, VARIADIC "any") IS
'Runs a statement on any pooled connection to the server and returns each row as a JSON object, '
'with parameters $1, $2, ...';

CREATE FUNCTION pool_query_json(lease bigint, query text)
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pool_sql_query_json_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_json(bigint, text) IS
'Runs a statement on a leased connection and returns each row as a JSON object';

CREATE FUNCTION pool_query_json(lease bigint, query text, VARIADIC parameters "any")
RETURNS SETOF jsonb
AS 'MODULE_PATHNAME', 'pool_sql_query_json_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_query_json(bigint, text, VARIADIC "any") IS
'Runs a statement on a leased connection and returns each row as a JSON object, with parameters '
'$1, $2, ...';

CREATE FUNCTION pool_exec(server text, query text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_exec_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_exec(text, text) IS
'Runs a statement on any pooled connection to the server and returns the number of rows '
'affected, or selected';

CREATE FUNCTION pool_exec(server text, query text, VARIADIC parameters "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_exec_server'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_exec(text, text, VARIADIC "any") IS
'Runs a statement on any pooled connection to the server and returns the number of rows '
'affected, or selected, with parameters $1, $2, ...';

CREATE FUNCTION pool_exec(lease bigint, query text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_exec_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_exec(bigint, text) IS
'Runs a statement on a leased connection and returns the number of rows affected, or selected';

CREATE FUNCTION pool_exec(lease bigint, query text, VARIADIC parameters "any")
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_exec_lease'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_exec(bigint, text, VARIADIC "any") IS
'Runs a statement on a leased connection and returns the number of rows affected, or selected, '
'with parameters $1, $2, ...';

CREATE FUNCTION pool_acquire(server text, timeout interval DEFAULT NULL, hold boolean DEFAULT false)
RETURNS bigint
AS 'MODULE_PATHNAME', 'pool_sql_acquire'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_acquire(text, interval, boolean) IS
'Leases a connection until pool_release() or the end of the transaction, or of the session with '
'hold; returns the lease; timeout NULL is that of the setting or option';

CREATE FUNCTION pool_release(lease bigint)
RETURNS void
AS 'MODULE_PATHNAME', 'pool_sql_release'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_release(bigint) IS
'Ends a lease';

CREATE FUNCTION pool_prewarm(server text, connections int)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_prewarm'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_prewarm(text, int) IS
'Opens connections ahead of demand, at most size_limit; waits for them, and returns how many are '
'open';

-- Administration: functions with a server's name act on all its pools in this
-- database.

CREATE FUNCTION pool_resize(server text, min_size int, max_size int)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_resize'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_resize(text, int, int) IS
'Sets min_size and max_size until the next ALTER or restart; returns the number of pools';

CREATE FUNCTION pool_pause(server text, fail boolean DEFAULT false)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_pause'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_pause(text, boolean) IS
'Begins no more leases, and opens no connection: sessions wait, or fail if asked to; returns the '
'number of pools';

CREATE FUNCTION pool_resume(server text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_resume'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_resume(text) IS
'Ends pool_pause() and pool_drain(); returns the number of pools';

CREATE FUNCTION pool_reconnect(server text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_reconnect'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_reconnect(text) IS
'Replaces all connections, leased ones when they are released; returns how many';

CREATE FUNCTION pool_drain(server text, timeout interval DEFAULT '1 minute')
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_drain'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_drain(text, interval) IS
'Pauses, and closes each connection as soon as it is not leased; waits, and returns how many '
'are still leased';

CREATE FUNCTION pool_close(server text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_close'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_close(text) IS
'Closes all connections at once, leased ones too; returns how many';

CREATE FUNCTION pool_breaker_reset(server text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_sql_breaker_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_breaker_reset(text) IS
'Closes the circuit breaker, and has the next attempt to connect begin at once; returns the '
'number of pools';

CREATE FUNCTION pool_cancel(pid int)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pool_sql_cancel'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_cancel(int) IS
'Cancels the statement of a session that holds a lease, here and on the remote; returns '
'false if it holds none';

CREATE FUNCTION pool_reclaim(slot int)
RETURNS boolean
AS 'MODULE_PATHNAME', 'pool_sql_reclaim'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_reclaim(int) IS
'Reclaims a leased connection from its session; returns whether it was leased';

REVOKE ALL ON FUNCTION pool_resize(text, int, int), pool_pause(text, boolean),
	pool_resume(text), pool_reconnect(text), pool_drain(text, interval),
	pool_close(text), pool_breaker_reset(text), pool_cancel(int),
	pool_reclaim(int) FROM PUBLIC;

-- Statistics: a caller without pg_read_all_stats sees the pools of its own
-- user mappings.

-- src/sql/stats_views.c puts these columns in this order.  The counters are in
-- the order of PoolCounter, the reasons for closing in that of PoolCloseReason,
-- the times in that of PoolTimed (src/shared/stats.h).

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

CREATE VIEW pool_stats AS
SELECT s.database, s.server, s.user_name, s.state, s.active, s.idle, s.waiting,
	s.size_limit, s.utilization, s.breaker, s.breaker_opened_at, s.min_size,
	s.max_size, s.open, s.connecting, s.peak_active, s.acquires,
	s.acquire_timeouts, s.acquire_failures, s.queries, s.query_errors, s.rows,
	s.connects, s.connect_errors, s.closed, s.wait_p95, s.query_p95,
	s.last_error, s.last_error_at, s.stats_reset
FROM pool_stats_all() s;
COMMENT ON VIEW pool_stats IS
'A row for each pool: what one looks at first; counters and times since stats_reset';
COMMENT ON COLUMN pool_stats.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_stats.server IS 'Foreign server';
COMMENT ON COLUMN pool_stats.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_stats.state IS
'ready, paused, failing (the last attempt to connect failed), unconfigured (the worker does not '
'know the options yet), or dropped (its server, user mapping or database is)';
COMMENT ON COLUMN pool_stats.active IS 'Connections leased by sessions now';
COMMENT ON COLUMN pool_stats.idle IS 'Connections ready to lease now';
COMMENT ON COLUMN pool_stats.waiting IS 'Sessions waiting for a connection now';
COMMENT ON COLUMN pool_stats.size_limit IS
'Most connections just now: max_size, or less if autoscale says so';
COMMENT ON COLUMN pool_stats.utilization IS 'Connections leased now, in per cent of size_limit';
COMMENT ON COLUMN pool_stats.breaker IS
'State of the circuit breaker: closed, open (the worker tries alone, callers get the cause at '
'once), or half_open (one attempt at a time)';
COMMENT ON COLUMN pool_stats.breaker_opened_at IS 'When the circuit breaker opened last';
COMMENT ON COLUMN pool_stats.min_size IS 'Connections kept open: option min_size, or pool_resize()';
COMMENT ON COLUMN pool_stats.max_size IS
'Most connections at a time: option max_size, or pool_resize()';
COMMENT ON COLUMN pool_stats.open IS
'Usable connections now: active, idle, and those that the worker resets or checks';
COMMENT ON COLUMN pool_stats.connecting IS 'Connections being opened now';
COMMENT ON COLUMN pool_stats.peak_active IS 'Most connections leased at a time';
COMMENT ON COLUMN pool_stats.acquires IS
'Leases begun; acquires = releases + lost + active, see pool_stats_events';
COMMENT ON COLUMN pool_stats.acquire_timeouts IS 'Acquires that gave up after acquire_timeout';
COMMENT ON COLUMN pool_stats.acquire_failures IS
'Acquires that failed because no connection could be made, because max_waiters waited already, '
'or because the pool is paused with fail';
COMMENT ON COLUMN pool_stats.queries IS 'Statements sent to the remote';
COMMENT ON COLUMN pool_stats.query_errors IS 'Of these, statements that failed';
COMMENT ON COLUMN pool_stats.rows IS 'Rows received';
COMMENT ON COLUMN pool_stats.connects IS 'Connections that became usable; connects = closed + open';
COMMENT ON COLUMN pool_stats.connect_errors IS 'Attempts to connect that failed';
COMMENT ON COLUMN pool_stats.closed IS
'Usable connections closed, for any reason; pool_stats_closed has the reasons';
COMMENT ON COLUMN pool_stats.wait_p95 IS
'95th percentile of the wait for a connection, of acquires that got one, in ms';
COMMENT ON COLUMN pool_stats.query_p95 IS
'95th percentile of the time of a statement, from sending it to the end of its result, in ms';
COMMENT ON COLUMN pool_stats.last_error IS
'Last error of connecting; stays when connecting works again';
COMMENT ON COLUMN pool_stats.last_error_at IS 'When the last error of connecting was';
COMMENT ON COLUMN pool_stats.stats_reset IS 'Since when counters and times are counted';

CREATE VIEW pool_stats_times AS
SELECT s.database, s.server, s.user_name, t.metric, t.count, t.avg, t.p50, t.p95, t.p99, t.max
FROM pool_stats_all() s, LATERAL (VALUES
	('wait', s.wait_count, s.wait_avg, s.wait_p50, s.wait_p95, s.wait_p99, s.wait_max),
	('connect', s.connect_count, s.connect_avg, s.connect_p50, s.connect_p95, s.connect_p99,
		s.connect_max),
	('query', s.query_count, s.query_avg, s.query_p50, s.query_p95, s.query_p99, s.query_max),
	('lease', s.lease_count, s.lease_avg, s.lease_p50, s.lease_p95, s.lease_p99, s.lease_max)
) t(metric, count, avg, p50, p95, p99, max);
COMMENT ON VIEW pool_stats_times IS
'A row for each pool and thing that is timed, since stats_reset, in ms; percentiles are within '
'7 per cent';
COMMENT ON COLUMN pool_stats_times.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_stats_times.server IS 'Foreign server';
COMMENT ON COLUMN pool_stats_times.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_stats_times.metric IS
'wait: for a connection, of acquires that got one; connect: opening one; query: a statement, '
'from sending it to the end of its result; lease: from its begin to its end';
COMMENT ON COLUMN pool_stats_times.count IS 'How many were timed';
COMMENT ON COLUMN pool_stats_times.avg IS 'Average';
COMMENT ON COLUMN pool_stats_times.p50 IS 'Median';
COMMENT ON COLUMN pool_stats_times.p95 IS '95th percentile';
COMMENT ON COLUMN pool_stats_times.p99 IS '99th percentile';
COMMENT ON COLUMN pool_stats_times.max IS 'Longest; NULL, as the others, if nothing was timed';

CREATE VIEW pool_stats_closed AS
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
	('worker_exited', s.closed_worker_exited, 'Closed because the pool worker stopped')
) c(reason, count, description);
COMMENT ON VIEW pool_stats_closed IS
'A row for each pool and reason: how many usable connections were closed for it, since stats_reset';
COMMENT ON COLUMN pool_stats_closed.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_stats_closed.server IS 'Foreign server';
COMMENT ON COLUMN pool_stats_closed.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_stats_closed.reason IS 'Why, as in closing_reason of pool_connections';
COMMENT ON COLUMN pool_stats_closed.count IS
'How many; the sum over all reasons is closed of pool_stats';
COMMENT ON COLUMN pool_stats_closed.description IS 'The reason in words';

CREATE VIEW pool_stats_events AS
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
		'Prepared statements that the remote no longer had, or that a change there had made invalid')
) e(event, count, description);
COMMENT ON VIEW pool_stats_events IS
'A row for each pool and event that pool_stats has no room for: how often it happened since '
'stats_reset';
COMMENT ON COLUMN pool_stats_events.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_stats_events.server IS 'Foreign server';
COMMENT ON COLUMN pool_stats_events.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_stats_events.event IS 'What happened';
COMMENT ON COLUMN pool_stats_events.count IS 'How often';
COMMENT ON COLUMN pool_stats_events.description IS 'The event in words';

-- src/sql/activity_views.c puts the columns of the next two functions in this
-- order.

CREATE FUNCTION pool_connections(
	OUT database text,
	OUT server text,
	OUT user_name text,
	OUT slot int,
	OUT state text,
	OUT pid int,
	OUT since timestamptz,
	OUT opened timestamptz,
	OUT uses bigint,
	OUT remote_address text,
	OUT remote_pid int,
	OUT relayed bool,
	OUT tls_version text,
	OUT tls_cipher text,
	OUT leaked bool,
	OUT context text,
	OUT closing_reason text
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_connections'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_connections() IS
'What view pool_connections shows';

CREATE VIEW pool_connections AS
SELECT c.*, a.usename, a.application_name, a.query
FROM pool_connections() c
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) c.pid;
COMMENT ON VIEW pool_connections IS
'A row for each connection: its state, who holds it, where it goes';
COMMENT ON COLUMN pool_connections.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_connections.server IS 'Foreign server';
COMMENT ON COLUMN pool_connections.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_connections.slot IS 'Number of the connection''s place in shared memory';
COMMENT ON COLUMN pool_connections.state IS
'connecting, idle, leased, checking, returned, resetting or closing';
COMMENT ON COLUMN pool_connections.pid IS 'Session that holds it';
COMMENT ON COLUMN pool_connections.since IS 'When it came into that state';
COMMENT ON COLUMN pool_connections.opened IS 'When it became usable';
COMMENT ON COLUMN pool_connections.uses IS 'Leases so far';
COMMENT ON COLUMN pool_connections.remote_address IS 'Address and port of the remote';
COMMENT ON COLUMN pool_connections.remote_pid IS 'Process on the remote';
COMMENT ON COLUMN pool_connections.relayed IS
'Whether it is encrypted, so that its data passes through the worker';
COMMENT ON COLUMN pool_connections.tls_version IS 'Protocol version, if it is encrypted';
COMMENT ON COLUMN pool_connections.tls_cipher IS 'Cipher suite, if it is encrypted';
COMMENT ON COLUMN pool_connections.leaked IS
'Whether it is leased, and was not used for longer than leak_threshold';
COMMENT ON COLUMN pool_connections.context IS
'Where pool_acquire() was called: the stack of PL/pgSQL, as errors print it; NULL outside of '
'functions, without leak_threshold, for other databases, and for other roles without '
'pg_read_all_stats';
COMMENT ON COLUMN pool_connections.closing_reason IS
'Why it is being closed, or will be when its lease ends';
COMMENT ON COLUMN pool_connections.usename IS
'Role of the session that holds it, as in pg_stat_activity';
COMMENT ON COLUMN pool_connections.application_name IS
'Application that holds it, as in pg_stat_activity';
COMMENT ON COLUMN pool_connections.query IS
'What that session runs or ran last, as in pg_stat_activity';

CREATE FUNCTION pool_waiters(
	OUT database text,
	OUT server text,
	OUT user_name text,
	OUT place int,
	OUT pid int,
	OUT since timestamptz,
	OUT priority int
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_waiters'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_waiters() IS
'What view pool_waiters shows';

CREATE VIEW pool_waiters AS
SELECT w.*, a.usename, a.application_name, a.query
FROM pool_waiters() w
	LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) w.pid;
COMMENT ON VIEW pool_waiters IS
'A row for each session that waits for a connection';
COMMENT ON COLUMN pool_waiters.database IS 'Database whose server it is';
COMMENT ON COLUMN pool_waiters.server IS 'Foreign server';
COMMENT ON COLUMN pool_waiters.user_name IS 'Role of the user mapping, or public';
COMMENT ON COLUMN pool_waiters.place IS 'Place in the queue: 1 is served next';
COMMENT ON COLUMN pool_waiters.pid IS 'Session that waits';
COMMENT ON COLUMN pool_waiters.since IS 'Since when it waits';
COMMENT ON COLUMN pool_waiters.priority IS 'Sessions with a higher one are served first';
COMMENT ON COLUMN pool_waiters.usename IS 'Its role, as in pg_stat_activity';
COMMENT ON COLUMN pool_waiters.application_name IS 'Its application, as in pg_stat_activity';
COMMENT ON COLUMN pool_waiters.query IS 'What it runs, as in pg_stat_activity';

CREATE FUNCTION pool_histogram(
	server_name text DEFAULT NULL,
	buckets int DEFAULT 1,
	OUT database text,
	OUT server text,
	OUT user_name text,
	OUT metric text,
	OUT le float8,
	OUT count bigint,
	OUT sum float8
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_sql_histogram'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pool_histogram(text, int) IS
'Histograms of wait, connect, query and lease time: how many took less than le ms, and the sum '
'of all in ms; with 1, 2, 4 or 8 buckets for each doubling of the time';

CREATE FUNCTION pool_stats_reset(server text DEFAULT NULL) RETURNS void
AS 'MODULE_PATHNAME', 'pool_sql_stats_reset'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pool_stats_reset(text) IS
'Resets the counters and times of a server''s pools in this database, or of all pools of all '
'databases';
REVOKE ALL ON FUNCTION pool_stats_reset(text) FROM PUBLIC;

GRANT SELECT ON pool_stats, pool_stats_times, pool_stats_closed, pool_stats_events,
	pool_connections, pool_waiters TO PUBLIC;
