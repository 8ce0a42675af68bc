--
-- Statements of each kind on a server
--
\set SHOW_CONTEXT never

create table query_t (
	id int constraint query_t_key primary key,
	n int constraint query_t_positive check (n > 0),
	t text not null default 't');

--
-- pool_exec returns how many rows were affected
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
-- Statements without rows, and without anything at all, make no error.
select * from pool_query('loopback', 'delete from query_t where id = 13') as t(a int);
select * from pool_query('loopback', 'select 1 where false') as t(a int);
select pool_query('loopback', 'analyze query_t');
select pool_exec('loopback', '');
select pool_exec('loopback', ' -- nothing');
select * from pool_query('loopback', ';;') as t(a int);
select pool_query('loopback', '');
select * from pool_query_json('loopback', '');
-- Of several statements the last one's result is returned.
select * from pool_query('loopback', 'select 1; select 2, 3; select 4') as t(a int);
select * from pool_query('loopback',
	'insert into query_t values (20, 1); select count(*) from query_t') as t(a bigint);
select * from pool_query('loopback', 'select 1; delete from query_t where id = 20') as t(a int);
select pool_exec('loopback', 'select from generate_series(1, 5); delete from query_t where id < 3');
-- They are one transaction, unless they say otherwise.
select pool_exec('loopback',
	'insert into query_t values (21, 1); insert into query_t values (21, 1)');
select pool_exec('loopback', 'begin; insert into query_t values (22, 1); commit; select 1 / 0');
select pool_exec('loopback', 'begin; insert into query_t values (23, 1); rollback');
select id from query_t where id > 20;
-- By a rule one of several, which a semicolon in a literal may look like, can have
-- more than one set of rows; by itself it has none of them.
create table query_ruled (t text);
create rule query_rule as on insert to query_ruled do also (select 1 as a; select 2 as b);
select pool_exec('loopback', 'insert into query_ruled values (''a'')');
select pool_exec('loopback', 'insert into query_ruled values (''a;b'')');
select pool_exec('loopback', 'insert into query_ruled values (''c''); select 1');
select * from pool_query('loopback', 'insert into query_ruled values (''d;e'')') as t(a int);
select t from query_ruled order by t;
drop table query_ruled;
-- Several with parameters are refused: the protocol has no such thing.
select pool_exec('loopback', 'select $1; select 2', 1);
-- Rows may have no columns, many, and wide ones.
select count(*) from (select pool_query('loopback', 'select from generate_series(1, 3)')) s;
select count(*), count(a), count(b)
	from pool_query('loopback', 'select null, nullif(i, 2) from generate_series(1, 3) i')
	as t(a text, b int);
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
select length(a), md5(a) = md5(repeat('wide', 5000000))
	from pool_query('loopback', 'select repeat(''wide'', 5000000)') as t(a text);
select length(a), length(b)
	from pool_query('loopback', 'select repeat(''x'', 100000), $1', repeat('y', 3000000))
	as t(a text, b text);
select count(*), sum(length(a))
	from pool_query('loopback', 'select repeat(''x'', 100000) from generate_series(1, 200)')
	as t(a text);
-- Columns that do not fit the column list are refused.
select * from pool_query('loopback', 'select 1, 2') as t(a int);
select * from pool_query('loopback', 'select 1') as t(a int, b int);
select * from pool_query('loopback', 'select now() as at') as t(a int);

-- COPY from or to the client is refused, and the next statement runs.
select * from pool_query_json('loopback', 'copy query_t to stdout');
select pool_query('loopback', 'copy (select 1) to stdout');
select * from pool_query('loopback', 'copy query_t from stdin') as t(a int);
select pool_exec('loopback', 'select 1; copy query_t to stdout; select 2');
select pool_exec('loopback', 'copy query_t to program ''cat >/dev/null''');
select pool_query('loopback', 'select ''after''');

-- A statement cannot leave a transaction open: it is rolled back, with an error.
select pool_exec('loopback', 'begin');
select pool_exec('loopback', 'start transaction; insert into query_t values (30, 1)');
select pool_query('loopback', 'begin; insert into query_t values (31, 1) returning id');
select pool_exec('loopback', 'begin; insert into query_t values (32, 1); commit and chain');
select pool_exec('loopback', 'begin; select 1 / 0');
select pool_exec('loopback',
	'begin; insert into query_t values (33, 1); savepoint s; select 1 / 0');
select * from pool_query('loopback', 'select count(*) from query_t where id >= 30 and id <> 32')
	as t(a bigint);
select id from query_t where id = 32;
select pool_exec('loopback', 'savepoint s');
-- The end of the local transaction changes nothing on the remote.
begin;
select pool_exec('loopback', 'insert into query_t values (34, 1)');
rollback;
select id from query_t where id = 34;

drop table query_t;
