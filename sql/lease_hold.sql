--
-- Leases that are held: they outlive their transaction, not their session
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

--
-- A lease that is held survives commit and rollback
--
select pool_acquire('loopback', hold => true) as held \gset
select live(:held);
begin;
select live(:held);
commit;
begin;
select 1 / 0;
rollback;
select live(:held), active from lease_active;
select pool_exec(:held, 'set application_name = ''held''');
select pool_query(:held, 'show application_name');
-- Its remote transaction goes on, however those of this session end.
select pool_exec(:held, 'begin');
select pool_exec(:held, 'insert into lease_t values (1)');
begin;
select pool_exec(:held, 'insert into lease_t values (2)');
commit;
begin;
select pool_exec(:held, 'insert into lease_t values (3)');
rollback;
select pool_query(:held, 'select count(*) from lease_t');
select count(*) from lease_t;
select pool_exec(:held, 'commit');
select count(*) from lease_t;
select pool_release(:held);
select live(:held);
truncate lease_t;
-- A release stands, even if the transaction around it is rolled back.
select pool_acquire('loopback', hold => true) as held \gset
begin;
select pool_release(:held);
rollback;
select live(:held);
-- A lease that is held does not survive the rollback of the transaction that acquired it.
begin;
select pool_acquire('loopback', hold => true) as held \gset
select live(:held);
rollback;
select live(:held);
begin;
select pool_acquire('loopback', hold => true) as held \gset
commit;
select live(:held);
select pool_release(:held);
select pool_acquire('loopback', '1s', true) as held \gset
select pool_release(:held);
-- Nor a rollback to a savepoint before it.
begin;
select pool_acquire('loopback', hold => true) as before \gset
savepoint s;
select pool_acquire('loopback', hold => true) as within \gset
rollback to s;
select live(:before) as before, live(:within) as within;
commit;
select live(:before) as before, live(:within) as within;
select pool_release(:before);
select active from lease_active;

--
-- The end of the session ends it, and rolls its remote transaction back
--
select pool_acquire('loopback', hold => true) as held \gset
select pool_exec(:held, 'begin; insert into lease_t values (1)');
select backend(:held) as backend \gset
\c -
select at_rest();
select active, resetting, closing from pool_stats_all() where server = 'loopback';
select count(*) from lease_t;
select count(*) from pg_locks where relation = 'lease_t'::regclass and pid <> pg_backend_pid();
drop table lease_t;
