--
-- Names of options, and who may write them
--
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on

CREATE ROLE regress_pool_options;
CREATE SERVER options_none FOREIGN DATA WRAPPER pool;
CREATE SERVER options_server FOREIGN DATA WRAPPER pool;
CREATE SERVER options_libpq FOREIGN DATA WRAPPER pool OPTIONS (
	host 'a,b', hostaddr '127.0.0.1,::1', port '5432', dbname 'postgres',
	options '-c geqo=off', application_name 'x', passfile '/nowhere',
	service 'x', channel_binding 'disable', keepalives '1',
	keepalives_idle '1', keepalives_interval '1', keepalives_count '1',
	tcp_user_timeout '1', sslmode 'verify-full', sslrootcert '/nowhere',
	sslcrl '/nowhere', sslcrldir '/nowhere', sslsni '0', requirepeer 'x',
	ssl_min_protocol_version 'TLSv1.2', ssl_max_protocol_version 'TLSv1.3',
	gssencmode 'require', krbsrvname 'x', target_session_attrs 'any');

--
-- Names that do not exist, or not there, are refused, with a hint
--
SELECT on_server(o) FROM unnest(ARRAY[
	$$minsize '1'$$, $$max_sise '1'$$, $$"MIN_SIZE" '1'$$, $$hots 'x'$$,
	$$idletimeout '1'$$, $$pool '1'$$, $$x '1'$$,
	$$use_remote_estimate 'true'$$,
	$$a234567890123456789012345678901234567890123456789012345678901234 'x'$$
	]) o;
SELECT on_mapping(o) FROM unnest(ARRAY[
	$$usr 'x'$$, $$passwrd 'x'$$, $$pasword_required 'x'$$,
	$$something 'x'$$]) o;
SELECT on_server(o || ' ''x''') FROM unnest(ARRAY[
	'user', 'password', 'sslpassword', 'sslcert', 'sslkey',
	'password_required']) o;
SELECT on_mapping(o || ' ''1''') FROM unnest(ARRAY[
	'host', 'hostaddr', 'port', 'dbname', 'options', 'sslmode', 'service',
	'passfile', 'max_server_size', 'idle_timeout', 'reset_query',
	'connect_timeout']) o;
SELECT on_server(o || ' ''x'''), on_mapping(o || ' ''x''')
FROM unnest(ARRAY[
	'client_encoding', 'fallback_application_name', 'replication']) o;

-- The hint names the nearest, and nothing else if that is near.
CREATE FUNCTION pg_temp.option_hint(context regclass, name text)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM pool_fdw_validator(ARRAY[name || '=x'], context);
EXCEPTION WHEN fdw_invalid_option_name THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN hint;
END
$$;
SELECT pg_temp.option_hint('pg_foreign_server', 'retry_dlay');
SELECT pg_temp.option_hint('pg_user_mapping', 'querytimeout');
-- Where none is near, it lists the valid names, in their order, and no others.
CREATE FUNCTION pg_temp.valid_options(context regclass, name text)
RETURNS text[] LANGUAGE sql AS $$
	SELECT string_to_array(substring(pg_temp.option_hint(context, name)
		FROM '^Valid options in this context are: (.*)\.$'), ', ')
$$;
SELECT pg_temp.valid_options('pg_foreign_server', 'health_check')
	= ARRAY(SELECT o FROM unnest(pg_temp.valid_options('pg_foreign_server', 'health_check')) o
		ORDER BY o COLLATE "C");
SELECT count(*) = count(DISTINCT o), count(*) > 50,
	array_agg(o ORDER BY o) FILTER (WHERE o IN
		('host', 'sslmode', 'min_size', 'connect_timeout', 'user', 'password',
		 'password_required', 'client_encoding', 'replication'))
FROM unnest(pg_temp.valid_options('pg_foreign_server', 'x')) o;
SELECT array_agg(o ORDER BY o) FILTER (WHERE o NOT LIKE 'oauth%')
FROM unnest(pg_temp.valid_options('pg_user_mapping', 'x')) o;

-- The wrapper itself and foreign tables have no options.
SELECT verdict(c) FROM unnest(ARRAY[
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD host 'x')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD user 'x')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD min_size '1')$$,
	$$ALTER FOREIGN DATA WRAPPER pool OPTIONS (ADD x 'x')$$,
	$$CREATE FOREIGN TABLE t () SERVER options_none OPTIONS (host 'x')$$,
	$$CREATE FOREIGN TABLE t (c int OPTIONS (x 'x')) SERVER options_none$$
	]) c;

-- The validator can be called by hand, and does no harm.
SELECT verdict(c) FROM unnest(ARRAY[
	$$SELECT pool_fdw_validator(NULL, 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{min_size}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{host}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{=}', 'pg_foreign_server'::regclass)$$,
	$$SELECT pool_fdw_validator('{host=x}', 0)$$]) c;
SELECT left(verdict($$SELECT pool_fdw_validator(
	ARRAY[repeat('min_size', 1000) || '=1'],
	'pg_foreign_server'::regclass)$$), 40);

--
-- Some options only a superuser may write
--
GRANT USAGE ON FOREIGN DATA WRAPPER pool TO regress_pool_options;
ALTER SERVER options_server OWNER TO regress_pool_options;
ALTER SERVER options_libpq OWNER TO regress_pool_options;
CREATE USER MAPPING FOR regress_pool_options SERVER options_libpq
	OPTIONS (user 'x', password_required 'false');
SET ROLE regress_pool_options;
SELECT on_server(o) FROM unnest(ARRAY[
	$$host 'x', min_size '1', reset_query ''$$,
	$$krbsrvname 'x'$$, $$sslrootcert '/nowhere'$$,
	$$service 'x'$$, $$passfile '/nowhere'$$]) o;
SELECT on_mapping(o) FROM unnest(ARRAY[
	$$user 'x', password 'x', max_size '3'$$, $$sslpassword 'x'$$,
	$$sslcert '/nowhere'$$, $$sslkey '/nowhere'$$,
	$$password_required 'false'$$, $$password_required 'off'$$,
	$$password_required 'true'$$, $$password_required 'maybe'$$]) o;
-- The hint does not offer them, alone or among others.
SELECT pg_temp.option_hint('pg_user_mapping', 'sslcrt') ~ '\msslcert\M';
SELECT o FROM unnest(pg_temp.valid_options('pg_foreign_server', 'x')) o
WHERE o IN ('passfile', 'service', 'port');
-- Nor change an object that has it, except to remove it.
SELECT verdict(c) FROM unnest(ARRAY[
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
SELECT split_part(verdict($$CREATE SERVER options_other
	FOREIGN DATA WRAPPER postgres_fdw OPTIONS (min_size '1')$$), E'\n', 1);
CREATE SERVER options_other FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host 'x', fetch_size '10');
SELECT split_part(verdict($$ALTER SERVER options_other
	OPTIONS (ADD max_size '1')$$), E'\n', 1);
SELECT split_part(verdict($$CREATE USER MAPPING FOR CURRENT_USER
	SERVER options_other OPTIONS (priority '1')$$), E'\n', 1);

SET client_min_messages = warning;
DROP EXTENSION postgres_fdw CASCADE;
DROP SERVER options_none, options_server, options_libpq CASCADE;
RESET client_min_messages;
REVOKE USAGE ON FOREIGN DATA WRAPPER pool FROM regress_pool_options;
DROP ROLE regress_pool_options;
