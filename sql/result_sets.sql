--
-- Results, wherever a set of rows can be.
-- The server "loopback" is this very database.
--
\set SHOW_CONTEXT never
create table result_target (a int, b text default 'b');
insert into result_target values (1), (2), (3);

--
-- In FROM with others, LATERAL, in subqueries, joins and INSERT
--
select * from rows from (pool_query('loopback', 'select i from generate_series(5, 7) i') as (a int),
	generate_series(1, 2)) with ordinality as t(a, b, n);
select g, t.* from generate_series(1, 3) g,
	lateral pool_query('loopback', 'select i, $1 * i from generate_series(1, $1) i', g)
	as t(a int, b int);
select g, t.* from generate_series(1, 2) g left join
	lateral pool_query('loopback', 'select 1 where $1 > 1', g) as t(a int) on true;
select * from pool_query('loopback', 'select i from generate_series(1, 10000) i')
	as t(a int) limit 2;
select pool_query_json('loopback', 'select i from generate_series(1, 10000) i') limit 2;
select array(select a from pool_query('loopback', 'select i from generate_series(1, 3) i')
	as t(a int) order by a desc);
select x.a, y.b from pool_query('loopback', 'select 1') as x(a int)
	join pool_query('loopback', 'select 1, ''one''') as y(a int, b text) using (a);
insert into result_target select *
	from pool_query('loopback', 'select i, ''t'' || i from generate_series(10, 12) i')
	as t(a int, b text);
insert into result_target (b) select pool_query_json('loopback',
	'select i as n from generate_series(1, 2) i');
select * from result_target order by a, b;
select case when true then pool_query('loopback', 'select 1') end;
select * from pool_query('loopback', 'select 1');

-- A cursor goes both ways, and can be held.
begin;
declare c scroll cursor for select *
	from pool_query('loopback', 'select i from generate_series(1, 5) i') as t(a int);
fetch 2 from c;
fetch backward 1 from c;
fetch last from c;
fetch backward all from c;
fetch absolute 3 from c;
close c;
declare h cursor with hold for select pool_query('loopback',
	'select i, ''x'' from generate_series(1, 3) i');
commit;
fetch all from h;
close h;

-- A prepared statement may get another result each time, and PL/pgSQL can catch its errors.
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
	for r in select * from pool_query('loopback',
		'select i, i::text from generate_series(1, 100) i') as t(a int, b text) loop
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

-- There may be more rows than work_mem holds.
set work_mem = '64kB';
select count(*), sum(a), sum(length(b))
	from pool_query('loopback', 'select i, repeat(''x'', 100) from generate_series(1, 20000) i')
	as t(a int, b text);
select count(*), sum((j->>'i')::int)
	from pool_query_json('loopback',
	'select i, repeat(''x'', 100) as x from generate_series(1, 20000) i') j;
select count(*) from (select pool_query('loopback',
	'select i, repeat(''x'', 100) from generate_series(1, 20000) i')) s;
select count(*), sum(a) from pool_query('loopback',
	'select 1; select i from generate_series(1, 20000) i') as t(a int);

-- Put aside, and some of them too long for work_mem alone
select count(*), count(b), sum(a), bool_and(b is not distinct from
		case when a % 3 > 0 then repeat(md5(a::text), a % 8 * 400) end) as same
	from pool_query('loopback', 'select repeat(''x'', 300000); select i,
		case when i % 3 > 0 then repeat(md5(i::text), i % 8 * 400) end
		from generate_series(1, 1000) i') as t(a int, b text);

-- Files do not outlive an error.
set temp_file_limit = '1MB';
\set VERBOSITY sqlstate
select count(*) from pool_query('loopback',
	'select 1; select repeat(''x'', 1000) from generate_series(1, 2000) i') as t(a text);
\set VERBOSITY default
select count(*) from pg_ls_tmpdir();
reset temp_file_limit;
reset work_mem;
drop table result_target;
