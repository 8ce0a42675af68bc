--
-- Remote transactions of a lease: one that is open when the lease ends is rolled
-- back
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

--
-- Whatever ends the lease rolls back what is open, and nothing else
--
-- A release rolls it back.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
select pool_release(:lease);
commit;
select at_rest();
select count(*) from lease_t;
-- So does a commit, with a warning.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
\set VERBOSITY sqlstate
commit;
\set VERBOSITY default
select at_rest();
select count(*) from lease_t;
-- So does a rollback, without one.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
rollback;
select at_rest();
select count(*) from lease_t;
-- One that ended before the lease ends as it said.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin');
select pool_exec(:lease, 'insert into lease_t values (1)');
select pool_exec(:lease, 'commit');
select pool_exec(:lease, 'begin; insert into lease_t values (2); rollback');
select pool_exec(:lease, 'insert into lease_t values (3)');
rollback;
select a from lease_t order by a;
truncate lease_t;
-- One that failed refuses statements until it is rolled back.
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin');
select outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pool_exec(:lease, 'rollback');
select pool_query(:lease, 'select 1');
select pool_exec(:lease, 'begin; insert into lease_t values (1); savepoint s');
select outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select pool_exec(:lease, 'rollback to s; commit');
select pool_exec(:lease, 'begin');
select outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select pool_release(:lease);
commit;
select at_rest();
select a from lease_t;
truncate lease_t;

-- PREPARE TRANSACTION is refused while there is a lease, whether or not this server allows it.
begin;
select pool_acquire('loopback') as lease \gset
prepare transaction 'lease_prepared';
select live(:lease);
select pool_acquire('loopback', hold => true) as lease \gset
begin;
prepare transaction 'lease_prepared';
select live(:lease);
select pool_release(:lease);
drop table lease_t;
