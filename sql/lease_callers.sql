--
-- Leases in whatever can call a function: triggers, procedures, cursors, parallel
-- plans
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

--
-- A trigger can have a lease for each row
--
create function lease_trigger() returns trigger
language plpgsql as $$
declare
	lease bigint := pool_acquire('loopback');
begin
	new.a := new.a + (select a from pool_query(lease, 'select 100') as t(a int));
	perform pool_release(lease);
	return new;
end
$$;
create trigger lease_trigger before insert on lease_t for each row execute function lease_trigger();
insert into lease_t select generate_series(1, 10);
select count(*), min(a), max(a) from lease_t;
select active from lease_active;
drop trigger lease_trigger on lease_t;
drop function lease_trigger;
truncate lease_t;

--
-- A procedure that commits keeps only the lease that is held
--
create procedure lease_procedure()
language plpgsql as $$
declare
	held bigint := pool_acquire('loopback', hold => true);
	lease bigint := pool_acquire('loopback');
begin
	perform pool_exec(held, 'begin');
	for i in 1..3 loop
		perform pool_exec(held, 'insert into lease_t values ($1)', i);
		commit;
	end loop;
	raise notice 'lease %, held %', live(lease), live(held);
	perform pool_exec(held, 'commit');
	perform pool_release(held);
end
$$;
call lease_procedure();
select count(*) from lease_t;
drop procedure lease_procedure;
-- A statement can use and release the lease that it acquires.
select pool_release(pool_acquire('loopback'));
select * from pool_query(pool_acquire('loopback'), 'select 1') as t(a int);
begin;
declare lease_cursor cursor for select pool_acquire('loopback') > 0 from generate_series(1, 3);
fetch 2 from lease_cursor;
select active from lease_active;
commit;
select active from lease_active;

-- Parallel workers have no connections, and their end does not end the leader's leases.
create table lease_parallel as select generate_series(1, 10000) as a;
analyze lease_parallel;
create function lease_safe() returns bigint
	language sql parallel safe as $$ select pool_exec('loopback', 'select 1') $$;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
set max_parallel_workers_per_gather = 2;
begin;
select pool_acquire('loopback') as lease \gset
explain (costs off) select sum(a) from lease_parallel;
select sum(a) from lease_parallel;
select live(:lease);
-- These are not run in parallel, since the functions are PARALLEL UNSAFE.
select sum(b) from lease_parallel, lateral pool_query(:lease, 'select $1', a) as t(b int)
	where a <= 10;
select count(*) from lease_parallel where a > 9990 and pool_exec(:lease, 'select 1') = 1;
commit;
-- The name of the setting changed in version 16.
select case when current_setting('server_version_num')::int < 160000
	then 'force_parallel_mode' else 'debug_parallel_query' end as forced \gset
set :forced = on;
select lease_safe();
begin;
select pool_acquire('loopback') as lease \gset
select sum(a) from lease_parallel;
select count(*) from pool_stats;
select live(:lease);
commit;
reset :forced;
reset parallel_setup_cost;
reset parallel_tuple_cost;
reset min_parallel_table_scan_size;
reset max_parallel_workers_per_gather;
drop table lease_parallel;
drop function lease_safe;

select at_rest();
drop table lease_t;
