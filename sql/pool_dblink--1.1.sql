-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pool_dblink" to load this file. \quit

-- The functions of dblink 1.2, with its names and signatures, so that what calls them
-- need not be changed.

-- Connections

CREATE FUNCTION dblink_connect(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_connect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_connect(text) IS
'Opens the unnamed connection to the foreign server of that name, or by the connection string';

CREATE FUNCTION dblink_connect(text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_connect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_connect(text, text) IS
'Opens a connection of that name to the foreign server of that name, or by the connection '
'string';

CREATE FUNCTION dblink_connect_u(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_connect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED SECURITY DEFINER;
REVOKE ALL ON FUNCTION dblink_connect_u(text) FROM PUBLIC;
COMMENT ON FUNCTION dblink_connect_u(text) IS
'Opens the unnamed connection with the rights of this function''s owner, so also without a '
'password';

CREATE FUNCTION dblink_connect_u(text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_connect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED SECURITY DEFINER;
REVOKE ALL ON FUNCTION dblink_connect_u(text, text) FROM PUBLIC;
COMMENT ON FUNCTION dblink_connect_u(text, text) IS
'Opens a connection of that name with the rights of this function''s owner, so also without a '
'password';

CREATE FUNCTION dblink_disconnect()
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_disconnect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_disconnect() IS
'Ends the unnamed connection';

CREATE FUNCTION dblink_disconnect(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_disconnect'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_disconnect(text) IS
'Ends the connection of that name';

CREATE FUNCTION dblink_get_connections()
RETURNS text[]
AS 'MODULE_PATHNAME', 'pool_dblink_get_connections'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_connections() IS
'The names of this session''s connections';

-- Statements

CREATE FUNCTION dblink(text, text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_record'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink(text, text) IS
'Runs a query on the connection of that name, or on one to that foreign server or by that '
'connection string, and returns its rows';

CREATE FUNCTION dblink(text, text, boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_record'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink(text, text, boolean) IS
'Runs a query on the connection of that name, or on one to that foreign server or by that '
'connection string, and returns its rows; with false as the last argument an error of the '
'remote is a notice';

CREATE FUNCTION dblink(text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_record'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink(text) IS
'Runs a query on the unnamed connection and returns its rows';

CREATE FUNCTION dblink(text, boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_record'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink(text, boolean) IS
'Runs a query on the unnamed connection and returns its rows; with false as the last argument '
'an error of the remote is a notice';

CREATE FUNCTION dblink_exec(text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_exec'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_exec(text, text) IS
'Runs a command on the connection of that name, or on one to that foreign server or by that '
'connection string, and returns its tag';

CREATE FUNCTION dblink_exec(text, text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_exec'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_exec(text, text, boolean) IS
'Runs a command on the connection of that name, or on one to that foreign server or by that '
'connection string, and returns its tag; with false as the last argument an error of the remote '
'is a notice';

CREATE FUNCTION dblink_exec(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_exec'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_exec(text) IS
'Runs a command on the unnamed connection and returns its tag';

CREATE FUNCTION dblink_exec(text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_exec'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_exec(text, boolean) IS
'Runs a command on the unnamed connection and returns its tag; with false as the last argument '
'an error of the remote is a notice';

-- Cursors

CREATE FUNCTION dblink_open(text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_open'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_open(text, text) IS
'Opens a cursor of that name for a query on the unnamed connection';

CREATE FUNCTION dblink_open(text, text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_open'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_open(text, text, boolean) IS
'Opens a cursor of that name for a query on the unnamed connection; with false as the last '
'argument an error of the remote is a notice';

CREATE FUNCTION dblink_open(text, text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_open'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_open(text, text, text) IS
'Opens a cursor of that name for a query on the connection of that name';

CREATE FUNCTION dblink_open(text, text, text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_open'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_open(text, text, text, boolean) IS
'Opens a cursor of that name for a query on the connection of that name; with false as the last '
'argument an error of the remote is a notice';

CREATE FUNCTION dblink_fetch(text, int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_fetch'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_fetch(text, int) IS
'Fetches so many rows of a cursor on the unnamed connection';

CREATE FUNCTION dblink_fetch(text, int, boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_fetch'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_fetch(text, int, boolean) IS
'Fetches so many rows of a cursor on the unnamed connection; with false as the last argument an '
'error of the remote is a notice';

CREATE FUNCTION dblink_fetch(text, text, int)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_fetch'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_fetch(text, text, int) IS
'Fetches so many rows of a cursor on the connection of that name';

CREATE FUNCTION dblink_fetch(text, text, int, boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_fetch'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_fetch(text, text, int, boolean) IS
'Fetches so many rows of a cursor on the connection of that name; with false as the last '
'argument an error of the remote is a notice';

CREATE FUNCTION dblink_close(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_close'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_close(text) IS
'Closes a cursor on the unnamed connection';

CREATE FUNCTION dblink_close(text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_close'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_close(text, boolean) IS
'Closes a cursor on the unnamed connection; with false as the last argument an error of the '
'remote is a notice';

CREATE FUNCTION dblink_close(text, text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_close'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_close(text, text) IS
'Closes a cursor on the connection of that name';

CREATE FUNCTION dblink_close(text, text, boolean)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_close'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_close(text, text, boolean) IS
'Closes a cursor on the connection of that name; with false as the last argument an error of '
'the remote is a notice';

-- Queries without waiting

CREATE FUNCTION dblink_send_query(text, text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_dblink_send_query'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_send_query(text, text) IS
'Sends a query on the connection of that name without waiting for its result';

CREATE FUNCTION dblink_is_busy(text)
RETURNS int
AS 'MODULE_PATHNAME', 'pool_dblink_is_busy'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_is_busy(text) IS
'1 while the query that was sent on the connection of that name is under way, else 0';

CREATE FUNCTION dblink_get_result(text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_get_result'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_result(text) IS
'The next result of the query that was sent on the connection of that name';

CREATE FUNCTION dblink_get_result(text, boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_get_result'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_result(text, boolean) IS
'The next result of the query that was sent on the connection of that name; with false as the '
'last argument an error of the remote is a notice';

CREATE FUNCTION dblink_cancel_query(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_cancel_query'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_cancel_query(text) IS
'Cancels the query that is under way on the connection of that name';

CREATE FUNCTION dblink_error_message(text)
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_error_message'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_error_message(text) IS
'The last error message of the connection of that name';

CREATE FUNCTION dblink_get_notify(
	OUT notify_name text,
	OUT be_pid int,
	OUT extra text
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_get_notify'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_notify() IS
'The notifications that have come on the unnamed connection';

CREATE FUNCTION dblink_get_notify(
	conname text,
	OUT notify_name text,
	OUT be_pid int,
	OUT extra text
)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'pool_dblink_get_notify'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_notify(text) IS
'The notifications that have come on the connection of that name';

-- Statements made of rows that are here

CREATE TYPE dblink_pkey_results AS (position int, colname text);
COMMENT ON TYPE dblink_pkey_results IS
'A column of a primary key and its place in it';
COMMENT ON COLUMN dblink_pkey_results.position IS 'Its place in the key, from 1';
COMMENT ON COLUMN dblink_pkey_results.colname IS 'Its name';

CREATE FUNCTION dblink_get_pkey(text)
RETURNS SETOF dblink_pkey_results
AS 'MODULE_PATHNAME', 'pool_dblink_get_pkey'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_get_pkey(text) IS
'The columns of a table''s primary key';

CREATE FUNCTION dblink_build_sql_insert(text, int2vector, int, text[], text[])
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_build_sql_insert'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_build_sql_insert(text, int2vector, int, text[], text[]) IS
'An INSERT of a row of a table, found by the first key values, with the second ones in their '
'place';

CREATE FUNCTION dblink_build_sql_delete(text, int2vector, int, text[])
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_build_sql_delete'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_build_sql_delete(text, int2vector, int, text[]) IS
'A DELETE of the row of a table that has these key values';

CREATE FUNCTION dblink_build_sql_update(text, int2vector, int, text[], text[])
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_build_sql_update'
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_build_sql_update(text, int2vector, int, text[], text[]) IS
'An UPDATE, to a row of a table found by the first key values, of the one that has the second';

CREATE FUNCTION dblink_current_query()
RETURNS text
AS 'MODULE_PATHNAME', 'pool_dblink_current_query'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION dblink_current_query() IS
'The text of the statement that the client sent';

-- Foreign servers

CREATE FUNCTION dblink_fdw_validator(options text[], catalog oid)
RETURNS void
AS 'MODULE_PATHNAME', 'pool_dblink_fdw_validator'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION dblink_fdw_validator(text[], oid) IS
'Checks the options of servers and user mappings';

-- A wrapper of that name, from dblink or of one's own, stays as it is: there may be
-- servers that depend on it.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_catalog.pg_foreign_data_wrapper
			WHERE fdwname OPERATOR(pg_catalog.=) 'dblink_fdw') THEN
		CREATE FOREIGN DATA WRAPPER dblink_fdw VALIDATOR dblink_fdw_validator;
		COMMENT ON FOREIGN DATA WRAPPER dblink_fdw IS
		'Remote databases for dblink''s functions';
	END IF;
END
$$;
