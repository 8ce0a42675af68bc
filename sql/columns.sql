--
-- Column lists that nobody has to type: pool_columns, and views and functions with them
--
\set SHOW_CONTEXT never
\pset format unaligned

create type mood as enum ('sad', 'ok');
create domain columns_even as int check (value % 2 = 0);
create type columns_pair as (a int, b text);
create table columns_t (id int primary key, owner varchar(20), price numeric(10,2),
	at timestamptz(3), feeling mood, feelings mood[], even columns_even, pair columns_pair);
insert into columns_t values (1, 'ann', 9.99, '2026-01-01 00:00+00', 'ok', '{sad,ok}', 2, '(1,x)');
create sequence columns_s;

-- Lists
select pool_columns('loopback', 'select id, owner, price, at from columns_t');
select pool_columns('loopback', 'select feeling, feelings, even, array[even] as evens, pair,
	array[pair] as pairs from columns_t');
select pool_columns('loopback', $$ select 'x' as unknown, null as "null", 1::bit(3) as bits,
	'a'::"char" as "char", 'a'::char(3) as padded, 'a'::bpchar as bpchar, '1 2'::int2vector as v,
	interval '1' day as "interval", array[1.5] as a, '{}'::varchar(5)[] as b $$);
select pool_columns('loopback', 'values (1, now())');
select pool_columns('loopback', 'show work_mem');
select pool_columns('loopback', 'explain select 1');
select pool_columns('loopback', 'select 1 as a;');
select pool_columns('loopback', 'select 1 as a; -- which is one');

-- Built-in types whose values could mean something else here are text
select pool_columns('loopback', $$ select 'pg_class'::regclass as c, '{1}'::money[] as m,
	'=r/postgres'::aclitem as acl, p, array[d] as d from pg_proc p, information_schema.tables t,
	(select 1::information_schema.cardinal_number) as x(d) $$);

-- Names: each once, and quoted as need be
select pool_columns('loopback', 'select 1, 2, 3');
select pool_columns('loopback', 'select 1 as id, 2 as id, 3 as id_1, 4 as id, 5 as id_1');
select pool_columns('loopback', $$ select 1 as "Upper", 2 as "two words", 3 as "q""uote",
	4 as "do$lar", 5 as "größe", 6 as "select", 7 as "ctid", 8 as " ", 9 as "it's", 10 as "\" $$);
select pool_columns('loopback', format('select 1 as %1$s, 2 as %1$s', repeat('x', 63)));
select pool_columns('loopback', format('select 1 as %1$I, 2 as %1$I', repeat('ü', 31)));
select count(distinct name) from regexp_split_to_table(pool_columns('loopback', (select
	'select ' || string_agg('1', ', ') from generate_series(1, 1600))), ' integer,? ?') as name;

-- Parameters are what the remote takes them for
select pool_columns('loopback', 'select id, $1 as param from columns_t where id = $2');

-- Nothing is executed
select pool_columns('loopback', $$ select nextval('columns_s') $$);
select pool_columns('loopback', $$ insert into columns_t values (2) returning id, feeling $$);
select pool_columns('loopback', 'delete from columns_t returning *') like 'id integer, %' as ok;
select is_called, count(*) from columns_s, columns_t group by 1;

-- What has no list
select pool_columns('loopback', 'insert into columns_t values (2)');
select pool_columns('loopback', 'select');
select pool_columns('loopback', '');
select pool_columns('loopback', 'begin');
select pool_columns('loopback', 'copy columns_t to stdout');
select pool_columns('loopback', 'select 1; select 2');
select pool_columns('loopback', 'select 1 as a, row(1, 2) as r');
select pool_columns('loopback', 'select pg_notify($1, $2)');
select pool_columns('loopback', 'select array[row(1)] as r');
select pool_columns('loopback', 'select most_common_vals from pg_stats');
select pool_columns('loopback', 'select row(1, 2)::text as r, pg_sleep(0)::text as s');
\set VERBOSITY sqlstate
select pool_columns('loopback', 'insert into columns_t values (2)');
select pool_columns('loopback', 'select row(1)');
select pool_columns('loopback', 'select 1; select 2');
select pool_columns('loopback', 'select nothing from columns_t');
select pool_columns('loopback', 'no statement');
select pool_columns('nowhere', 'select 1');
select pool_columns(null, 'select 1');
select pool_columns('loopback', null);
\set VERBOSITY default

-- The list is of use as it is
select format('select * from pool_query(%L, %L) as t(%s)', 'loopback', 'table columns_t',
	pool_columns('loopback', 'table columns_t')) \gexec

--
-- Views
--
select pool_create_view('columns_v', 'loopback', 'table columns_t');
table columns_v;
\d columns_v
select pool_create_view('columns_v', 'loopback', 'select 1 as a');
create schema columns_x;
select pool_create_view('columns_x.simple', 'loopback', 'select 1 as a');
select pool_create_view('"Columns_X".v', 'loopback', 'select 1 as a');
select pool_create_view('Columns_X."Two Words"', 'loopback',
	$x$ select 'it''s', 'a\b', 3 as "$$" $x$);
table columns_x."Two Words";
select pool_create_view('a.b.c', 'loopback', 'select 1 as a');
select pool_create_view('a.b.c.d', 'loopback', 'select 1 as a');
select pool_create_view('', 'loopback', 'select 1 as a');
select pool_create_view('v as select 1; --', 'loopback', 'select 1 as a');
select pool_create_view('v', 'loopback', 'select $1::int');
select pool_create_view('v', 'loopback', 'select nothing from columns_t');
\set VERBOSITY sqlstate
select pool_create_view('v', 'loopback', 'select $1::int');
select pool_create_view(null, 'loopback', 'select 1');
select pool_create_view('v', null, 'select 1');
select pool_create_view('v', 'loopback', null);
begin read only;
select pool_create_view('v', 'loopback', 'select 1');
rollback;
\set VERBOSITY default

-- A search path changes nothing of what a view or a function means
create schema columns_trap;
create function columns_trap.pool_query(text, text) returns setof record
language sql as $$ select 666 $$;
create domain columns_trap.text as pg_catalog.text;
create domain columns_trap.mood as pg_catalog.text;
set search_path = columns_trap, pg_catalog, public, test;
select pool_create_view('columns_x.trapped', 'loopback', 'select id, owner::text, feeling
	from columns_t');
\d columns_x.trapped
table columns_x.trapped;
select pool_create_function('columns_x.trapped', 'loopback', 'select $1::text as t',
	'pg_catalog.text');
reset search_path;
select columns_x.trapped('x');
\set VERBOSITY terse
drop schema columns_trap cascade;
\set VERBOSITY default

--
-- Functions
--
select pool_create_function('columns_f', 'loopback',
	'select id, owner from columns_t where id = $1', 'int');
select * from columns_f(1);
\df columns_f
select pool_create_function('columns_all', 'loopback', 'select feeling from columns_t');
select columns_all();
select pool_create_function('columns_x."By Mood"', 'loopback',
	'select * from columns_t where feeling = $1 and owner = $2 and feelings = $3',
	'mood', 'varchar(3)', 'mood[]');
select * from columns_x."By Mood"('ok', 'ann', '{sad,ok}');
select pool_create_function('columns_names', 'loopback',
	'select $1::int as a, $2::int as b, 3 as a', 'int', 'int');
select * from columns_names(1, 2);
select pool_create_function('columns_names', 'loopback', 'select $1::int as "$1", $1::int as "$2"',
	'int');
select * from columns_names(1);
select pool_create_function('columns_f', 'loopback', 'select $1::text as t', variadic '{text}');
select * from columns_f('text');
select pool_create_function('columns_f', 'loopback', 'select id from columns_t where id = $1',
	'text');
select pool_create_function('columns_f', 'loopback', 'select $1::int + $2', 'int');
select pool_create_function('columns_f', 'loopback', 'select $1::int');
select pool_create_function('columns_f', 'loopback', 'select 1 as n', 'int');
select * from columns_f(7);
select pool_create_function('columns_g', 'loopback', 'select 1 as n', 'anyelement');
select pool_create_function('columns_g', 'loopback', 'select 1 as n', 'record');
select pool_create_function('columns_g', 'loopback', 'select 1 as n', '0');
select pool_create_function('columns_g', 'loopback', 'select 1 as n', '1234567');
select pool_create_function('columns_g', 'loopback', 'select 1 as n', 'nothing');
select left(pool_create_function('columns_98', 'loopback', (select 'select '
	|| string_agg('$' || n, ' + ') from generate_series(1, 98) n), variadic array_fill('int'::regtype, '{98}')), 60);
select pool_create_function('columns_g', 'loopback', 'select 1', variadic array_fill('int'::regtype,
	'{99}'));
\set VERBOSITY sqlstate
select pool_create_function('columns_f', 'loopback', 'select $1::int');
select pool_create_function('columns_g', 'loopback', 'select 1', '0');
select pool_create_function('columns_g', 'loopback', 'select 1', variadic array_fill('int'::regtype,
	'{99}'));
select pool_create_function(null, 'loopback', 'select 1');
select pool_create_function('columns_g', null, 'select 1');
select pool_create_function('columns_g', 'loopback', null);
select pool_create_function('columns_g', 'loopback', 'select 1', null);
select pool_create_function('columns_g', 'loopback', 'select 1', variadic null);
\set VERBOSITY default

-- A server whose name needs quoting
select current_setting('port') as port \gset
create server "it's \ ""quoted""" foreign data wrapper pool
	options (host '127.0.0.1', port :'port', dbname :'DBNAME');
create user mapping for current_user server "it's \ ""quoted""";
select pool_create_view('columns_quoted', 'it''s \ "quoted"', 'select 1 as a');
table columns_quoted;
select pool_create_function('columns_quoted', 'it''s \ "quoted"', 'select $1 as a', 'int');
select columns_quoted(5);

--
-- The remote's change of a column shows as an error
--
\set VERBOSITY terse
alter table columns_t alter price type date using now();
table columns_v;
alter table columns_t drop owner;
table columns_v;
select * from columns_f(1);
\set VERBOSITY default

-- Within an exception block, and with a lease
do $$
begin
	perform pool_columns('loopback', 'select row(1)');
exception when others then
	raise notice '%', sqlerrm;
end $$;
select at_rest(), adds_up();
begin;
select pool_acquire('loopback') > 0 as leased;
select pool_columns('loopback', 'select feeling from columns_t');
commit;

--
-- Rights: no more than the caller has
--
create role columns_user;
set role columns_user;
select pool_columns('loopback', 'select 1');
reset role;
grant usage on foreign server loopback to columns_user;
create user mapping for columns_user server loopback
	options (user :'USER', password_required 'false');
set role columns_user;
select pool_columns('loopback', 'select 1');
select pool_create_view('columns_x.v', 'loopback', 'select 1 as a');
select pool_create_function('columns_x.f', 'loopback', 'select 1 as a');
reset role;

drop owned by columns_user;
drop role columns_user;
\set VERBOSITY terse
drop server "it's \ ""quoted""" cascade;
drop schema columns_x cascade;
drop function columns_f(int), columns_f(text), columns_all, columns_names(int, int),
	columns_names(int), columns_98, columns_quoted;
drop view columns_v, columns_quoted;
drop sequence columns_s;
drop table columns_t;
drop type mood, columns_pair;
drop domain columns_even;
