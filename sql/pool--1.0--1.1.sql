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
