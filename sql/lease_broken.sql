--
-- Connections that break while they are leased
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

--
-- The next statement says so; then the lease can only be released, and other
-- leases go on
--
select pool_acquire('loopback', hold => true) as lease,
	pool_acquire('loopback', hold => true) as other \gset
select backend(:lease) as backend \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
select * from pool_query('loopback', 'select pg_terminate_backend($1, 10000)', :backend)
	as t(ended bool);
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select live(:other) as other;
select pool_query('loopback', 'select 1');
select pool_release(:lease);
select outcome(format('select pool_release(%s)', :lease));
select pool_release(:other);
select count(*) from lease_t;
-- A connection that ends in the middle of a statement gives the remote's own words.
begin;
select pool_acquire('loopback') as lease \gset
select outcome(format('select pool_query(%s, ''select pg_terminate_backend(pg_backend_pid())'')',
	:lease));
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
commit;
select outcome($$ select pool_query('loopback',
	'select pg_terminate_backend(pg_backend_pid())') $$);
select pool_query('loopback', 'select 1');
-- One that broke and was not used again ends at commit without a word.
begin;
select pool_acquire('loopback') as lease \gset
select pg_terminate_backend(backend(:lease), 10000);
commit;
select pool_query('loopback', 'select 1');
-- One that broke while it was idle is replaced unseen.
do $$
declare
	failed int := 0;
begin
	for i in 1..20 loop
		perform pg_terminate_backend(pid, 10000)
			from pool_query('loopback', 'select pg_backend_pid()') as t(pid int);
		begin
			perform pool_query('loopback', 'select 1');
		exception when others then
			failed := failed + 1;
		end;
	end loop;
	raise notice 'failed %', failed;
end
$$;
-- COPY costs a lease its connection.
begin;
select pool_acquire('loopback') as lease \gset
select outcome(format('select pool_exec(%s, ''copy lease_t to stdout'')', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
commit;
drop table lease_t;
