--
-- The functions of pool_dblink that need no connection: get_pkey, build_sql_*,
-- current_query, and the validator.  All as dblink has it: with this extension's name
-- replaced by dblink the output is the same.
--
\set VERBOSITY default
create schema dblink_local;
create extension pool_dblink schema dblink_local;
set search_path = dblink_local, public, test;
create role regress_dblink_local;
grant usage on schema dblink_local to regress_dblink_local;

-- The SQLSTATE of an error of which versions of PostgreSQL speak in other words
create function local_state(command text) returns text language plpgsql as $$
begin
	execute command;
	return 'done';
exception when others then
	return sqlstate;
end
$$;

--
-- The primary key
--
create table foo (f1 int, f2 text, f3 text[], primary key (f1, f2));
select * from dblink_get_pkey('foo');
select dblink_get_pkey('foo');
select (dblink_get_pkey('foo')).colname;
select position, colname, pg_typeof(position), pg_typeof(colname)
from dblink_get_pkey('dblink_local.foo') order by position desc;
select * from dblink_get_pkey(null);
-- in the key's order, not the table's, without what the index includes
create table ordered (a int, b int, c int, d int);
alter table ordered add primary key (d, b) include (a);
select * from dblink_get_pkey('ordered');
-- with a dropped column before, and a name that needs quotes
alter table ordered drop column a, add column "e ""E""" int;
alter table ordered add primary key ("e ""E""", c);
select * from dblink_get_pkey('ordered');
-- deferrable, and of a partitioned table, also where its index is not valid
create table deferred (a int primary key deferrable initially deferred);
select * from dblink_get_pkey('deferred');
create table parted (a int not null, b int not null) partition by list (b);
create table parted_1 partition of parted for values in (1);
alter table only parted add primary key (b, a);
select * from dblink_get_pkey('parted');
select * from dblink_get_pkey('parted_1');
-- a unique index is none
create table keyless (a int unique not null);
create view foo_view as select * from foo;
create table columnless ();
select * from dblink_get_pkey('keyless');
select * from dblink_get_pkey('foo_view');
select * from dblink_get_pkey('columnless');
-- names
create schema "Dblink ""local""";
create table "Dblink ""local"""."A.b" ("C c" int primary key);
select * from dblink_get_pkey('"Dblink ""local"""."A.b"');
create temp table foo (temporary int primary key);
select * from dblink_get_pkey('foo');
select * from dblink_get_pkey('FOO');
drop table pg_temp.foo;
select current_database() as db \gset
select * from dblink_get_pkey('"' || :'db' || '".dblink_local.foo');
select * from dblink_get_pkey('elsewhere.dblink_local.foo');
select * from dblink_get_pkey('a.b.c.d');
select * from dblink_get_pkey('nowhere');
select * from dblink_get_pkey('nowhere.foo');
select * from dblink_get_pkey('"Foo"');
select local_state($$ select dblink_get_pkey('foo_pkey') $$);
select local_state($$ select dblink_get_pkey('dblink_pkey_results') $$);
select * from dblink_get_pkey('');
select * from dblink_get_pkey('foo bar');
select * from dblink_get_pkey('foo.');
select * from dblink_get_pkey('"foo');

--
-- Statements
--
insert into foo values (0, 'a', '{"a0","b0","c0"}'), (1, 'b', null), (2, '', '{}');
select dblink_build_sql_insert('foo', '1 2', 2, '{"0", "a"}', '{"99", "xyz"}');
select dblink_build_sql_update('foo', '1 2', 2, '{"0", "a"}', '{"99", "xyz"}');
select dblink_build_sql_delete('foo', '1 2', 2, '{"99", "xyz"}');
select dblink_build_sql_insert('foo', '1 2', 2, '{1,b}', '{1,b}');
select dblink_build_sql_update('foo', '1 2', 2, '{2,""}', '{2,""}');
-- the key in another order, a column twice, fewer than there are, or more
select dblink_build_sql_insert('foo', '2 1', 2, '{a,0}', '{xyz,99}');
select dblink_build_sql_update('foo', '1 1', 2, '{0,0}', '{98,99}');
select dblink_build_sql_delete('foo', '1 1', 2, '{98,99}');
select dblink_build_sql_update('foo', '1 2', 1, '{0}', '{99}');
select dblink_build_sql_delete('foo', '1 2', 1, '{99}');
select dblink_build_sql_delete('foo', '2', 10, '{xyz}');
select dblink_build_sql_delete('foo', '3 1', 2147483647, '{"{x}",99}');
-- arrays of several dimensions, and with other bounds
select dblink_build_sql_insert('foo', '1 2', 2, '{{0,a}}', '{{99},{xyz}}');
select dblink_build_sql_insert('foo', '1 2', 2, '[5:6]={0,a}', '[0:1]={99,xyz}');
-- NULL as an argument, and as a value
select dblink_build_sql_insert('foo', '1 2', 2, '{1,b}', null) is null,
	dblink_build_sql_update(null, '1 2', 2, '{1,b}', '{1,b}') is null,
	dblink_build_sql_delete('foo', null, 2, '{1,b}') is null,
	dblink_build_sql_delete('foo', '1', null, '{1}') is null;
select dblink_build_sql_insert('foo', '1 3', 2, '{1,null}', '{null,null}');
select dblink_build_sql_update('foo', '1 3', 2, '{1,null}', '{null,"null"}');
select dblink_build_sql_delete('foo', '2 3', 2, '{null,null}');
select dblink_build_sql_insert('foo', '3', 1, '{null}', '{x}');
-- a row that is not there, or not the only one
select dblink_build_sql_insert('foo', '1 2', 2, '{3,c}', '{3,c}');
select dblink_build_sql_update('foo', '1 2', 2, '{1,null}', '{3,c}');
insert into foo values (1, 'bb', null);
select dblink_build_sql_insert('foo', '1', 1, '{1}', '{3}');
select dblink_build_sql_update('foo', '3', 1, '{null}', '{x}');
-- what a DELETE says is not looked at
select dblink_build_sql_delete('foo', '1', 1, '{x}');
select dblink_build_sql_delete('keyless', '1', 1, '{1; drop table foo}');
-- lengths
select dblink_build_sql_insert('foo', '1 2', 2, '{0}', '{99,xyz}');
select dblink_build_sql_insert('foo', '1 2', 2, '{0,a,b}', '{99,xyz}');
select dblink_build_sql_insert('foo', '1 2', 2, '{}', '{99,xyz}');
select dblink_build_sql_insert('foo', '1 2', 2, '{0,a}', '{99}');
select dblink_build_sql_insert('foo', '1 2', 2, '{0,a}', '{99,xyz,1}');
select dblink_build_sql_insert('foo', '1 2', 2, '{0}', '{99}');
select dblink_build_sql_update('foo', '1 2', 2, '{0}', '{99,xyz}');
select dblink_build_sql_update('foo', '1 2', 2, '{0,a}', '{99}');
select dblink_build_sql_update('foo', '1 2', 2, '{0,a}', '{}');
select dblink_build_sql_delete('foo', '1 2', 2, '{99}');
select dblink_build_sql_delete('foo', '1 2', 2, '{99,xyz,1}');
select dblink_build_sql_delete('foo', '1 2', 1, '{99,xyz}');
-- columns that there are not
select dblink_build_sql_insert('foo', '1 2', 0, '{}', '{}');
select dblink_build_sql_insert('foo', '1 2', -1, '{}', '{}');
select dblink_build_sql_insert('foo', '', 2, '{}', '{}');
select dblink_build_sql_insert('foo', '4', 1, '{x}', '{x}');
select dblink_build_sql_insert('foo', '1 -1', 2, '{0,a}', '{0,a}');
select dblink_build_sql_update('foo', '0', 1, '{x}', '{x}');
select dblink_build_sql_delete('foo', '32767', 1, '{x}');
select dblink_build_sql_delete('foo', '1 4', 1, '{x}');
select dblink_build_sql_delete('columnless', '1', 1, '{x}');
-- values that the columns do not have
select dblink_build_sql_insert('foo', '1', 1, '{x}', '{0}');
select dblink_build_sql_update('foo', '2 3', 2, '{a,x}', '{0}');
select dblink_build_sql_update('foo', '2 3', 2, '{a,x}', '{0,0}');
-- not a table
select dblink_build_sql_insert('nowhere', '1', 1, '{x}', '{0}');
select local_state($$ select dblink_build_sql_update('foo_pkey', '1', 1, '{x}', '{0}') $$);
select dblink_build_sql_delete('', '1', 1, '{x}');
select dblink_build_sql_update('foo_view', '2', 1, '{a}', '{"a view"}');
-- an error while the row is read
create view failing as select f1, 1 / f1 as f2 from foo;
select dblink_build_sql_update('failing', '1', 1, '{0}', '{1}');

--
-- Dropped columns do not count, and do not show
--
create table gaps (d1 int, a int, d2 int, b text, d3 int, c text, d4 int);
insert into gaps values (1, 10, 2, 'b', 3, 'c', 4);
alter table gaps drop column d1, drop column d2, drop column d3, drop column d4;
alter table gaps add primary key (c, a);
select * from dblink_get_pkey('gaps');
select dblink_build_sql_insert('gaps', '1 3', 2, '{10,c}', '{11,cc}');
select dblink_build_sql_update('gaps', '3 1', 2, '{c,10}', '{cc,11}');
select dblink_build_sql_delete('gaps', '1 3', 2, '{11,cc}');
select dblink_build_sql_delete('gaps', '2', 1, '{b}');
select dblink_build_sql_delete('gaps', '4', 1, '{x}');
select dblink_build_sql_delete('gaps', '7', 1, '{x}');
alter table gaps add column d int default 5;
select dblink_build_sql_insert('gaps', '4', 1, '{5}', '{6}');

--
-- Names and values that need quotes
--
create table "Dblink ""local"""."select" ("C c" int primary key, "order" text, """" text, v text);
insert into "Dblink ""local"""."select" values (1, 'it''s', E'back\\slash', E'new\nline');
select dblink_build_sql_insert('"Dblink ""local""".select', '1', 1, '{1}', '{"2''; --"}');
select dblink_build_sql_update('"Dblink ""local""".select', '1 2', 2, '{1,it''s}', E'{2,"\\\\"}');
select dblink_build_sql_delete('"Dblink ""local""".select', '3 2', 2, E'{"\\"\\\\",''}');
set search_path = dblink_local, public, test, "Dblink ""local""";
select dblink_build_sql_update('select', '1', 1, '{1}', '{1}');
create temp table "select" ("C c" int);
select dblink_build_sql_delete('select', '1', 1, '{1}');
select dblink_build_sql_update('"Dblink ""local""".select', '1', 1, '{1}', '{1}');
drop table pg_temp."select";
set search_path = dblink_local, public, test;
set quote_all_identifiers = on;
select dblink_build_sql_insert('foo', '1 2', 2, '{1,b}', '{1,b}');
reset quote_all_identifiers;

--
-- Values as text
--
create domain dblink_domain as numeric(5, 2);
create table kinds (
	id int generated always as identity, c char(5) default 'x', b bytea, d date, t timestamptz,
	n dblink_domain, j jsonb, r foo, a text[], f float8, l bool,
	g int generated always as (length(a[1])) stored
);
insert into kinds (c, b, d, t, n, j, r, a, f, l) values ('ab', '\x00ff', '2020-01-02',
	'2020-01-02 03:04:05+00', 1.5, '{"a": null}', (1, 'b', '{c}'), '{"d e"}', 0.1, true);
set timezone = 'UTC';
set datestyle = 'ISO, MDY';
select dblink_build_sql_insert('kinds', '1', 1, '{1}', '{2}');
set datestyle = 'SQL, DMY';
select dblink_build_sql_update('kinds', '1 11', 2, '{1,yes}', '{1,maybe}');
reset datestyle;
reset timezone;
-- char(n) is found without its blanks, a number however it is written
select dblink_build_sql_update('kinds', '2 6', 2, '{ab,1.500}', '{c,2}')
	like '%WHERE c = ''c'' AND n = ''2''';

--
-- In a transaction, in a function, and of rows that the command has made
--
create function local_then(a int) returns text language plpgsql volatile as $$
begin
	insert into keyless values (a);
	return dblink_build_sql_insert('keyless', '1', 1, array[a::text], array['7']);
end
$$;
select local_then(1), local_then(2);
select local_then(3), dblink_build_sql_insert('keyless', '1', 1, '{3}', '{8}');
delete from keyless where a = 3;
begin;
delete from keyless;
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{1}');
rollback;
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{1}');
select f1, dblink_build_sql_delete('foo', '1 2', 2, array[f1::text, f2]) from foo order by f1, f2;
-- no lock stays
begin;
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{1}');
select dblink_build_sql_delete('ordered', '1', 1, '{1}');
select * from dblink_get_pkey('gaps');
select relation::regclass::text from pg_locks where pid = pg_backend_pid()
	and relation in ('ordered'::regclass, 'gaps'::regclass);
commit;

--
-- Rights: SELECT on the table, all of it
--
grant select on keyless to regress_dblink_local;
grant select (f1, f2) on foo to regress_dblink_local;
grant insert, update, delete on gaps to regress_dblink_local;
grant select on all tables in schema "Dblink ""local""" to regress_dblink_local;
set role regress_dblink_local;
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{2}');
select dblink_build_sql_insert('foo', '1 2', 2, '{0,a}', '{0,a}');
select dblink_build_sql_update('gaps', '1', 1, '{10}', '{10}');
select dblink_build_sql_delete('gaps', '1', 1, '{10}');
select dblink_build_sql_delete('gaps', '99', 1, '{10}');
select * from dblink_get_pkey('gaps');
select * from dblink_get_pkey('foo');
select * from dblink_get_pkey('foo_view');
select * from dblink_get_pkey('keyless');
select * from dblink_get_pkey('"Dblink ""local""".select');
select dblink_build_sql_delete('"Dblink ""local""".select', '1', 1, '{1}');
reset role;
-- of the table, not of those that it has its rows from
grant select on foo_view, parted to regress_dblink_local;
insert into parted values (1, 1);
set role regress_dblink_local;
select dblink_build_sql_update('foo_view', '2', 1, '{a}', '{a}');
select dblink_build_sql_update('parted', '1', 1, '{1}', '{2}');
reset role;
-- row security is that of the caller
alter table keyless enable row level security;
create policy few on keyless using (a > 1);
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{2}');
set role regress_dblink_local;
select dblink_build_sql_insert('keyless', '1', 1, '{1}', '{2}');
select dblink_build_sql_insert('keyless', '1', 1, '{2}', '{2}');
reset role;
-- SECURITY DEFINER lends its rights
create function lent() returns text language sql security definer
	set search_path = dblink_local as $$ select dblink_build_sql_delete('gaps', '1', 1, '{10}') $$;
set role regress_dblink_local;
select lent();
reset role;

--
-- The statement under way
--
select dblink_current_query();
select dblink_current_query() = current_query() from generate_series(1, 2);
do $$ begin raise notice '%', dblink_current_query(); end $$;

--
-- The validator
--
create function local_verdict(option text, catalog regclass) returns text
language plpgsql as $$
declare
	message text;
	hint text;
begin
	perform dblink_fdw_validator(array[option || '=' || option], catalog);
	return 'valid';
exception when others then
	get stacked diagnostics message = message_text, hint = pg_exception_hint;
	-- The names that a hint has are of libpq, and differ between versions.
	return sqlstate || ' ' || message
		|| case when hint ~ '^There are no' then E'\n' || hint else '' end;
end
$$;
select option, catalog, local_verdict(option, catalog)
from unnest(array['host', 'user', 'password', 'sslpassword', 'sslkey', 'client_encoding',
	'replication', 'no_such_thing', '', 'HOST', 'min_size', 'password_required']) option,
	unnest('{pg_foreign_data_wrapper,pg_foreign_server,pg_user_mapping,pg_class}'::regclass[])
		catalog;
select dblink_fdw_validator(null, 'pg_foreign_server'::regclass);
select dblink_fdw_validator('{}', 'pg_foreign_data_wrapper'::regclass);
select dblink_fdw_validator('{}', 0);
select dblink_fdw_validator('{host}', 'pg_foreign_server'::regclass);
select local_verdict(repeat('x', 200), 'pg_foreign_server')
	= 'HV00J invalid option "' || repeat('x', 200) || '"';
-- it looks at names only
\set VERBOSITY terse
create server local_server foreign data wrapper dblink_fdw options (host 'a b', port 'none');
alter server local_server options (add application_name '');
alter server local_server options (add user 'x');
alter server local_server options (drop host);
alter server local_server options (add password 'x');
create user mapping for public server local_server options (user '', password 'x');
alter user mapping for public server local_server options (add port '1');
create foreign table local_table (a int) server local_server options (a 'b');
create foreign table local_table (a int) server local_server;
select * from local_table;
alter foreign data wrapper dblink_fdw options (host 'x');

\set VERBOSITY default
set client_min_messages = warning;
drop schema "Dblink ""local""" cascade;
drop owned by regress_dblink_local;
drop role regress_dblink_local;
drop extension pool_dblink cascade;
drop schema dblink_local cascade;
