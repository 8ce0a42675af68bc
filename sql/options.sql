--
-- Options of servers and user mappings: what the validator takes and refuses
--
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on

CREATE ROLE regress_pool_options;

-- Runs a command, undoes it, and says what became of it.  The list of valid
-- options depends on libpq's version, so it is cut off.
CREATE FUNCTION pg_temp.outcome(command text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RAISE EXCEPTION USING ERRCODE = 'PT000';
EXCEPTION
	WHEN SQLSTATE 'PT000' THEN
		RETURN 'accepted';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
			message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			hint = PG_EXCEPTION_HINT;
		hint := regexp_replace(hint, '(Valid options in this context are:).*',
							   '\1 ...');
		RETURN state || ' ' || message
			|| coalesce(E'\n  detail: ' || nullif(detail, ''), '')
			|| coalesce(E'\n  hint: ' || nullif(hint, ''), '');
END
$$;

CREATE FUNCTION pg_temp.on_server(options text) RETURNS text
LANGUAGE sql AS $$
	SELECT options || ': ' || pg_temp.outcome(
		'CREATE SERVER options_new FOREIGN DATA WRAPPER pool OPTIONS ('
		|| options || ')')
$$;

CREATE FUNCTION pg_temp.on_mapping(options text) RETURNS text
LANGUAGE sql AS $$
	SELECT options || ': ' || pg_temp.outcome(
		'CREATE USER MAPPING FOR CURRENT_USER SERVER options_server OPTIONS ('
		|| options || ')')
$$;

--
-- Everything that can be written
--
CREATE SERVER options_none FOREIGN DATA WRAPPER pool;
CREATE SERVER options_server FOREIGN DATA WRAPPER pool OPTIONS (
	min_size '2', max_size '20', max_server_size '30',
	acquire_timeout '1500ms', query_timeout '1min', max_waiters '100',
	priority '-3', idle_timeout '5min', max_lifetime '1h',
	lifetime_jitter '20%', validate_after_idle '0',
	health_check_interval '10s', health_check_query 'SELECT 1',
	health_check_timeout '2s', reset_query '', retry_attempts '3',
	retry_delay '100ms', retry_max_delay '1s', retry_jitter '0',
	breaker_threshold '0', breaker_timeout '1h', breaker_successes '1',
	leak_threshold '0', leak_action 'reclaim', autoscale 'on',
	scale_up_threshold '90', scale_down_threshold '40%', scale_step '10%',
	scale_interval '30s', connect_parallel '8', connect_timeout '5');
CREATE SERVER options_libpq FOREIGN DATA WRAPPER pool OPTIONS (
	host 'a,b', hostaddr '127.0.0.1', port '5432', dbname 'postgres',
	options '-c geqo=off', application_name 'x', passfile '/nowhere',
	service 'x', channel_binding 'disable', keepalives '1',
	keepalives_idle '1', keepalives_interval '1', keepalives_count '1',
	tcp_user_timeout '1', sslmode 'verify-full', sslrootcert '/nowhere',
	sslcrl '/nowhere', sslcrldir '/nowhere', sslsni '0', requirepeer 'x',
	ssl_min_protocol_version 'TLSv1.2', ssl_max_protocol_version 'TLSv1.3',
	gssencmode 'require', krbsrvname 'x', target_session_attrs 'any');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_server OPTIONS (
	user 'x', password 'x', sslpassword 'x', sslcert '/nowhere',
	sslkey '/nowhere', password_required 'false', min_size '1',
	max_size '5', acquire_timeout '1s', query_timeout '2s', priority '7');
SELECT srvname, count(*)
FROM pg_foreign_server, pg_options_to_table(srvoptions)
WHERE srvname LIKE 'options%' GROUP BY srvname ORDER BY srvname;
ALTER SERVER options_server OPTIONS (SET max_size '25', DROP min_size);
DROP USER MAPPING FOR CURRENT_USER SERVER options_server;

--
-- The ends of each range, and one step beyond
--
CREATE TEMP TABLE ends (name text, low text, high text, below text,
	above text, besides text);
INSERT INTO ends VALUES
	('min_size', '0', '10000', '-1', '10001', 'max_size ''10000'''),
	('max_size', '1', '10000', '0', '10001', NULL),
	('max_server_size', '0', '10000', '-1', '10001', NULL),
	('acquire_timeout', '0', '24d', '-1', '25d', NULL),
	('query_timeout', '0', '24d', '-1', '25d', NULL),
	('max_waiters', '0', '1000000', '-1', '1000001', NULL),
	('priority', '-1000', '1000', '-1001', '1001', NULL),
	('idle_timeout', '0', '24d', '-1ms', '25d', NULL),
	('max_lifetime', '0', '24d', '-1', '577h', NULL),
	('lifetime_jitter', '0%', '100%', '-1%', '101%', NULL),
	('validate_after_idle', '0', '24d', '-1', '25d', NULL),
	('health_check_interval', '0', '24d', '-1', '25d', NULL),
	('health_check_timeout', '1ms', '1h', '0', '61min', NULL),
	('retry_attempts', '0', '1000', '-1', '1001', NULL),
	('retry_delay', '1', '1d', '0', '25h', 'retry_max_delay ''1d'''),
	('retry_max_delay', '1ms', '1d', '0', '25h', 'retry_delay ''1ms'''),
	('retry_jitter', '0', '100', '-1', '101', NULL),
	('breaker_threshold', '0', '1000000', '-1', '1000001', NULL),
	('breaker_timeout', '1ms', '1d', '0', '25h', NULL),
	('breaker_successes', '1', '1000', '0', '1001', NULL),
	('leak_threshold', '0', '24d', '-1', '25d', NULL),
	('scale_up_threshold', '1', '100', '0', '101',
	 'scale_down_threshold ''0'''),
	('scale_down_threshold', '0', '99', '-1', '100',
	 'scale_up_threshold ''100'''),
	('scale_step', '1%', '100%', '0%', '101%', NULL),
	('scale_interval', '100ms', '1d', '99', '25h', NULL),
	('connect_parallel', '1', '100', '0', '101', NULL),
	('connect_timeout', '-1', '24d', '-1s', '2073601', NULL);
SELECT pg_temp.on_server(format('%s %L', name, low) || coalesce(', ' || besides, ''))
FROM ends;
SELECT pg_temp.on_server(format('%s %L', name, high) || coalesce(', ' || besides, ''))
FROM ends;
SELECT pg_temp.on_server(format('%s %L', name, below)) FROM ends;
SELECT pg_temp.on_server(format('%s %L', name, above)) FROM ends;

--
-- Values of the wrong kind
--
SELECT pg_temp.on_server(o) FROM unnest(ARRAY[
	$$max_size ''$$, $$max_size 'ten'$$, $$max_size '10 connections'$$,
	$$max_size '99999999999'$$, $$max_size '10%'$$,
	$$idle_timeout ''$$, $$idle_timeout 'soon'$$, $$idle_timeout '5 m'$$,
	$$idle_timeout '5x'$$, $$idle_timeout '99999999999h'$$,
	$$connect_timeout '10x'$$, $$connect_timeout '99999999'$$,
	$$retry_jitter '%'$$, $$retry_jitter '10%%'$$, $$retry_jitter '10ms'$$,
	$$autoscale ''$$, $$autoscale 'perhaps'$$,
	$$leak_action ''$$, $$leak_action 'kill'$$,
	$$sslmode 'requier'$$, $$sslmode 'Require'$$,
	$$gssencmode 'allow'$$]) o;
SELECT pg_temp.on_server(o) FROM unnest(ARRAY[
	$$idle_timeout ' 5 min '$$, $$idle_timeout '1.5h'$$,
	$$connect_timeout '0'$$, $$connect_timeout '500ms'$$,
	$$retry_jitter ' 10 %'$$, $$autoscale 'YES'$$, $$leak_action 'Warn'$$,
	$$sslmode ''$$, $$reset_query E'RESET ALL;\nUNLISTEN *'$$]) o;
SELECT pg_temp.on_mapping(o) FROM unnest(ARRAY[
	$$max_size 'ten'$$, $$priority '1001'$$, $$acquire_timeout '1 hour'$$,
	$$password_required 'maybe'$$]) o;

-- Queries have a longest length, in bytes.
SELECT name, left(pg_temp.outcome(format(
	'CREATE SERVER options_new FOREIGN DATA WRAPPER pool OPTIONS (%s %L)',
	name, repeat('x', len))), 100)
FROM unnest(ARRAY['reset_query', 'health_check_query']) name,
	unnest(ARRAY[255, 256, 100000]) len;

--
-- Options that contradict each other
--
SELECT pg_temp.on_server(o) FROM unnest(ARRAY[
	$$min_size '11'$$, $$min_size '5', max_size '4'$$,
	$$min_size '4', max_size '4'$$, $$max_size '4', min_size '3'$$,
	$$min_size '5', max_server_size '4'$$,
	$$min_size '5', max_server_size '5'$$,
	$$min_size '5', max_server_size '0'$$,
	$$retry_delay '11s'$$, $$retry_delay '2s', retry_max_delay '1500ms'$$,
	$$retry_delay '2s', retry_max_delay '2000'$$,
	$$scale_up_threshold '50%'$$, $$scale_up_threshold '51%'$$,
	$$scale_up_threshold '30%', scale_down_threshold '40%'$$]) o;
-- A mapping may rely on what its server says.
SELECT pg_temp.on_mapping(o) FROM unnest(ARRAY[
	$$min_size '20'$$, $$max_size '1'$$, $$min_size '3', max_size '2'$$,
	$$min_size '2', max_size '2'$$]) o;
ALTER SERVER options_server OPTIONS (SET max_size '1', ADD min_size '2');
ALTER SERVER options_none OPTIONS (ADD max_size '3');
ALTER SERVER options_none OPTIONS (ADD min_size '4');
ALTER SERVER options_none OPTIONS (ADD min_size '4', SET max_size '4');

--
-- Names that do not exist, or not there
--
SELECT pg_temp.on_server(o) FROM unnest(ARRAY[
	$$minsize '1'$$, $$max_sise '1'$$, $$"MIN_SIZE" '1'$$, $$hots 'x'$$,
	$$idletimeout '1'$$, $$pool '1'$$, $$x '1'$$,
	$$use_remote_estimate 'true'$$,
	$$a234567890123456789012345678901234567890123456789012345678901234 'x'$$
	]) o;
SELECT pg_temp.on_mapping(o) FROM unnest(ARRAY[
	$$usr 'x'$$, $$passwrd 'x'$$, $$pasword_required 'x'$$,
	$$something 'x'$$]) o;
SELECT pg_temp.on_server(o || ' ''x''') FROM unnest(ARRAY[
	'user', 'password', 'sslpassword', 'sslcert', 'sslkey',
	'password_required']) o;
SELECT pg_temp.on_mapping(o || ' ''1''') FROM unnest(ARRAY[
	'host', 'hostaddr', 'port', 'dbname', 'options', 'sslmode', 'service',
	'passfile', 'max_server_size', 'idle_timeout', 'reset_query',
	'connect_timeout']) o;
SELECT pg_temp.on_server(o || ' ''x'''), pg_temp.on_mapping(o || ' ''x''')
FROM unnest(ARRAY[
	'client_encoding', 'fallback_application_name', 'replication']) o;

-- The nearest is first in the list of all; nothing else is in it.
CREATE FUNCTION pg_temp.valid_options(context regclass, name text)
RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM pool_fdw_validator(ARRAY[name || '=x'], context);
EXCEPTION WHEN fdw_invalid_option_name THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN string_to_array(substring(hint FROM 'context are: (.*)\.$'), ', ');
END
$$;
SELECT (pg_temp.valid_options('pg_foreign_server', 'retry_dlay'))[1:3];
SELECT (pg_temp.valid_options('pg_user_mapping', 'querytimeout'))[1:2];
SELECT count(*) = count(DISTINCT o), count(*) > 50,
	array_agg(o ORDER BY o) FILTER (WHERE o IN
		('host', 'sslmode', 'min_size', 'connect_timeout', 'user', 'password',
		 'password_required', 'client_encoding', 'replication'))
FROM unnest(pg_temp.valid_options('pg_foreign_server', 'x')) o;
SELECT array_agg(o ORDER BY o) FILTER (WHERE o NOT LIKE 'oauth%')
FROM unnest(pg_temp.valid_options('pg_user_mapping', 'x')) o;

-- The wrapper itself and foreign tables have no options.
SELECT pg_temp.outcome(c) FROM unnest(ARRAY[
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD host 'x')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD user 'x')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD min_size '1')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD x 'x')$$,
	$$CREATE FOREIGN TABLE t () SERVER options_none OPTIONS (host 'x')$$,
	$$CREATE FOREIGN TABLE t (c int OPTIONS (x 'x')) SERVER options_none$$
	]) c;

-- Called by hand
SELECT pg_temp.outcome(c) FROM unnest(ARRAY[
	$$SELECT pool_fdw_validator(NULL, 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{min_size}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{host}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{=}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{host=x}', 0)$$]) c;
SELECT left(pg_temp.outcome($$SELECT pool_fdw_validator(
	ARRAY[repeat('min_size', 1000) || '=1'],
	'pg_foreign_server'::regclass)$$), 40);

--
-- What only a superuser may write
--
GRANT USAGE ON FOREIGN DATA WRAPPER pool TO regress_pool_options;
ALTER SERVER options_server OWNER TO regress_pool_options;
ALTER SERVER options_libpq OWNER TO regress_pool_options;
CREATE USER MAPPING FOR regress_pool_options SERVER options_libpq
	OPTIONS (user 'x', password_required 'false');
SET ROLE regress_pool_options;
SELECT pg_temp.on_server(o) FROM unnest(ARRAY[
	$$host 'x', min_size '1', reset_query ''$$,
	$$krbsrvname 'x'$$, $$sslrootcert '/nowhere'$$,
	$$service 'x'$$, $$passfile '/nowhere'$$]) o;
SELECT pg_temp.on_mapping(o) FROM unnest(ARRAY[
	$$user 'x', password 'x', max_size '3'$$, $$sslpassword 'x'$$,
	$$sslcert '/nowhere'$$, $$sslkey '/nowhere'$$,
	$$password_required 'false'$$, $$password_required 'off'$$,
	$$password_required 'true'$$, $$password_required 'maybe'$$]) o;
-- Nor change an object that has it, except to take it away.
SELECT pg_temp.outcome(c) FROM unnest(ARRAY[
	$$ALTER SERVER options_libpq OPTIONS (SET host 'y')$$,
	$$ALTER SERVER options_libpq OPTIONS (DROP service)$$,
	$$ALTER SERVER options_libpq OPTIONS (DROP service, DROP passfile)$$,
	$$ALTER USER MAPPING FOR CURRENT_USER SERVER options_libpq
		OPTIONS (SET user 'y')$$,
	$$ALTER USER MAPPING FOR CURRENT_USER SERVER options_libpq
		OPTIONS (SET password_required 'true')$$]) c;
RESET ROLE;

--
-- Servers of another wrapper keep that wrapper's rules
--
SET client_min_messages = warning;
CREATE EXTENSION postgres_fdw;
RESET client_min_messages;
SELECT split_part(pg_temp.outcome($$CREATE SERVER options_other
	FOREIGN DATA WRAPPER postgres_fdw OPTIONS (min_size '1')$$), E'\n', 1);
CREATE SERVER options_other FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host 'x', fetch_size '10');
SELECT split_part(pg_temp.outcome($$ALTER SERVER options_other
	OPTIONS (ADD max_size '1')$$), E'\n', 1);
SELECT split_part(pg_temp.outcome($$CREATE USER MAPPING FOR CURRENT_USER
	SERVER options_other OPTIONS (priority '1')$$), E'\n', 1);

SET client_min_messages = warning;
DROP EXTENSION postgres_fdw CASCADE;
DROP SERVER options_none, options_server, options_libpq CASCADE;
RESET client_min_messages;
REVOKE USAGE ON FOREIGN DATA WRAPPER pool FROM regress_pool_options;
DROP ROLE regress_pool_options;
