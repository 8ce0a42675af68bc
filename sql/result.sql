--
-- Results: from what the remote sends to the columns that the query gets.
-- The server "loopback" is this very database.
--
\set SHOW_CONTEXT never
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';

create domain result_positive as int check (value > 0);
create domain result_required as text not null;
create type result_mood as enum ('sad', 'ok', 'happy');
create type result_pair as (n int, t text);

--
-- In FROM, the column list decides the types
--
select * from pool_query('loopback', 'select 1 as x, ''a''::text as y') as t(a int, b text);
select * from pool_query('loopback', 'select 1, 1, 1, 1, ''1'', 1') as
	t(a int2, b int8, c numeric(5,2), d float8, e int, f text);
select * from pool_query('loopback', 'select null::int, null::text, null::int[]')
	as t(a int, b text, c int[]);
select * from pool_query('loopback', 'select ''''::text, ''\x''::bytea, ''{}''::int[]')
	as t(a text, b bytea, c int[]);
select * from pool_query('loopback', $$select
		date '2024-02-29', timestamp '2024-02-29 12:00:00.5',
		timestamptz '2024-02-29 12:00:00+03', interval '1 mon -2 days 03:04:05',
		'infinity'::timestamp, 0.1::float4, 1e300::float8, 'NaN'::numeric$$)
	as t(a date, b timestamp, c timestamptz, d interval, e timestamp, f float4, g float8,
		h numeric);
select * from pool_query('loopback', $$select '{"a":  1}'::json, '{"a":  1}'::jsonb,
	'{"a":  1}'::json, '{"a":  1}'::jsonb$$)
	as t(a json, b jsonb, c jsonb, d json);
select * from pool_query('loopback', $$select array['a,b', null, 'NULL', '"']::text[],
	'{{1,2},{3,4}}'::int[], '[1,3)'::int4range, '\x00ff'::bytea$$)
	as t(a text[], b int[], c int4range, d bytea);
-- Type modifiers apply, as in a cast.
select * from pool_query('loopback',
	'select 1.239, ''ab''::text, timestamp ''2024-01-01 00:00:00.6''')
	as t(a numeric(3,1), b char(4), c timestamp(0));
select * from pool_query('loopback', 'select ''abc''::text') as t(a varchar(2));

-- Enums, composite types and domains, and text in their place.
select * from pool_query('loopback', $$select 'happy'::result_mood, row(1, 'a b')::result_pair,
	5::result_positive, 'x'$$)
	as t(a result_mood, b result_pair, c result_positive, d result_required);
select (b).n, (b).t from pool_query('loopback', $$select row(1, 'a b')::result_pair$$)
	as t(b result_pair);
select * from pool_query('loopback', $$select 'happy'::result_mood, row(1, 'a b')::result_pair,
	row(1, 2)$$)
	as t(a text, b text, c text);
select * from pool_query('loopback', 'select null::int') as t(a result_positive);

-- An error in a value says in which row and column.
\set SHOW_CONTEXT always
select * from pool_query('loopback', 'select 1 as n, ''abc'' as x') as t(n int, m int);
select * from pool_query('loopback', 'select -1 as n') as t(n result_positive);
select * from pool_query('loopback', 'select null::date as d') as t(n result_required);
\set SHOW_CONTEXT never
select * from pool_query('loopback', 'select 100000 as n') as t(n int2);
select * from pool_query('loopback', 'select 1.5') as t(n int);
select * from pool_query('loopback', 'select ''glad''') as t(n result_mood);
select * from pool_query('loopback',
	'select case when i = 3000 then ''x'' else ''1'' end from generate_series(1, 3000) i')
	as t(n int);
-- It leaves the connection in order.
select * from pool_query('loopback', 'select 1') as t(a int);

--
-- Columns that are not what the list asks for are refused
--
select * from pool_query('loopback', 'select 1 as a, ''x''::text as b') as t(a int, b text, c int);
select * from pool_query('loopback', 'select 1 as a, ''x''::text as b') as t(a int);
select * from pool_query('loopback', 'select 1 as a') as t(a int, b int);
select * from pool_query('loopback', 'select') as t(a int);
select * from pool_query('loopback', 'select 1 as a, 2 as b where false') as t(a int);
select * from pool_query('loopback',
	(select 'select ' || string_agg(i || ' as c' || i, ', ') from generate_series(1, 30) i))
	as t(a int);
\set VERBOSITY sqlstate
select * from pool_query('loopback', 'select 1, 2') as t(a int);
select * from pool_query('loopback', 'select true') as t(a int);
\set VERBOSITY default
select * from pool_query('loopback', 'select 1 as a, true as b') as t(a int, b int);
\set SHOW_CONTEXT always
select * from pool_query('loopback', 'select 1 as a') as t(a date);
\set SHOW_CONTEXT never
select * from pool_query('loopback', 'select array[1] as a') as t(a int);
select * from pool_query('loopback', 'select array[true] as a') as t(a int[]);
select * from pool_query('loopback', 'select date ''2024-01-01'' as a') as t(a result_positive);
select * from pool_query('loopback', 'select now() as a where false') as t(a int);
-- Types are refused, too, when an assignment cast exists but the text would become another
-- value.
select * from pool_query('loopback', 'select now() as a') as t(a timestamp);
select * from pool_query('loopback', 'select array[now()] as a') as t(a timestamp[]);
\set VERBOSITY terse
select * from pool_query('loopback', 'select now() as a') as t(a date);
select * from pool_query('loopback', 'select now() as a') as t(a time);
select * from pool_query('loopback', 'select now()::timetz as a') as t(a time);
select * from pool_query('loopback', 'select box ''((0,0),(1,1))'' as a') as t(a polygon);
select * from pool_query('loopback', 'select 1.5 as a') as t(a money);
\set VERBOSITY default
-- These fit.
select * from pool_query('loopback', $$select timestamp '2024-02-29 12:00',
	timestamp '2024-02-29 12:00',
		timestamp '2024-02-29 12:00', date '2024-02-29', time '12:00', true$$)
	as t(a date, b time, c timestamptz, d timestamp, e interval, f text);
select * from pool_query('loopback', $$select array[1, 2], array[1.5], array['2024-02-29'::date],
	'x'::"char", 'pg_class'::regclass, '{}'::int[]$$)
	as t(a int8[], b float8[], c timestamp[], d text, e text, f text);
select * from pool_query('loopback', $$select '2024-02-29'::text, 'true'::varchar, '{1,2}'::text,
	'7'::name, 'x'::char(3)$$)
	as t(a timestamp, b bool, c int[], d int, e "char");

--
-- In the target list, the remote decides
--
select pool_query('loopback', 'select 1 as a, ''x''::text as b, null::date as c');
select pool_query('loopback', 'select i, i * 1.5 from generate_series(1, 3) i');
select row_to_json(pool_query('loopback', $$select 1::int2 as i2, 1.50::numeric(5,2) as n,
	'ab'::char(4) as c,
	true as b, array[1, 2] as ia, '{"k": 1}'::jsonb as j, timestamp '2024-02-29 12:00' as ts,
	'happy'::result_mood as mood, row(1, 'x')::result_pair as pair, 'pg_class'::regclass as class,
	5::result_positive as dom, '[1,3)'::int4range as r, 'x'::"char" as ch, null as nul,
		5::money is null as m$$));
-- A statement may return nothing, or rows without columns.
select pool_query('loopback', 'select 1 where false');
select pool_query('loopback', 'do $x$ begin end $x$');
select pool_query('loopback', '');
select pool_query('loopback', 'select');
select pool_query('loopback', 'select from generate_series(1, 2)');
select count(pool_query) from (select pool_query('loopback',
	'select from generate_series(1, 5)')) s;

-- Calls at one place in the query must agree on their columns.
select n, pool_query('loopback', 'select $1 as n, $1 * 2 as double', n)
	from generate_series(1, 3) n;
select q, pool_query('loopback', q)
	from (values ('do $x$ begin end $x$'), ('select 1'), (''), ('select 2 where false'),
	('select 3')) v(q);
select q, pool_query('loopback', q)
	from (values ('select 1 as a'), ('select ''one''::text as a')) v(q);
select q, pool_query('loopback', q) from (values ('select 1 as a'), ('select 1 as b')) v(q);
select q, pool_query('loopback', q) from (values ('select 1 as a'), ('select 1 as a, 2 as b')) v(q);
select pool_query('loopback', 'select 1'),
	pool_query('loopback', 'select ''a'', ''b'' from generate_series(1, 2)');

-- A row can have 1664 columns, as in any query.
select length(pool_query('loopback', 'select ' || string_agg('1', ','))::text)
	from generate_series(1, 1600);
select length(pool_query('loopback', 'select ' || string_agg('1', ','))::text)
	from generate_series(1, 1664);

drop type result_mood, result_pair;
drop domain result_positive, result_required;
