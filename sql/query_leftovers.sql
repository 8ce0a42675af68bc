--
-- What a statement leaves behind in its remote session is gone for the next one
--
\set SHOW_CONTEXT never

--
-- Neither settings are left nor roles, temporary tables, prepared statements, locks,
-- channels and cursors
--
select pool_exec('loopback', 'set work_mem = ''123kB''');
select pool_query('loopback', 'select current_setting(''work_mem'') = ''123kB'' as changed');
select pool_exec('loopback', 'set session characteristics as transaction read only');
select pool_query('loopback', 'show transaction_read_only');
select pool_exec('loopback', 'set search_path = query_nowhere; set statement_timeout = 1');
select pool_query('loopback',
	'select current_setting(''search_path'') ~ ''query_nowhere'' as path,
	current_setting(''statement_timeout'') as timeout');
select pool_exec('loopback', 'set standard_conforming_strings = off');
select pool_query('loopback', 'select length(''a\\b'') as length');
select pool_exec('loopback', 'set role pg_monitor');
select * from pool_query('loopback', 'select current_user = session_user') as t(a bool);
select pool_exec('loopback', 'set session authorization pg_monitor');
select * from pool_query('loopback', 'select current_user = $1 and session_user = $1', current_user)
	as t(a bool);
select pool_exec('loopback', 'create temporary table query_temp (a int)');
select pool_exec('loopback', 'create temporary table query_temp (a int)');
select pool_query('loopback',
	'select count(*) from pg_class where relname = ''query_temp'' and pg_table_is_visible(oid)');
select pool_exec('loopback', 'prepare query_prepared as select 1');
select pool_exec('loopback', 'prepare query_prepared as select 1');
select pool_query('loopback', 'select count(*) from pg_prepared_statements');
select pool_exec('loopback', 'do $x$ begin perform pg_advisory_lock(42); end $x$');
select pool_query('loopback', 'select pg_try_advisory_lock(42)');
select at_rest();
select pool_exec('loopback', 'listen query_channel');
select pool_query('loopback', 'select count(*) from pg_listening_channels()');
select pool_exec('loopback', 'declare query_held cursor with hold for select 1');
select pool_query('loopback', 'select count(*) from pg_cursors where name = ''query_held''');
select pool_exec('loopback', 'set time zone ''Asia/Tokyo''');
select pool_query('loopback', 'select current_setting(''timezone'') = ''Asia/Tokyo''');
-- Nor what a function called by a SELECT left, once the worker has reset the connection: a
-- second or two later, since until then the same session may see it.
\c -
select count as resets from pool_stats_events where server = 'loopback' and event = 'resets' \gset
select pool_exec('loopback', 'select set_config(''work_mem'', ''123kB'', false)');
select comes_true(format($$ (select count > %s from pool_stats_events
	where server = 'loopback' and event = 'resets') $$, :resets));
select pool_query('loopback', 'select current_setting(''work_mem'') = ''123kB'' as changed');
select count as resets from pool_stats_events where server = 'loopback' and event = 'resets' \gset
select pool_exec('loopback', 'select pg_advisory_lock(43)');
select comes_true(format($$ (select count > %s from pool_stats_events
	where server = 'loopback' and event = 'resets') $$, :resets));
select pool_query('loopback', 'select count(*) from pg_locks where locktype = ''advisory''');
select pool_exec('loopback', 'select 1 as a into temporary query_temp');
select pool_exec('loopback', 'select 1 as a into temporary query_temp');
-- Nor what makes text mean something else.
\c -
select pool_exec('loopback', 'set client_encoding = latin1');
select a = chr(8364) as euro, b as encoding
	from pool_query('loopback', 'select chr(8364), current_setting(''client_encoding'')')
	as t(a text, b text);
\c -
select pool_exec('loopback', 'set datestyle = german');
select a = '2024-02-01' as same from pool_query('loopback', 'select date ''2024-02-01''')
	as t(a date);
\c -
select pool_exec('loopback', 'set intervalstyle = sql_standard');
select a = make_interval(days => -1, hours => 2) as same
from pool_query('loopback', 'select interval ''-1 day 2 hours''') as t(a interval);
\c -
select pool_exec('loopback', 'set extra_float_digits = -15; set bytea_output = escape');
select a = 1.1::float8 / 3 as same_number, b = '\x00ff' as same_bytes
from pool_query('loopback', 'select 1.1::float8 / 3, ''\x00ff''::bytea') as t(a float8, b bytea);
-- Within the very statement that changes it, that is an error.
select a = '2024-02-01' as same
	from pool_query('loopback', 'set datestyle = german; select date ''2024-02-01''') as t(a date);
select a = '2024-02-01' as same from pool_query('loopback', 'select date ''2024-02-01''')
	as t(a date);
-- Notifications reach nobody.
select pool_exec('loopback', 'listen query_channel; notify query_channel, ''x''');
notify query_channel, 'y';
select pool_query('loopback', 'select 1');

\c -
select active, waiting, acquires = releases + lost + active as leases,
	connects = closed + open as connections
from pool_stats_all() where server = 'loopback';
