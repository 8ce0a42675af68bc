--
-- Errors and notices of a statement: all that the remote says arrives
--
\set SHOW_CONTEXT never

create table query_t (
	id int constraint query_t_key primary key,
	n int constraint query_t_positive check (n > 0),
	t text not null default 't');
insert into query_t values (34, 1);
create domain query_even as int constraint query_even_check check (value % 2 = 0);

-- Runs a command and lists what its error brings along.
create function pg_temp.fields(command text, out field text, out value text)
returns setof record
language plpgsql as $$
declare
	code text; message text; detail text; hint text; context text;
	schema text; "table" text; "column" text; "constraint" text; type text;
begin
	execute command;
exception when others then
	get stacked diagnostics code = returned_sqlstate, message = message_text,
		detail = pg_exception_detail, hint = pg_exception_hint,
		context = pg_exception_context, schema = schema_name,
		"table" = table_name, "column" = column_name,
		"constraint" = constraint_name, type = pg_datatype_name;
	return query select * from (values ('sqlstate', code),
		('message', message), ('detail', detail), ('hint', hint),
		('context', substring(context, '[^\n]* server "[^\n]*')),
		('schema', schema), ('table', "table"), ('column', "column"),
		('constraint', "constraint"), ('type', type)) v(f, x) where x <> '';
end
$$;

--
-- An error of the remote has all its fields
--
select * from pg_temp.fields($$ select pool_exec('loopback',
	'insert into query_t values (34, 2)') $$);
select * from pg_temp.fields($$ select pool_exec('loopback', 'insert into query_t values ($1, $2)',
	35, -1) $$);
select * from pg_temp.fields($$ select pool_exec('loopback',
	'insert into query_t values (35, 1, null)') $$);
select * from pg_temp.fields($$ select *
	from pool_query('loopback', 'select i::query_even from generate_series(2, 3) i')
	as t(a int) $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select 1 from query_none') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'selekt') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select 1; selekt') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select sin()') $$);
select * from pg_temp.fields($$ select *
	from pool_query_json('loopback', 'select 1 / (500 - i) from generate_series(1, 1000) i') $$);
select * from pg_temp.fields($$ select pool_exec('loopback', $x$ do $y$ begin
	raise exception using errcode = 'PT042', message = 'm %s "%"', detail = 'd %s', hint = 'h %s',
		schema = 's %s',
		table = 't', column = 'c', constraint = 'k', datatype = 'ty'; end $y$ $x$) $$);
-- An error of this session names the server, too.
select * from pg_temp.fields($$ select * from pool_query('loopback', 'select ''x''::text')
	as t(a int) $$);
select * from pg_temp.fields($$ select pool_exec('loopback', 'begin') $$);
select * from pg_temp.fields($$ select pool_exec('loopback', 'copy query_t to stdout') $$);
\set SHOW_CONTEXT always
select pool_exec('loopback', 'do $x$ begin perform 1 / 0; end $x$');
\set SHOW_CONTEXT never
select * from pg_temp.fields($$ select pool_query('query_nowhere', 'select 1') $$);
select * from pg_temp.fields($$ select pool_query(null::text, 'select 1') $$);
select * from pg_temp.fields($$ select pool_query('loopback', null) $$);
select * from pg_temp.fields($$ select pool_exec(null::text, null) $$);
select * from pg_temp.fields($$ select * from pool_query_json(null::text, 'select 1', 2) $$);
select * from pg_temp.fields($$ select pool_query('', 'select 1') $$);

-- After an error of this session in the middle of the rows, the next statement runs.
select * from pool_query('loopback',
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000) i')
	as t(a int);
select * from pool_query('loopback', 'select 1') as t(a int);
select sum(10 / (500 - a)) from pool_query('loopback', 'select generate_series(1, 1000)')
	as t(a int);
select * from pool_query('loopback', 'select 2') as t(a int);
-- So it does after an error of the remote.
select * from pool_query('loopback', 'select 1 / (500 - i) from generate_series(1, 1000) i')
	as t(a int);
select * from pool_query('loopback', 'select 3') as t(a int);
-- And when they are caught, again and again: each statement gets its own answer.
do $$
declare
	ours int := 0;
	theirs int := 0;
	wrong int := 0;
	a int;
begin
	for i in 1..50 loop
		begin
			perform * from pool_query('loopback',
				'select case i when 500 then ''x'' else i::text end
					from generate_series(1, 1000) i') as t(a int);
		exception when invalid_text_representation then
			ours := ours + 1;
		end;
		begin
			perform * from pool_query('loopback',
				'select 1 / (500 - i) from generate_series(1, 1000) i') as t(a int);
		exception when division_by_zero then
			theirs := theirs + 1;
		end;
		select t.a into a from pool_query('loopback', 'select $1', i) as t(a int);
		wrong := wrong + (a is distinct from i)::int;
	end loop;
	raise notice 'ours %, theirs %, wrong %', ours, theirs, wrong;
end
$$;
select active, waiting, acquires = releases + lost + active as leases,
	connects = closed + open as connections
from pool_stats_all() where server = 'loopback';

--
-- A notice arrives, with detail and hint
--
select pool_exec('loopback', $$do $x$ begin
	raise notice 'a notice %', '%s' using detail = 'its detail %s', hint = 'its hint %s';
	raise info 'an info';
	raise warning 'a warning' using errcode = '01004', detail = 'its detail';
	raise debug 'a debug message';
end $x$ $$);
select * from pool_query('loopback', 'rollback; select 1') as t(a int);
-- It has its SQLSTATE and its context.
\set VERBOSITY sqlstate
select pool_exec('loopback', $$do $x$ begin raise notice using errcode = 'PT001',
	message = 'n'; raise warning 'w'; end $x$ $$);
\set VERBOSITY default
\set SHOW_CONTEXT always
select pool_exec('loopback', $$do $x$ begin raise warning 'from within'; end $x$ $$);
\set SHOW_CONTEXT never
-- It comes between rows, and before an error.
create function query_noisy(n int) returns int
language plpgsql as $$
begin
	raise notice 'row %', n;
	return 6 / (3 - n);
end
$$;
select * from pool_query('loopback', 'select query_noisy(i) from generate_series(1, 2) i')
	as t(a int);
select * from pool_query('loopback', 'select query_noisy(i) from generate_series(2, 4) i')
	as t(a int);
-- The local client_min_messages decides what is shown.
set client_min_messages = warning;
select pool_exec('loopback', $$do $x$ begin raise notice 'n'; raise warning 'w'; end $x$ $$);
set client_min_messages = error;
select pool_exec('loopback', $$do $x$ begin raise notice 'n'; raise warning 'w'; end $x$ $$);
reset client_min_messages;
-- A remote LOG comes as a notice, since it is not for the local log; DEBUG stays DEBUG.
select pool_exec('loopback',
	$$set client_min_messages = debug1; do $x$ begin raise log 'l'; raise debug 'd'; end $x$ $$);
set client_min_messages = debug1;
select pool_exec('loopback',
	$$set client_min_messages = debug1; do $x$ begin raise debug 'd'; end $x$ $$);
reset client_min_messages;
drop function query_noisy;
drop table query_t;
drop domain query_even;
