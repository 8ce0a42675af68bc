--
-- Calls of pool_query and its like, wherever one can stand
--
\set SHOW_CONTEXT never

create table query_t (
	id int constraint query_t_key primary key,
	n int constraint query_t_positive check (n > 0),
	t text not null default 't');

--
-- A call can stand in FROM and in the target list
--
select * from pool_query('loopback', 'select 1, ''one''') as t(a int, b text);
select * from pool_query('loopback', 'select $1::int + 1', 41) as t(x int);
select pool_query('loopback', 'select 1');
select pool_query('loopback', 'select 1 as a, ''one''::text as b');
select x from pool_query_json('loopback',
	'select g as a, null as b from generate_series(1, 2) g') as x;
select count(*), min(a), max(a), sum(a), count(distinct a)
from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int);
-- No more rows are returned than are asked for, and the connection serves the next.
select * from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int) limit 1;
select pool_query('loopback', 'select generate_series(1, 100000)') limit 1;
select a from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int) where exists
	(select pool_query('loopback', 'select generate_series(1, 1000)') limit 1) offset 99999;
select * from pool_query('loopback', 'select 1') as t(a int);

-- With rows of the caller: one statement for each.
select g, a, b from generate_series(1, 3) g,
	lateral pool_query('loopback', 'select i, $1 * 10 + i from generate_series(1, $1) i', g)
		as t(a int, b int)
order by g, a;
select g, (select sum(a) from pool_query('loopback', 'select generate_series(1, $1)', g)
	as t(a int)) from generate_series(1, 4) g;
select g, pool_exec('loopback', 'select from generate_series(1, $1)', g)
	from generate_series(0, 2) g;

-- Within each other: as an argument, in a function, in a function on the remote.
select * from pool_query('loopback',
	(select a from pool_query('loopback', 'select ''select 40 + 2''') as t(a text))) as t(a int);
select * from pool_query('loopback', 'select $1 || ''!''',
	(select a from pool_query('loopback', 'select ''deep''') as t(a text))) as t(a text);
select * from pool_query('loopback',
	$$select * from pool_query('loopback',
		'select * from pool_query(''loopback'', ''select 3'') as t(a int)') as t(a int)$$)
		as t(a int);
create function query_sum(n int) returns bigint
language plpgsql as $$
declare
	below bigint;
begin
	if n = 0 then
		return 0;
	end if;
	below := query_sum(n - 1);
	return below + (select a from pool_query('loopback', 'select $1', n) as t(a int));
end
$$;
select query_sum(20);
create function query_rows(n int) returns setof int
language sql as $$
	select a + b from pool_query('loopback', 'select generate_series(1, $1)', n) as x(a int),
		lateral pool_query('loopback', 'select $1 * 100', a) as y(b int)
$$;
select query_rows(3);
select * from pool_query('loopback', 'select query_rows(2)') as t(a int);
select * from pool_query('loopback', 'select generate_series(1, $1)', query_sum(2)::int)
	as t(a int);
-- Two sets in one target list end when the longer one ends.
select pool_query('loopback', 'select generate_series(1, 2)') as a,
	pool_query('loopback', 'select generate_series(11, 13)') as b;

-- A cursor goes on where it was, after other statements and their errors.
begin;
declare query_cursor cursor for select a
	from pool_query('loopback', 'select generate_series(1, 1000)') as t(a int);
fetch 2 from query_cursor;
select pool_query('loopback', 'select 1');
fetch 2 from query_cursor;
savepoint s;
select pool_query('loopback', 'select 1 / 0');
rollback to s;
fetch 1 from query_cursor;
move last from query_cursor;
fetch 1 from query_cursor;
commit;
begin;
declare query_open cursor for select pool_query('loopback', 'select generate_series(1, 1000)');
fetch 1 from query_open;
rollback;

-- In a trigger: what was done on the remote stands, though the local transaction is rolled back.
create function query_audit() returns trigger
language plpgsql as $$
begin
	perform pool_exec('loopback', 'insert into query_t values ($1, $2, $3)', new.id, new.n, tg_op);
	return new;
end
$$;
create table query_local (id int, n int);
create trigger query_audit before insert on query_local for each row execute function query_audit();
insert into query_local values (1, 10), (2, 20);
begin;
insert into query_local values (3, 30);
rollback;
insert into query_local values (4, 40), (5, -50);
select * from query_local order by id;
select * from query_t order by id;
drop table query_local;
truncate query_t;

-- In a DO block.
do $$
declare
	r record;
	total int := 0;
begin
	for r in select * from pool_query('loopback', 'select i, i * i from generate_series(1, 3) i')
		as t(a int, b int) loop
		-- another statement runs while this one is open
		total := total + r.b + pool_exec('loopback', 'select 1');
	end loop;
	raise notice 'total %', total;
end
$$;

drop function query_sum, query_rows, query_audit;
drop table query_t;
