--
-- Parameters: how a call gives them, and how many.
-- The server "loopback" is this very database.
--
\set SHOW_CONTEXT never
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';

create domain params_positive as int check (value > 0);
create type params_mood as enum ('sad', 'ok', 'happy');

-- A statement can have parameters, or none, in every way of giving none.
select * from pool_query('loopback', 'select 1') as t(a int);
select * from pool_query('loopback', 'select $1 + $2', 40, 2) as t(a int);
select * from pool_query('loopback', 'select 2', variadic array[]::int[]) as t(a int);
select * from pool_query('loopback', 'select 3', variadic null::int[]) as t(a int);

-- Too few are told from a connection that is broken, which has that SQLSTATE, too.
do $$
declare
	hint text;
begin
	perform pool_query('loopback', 'select $1::int + $2::int', 1);
exception when protocol_violation then
	get stacked diagnostics hint = pg_exception_hint;
	raise notice '%: %', sqlstate, hint;
end
$$;
select pool_exec('loopback', 'do $x$ begin raise ''bind'' using errcode = ''08P01''; end $x$');

-- The query must not be NULL.
select * from pool_query('loopback', null) as t(a int);
select * from pool_query('loopback', null, 1) as t(a int);
select pool_exec('loopback', null);
select * from pool_query_json('loopback', null::text, 'a');
do $$
begin
	perform pool_exec('loopback', null);
exception when null_value_not_allowed then
	raise notice 'null_value_not_allowed';
end
$$;

-- An array can be a parameter, and VARIADIC an array of parameters.
select * from pool_query('loopback', 'select n from generate_series(1, 9) n where n = any ($1)',
						 array[2, 3, null, 11]) as t(n int);
select * from pool_query('loopback', 'select $1 || $2 || $3', variadic array['a', 'b', 'c'])
	as t(a text);
select * from pool_query('loopback', 'select $1, $2 is null, $3', variadic array[1, null, 3])
	as t(a int, b bool, c int);
select * from pool_query('loopback', 'select $1, $2, $3, $4', variadic array[[1, 2], [3, 4]])
	as t(a int, b int, c int, d int);
select * from pool_query('loopback', 'select $1, $2', variadic array['happy', 'sad']::params_mood[])
	as t(a params_mood, b params_mood);
select * from pool_query('loopback', 'select $1 + $2', variadic array[1, 2]::params_positive[])
	as t(a int);
select * from pool_query('loopback', 'select $1, octet_length($2)',
	variadic array['\x00ff', '\x00']::bytea[]) as t(a bytea, b int);

-- One call can have types of all kinds, each more than once.
select * from pool_query('loopback', 'select $1 + $4, $2 || $5, $3 + $6, $7, $8',
						 1, 'a'::text, date '2024-01-01', 2, 'b'::text, 3, null::int, 'lit')
	as t(a int, b text, c date, d int, e text);

-- The protocol allows 65535 parameters.
select pool_exec('loopback', 'select ' || string_agg('$' || i, ' + '),
				 variadic (select array_agg(1) from generate_series(1, 1000)))
	from generate_series(1, 1000) i;
select a from (select array_agg(1) as many from generate_series(1, 65535)) m,
	pool_query('loopback', 'select $1 + $65535', variadic many) as t(a int);
select a from (select array_agg(1) as many from generate_series(1, 65536)) m,
	pool_query('loopback', 'select $1 + $65536', variadic many) as t(a int);

-- Several statements in one string can have no parameters.
select * from pool_query('loopback', 'select 1; select 2') as t(a int);
select * from pool_query('loopback', E'select 1 ; \n\t ') as t(a int);
select * from pool_query('loopback', 'select ''a;b''') as t(a text);
select * from pool_query('loopback', 'select 1; -- one') as t(a int);
select * from pool_query('loopback', ';;select 1;;') as t(a int);
select * from pool_query('loopback', 'select $1;', 1) as t(a int);
select * from pool_query('loopback', 'select $1; select 2', 1) as t(a int);

-- The other functions have parameters in the same way.
create table params_target (n int, t text, d date);
select pool_exec('loopback', 'insert into params_target values ($1, $2, $3), ($1 + 1, null, $3)',
				 1, 'it''s', date '2024-02-29');
select pool_exec('loopback', 'update params_target set t = $1 where t is null', null::text);
select pool_exec('loopback', 'delete from params_target where n > $1', 5);
select * from pool_query_json('loopback', 'select * from params_target where n = $1', 1);
select * from params_target order by n;

-- PL/pgSQL's variables can be parameters, over and over, and those of a prepared statement.
do $$
declare
	total int := 0;
	n int;
begin
	for i in 1..20 loop
		select t.a into n from pool_query('loopback', 'select $1 * $2', i, 2) as t(a int);
		total := total + n;
	end loop;
	raise notice 'total %', total;
end
$$;
prepare params_prepared(int, text) as
	select * from pool_query('loopback', 'select $1 + 1, upper($2)', $1, $2) as t(a int, b text);
execute params_prepared(1, 'a');
execute params_prepared(2, 'b');
execute params_prepared(3, null);
execute params_prepared(null, 'd');
execute params_prepared(5, 'e');
execute params_prepared(6, 'f');
execute params_prepared(7, 'g');
deallocate params_prepared;

drop table params_target;
drop type params_mood;
drop domain params_positive;
