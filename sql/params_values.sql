--
-- Values as parameters: from SQL values to what the remote receives.
-- The server "loopback" is this very database.
--
\set SHOW_CONTEXT never
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';

-- The remote is told the types that it knows; of a domain the type below it.
create function params_type(sql_type text, value text) returns text
language plpgsql as $$
declare
	answer text;
begin
	execute format('select * from pool_query(''loopback'', '
				   '''select pg_typeof(a) from (select $1 as a) t'', %L::%s) as t(a text)',
				   value, sql_type)
		into answer;
	return answer;
end
$$;
create domain params_positive as int check (value > 0);
create domain params_bytes as bytea;
create type params_mood as enum ('sad', 'ok', 'happy');
create type params_pair as (n int, t text);
select sql_type, params_type(sql_type, value)
from (values ('bool', 't'), ('int2', '1'), ('int4', '1'), ('int8', '1'),
			 ('float4', '1'), ('float8', '1'), ('numeric(6,2)', '1'),
			 ('text', 'x'), ('varchar(3)', 'x'), ('char(3)', 'x'),
			 ('name', 'x'), ('"char"', 'x'), ('bytea', 'x'),
			 ('date', 'today'), ('time', '10:00'), ('timetz', '10:00'),
			 ('timestamp', 'now'), ('timestamptz', 'now'),
			 ('interval', '1 day'), ('uuid', null), ('inet', null),
			 ('json', '{}'), ('jsonb', '{}'), ('xml', null), ('point', '(1,2)'),
			 ('int4range', 'empty'), ('int4multirange', '{}'), ('bit(3)', '101'),
			 ('tsvector', 'a'), ('pg_lsn', '0/0'), ('oid', '1'), ('xid8', '1'),
			 ('int4[]', '{1}'), ('text[]', '{x}'), ('timestamptz[]', '{now}'),
			 ('params_positive', '1'), ('params_bytes', 'x'),
			 ('information_schema.sql_identifier', 'x'))
	 as t(sql_type, value);
-- Of other types nothing is said, and the remote infers: here that it is text.
select sql_type, params_type(sql_type, value)
from (values ('params_mood', 'ok'), ('params_pair', '(1,a)'),
			 ('params_mood[]', '{ok}'), ('params_positive[]', '{1}'),
			 ('regclass', 'pg_class'), ('regtype[]', '{int4}'))
	 as t(sql_type, value);
-- Literals without a type have the type that the remote wants.
select * from pool_query('loopback', 'select $1 + 1, $2 || ''!'', $3::date, $4',
						 '41', 'hey', '2024-02-29', null)
	as t(a int, b text, c date, d text);

-- Values of all types arrive as they are.
create table params_values (
	b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric,
	t text, vc varchar(10), ch char(5), nm name, c1 "char", bin bytea,
	d date, tm time, tmz timetz, ts timestamp, tsz timestamptz, iv interval,
	u uuid, ip inet, ci cidr, j json, jb jsonb, p point, r int4range,
	mr int4multirange, bt bit(3), vb varbit, tsv tsvector, tsq tsquery,
	lsn pg_lsn, mac macaddr, ia int4[], ta text[], ba bytea[], tsa timestamptz[],
	dom params_positive, mood params_mood, pair params_pair, rc regclass
);
insert into params_values values
	(true, -32768, -2147483648, -9223372036854775808, 1.1, 0.1, 'NaN',
	 E'quote '' backslash \\ dollar $1 tab \t newline \n end', 'abc', 'ab',
	 'some name', 'x', '\x00ff0027005c', '4713-01-01 BC', '23:59:59.999999',
	 '12:00:00+05:30', '2024-02-29 23:59:59.123456',
	 '0044-03-15 12:00:00 BC', '-1 year -2 months +3 days -04:05:06.789',
	 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '10.0.0.1/8', '10.0.0.0/8',
	 '{"a":  1}', '{"a": [1, null, "x"]}', '(1.5,-2)', '[1,5)',
	 '{[1,3),[5,)}', '101', '10101', '''a b'':1A c:2', 'a & !b', '16/B374D848',
	 '08:00:2b:01:02:03', '{{1,2},{3,NULL}}',
	 array['a,b', '{x}', 'q"q', '', null, 'NULL', E'\\'], array['\x00'::bytea],
	 '{infinity,-infinity,2024-02-29 12:00:00+03}', 7, 'happy',
	 row(1, 'a "b", (c)'), 'params_values'),
	(false, 32767, 2147483647, 9223372036854775807, 'Infinity',
	 1.7976931348623157e308, '-12345678901234567890.123456789', '', '', '',
	 '', '', '', 'infinity', '24:00:00', '00:00:00-12', '-infinity', 'infinity',
	 '0', '00000000-0000-0000-0000-000000000000', '::1', '::/0', 'null', '[]',
	 '(0,0)', 'empty', '{}', '000', '', '', 'a', '0/0', '00:00:00:00:00:00', '{}',
	 '{}', '{}', '{}', 1, 'sad', row(null, ''), 'pg_catalog.pg_class');
insert into params_values default values;

create table params_copy (like params_values);
create function params_copy() returns bigint language plpgsql as $$
declare
	r params_values;
	n bigint := 0;
begin
	for r in select * from params_values loop
		n := n + pool_exec('loopback', 'insert into params_copy values ('
			|| (select string_agg('$' || i, ', ') from generate_series(1, 41) i) || ')',
			r.b, r.i2, r.i4, r.i8, r.f4, r.f8, r.n, r.t, r.vc, r.ch, r.nm, r.c1,
			r.bin, r.d, r.tm, r.tmz, r.ts, r.tsz, r.iv, r.u, r.ip, r.ci, r.j,
			r.jb, r.p, r.r, r.mr, r.bt, r.vb, r.tsv, r.tsq, r.lsn, r.mac, r.ia,
			r.ta, r.ba, r.tsa, r.dom, r.mood, r.pair, r.rc);
	end loop;
	return n;
end
$$;
select params_copy();

-- So they do whatever the session's settings are, which stay as they are.
begin;
set local datestyle = 'German, DMY';
set local intervalstyle = 'sql_standard';
set local extra_float_digits = -15;
set local timezone = 'Asia/Kolkata';
set local bytea_output = 'escape';
set local search_path = pg_catalog, public;
select params_copy();
rollback;

-- Each of the three rows came twice, with nothing lost.
select count(*), count(distinct c::text),
	   count(*) filter (where c::text in (select v::text from params_values v)) as equal
	from params_copy c;

begin;
set local datestyle = 'German, DMY';
set local intervalstyle = 'iso_8601';
set local extra_float_digits = -3;
select * from pool_query('loopback', 'select $1 = date ''2024-03-04'',
		$2 = interval ''-1 day 2 hours'', $3 = 0.1::float8 + 0.2,
		$4::text, $5::text',
		date '2024-03-04', interval '-1 day 2 hours', 0.1::float8 + 0.2,
		array[timestamp '2024-03-04 05:06:07'], row(date '2024-03-04'))
	as t(a bool, b bool, c bool, d text, e text);
select current_setting('datestyle'), current_setting('intervalstyle'),
	   current_setting('extra_float_digits');
rollback;

-- An interval that sql_standard writes has other signs where it is read by another style.
begin;
set local intervalstyle = 'sql_standard';
select a from pool_query('loopback', 'select $1 = interval ''-1 day -2 hours''',
		interval '-1 day -2 hours') as t(a bool);
rollback;

-- Names of objects are qualified, whatever the search_path is.
create schema params_schema;
create table params_schema.there (a int);
begin;
set local search_path = params_schema, public;
select 'there'::regclass,
	   (select a from pool_query('loopback', 'select $1::text', 'there'::regclass) as t(a text));
select current_setting('search_path');
rollback;

-- Binary data can be any byte, nothing, a lot, compressed, and out of line.
create table params_bytea (a bytea);
insert into params_bytea
	select decode(repeat('00010203ff', 100000), 'hex') union all
	select decode(string_agg(md5(i::text), ''), 'hex') from generate_series(1, 10000) i;
select length(a), b.length, md5(a) = b.md5 as same
	from params_bytea,
		 pool_query('loopback', 'select length($1), md5($1)', a) as b(length int, md5 text);
select * from pool_query('loopback', 'select $1 = $2, octet_length($3), $4 is null',
						 '\x0001ff00'::bytea, '\x0001ff00'::params_bytes, ''::bytea, null::bytea)
	as t(a bool, b int, c bool);

-- A value is never read as SQL.
select * from pool_query('loopback', 'select $1', $$'; drop table params_values; --$$) as t(a text);
select count(*) from params_values;

drop table params_values, params_copy, params_bytea, params_schema.there;
drop schema params_schema;
drop function params_type, params_copy;
drop type params_mood, params_pair;
drop domain params_positive, params_bytes;
