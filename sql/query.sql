--
-- Statements on a server: from the call to the remote's answer, and what is
-- left behind
--
\set SHOW_CONTEXT never

create table query_t (
	id int constraint query_t_key primary key,
	n int constraint query_t_positive check (n > 0),
	t text not null default 't');
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
-- Where a call can stand
--
select * from pool_query('loopback', 'select 1, ''one''') as t(a int, b text);
select * from pool_query('loopback', 'select $1::int + 1', 41) as t(x int);
select pool_query('loopback', 'select 1');
select pool_query('loopback', 'select 1 as a, ''one''::text as b');
select x from pool_query_json('loopback', 'select g as a, null as b from generate_series(1, 2) g') as x;
select count(*), min(a), max(a), sum(a), count(distinct a)
from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int);
-- no more than is asked for
select * from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int) limit 1;
select pool_query('loopback', 'select generate_series(1, 100000)') limit 1;
select a from pool_query('loopback', 'select generate_series(1, 100000)') as t(a int) where exists
	(select pool_query('loopback', 'select generate_series(1, 1000)') limit 1) offset 99999;
select * from pool_query('loopback', 'select 1') as t(a int);

-- with rows of the caller
select g, a, b from generate_series(1, 3) g,
	lateral pool_query('loopback', 'select i, $1 * 10 + i from generate_series(1, $1) i', g) as t(a int, b int)
order by g, a;
select g, (select sum(a) from pool_query('loopback', 'select generate_series(1, $1)', g) as t(a int)) from generate_series(1, 4) g;
select g, pool_exec('loopback', 'select from generate_series(1, $1)', g) from generate_series(0, 2) g;

-- within each other: as an argument, in a function, in a function on the remote
select * from pool_query('loopback',
	(select a from pool_query('loopback', 'select ''select 40 + 2''') as t(a text))) as t(a int);
select * from pool_query('loopback', 'select $1 || ''!''',
	(select a from pool_query('loopback', 'select ''deep''') as t(a text))) as t(a text);
select * from pool_query('loopback',
	$$select * from pool_query('loopback', 'select * from pool_query(''loopback'', ''select 3'') as t(a int)') as t(a int)$$) as t(a int);
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
select * from pool_query('loopback', 'select generate_series(1, $1)', query_sum(2)::int) as t(a int);
-- a set within a set
select pool_query('loopback', 'select generate_series(1, 2)') as a, pool_query('loopback', 'select generate_series(11, 13)') as b;

-- in a cursor, with other statements between
begin;
declare query_cursor cursor for select a from pool_query('loopback', 'select generate_series(1, 1000)') as t(a int);
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

-- in a trigger: what the remote does stands by itself
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

-- in a DO block
do $$
declare
	r record;
	total int := 0;
begin
	for r in select * from pool_query('loopback', 'select i, i * i from generate_series(1, 3) i') as t(a int, b int) loop
		-- one statement open, another run
		total := total + r.b + pool_exec('loopback', 'select 1');
	end loop;
	raise notice 'total %', total;
end
$$;

--
-- What a statement can be
--
select pool_exec('loopback', 'insert into query_t select i, i from generate_series(1, 10) i');
select pool_exec('loopback', 'update query_t set n = n + 1 where id > $1', 7);
select pool_exec('loopback', 'update query_t set n = 1 where false');
select pool_exec('loopback', 'delete from query_t where id in ($1, $2)', 9, 10);
select pool_exec('loopback', 'select from query_t');
select pool_exec('loopback', 'insert into query_t values (11, 1), (12, 1) returning id');
select pool_exec('loopback', 'merge into query_t using (values (12), (13)) v(i) on id = i
	when matched then delete when not matched then insert values (i, 1)');
select pool_exec('loopback', 'create table query_new as select 1 as a from generate_series(1, 3)');
select pool_exec('loopback', 'alter table query_new add b int');
select pool_exec('loopback', 'truncate query_new');
select pool_exec('loopback', 'drop table query_new');
select pool_exec('loopback', 'vacuum query_t');
select id, n, t from query_t order by id;
-- no rows, nothing at all
select * from pool_query('loopback', 'delete from query_t where id = 13') as t(a int);
select * from pool_query('loopback', 'select 1 where false') as t(a int);
select pool_query('loopback', 'analyze query_t');
select pool_exec('loopback', '');
select pool_exec('loopback', ' -- nothing');
select * from pool_query('loopback', ';;') as t(a int);
select pool_query('loopback', '');
select * from pool_query_json('loopback', '');
-- several: the last one's result
select * from pool_query('loopback', 'select 1; select 2, 3; select 4') as t(a int);
select * from pool_query('loopback', 'insert into query_t values (20, 1); select count(*) from query_t') as t(a bigint);
select * from pool_query('loopback', 'select 1; delete from query_t where id = 20') as t(a int);
select pool_exec('loopback', 'select from generate_series(1, 5); delete from query_t where id < 3');
-- which are one transaction, unless they say otherwise
select pool_exec('loopback', 'insert into query_t values (21, 1); insert into query_t values (21, 1)');
select pool_exec('loopback', 'begin; insert into query_t values (22, 1); commit; select 1 / 0');
select pool_exec('loopback', 'begin; insert into query_t values (23, 1); rollback');
select id from query_t where id > 20;
-- several, with parameters: the protocol has no such thing
select pool_exec('loopback', 'select $1; select 2', 1);
-- columns
select count(*) from (select pool_query('loopback', 'select from generate_series(1, 3)')) s;
select count(*), count(a), count(b) from pool_query('loopback', 'select null, nullif(i, 2) from generate_series(1, 3) i') as t(a text, b int);
do $$
declare
	r record;
	n int := 1600;
begin
	execute format('select (select %s from generate_series(1, 1)) as total, c1, c%s from '
				   'pool_query(''loopback'', %L) as t(%s)',
				   (select string_agg('c' || i, ' + ') from generate_series(1, n) i), n,
				   (select 'select ' || string_agg(i::text, ', ') from generate_series(1, n) i),
				   (select string_agg('c' || i || ' int', ', ') from generate_series(1, n) i))
		into r;
	raise notice '% columns, sum %, first %, last %', n, r.total, r.c1, r.c1600;
end
$$;
select length(a), md5(a) = md5(repeat('wide', 5000000)) from pool_query('loopback', 'select repeat(''wide'', 5000000)') as t(a text);
select length(a), length(b) from pool_query('loopback', 'select repeat(''x'', 100000), $1', repeat('y', 3000000)) as t(a text, b text);
select count(*), sum(length(a)) from pool_query('loopback', 'select repeat(''x'', 100000) from generate_series(1, 200)') as t(a text);
-- what does not fit the column list
select * from pool_query('loopback', 'select 1, 2') as t(a int);
select * from pool_query('loopback', 'select 1') as t(a int, b int);
select * from pool_query('loopback', 'select now() as at') as t(a int);

-- COPY
select * from pool_query_json('loopback', 'copy query_t to stdout');
select pool_query('loopback', 'copy (select 1) to stdout');
select * from pool_query('loopback', 'copy query_t from stdin') as t(a int);
select pool_exec('loopback', 'select 1; copy query_t to stdout; select 2');
select pool_exec('loopback', 'copy query_t to program ''cat >/dev/null''');
select pool_query('loopback', 'select ''after''');

-- a transaction of its own, and no other
select pool_exec('loopback', 'begin');
select pool_exec('loopback', 'start transaction; insert into query_t values (30, 1)');
select pool_query('loopback', 'begin; insert into query_t values (31, 1) returning id');
select pool_exec('loopback', 'begin; insert into query_t values (32, 1); commit and chain');
select pool_exec('loopback', 'begin; select 1 / 0');
select pool_exec('loopback', 'begin; insert into query_t values (33, 1); savepoint s; select 1 / 0');
select * from pool_query('loopback', 'select count(*) from query_t where id >= 30 and id <> 32') as t(a bigint);
select id from query_t where id = 32;
select pool_exec('loopback', 'savepoint s');
-- the local transaction has no part in it
begin;
select pool_exec('loopback', 'insert into query_t values (34, 1)');
rollback;
select id from query_t where id = 34;

--
-- Errors
--
select * from pg_temp.fields($$ select pool_exec('loopback', 'insert into query_t values (34, 2)') $$);
select * from pg_temp.fields($$ select pool_exec('loopback', 'insert into query_t values ($1, $2)', 35, -1) $$);
select * from pg_temp.fields($$ select pool_exec('loopback', 'insert into query_t values (35, 1, null)') $$);
select * from pg_temp.fields($$ select * from pool_query('loopback', 'select i::query_even from generate_series(2, 3) i') as t(a int) $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select 1 from query_none') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'selekt') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select 1; selekt') $$);
select * from pg_temp.fields($$ select pool_query('loopback', 'select sin()') $$);
select * from pg_temp.fields($$ select * from pool_query_json('loopback', 'select 1 / (500 - i) from generate_series(1, 1000) i') $$);
select * from pg_temp.fields($$ select pool_exec('loopback', $x$ do $y$ begin
	raise exception using errcode = 'PT042', message = 'm %s "%"', detail = 'd %s', hint = 'h %s', schema = 's %s',
		table = 't', column = 'c', constraint = 'k', datatype = 'ty'; end $y$ $x$) $$);
-- an error of ours names the server too
select * from pg_temp.fields($$ select * from pool_query('loopback', 'select ''x''::text') as t(a int) $$);
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

-- an error of our own in the middle of the rows
select * from pool_query('loopback', 'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000) i') as t(a int);
select * from pool_query('loopback', 'select 1') as t(a int);
select sum(10 / (500 - a)) from pool_query('loopback', 'select generate_series(1, 1000)') as t(a int);
select * from pool_query('loopback', 'select 2') as t(a int);
-- and of the remote
select * from pool_query('loopback', 'select 1 / (500 - i) from generate_series(1, 1000) i') as t(a int);
select * from pool_query('loopback', 'select 3') as t(a int);
-- caught, again and again
do $$
declare
	ours int := 0;
	theirs int := 0;
	wrong int := 0;
	a int;
begin
	for i in 1..50 loop
		begin
			perform * from pool_query('loopback', 'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000) i') as t(a int);
		exception when invalid_text_representation then
			ours := ours + 1;
		end;
		begin
			perform * from pool_query('loopback', 'select 1 / (500 - i) from generate_series(1, 1000) i') as t(a int);
		exception when division_by_zero then
			theirs := theirs + 1;
		end;
		select t.a into a from pool_query('loopback', 'select $1', i) as t(a int);
		wrong := wrong + (a is distinct from i)::int;
	end loop;
	raise notice 'ours %, theirs %, wrong %', ours, theirs, wrong;
end
$$;
select active, waiting, acquires = releases + lost + active as leases, connects = closed + open as connections
from pool_stats where server = 'loopback';

--
-- Notices
--
select pool_exec('loopback', $$do $x$ begin
	raise notice 'a notice %', '%s' using detail = 'its detail %s', hint = 'its hint %s';
	raise info 'an info';
	raise warning 'a warning' using errcode = '01004', detail = 'its detail';
	raise debug 'a debug message';
end $x$ $$);
select * from pool_query('loopback', 'rollback; select 1') as t(a int);
-- with its SQLSTATE and its context
\set VERBOSITY sqlstate
select pool_exec('loopback', $$do $x$ begin raise notice using errcode = 'PT001', message = 'n'; raise warning 'w'; end $x$ $$);
\set VERBOSITY default
\set SHOW_CONTEXT always
select pool_exec('loopback', $$do $x$ begin raise warning 'from within'; end $x$ $$);
\set SHOW_CONTEXT never
-- between rows, and before an error
create function query_noisy(n int) returns int
language plpgsql as $$
begin
	raise notice 'row %', n;
	return 6 / (3 - n);
end
$$;
select * from pool_query('loopback', 'select query_noisy(i) from generate_series(1, 2) i') as t(a int);
select * from pool_query('loopback', 'select query_noisy(i) from generate_series(2, 4) i') as t(a int);
-- the local setting decides what is shown
set client_min_messages = warning;
select pool_exec('loopback', $$do $x$ begin raise notice 'n'; raise warning 'w'; end $x$ $$);
set client_min_messages = error;
select pool_exec('loopback', $$do $x$ begin raise notice 'n'; raise warning 'w'; end $x$ $$);
reset client_min_messages;
-- LOG is not for our log: it comes as a notice; DEBUG stays what it is
select pool_exec('loopback', $$set client_min_messages = debug1; do $x$ begin raise log 'l'; raise debug 'd'; end $x$ $$);
set client_min_messages = debug1;
select pool_exec('loopback', $$set client_min_messages = debug1; do $x$ begin raise debug 'd'; end $x$ $$);
reset client_min_messages;

--
-- Nothing is left behind for the next statement
--
-- Waits until every connection is idle, as another session would find it.
create function pg_temp.at_rest() returns bool
language sql as $$
	select comes_true($x$
		(select idle = open and connecting + closing = 0 from pool_stats where server = 'loopback') $x$)
$$;

select pool_exec('loopback', 'set work_mem = ''123kB''');
select pool_query('loopback', 'select current_setting(''work_mem'') = ''123kB'' as changed');
select pool_exec('loopback', 'set session characteristics as transaction read only');
select pool_query('loopback', 'show transaction_read_only');
select pool_exec('loopback', 'set search_path = query_nowhere; set statement_timeout = 1');
select pool_query('loopback', 'select current_setting(''search_path'') ~ ''query_nowhere'' as path, current_setting(''statement_timeout'') as timeout');
select pool_exec('loopback', 'set standard_conforming_strings = off');
select pool_query('loopback', 'select length(''a\\b'') as length');
select pool_exec('loopback', 'set role pg_monitor');
select * from pool_query('loopback', 'select current_user = session_user') as t(a bool);
select pool_exec('loopback', 'set session authorization pg_monitor');
select * from pool_query('loopback', 'select current_user = $1 and session_user = $1', current_user) as t(a bool);
select pool_exec('loopback', 'create temporary table query_temp (a int)');
select pool_exec('loopback', 'create temporary table query_temp (a int)');
select pool_query('loopback', 'select count(*) from pg_class where relname = ''query_temp'' and pg_table_is_visible(oid)');
select pool_exec('loopback', 'prepare query_prepared as select 1');
select pool_exec('loopback', 'prepare query_prepared as select 1');
select pool_query('loopback', 'select count(*) from pg_prepared_statements');
select pool_exec('loopback', 'do $x$ begin perform pg_advisory_lock(42); end $x$');
select pool_query('loopback', 'select pg_try_advisory_lock(42)');
select pg_temp.at_rest();
select pool_exec('loopback', 'listen query_channel');
select pool_query('loopback', 'select count(*) from pg_listening_channels()');
select pool_exec('loopback', 'declare query_held cursor with hold for select 1');
select pool_query('loopback', 'select count(*) from pg_cursors where name = ''query_held''');
select pool_exec('loopback', 'set time zone ''Asia/Tokyo''');
select pool_query('loopback', 'select current_setting(''timezone'') = ''Asia/Tokyo''');
-- the same, when it was left by a SELECT
\c -
\set SHOW_CONTEXT never
-- (what a function in a plain statement leaves is the same session's to see
-- until the worker has reset the connection, a second or two later)
select resets from pool_stats where server = 'loopback' \gset
select pool_exec('loopback', 'select set_config(''work_mem'', ''123kB'', false)');
select comes_true(format('(select resets > %s from pool_stats where server = ''loopback'')', :resets));
select pool_query('loopback', 'select current_setting(''work_mem'') = ''123kB'' as changed');
select resets from pool_stats where server = 'loopback' \gset
select pool_exec('loopback', 'select pg_advisory_lock(43)');
select comes_true(format('(select resets > %s from pool_stats where server = ''loopback'')', :resets));
select pool_query('loopback', 'select count(*) from pg_locks where locktype = ''advisory''');
select pool_exec('loopback', 'select 1 as a into temporary query_temp');
select pool_exec('loopback', 'select 1 as a into temporary query_temp');
-- what makes text mean something else
\c -
\set SHOW_CONTEXT never
select pool_exec('loopback', 'set client_encoding = latin1');
select a = chr(8364) as euro, b as encoding from pool_query('loopback', 'select chr(8364), current_setting(''client_encoding'')') as t(a text, b text);
\c -
\set SHOW_CONTEXT never
select pool_exec('loopback', 'set datestyle = german');
select a = '2024-02-01' as same from pool_query('loopback', 'select date ''2024-02-01''') as t(a date);
\c -
\set SHOW_CONTEXT never
select pool_exec('loopback', 'set intervalstyle = sql_standard');
select a = make_interval(days => -1, hours => 2) as same
from pool_query('loopback', 'select interval ''-1 day 2 hours''') as t(a interval);
\c -
\set SHOW_CONTEXT never
select pool_exec('loopback', 'set extra_float_digits = -15; set bytea_output = escape');
select a = 1.1::float8 / 3 as same_number, b = '\x00ff' as same_bytes
from pool_query('loopback', 'select 1.1::float8 / 3, ''\x00ff''::bytea') as t(a float8, b bytea);
-- in the very statement
select a = '2024-02-01' as same from pool_query('loopback', 'set datestyle = german; select date ''2024-02-01''') as t(a date);
select a = '2024-02-01' as same from pool_query('loopback', 'select date ''2024-02-01''') as t(a date);
-- and notifications find nobody
select pool_exec('loopback', 'listen query_channel; notify query_channel, ''x''');
notify query_channel, 'y';
select pool_query('loopback', 'select 1');

\c -
\set SHOW_CONTEXT never
select active, waiting, acquires = releases + lost + active as leases, connects = closed + open as connections
from pool_stats where server = 'loopback';
drop function query_sum, query_rows, query_audit, query_noisy;
drop table query_t;
drop domain query_even;
