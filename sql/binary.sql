--
-- Results in binary format: from its second run on, a statement that has returned
-- a thousand rows gets them in the format of their types, where all columns of
-- the list have the types that the remote has.  The server "loopback" is this very
-- database.
--
\set SHOW_CONTEXT never
set datestyle = 'ISO, YMD';
set intervalstyle = 'postgres';
set timezone = 'UTC';

create table binary_values as select
	n % 2 = 0 as b, n::int2 as i2, n * 1000 as i4, n * 10000000000 as i8,
	(n * 1.1)::float4 as f4, case n when 1 then 'NaN' when 2 then '-Infinity' when 3 then '-0'
	else n * 1.1 end::float8 as f8, case n when 1 then 'NaN' when 2 then 'Infinity'
	else n * 1.10 end::numeric as nu, n::oid as o, decode(repeat('00ff', n % 5), 'hex') as by,
	md5(n::text)::uuid as u, case n when 1 then 'infinity' when 2 then '4713-01-01 BC'
	else date '2024-02-29' + n end::date as d, time '00:00' + n * interval '1.5 s' as t,
	timetz '00:00+03:30' + n * interval '1.5 s' as tz,
	case n when 1 then '-infinity' else timestamp '1999-12-31' + n * interval '1.000001 h' end as ts,
	case n when 1 then 'infinity' else timestamptz '1999-12-31' + n * interval '1.000001 h' end as tstz,
	n * interval '1 mon -2 days 03:04:05.6' as iv,
	'värde ' || n as te, n::varchar(9) as vc, n::char(6) as ch, ('n' || n)::name as na,
	json_build_object('a', n) as js, array[n, null, -n] as ai, array[[n * 1.5], [null]]::numeric[] as an,
	array[timestamptz '2024-01-01' + n * interval '1 s'] as at
	from generate_series(1, 1000) n;
-- And nulls.
insert into binary_values (i4, te) select n, null from generate_series(1, 500) n;

-- The list of columns with their types, as a query names them.
select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' order by attnum) as list
	from pg_attribute where attrelid = 'binary_values'::regclass and attnum > 0 \gset
-- What tells the formats apart: text in this style would be refused.
create function binary_style(style text) returns date language plpgsql as $$
begin
	perform set_config('DateStyle', style, true);
	return '2024-02-01';
end
$$;
\set query 'select v.*, binary_style($1) from binary_values v'
create table binary_first as select * from pool_query('loopback', :'query', 'ISO') as t(:list, style date);
create table binary_second as select * from pool_query('loopback', :'query', 'German') as t(:list, style date);
select count(*), count(distinct style) from binary_second;
select count(*) from (select t::text from binary_first t except all select t::text from binary_second t) as x;
select count(*) from (select t::text from binary_second t except all select t::text from binary_first t) as x;

-- Types that are not exactly the remote's are read from text, strings excepted.
\set query 'select n, n::text, binary_style($1) from generate_series(1, 1000) n'
select count(*) from pool_query('loopback', :'query', 'ISO') as t(a int, b text, c date);
select count(*) from pool_query('loopback', :'query', 'German') as t(a int8, b text, c date);
select sum(a), sum(b) from pool_query('loopback', :'query', 'German') as t(a int, b int, c date);
-- So are domains, and types that are none of those.
create domain binary_small as int check (value < 1000);
select count(*) from pool_query('loopback', :'query', 'German') as t(a binary_small, b text, c date);
select count(*) from pool_query('loopback', :'query', 'ISO') as t(a binary_small, b text, c date);
\set query 'select to_jsonb(n), array[n::text], binary_style($1) from generate_series(1, 1000) n'
select count(*) from pool_query('loopback', :'query', 'ISO') as t(a jsonb, b text[], c date);
select count(*) from pool_query('loopback', :'query', 'German') as t(a jsonb, b text[], c date);
-- Without a column list the remote's types are taken.
\set query 'select n, binary_style($1) from generate_series(1, 1000) n'
select count(*) from (select pool_query('loopback', :'query', 'ISO')) as t;
select count(*) from (select pool_query('loopback', :'query', 'German')) as t;
-- Type modifiers and lengths apply as in text.
\set query 'select n * 1.239, ''abc'' || n, timestamp ''2024-01-01 00:00:00.6'' from generate_series(1, 1000) n'
create table binary_modified as select *
	from pool_query('loopback', :'query') as t(a numeric(9,1), b char(9), c timestamp(0));
select count(distinct t::text) from (select * from binary_modified union all select *
	from pool_query('loopback', :'query') as t(a numeric(9,1), b char(9), c timestamp(0))) as t;
select count(*) from pool_query('loopback', :'query') as t(a numeric(3,1), b text, c timestamp);
select count(*) from pool_query('loopback', :'query') as t(a numeric, b varchar(5), c timestamp);
-- Objects in JSON, and counts, need no columns.
select count(*), count(distinct j) from pool_query_json('loopback', :'query') as j;
select pool_exec('loopback', :'query');

-- Columns that are not the same any more; each run is one run.
create table binary_changed as select n as a from generate_series(1, 1000) n;
create sequence binary_runs;
\set query 'select a, nextval(''binary_runs'') - a from binary_changed'
select count(*) from pool_query('loopback', :'query') as t(a int, b int8);
select sum(a) from pool_query('loopback', :'query') as t(a int, b int8);
select last_value from binary_runs;
alter table binary_changed alter a type int8;
select sum(a) from pool_query('loopback', :'query') as t(a int, b int8);
select last_value from binary_runs;
select sum(a) from pool_query('loopback', :'query') as t(a int8, b int8);
select last_value from binary_runs;
select sum(a) from pool_query('loopback', :'query') as t(a int8);

-- Errors in the first part and in the second leave the connection in order.
alter table binary_changed rename a to b;
select test.outcome(format('select sum(a) from pool_query(''loopback'', %L) as t(a int8, b int8)', :'query'));
alter table binary_changed rename b to a;
\set query 'select 100 / (n - $1) from generate_series(1, 1000) n'
select count(*) from pool_query('loopback', :'query', 0) as t(a int);
select count(*) from pool_query('loopback', :'query', 0) as t(a int);
select count(*) from pool_query('loopback', :'query', 1000) as t(a int);
select count(*) from pool_query('loopback', :'query', 0) as t(a int);

-- In a transaction of a lease, too.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin');
select count(*) from pool_query(:lease, :'query', 0) as t(a int);
select pool_exec(:lease, 'savepoint s');
savepoint s;
select count(*) from pool_query(:lease, :'query', 1000) as t(a int);
rollback to s;
select pool_exec(:lease, 'rollback to s');
select count(*) from pool_query(:lease, :'query', 0) as t(a int);
select pool_exec(:lease, 'commit');
commit;

-- What a BINARY cursor gives to several statements in one text was not asked for.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin');
savepoint s;
select * from pool_query(:lease, 'declare c binary cursor for select 1; fetch c') as t(a int);
rollback to s;
select pool_exec(:lease, 'rollback');
commit;

--
-- Parameters: arrays of numbers and the like are sent in binary format
--
create domain binary_ints as int[];
select count(*), count(*) filter (where came is not distinct from sent) as same,
	count(*) filter (where t = sent) as text from
	(select a::text as sent, b.t, b.came from (values
		('{1,null,-2147483648}'::int[]), ('{}'), ('[0:1][-1:0]={{1,2},{3,4}}'), (null)) v(a),
		pool_query('loopback', 'select $1::text, $1', a) as b(t text, came text)) as ints;
select * from pool_query('loopback', 'select $1, $2, $3, $4, $5, $6, $7',
	array['NaN', '-0', 1e-300, 'Infinity']::float8[], array['NaN', 1.10, 1e100, null]::numeric[],
	array[true, false, null], array['2024-02-29', 'infinity', '4713-01-01 BC']::date[],
	array[md5('a')]::uuid[], array['\x00ff', '']::bytea[], array[1, 65535]::oid[])
	as t(a float8[], b numeric[], c bool[], d date[], e uuid[], f bytea[], g oid[]);
select * from pool_query('loopback', 'select $1, $2, $3', array[1, 2]::binary_ints,
	array[2.5]::float4[], array[-1, 32767]::int2[]) as t(a int[], b float4[], c int2[]);
select n from pool_query('loopback', 'select cardinality($1)',
	(select array_agg(i * 1.1) from generate_series(1, 100000) i)) as t(n int);
