--
-- Results as JSON, as a number of rows, and those of several statements.
-- The server "loopback" is this very database.
--
\set SHOW_CONTEXT never
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';

create type result_mood as enum ('sad', 'ok', 'happy');
create type result_pair as (n int, t text);

--
-- pool_query_json makes an object of each row, of whatever columns
--
select * from pool_query_json('loopback',
	'select 1 as a, ''x"y'' as b, null::int as c, 1.50 as d, true as e');
select pool_query_json('loopback', 'select i as n from generate_series(1, 3) i');
select pool_query_json('loopback', $$select array[[1, 2], [3, null]] as a,
	'{"k": [1, null]}'::json as j, '{"k": {}}'::jsonb as jb,
	'NaN'::float8 as nan, 'happy'::result_mood as mood, row(1, 'x')::result_pair as pair,
		'\x00ff'::bytea as bytes,
	timestamp '2024-02-29 12:00:00.5' as ts, timestamptz '2024-02-29 12:00+03' as tz,
		interval '1 day 2 hours' as iv,
	12345678901234567890123456789.123 as big, 1 as "Some ""Name"""$$);
select * from pool_query_json('loopback', 'select');
select * from pool_query_json('loopback', 'select from generate_series(1, 2)');
select * from pool_query_json('loopback', 'select 1 where false');
select * from pool_query_json('loopback', 'do $x$ begin end $x$');
select * from pool_query_json('loopback', 'select 1 as a, 2 as a');
select j->>'n' as n, ord from pool_query_json('loopback',
	'select i as n from generate_series(7, 9) i') with ordinality as t(j, ord);
select q, pool_query_json('loopback', q)
	from (values ('select 1 as a'), ('select ''x'' as b, 2 as c')) v(q);
select count(*) from jsonb_object_keys((select pool_query_json('loopback',
	(select 'select ' || string_agg(i || ' as c' || i, ', ') from generate_series(1, 1600) i))));
select * from pool_query_json('loopback', 'select ''{"a": "\u0000"}''::json as j');

--
-- pool_exec returns how many rows the last statement affected
--
create table result_target (a int);
select pool_exec('loopback', 'insert into result_target select generate_series(1, 10)');
select pool_exec('loopback', 'update result_target set a = a + 1 where a > 7');
select pool_exec('loopback', 'delete from result_target where a > 100');
select pool_exec('loopback', 'select * from result_target');
select pool_exec('loopback', 'insert into result_target values (1), (2) returning a');
select pool_exec('loopback', 'create index on result_target (a)');
select pool_exec('loopback', '');
select pool_exec('loopback',
	'insert into result_target values (1); delete from result_target where a = 1');
select pool_exec('loopback', 'select from result_target; drop table result_target');
-- RETURNING makes rows; without it there are none.
create table result_target (a int, b text default 'b');
select * from pool_query('loopback', 'insert into result_target values (1), (2) returning a, b')
	as t(a int, b text);
select * from pool_query('loopback', 'insert into result_target values (3)') as t(a int, b text);
select * from pool_query('loopback', '') as t(a int, b text);
select count(*) from result_target;

--
-- Of several statements the last one's result is returned, whatever the others returned
--
select * from pool_query('loopback', 'select 1; select 2') as t(a int);
select * from pool_query('loopback', 'select 1, 2; select 3') as t(a int);
select * from pool_query('loopback', 'select ''x''; select 3 from generate_series(1, 2)')
	as t(a int);
select * from pool_query('loopback', 'select now(); select true; do $x$ begin end $x$; select 4')
	as t(a int);
select * from pool_query('loopback', 'select 1; do $x$ begin end $x$') as t(a int);
select * from pool_query('loopback', 'select 1; select 2 where false') as t(a int);
select * from pool_query('loopback', 'select 1; select ''a'', null, ''''')
	as t(a text, b text, c text);
select pool_query('loopback', 'select 1; select ''a'' as x, null as y');
select pool_query('loopback', 'select 1; do $x$ begin end $x$');
select pool_query('loopback', 'select 1, 2; select');
select pool_query_json('loopback', 'select 1 as a; select ''a'' as x, null as y');
select count(*), sum(a) from pool_query('loopback',
	'select ''x'' from generate_series(1, 1000); select generate_series(1, 1000)') as t(a int);
select * from pool_query('loopback', 'select 1; select 2, 3') as t(a int);
select * from pool_query('loopback', 'select 1; select true as b') as t(a int);
\set SHOW_CONTEXT always
select * from pool_query('loopback', 'select 1; select ''x'' as b') as t(a int);
\set SHOW_CONTEXT never
select * from pool_query('loopback', 'select 1') as t(a int);

drop table result_target;
drop type result_mood, result_pair;
