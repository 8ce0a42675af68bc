--
-- Leases and subtransactions: a lease ends with the savepoint or exception block
-- that acquired it, if that is rolled back
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

--
-- A rollback to a savepoint ends the leases that were acquired after it
--
begin;
select pool_acquire('loopback') as outer \gset
savepoint one;
select pool_acquire('loopback') as first \gset
savepoint two;
select pool_acquire('loopback') as second \gset
select live(:outer) as outer, live(:first) as first, live(:second) as second;
rollback to two;
select live(:outer) as outer, live(:first) as first, live(:second) as second;
-- A lease from outside can be used inside, and survives; what it did survives too.
select pool_exec(:outer, 'begin');
savepoint three;
select pool_exec(:outer, 'insert into lease_t values (1)');
rollback to three;
select pool_query(:outer, 'select * from lease_t');
-- RELEASE SAVEPOINT leaves the leases to the savepoint around it.
savepoint four;
select pool_acquire('loopback') as third \gset
release four;
select live(:third) as third;
rollback to one;
select live(:outer) as outer, live(:first) as first, live(:third) as third;
-- A release inside stands after the rollback.
savepoint five;
select pool_exec(:outer, 'rollback');
select pool_release(:outer);
rollback to five;
select live(:outer) as outer;
select active from lease_active;
commit;

--
-- An exception block ends the leases that were acquired in it, if it fails
--
do $$
declare
	outside bigint := pool_acquire('loopback');
	inside bigint;
	kept bigint;
begin
	begin
		inside := pool_acquire('loopback');
		raise notice 'inside %', live(inside);
		perform 1 / 0;
	exception when division_by_zero then
		raise notice 'caught: outside %, inside %', live(outside), live(inside);
	end;
	begin
		kept := pool_acquire('loopback');
	exception when others then
		raise notice 'not here';
	end;
	raise notice 'kept %, active %', live(kept), (select active from lease_active);
	-- an error of the remote leaves the lease as it was
	begin
		perform pool_query(outside, 'select 1 / 0');
	exception when division_by_zero then
		raise notice 'after an error %', live(outside);
	end;
end
$$;
select active from lease_active;
-- An error of this session in the middle of a result costs an outer lease nothing: the
-- rest of the answer is thrown away.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (5)');
savepoint s;
select count(*) from pool_query(:lease,
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 100000) i')
	as t(a int);
rollback to s;
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pool_release(:lease);
select pool_query('loopback', 'select 1');
commit;
select count(*) from lease_t;
-- Nothing is left over, however often that happens.
do $$
declare
	caught int := 0;
begin
	for i in 1..50 loop
		begin
			perform pool_acquire('loopback'), pool_acquire('loopback', hold => true);
			perform pool_exec(pool_acquire('loopback'), 'begin; insert into lease_t values (7)');
			perform 1 / 0;
		exception when division_by_zero then
			caught := caught + 1;
		end;
	end loop;
	raise notice 'caught %, active %', caught, (select active from lease_active);
end
$$;
select at_rest();
select count(*) from lease_t;
drop table lease_t;
