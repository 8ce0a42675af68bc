--
-- Results: from what the remote sends to what the query gets.
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
-- In FROM, the column list decides.
--
select * from pool_query('loopback', 'select 1 as x, ''a''::text as y') as t(a int, b text);
select * from pool_query('loopback', 'select 1, 1, 1, 1, ''1'', 1') as
	t(a int2, b int8, c numeric(5,2), d float8, e int, f text);
select * from pool_query('loopback', 'select null::int, null::text, null::int[]') as t(a int, b text, c int[]);
select * from pool_query('loopback', 'select ''''::text, ''\x''::bytea, ''{}''::int[]') as t(a text, b bytea, c int[]);
select * from pool_query('loopback', $$select
		date '2024-02-29', timestamp '2024-02-29 12:00:00.5',
		timestamptz '2024-02-29 12:00:00+03', interval '1 mon -2 days 03:04:05',
		'infinity'::timestamp, 0.1::float4, 1e300::float8, 'NaN'::numeric$$)
	as t(a date, b timestamp, c timestamptz, d interval, e timestamp, f float4, g float8, h numeric);
select * from pool_query('loopback', $$select '{"a":  1}'::json, '{"a":  1}'::jsonb, '{"a":  1}'::json, '{"a":  1}'::jsonb$$)
	as t(a json, b jsonb, c jsonb, d json);
select * from pool_query('loopback', $$select array['a,b', null, 'NULL', '"']::text[], '{{1,2},{3,4}}'::int[], '[1,3)'::int4range, '\x00ff'::bytea$$)
	as t(a text[], b int[], c int4range, d bytea);
-- typmods apply, as in a cast
select * from pool_query('loopback', 'select 1.239, ''ab''::text, timestamp ''2024-01-01 00:00:00.6''')
	as t(a numeric(3,1), b char(4), c timestamp(0));
select * from pool_query('loopback', 'select ''abc''::text') as t(a varchar(2));

-- types of one's own
select * from pool_query('loopback', $$select 'happy'::result_mood, row(1, 'a b')::result_pair, 5::result_positive, 'x'$$)
	as t(a result_mood, b result_pair, c result_positive, d result_required);
select (b).n, (b).t from pool_query('loopback', $$select row(1, 'a b')::result_pair$$) as t(b result_pair);
select * from pool_query('loopback', $$select 'happy'::result_mood, row(1, 'a b')::result_pair, row(1, 2)$$)
	as t(a text, b text, c text);
select * from pool_query('loopback', 'select null::int') as t(a result_positive);

-- errors in values say where
\set SHOW_CONTEXT always
select * from pool_query('loopback', 'select 1 as n, ''abc'' as x') as t(n int, m int);
select * from pool_query('loopback', 'select -1 as n') as t(n result_positive);
select * from pool_query('loopback', 'select null::date as d') as t(n result_required);
\set SHOW_CONTEXT never
select * from pool_query('loopback', 'select 100000 as n') as t(n int2);
select * from pool_query('loopback', 'select 1.5') as t(n int);
select * from pool_query('loopback', 'select ''glad''') as t(n result_mood);
select * from pool_query('loopback', 'select case when i = 3000 then ''x'' else ''1'' end from generate_series(1, 3000) i') as t(n int);
-- and leave the connection in order
select * from pool_query('loopback', 'select 1') as t(a int);

--
-- Columns that are not what was asked for.
--
select * from pool_query('loopback', 'select 1 as a, ''x''::text as b') as t(a int, b text, c int);
select * from pool_query('loopback', 'select 1 as a, ''x''::text as b') as t(a int);
select * from pool_query('loopback', 'select 1 as a') as t(a int, b int);
select * from pool_query('loopback', 'select') as t(a int);
select * from pool_query('loopback', 'select 1 as a, 2 as b where false') as t(a int);
select * from pool_query('loopback', (select 'select ' || string_agg(i || ' as c' || i, ', ') from generate_series(1, 30) i)) as t(a int);
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
-- an assignment cast exists, but the text would become another value
select * from pool_query('loopback', 'select now() as a') as t(a timestamp);
select * from pool_query('loopback', 'select array[now()] as a') as t(a timestamp[]);
\set VERBOSITY terse
select * from pool_query('loopback', 'select now() as a') as t(a date);
select * from pool_query('loopback', 'select now() as a') as t(a time);
select * from pool_query('loopback', 'select now()::timetz as a') as t(a time);
select * from pool_query('loopback', 'select box ''((0,0),(1,1))'' as a') as t(a polygon);
select * from pool_query('loopback', 'select 1.5 as a') as t(a money);
\set VERBOSITY default
-- what fits
select * from pool_query('loopback', $$select timestamp '2024-02-29 12:00', timestamp '2024-02-29 12:00',
		timestamp '2024-02-29 12:00', date '2024-02-29', time '12:00', true$$)
	as t(a date, b time, c timestamptz, d timestamp, e interval, f text);
select * from pool_query('loopback', $$select array[1, 2], array[1.5], array['2024-02-29'::date], 'x'::"char", 'pg_class'::regclass, '{}'::int[]$$)
	as t(a int8[], b float8[], c timestamp[], d text, e text, f text);
select * from pool_query('loopback', $$select '2024-02-29'::text, 'true'::varchar, '{1,2}'::text, '7'::name, 'x'::char(3)$$)
	as t(a timestamp, b bool, c int[], d int, e "char");

--
-- In the target list, the remote decides.
--
select pool_query('loopback', 'select 1 as a, ''x''::text as b, null::date as c');
select pool_query('loopback', 'select i, i * 1.5 from generate_series(1, 3) i');
select row_to_json(pool_query('loopback', $$select 1::int2 as i2, 1.50::numeric(5,2) as n, 'ab'::char(4) as c,
	true as b, array[1, 2] as ia, '{"k": 1}'::jsonb as j, timestamp '2024-02-29 12:00' as ts,
	'happy'::result_mood as mood, row(1, 'x')::result_pair as pair, 'pg_class'::regclass as class,
	5::result_positive as dom, '[1,3)'::int4range as r, 'x'::"char" as ch, null as nul, 5::money is null as m$$));
-- nothing to return, and rows of nothing
select pool_query('loopback', 'select 1 where false');
select pool_query('loopback', 'do $x$ begin end $x$');
select pool_query('loopback', '');
select pool_query('loopback', 'select');
select pool_query('loopback', 'select from generate_series(1, 2)');
select count(pool_query) from (select pool_query('loopback', 'select from generate_series(1, 5)')) s;

-- several calls at one place, with the same columns and with others
select n, pool_query('loopback', 'select $1 as n, $1 * 2 as double', n) from generate_series(1, 3) n;
select q, pool_query('loopback', q) from (values ('do $x$ begin end $x$'), ('select 1'), (''), ('select 2 where false'), ('select 3')) v(q);
select q, pool_query('loopback', q) from (values ('select 1 as a'), ('select ''one''::text as a')) v(q);
select q, pool_query('loopback', q) from (values ('select 1 as a'), ('select 1 as b')) v(q);
select q, pool_query('loopback', q) from (values ('select 1 as a'), ('select 1 as a, 2 as b')) v(q);
select pool_query('loopback', 'select 1'), pool_query('loopback', 'select ''a'', ''b'' from generate_series(1, 2)');

-- a row has a limit
select length(pool_query('loopback', 'select ' || string_agg('1', ','))::text) from generate_series(1, 1600);
select length(pool_query('loopback', 'select ' || string_agg('1', ','))::text) from generate_series(1, 1664);

--
-- JSON
--
select * from pool_query_json('loopback', 'select 1 as a, ''x"y'' as b, null::int as c, 1.50 as d, true as e');
select pool_query_json('loopback', 'select i as n from generate_series(1, 3) i');
select pool_query_json('loopback', $$select array[[1, 2], [3, null]] as a, '{"k": [1, null]}'::json as j, '{"k": {}}'::jsonb as jb,
	'NaN'::float8 as nan, 'happy'::result_mood as mood, row(1, 'x')::result_pair as pair, '\x00ff'::bytea as bytes,
	timestamp '2024-02-29 12:00:00.5' as ts, timestamptz '2024-02-29 12:00+03' as tz, interval '1 day 2 hours' as iv,
	12345678901234567890123456789.123 as big, 1 as "Some ""Name"""$$);
select * from pool_query_json('loopback', 'select');
select * from pool_query_json('loopback', 'select from generate_series(1, 2)');
select * from pool_query_json('loopback', 'select 1 where false');
select * from pool_query_json('loopback', 'do $x$ begin end $x$');
select * from pool_query_json('loopback', 'select 1 as a, 2 as a');
select j->>'n' as n, ord from pool_query_json('loopback', 'select i as n from generate_series(7, 9) i') with ordinality as t(j, ord);
select q, pool_query_json('loopback', q) from (values ('select 1 as a'), ('select ''x'' as b, 2 as c')) v(q);
select count(*) from jsonb_object_keys((select pool_query_json('loopback',
	(select 'select ' || string_agg(i || ' as c' || i, ', ') from generate_series(1, 1600) i))));
select * from pool_query_json('loopback', 'select ''{"a": "\u0000"}''::json as j');

--
-- Rows affected
--
create table result_target (a int);
select pool_exec('loopback', 'insert into result_target select generate_series(1, 10)');
select pool_exec('loopback', 'update result_target set a = a + 1 where a > 7');
select pool_exec('loopback', 'delete from result_target where a > 100');
select pool_exec('loopback', 'select * from result_target');
select pool_exec('loopback', 'insert into result_target values (1), (2) returning a');
select pool_exec('loopback', 'create index on result_target (a)');
select pool_exec('loopback', '');
select pool_exec('loopback', 'insert into result_target values (1); delete from result_target where a = 1');
select pool_exec('loopback', 'select from result_target; drop table result_target');
-- returning makes rows, and without them there are none
create table result_target (a int, b text default 'b');
select * from pool_query('loopback', 'insert into result_target values (1), (2) returning a, b') as t(a int, b text);
select * from pool_query('loopback', 'insert into result_target values (3)') as t(a int, b text);
select * from pool_query('loopback', '') as t(a int, b text);
select count(*) from result_target;

--
-- Several statements: the last one's result
--
select * from pool_query('loopback', 'select 1; select 2') as t(a int);
select * from pool_query('loopback', 'select 1, 2; select 3') as t(a int);
select * from pool_query('loopback', 'select ''x''; select 3 from generate_series(1, 2)') as t(a int);
select * from pool_query('loopback', 'select now(); select true; do $x$ begin end $x$; select 4') as t(a int);
select * from pool_query('loopback', 'select 1; do $x$ begin end $x$') as t(a int);
select * from pool_query('loopback', 'select 1; select 2 where false') as t(a int);
select * from pool_query('loopback', 'select 1; select ''a'', null, ''''') as t(a text, b text, c text);
select pool_query('loopback', 'select 1; select ''a'' as x, null as y');
select pool_query('loopback', 'select 1; do $x$ begin end $x$');
select pool_query('loopback', 'select 1, 2; select');
select pool_query_json('loopback', 'select 1 as a; select ''a'' as x, null as y');
select count(*), sum(a) from pool_query('loopback', 'select ''x'' from generate_series(1, 1000); select generate_series(1, 1000)') as t(a int);
select * from pool_query('loopback', 'select 1; select 2, 3') as t(a int);
select * from pool_query('loopback', 'select 1; select true as b') as t(a int);
\set SHOW_CONTEXT always
select * from pool_query('loopback', 'select 1; select ''x'' as b') as t(a int);
\set SHOW_CONTEXT never
select * from pool_query('loopback', 'select 1') as t(a int);

--
-- Everywhere that a set can be
--
select * from rows from (pool_query('loopback', 'select i from generate_series(5, 7) i') as (a int), generate_series(1, 2)) with ordinality as t(a, b, n);
select g, t.* from generate_series(1, 3) g, lateral pool_query('loopback', 'select i, $1 * i from generate_series(1, $1) i', g) as t(a int, b int);
select g, t.* from generate_series(1, 2) g left join lateral pool_query('loopback', 'select 1 where $1 > 1', g) as t(a int) on true;
select * from pool_query('loopback', 'select i from generate_series(1, 10000) i') as t(a int) limit 2;
select pool_query_json('loopback', 'select i from generate_series(1, 10000) i') limit 2;
select array(select a from pool_query('loopback', 'select i from generate_series(1, 3) i') as t(a int) order by a desc);
select x.a, y.b from pool_query('loopback', 'select 1') as x(a int) join pool_query('loopback', 'select 1, ''one''') as y(a int, b text) using (a);
insert into result_target select * from pool_query('loopback', 'select i, ''t'' || i from generate_series(10, 12) i') as t(a int, b text);
insert into result_target (b) select pool_query_json('loopback', 'select i as n from generate_series(1, 2) i');
select * from result_target order by a, b;
select case when true then pool_query('loopback', 'select 1') end;
select * from pool_query('loopback', 'select 1');

-- a cursor, both ways
begin;
declare c scroll cursor for select * from pool_query('loopback', 'select i from generate_series(1, 5) i') as t(a int);
fetch 2 from c;
fetch backward 1 from c;
fetch last from c;
fetch backward all from c;
fetch absolute 3 from c;
close c;
declare h cursor with hold for select pool_query('loopback', 'select i, ''x'' from generate_series(1, 3) i');
commit;
fetch all from h;
close h;

-- prepared statements and PL/pgSQL
prepare result_prepared(text) as select * from pool_query('loopback', $1) as t(a int);
execute result_prepared('select 1');
execute result_prepared('select 2 where false');
execute result_prepared('select true');
execute result_prepared('select 4::int8');
execute result_prepared('select ''5''');
execute result_prepared('select 6; select 7');
execute result_prepared('select 8 from generate_series(1, 2)');
execute result_prepared('');
deallocate result_prepared;
prepare result_prepared(text) as select pool_query('loopback', $1);
execute result_prepared('select 1');
execute result_prepared('select ''two'' as t, 2 as n');
execute result_prepared('select now() is null');
deallocate result_prepared;
do $$
declare
	r record;
	n int := 0;
begin
	for r in select * from pool_query('loopback', 'select i, i::text from generate_series(1, 100) i') as t(a int, b text) loop
		n := n + r.a;
	end loop;
	raise notice 'sum %', n;
	begin
		perform * from pool_query('loopback', 'select ''x''') as t(a int);
	exception when invalid_text_representation then
		raise notice 'caught: %', sqlerrm;
	end;
	begin
		perform * from pool_query('loopback', 'select 1') as t(a date);
	exception when datatype_mismatch then
		raise notice 'caught: %', sqlerrm;
	end;
	select t.a into n from pool_query('loopback', 'select 7') as t(a int);
	raise notice 'then %', n;
end
$$;

-- more rows than work_mem holds
set work_mem = '64kB';
select count(*), sum(a), sum(length(b)) from pool_query('loopback', 'select i, repeat(''x'', 100) from generate_series(1, 20000) i') as t(a int, b text);
select count(*), sum((j->>'i')::int) from pool_query_json('loopback', 'select i, repeat(''x'', 100) as x from generate_series(1, 20000) i') j;
select count(*) from (select pool_query('loopback', 'select i, repeat(''x'', 100) from generate_series(1, 20000) i')) s;
select count(*), sum(a) from pool_query('loopback', 'select 1; select i from generate_series(1, 20000) i') as t(a int);
reset work_mem;

drop table result_target;
drop type result_mood, result_pair;
drop domain result_positive, result_required;
