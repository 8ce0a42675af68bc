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
