--
-- Values of options, of servers and user mappings: what the validator accepts
--
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on

--
-- Everything that can be written is accepted
--
CREATE SERVER options_none FOREIGN DATA WRAPPER pool;
CREATE SERVER options_server FOREIGN DATA WRAPPER pool OPTIONS (
	min_size '2', max_size '20', max_server_size '30',
	acquire_timeout '1500ms', query_timeout '1min', max_waiters '100', fairness_round '50ms',
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
-- The ends of each range are accepted, one step beyond is refused
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
	('fairness_round', '0', '1min', '-1', '61s', NULL),
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
SELECT on_server(format('%s %L', name, low) || coalesce(', ' || besides, ''))
FROM ends;
SELECT on_server(format('%s %L', name, high) || coalesce(', ' || besides, ''))
FROM ends;
SELECT on_server(format('%s %L', name, below)) FROM ends;
SELECT on_server(format('%s %L', name, above)) FROM ends;

--
-- Values of the wrong kind are refused
--
SELECT on_server(o) FROM unnest(ARRAY[
	$$max_size ''$$, $$max_size 'ten'$$, $$max_size '10 connections'$$,
	$$max_size '99999999999'$$, $$max_size '10%'$$,
	$$idle_timeout ''$$, $$idle_timeout 'soon'$$, $$idle_timeout '5 m'$$,
	$$idle_timeout '5x'$$, $$idle_timeout '99999999999h'$$,
	$$connect_timeout '10x'$$, $$connect_timeout '99999999'$$,
	$$retry_jitter '%'$$, $$retry_jitter '10%%'$$, $$retry_jitter '10ms'$$,
	$$autoscale ''$$, $$autoscale 'perhaps'$$,
	$$leak_action ''$$, $$leak_action 'kill'$$,
	$$sslmode 'requier'$$, $$sslmode 'Require'$$,
	$$gssencmode 'allow'$$, $$channel_binding 'yes'$$,
	$$target_session_attrs 'Primary'$$, $$ssl_min_protocol_version 'TLSv9'$$,
	$$port 'abc'$$, $$port '70000'$$, $$port '0,x'$$, $$port '5432x'$$,
	$$hostaddr 'abc'$$, $$hostaddr '127.0.0.1x,::g'$$,
	$$host 'a', keepalives 'foo'$$, $$host 'a', keepalives_idle '30s'$$,
	$$host 'a,b', keepalives_interval ' '$$,
	$$hostaddr '::1', keepalives_count '99999999999'$$,
	$$host 'a', keepalives '0', tcp_user_timeout '1min'$$,
	$$host 'a,b,c', port '5432,5433'$$, $$host 'a', port '1,2'$$,
	$$host 'a,c', hostaddr '127.0.0.1'$$]) o;
SELECT on_server(o) FROM unnest(ARRAY[
	$$idle_timeout ' 5 min '$$, $$idle_timeout '1.5h'$$,
	$$connect_timeout '0'$$, $$connect_timeout '500ms'$$,
	$$retry_jitter ' 10 %'$$, $$autoscale 'YES'$$, $$leak_action 'Warn'$$,
	$$sslmode ''$$, $$target_session_attrs 'prefer-standby'$$,
	$$ssl_max_protocol_version 'tlsv1.3'$$, $$port ' 5432 '$$,
	$$host 'a,b,c', port '1'$$, $$host 'a,b', port ',65535'$$,
	$$host 'a,b', port '0,1'$$, $$host 'a,b', hostaddr '127.1,abc'$$,
	$$hostaddr '::1,', port '1,2'$$, $$port '1,2'$$,
	$$service 'x', host 'a', port '1,2', keepalives '1s'$$,
	$$keepalives_idle '30s'$$, $$host '/tmp', keepalives '1s'$$,
	$$host 'a,@b', tcp_user_timeout '1s'$$, $$host 'a', keepalives ''$$,
	$$host 'a', keepalives '0', keepalives_idle '30s'$$,
	$$host 'a', keepalives_idle '-1 '$$, $$reset_query E'RESET ALL;\nUNLISTEN *'$$]) o;
SELECT on_mapping(o) FROM unnest(ARRAY[
	$$max_size 'ten'$$, $$priority '1001'$$, $$acquire_timeout '1 hour'$$,
	$$password_required 'maybe'$$]) o;

-- Queries have a longest length, in bytes.
SELECT name, left(verdict(format(
	'CREATE SERVER options_new FOREIGN DATA WRAPPER pool OPTIONS (%s %L)',
	name, repeat('x', len))), 100)
FROM unnest(ARRAY['reset_query', 'health_check_query']) name,
	unnest(ARRAY[255, 256, 100000]) len;

--
-- Options that contradict each other are refused
--
SELECT on_server(o) FROM unnest(ARRAY[
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
SELECT on_mapping(o) FROM unnest(ARRAY[
	$$min_size '20'$$, $$max_size '1'$$, $$min_size '3', max_size '2'$$,
	$$min_size '2', max_size '2'$$]) o;
ALTER SERVER options_server OPTIONS (SET max_size '1', ADD min_size '2');
ALTER SERVER options_none OPTIONS (ADD max_size '3');
ALTER SERVER options_none OPTIONS (ADD min_size '4');
ALTER SERVER options_none OPTIONS (ADD min_size '4', SET max_size '4');

set client_min_messages = warning;
drop server options_none, options_server, options_libpq cascade;
reset client_min_messages;
