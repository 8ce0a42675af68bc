--
-- Leases: how long they hold, and what becomes of them
--
\set SHOW_CONTEXT never

create table lease_t (a int primary key);

-- Runs a command and says what became of it.  The numbers of leases and the
-- time waited are not the same in every run.
create function pg_temp.outcome(command text) returns text
language plpgsql as $$
declare
	code text;
	message text;
	detail text;
	hint text;
begin
	execute command;
	return 'done';
exception when others then
	get stacked diagnostics code = returned_sqlstate, message = message_text,
		detail = pg_exception_detail, hint = pg_exception_hint;
	return code || ': ' || regexp_replace(
		message || coalesce(E'\n' || nullif(detail, ''), '') || coalesce(E'\n' || nullif(hint, ''), ''),
		'lease -?\d+', 'lease N', 'g');
end
$$;
create function pg_temp.live(lease bigint) returns bool
language plpgsql as $$
begin
	return (select a = lease from pool_query(lease, 'select $1', lease) as t(a bigint));
exception when undefined_object then
	return false;
end
$$;
create function pg_temp.backend(lease bigint) returns int
language sql as $$
	select pid from pool_query(lease, 'select pg_backend_pid()') as t(pid int)
$$;
-- Waits until nothing is leased and nothing is on its way back.
create function pg_temp.at_rest() returns bool
language sql as $$
	select comes_true($x$(select active + resetting + connecting + closing + waiting = 0
		and acquires = releases + lost from pool_stats where server = 'loopback')$x$)
$$;
create view lease_active as select active from pool_stats where server = 'loopback';

--
-- One lease is one remote session
--
begin;
select pool_acquire('loopback') as lease \gset
select pg_typeof(:lease::bigint), :lease > 0 as positive;
select pool_query(:lease, 'select 1 as a, ''x''::text as b');
select * from pool_query(:lease, 'select $1::int + 1', 41) as t(a int);
select x from pool_query_json(:lease, 'select 1 as a, null as b') x;
select x from pool_query_json(:lease, 'select $1 as a', 'x'::text) x;
select pool_exec(:lease, 'set work_mem = ''99kB''; create temporary table lease_temp (a int); prepare lease_prepared as select 7');
select pool_exec(:lease, 'insert into lease_temp values ($1), ($2)', 1, 2);
select * from pool_query(:lease, 'select count(*), current_setting(''work_mem'') from lease_temp') as t(a bigint, b text);
select pool_query(:lease, 'execute lease_prepared');
select count(distinct pg_temp.backend(:lease)) from generate_series(1, 5);
-- a statement beside it has another
select pg_temp.backend(:lease) <> pid as another from pool_query('loopback', 'select pg_backend_pid()') as t(pid int);
select a, (select b from pool_query('loopback', 'select count(*) from pg_class where relname = ''lease_temp'' and pg_table_is_visible(oid)') as u(b bigint)) as elsewhere
from pool_query(:lease, 'select count(*) from pg_class where relname = ''lease_temp'' and pg_table_is_visible(oid)') as t(a bigint);
select active from lease_active;
select pool_release(:lease);
select active from lease_active;
commit;
select pg_temp.at_rest();
-- what it left is gone, whichever connection it was
select distinct a, b, c from (select pool_acquire('loopback') from generate_series(1, 4)) l(lease), lateral pool_query(lease, $$select current_setting('work_mem') = '99kB',
	(select count(*) from pg_prepared_statements), to_regclass('pg_temp.lease_temp')::text$$) as t(a bool, b bigint, c text);

-- several at once
begin;
select pool_acquire('loopback') as one, pool_acquire('loopback') as two, pool_acquire('loopback') as three \gset
select :one <> :two and :two <> :three and :one <> :three as leases;
select count(distinct pg_temp.backend(lease)) as sessions from unnest(array[:one, :two, :three]) lease;
select active from lease_active;
select pool_exec(:one, 'set application_name = ''one''');
select pool_exec(:two, 'set application_name = ''two''');
select a, b, c from pool_query(:one, 'show application_name') as x(a text), pool_query(:two, 'show application_name') as y(b text),
	pool_query(:three, 'select current_setting(''application_name'') in (''one'', ''two'')') as z(c bool);
-- the second one alone
select pool_release(:two);
select pg_temp.live(:one) as one, pg_temp.live(:two) as two, pg_temp.live(:three) as three;
commit;
select pg_temp.live(:one) as one, pg_temp.live(:two) as two, pg_temp.live(:three) as three;
select active from lease_active;

-- a statement of its own is a transaction
select pool_acquire('loopback') as lease \gset
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
do $$
declare
	lease bigint := pool_acquire('loopback');
begin
	raise notice 'live %', pg_temp.live(lease);
	perform set_config('lease.test', lease::text, false);
end
$$;
select pg_temp.live(current_setting('lease.test')::bigint);
reset lease.test;

--
-- Waiting in vain
--
select pg_temp.at_rest();
select acquire_timeouts as before from pool_stats where server = 'loopback' \gset
do $$
declare
	leases bigint[] := array(select pool_acquire('loopback') from generate_series(1, 4));
	started timestamptz;
	message text;
	detail text;
	hint text;
	waited interval;
begin
	for attempt in 1..5 loop
		started := clock_timestamp();
		begin
			case attempt
				when 1 then perform pool_acquire('loopback', '50ms');
				when 2 then perform pool_acquire('loopback', timeout => '0');
				when 3 then
					set local pool.acquire_timeout = '50ms';
					perform pool_acquire('loopback');
				when 4 then
					set local pool.acquire_timeout = '50ms';
					perform pool_query('loopback', 'select 1');
				when 5 then perform pool_acquire('loopback', '50ms', true);
			end case;
			raise notice '%: no error', attempt;
		exception when too_many_connections then
			get stacked diagnostics message = message_text,
				detail = pg_exception_detail, hint = pg_exception_hint;
			waited := clock_timestamp() - started;
			raise notice '%: %, in time %', attempt, regexp_replace(message, 'within \d+ ms$', 'within N ms'),
				waited < '5s' and (attempt = 2 or waited >= '50ms');
			if attempt = 1 then
				raise notice 'detail: %, hint: %', detail, hint;
			end if;
			if substring(message, '(\d+) ms')::int not between (case attempt when 2 then 0 else 50 end) and 5000 then
				raise notice 'says %', message;
			end if;
		end;
	end loop;
	-- those that are held go on
	raise notice 'live %', (select bool_and(pg_temp.live(lease)) from unnest(leases) lease);
end
$$;
-- a cancel ends the wait too
begin;
select count(pool_acquire('loopback')) from generate_series(1, 4);
set local statement_timeout = '100ms';
select pool_acquire('loopback', '1min');
rollback;
select acquire_timeouts - :before as timeouts, active, waiting from pool_stats where server = 'loopback';
-- a time that is none
select pg_temp.outcome($$ select pool_acquire('loopback', '-1 ms') $$);
select pg_temp.outcome($$ select pool_acquire('loopback', '1 month') $$);
select pg_temp.outcome($$ select pool_acquire('loopback', null) $$);
select pg_temp.outcome($$ select pool_acquire('loopback', hold => null) $$);

--
-- Leases that are none
--
begin;
select pool_acquire('loopback') as lease \gset
select pool_release(:lease);
select pg_temp.outcome(format('select pool_release(%s)', :lease));
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_query(%s, ''select $1'', 1)', :lease));
select pg_temp.outcome(format('select pool_query_json(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pool_acquire('loopback') as lease \gset
commit;
select pg_temp.outcome(format('select pool_release(%s)', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pg_temp.outcome('select pool_release(0)');
select pg_temp.outcome('select pool_release(-1)');
select pg_temp.outcome('select pool_release(9223372036854775807)');
select pg_temp.outcome('select pool_query(4294967296, ''select 1'')');
select pg_temp.outcome('select pool_release(null)');
select pg_temp.outcome('select pool_exec(null::bigint, ''select 1'')');
select pg_temp.outcome('select pool_acquire(null)');
select pg_temp.outcome('select pool_acquire(''lease_nowhere'')');
-- the connection is in use again, under another lease
begin;
select pool_acquire('loopback') as again \gset
select pg_temp.live(:lease) as old, pg_temp.live(:again) as new;
-- another session's: as unknown as any
select pg_temp.outcome(format('select * from pool_query(''loopback'', ''select pool_exec($1, ''''select 1'''')'', %s::bigint) as t(a bigint)', :again));
select pg_temp.outcome(format('select * from pool_query(''loopback'', ''select pool_release($1)'', %s::bigint) as t(a text)', :again));
select pg_temp.live(:again);
commit;

--
-- Held beyond the transaction
--
select pool_acquire('loopback', hold => true) as held \gset
select pg_temp.live(:held);
begin;
select pg_temp.live(:held);
commit;
begin;
select 1 / 0;
rollback;
select pg_temp.live(:held), active from lease_active;
select pool_exec(:held, 'set application_name = ''held''');
select pool_query(:held, 'show application_name');
-- its remote transaction goes on beside those of this session
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
select pg_temp.live(:held);
truncate lease_t;
-- released within a transaction that is rolled back: released
select pool_acquire('loopback', hold => true) as held \gset
begin;
select pool_release(:held);
rollback;
select pg_temp.live(:held);
-- the transaction that acquired it is rolled back
begin;
select pool_acquire('loopback', hold => true) as held \gset
select pg_temp.live(:held);
rollback;
select pg_temp.live(:held);
begin;
select pool_acquire('loopback', hold => true) as held \gset
commit;
select pg_temp.live(:held);
select pool_release(:held);
select pool_acquire('loopback', '1s', true) as held \gset
select pool_release(:held);
-- or its savepoint
begin;
select pool_acquire('loopback', hold => true) as before \gset
savepoint s;
select pool_acquire('loopback', hold => true) as within \gset
rollback to s;
select pg_temp.live(:before) as before, pg_temp.live(:within) as within;
commit;
select pg_temp.live(:before) as before, pg_temp.live(:within) as within;
select pool_release(:before);
select active from lease_active;

--
-- Savepoints and exception blocks
--
begin;
select pool_acquire('loopback') as outer \gset
savepoint one;
select pool_acquire('loopback') as first \gset
savepoint two;
select pool_acquire('loopback') as second \gset
select pg_temp.live(:outer) as outer, pg_temp.live(:first) as first, pg_temp.live(:second) as second;
rollback to two;
select pg_temp.live(:outer) as outer, pg_temp.live(:first) as first, pg_temp.live(:second) as second;
-- a lease used inside is still the outer one's
select pool_exec(:outer, 'begin');
savepoint three;
select pool_exec(:outer, 'insert into lease_t values (1)');
rollback to three;
select pool_query(:outer, 'select * from lease_t');
-- a released savepoint leaves its leases to the one around it
savepoint four;
select pool_acquire('loopback') as third \gset
release four;
select pg_temp.live(:third) as third;
rollback to one;
select pg_temp.live(:outer) as outer, pg_temp.live(:first) as first, pg_temp.live(:third) as third;
-- an end inside is an end
savepoint five;
select pool_exec(:outer, 'rollback');
select pool_release(:outer);
rollback to five;
select pg_temp.live(:outer) as outer;
select active from lease_active;
commit;
do $$
declare
	outside bigint := pool_acquire('loopback');
	inside bigint;
	kept bigint;
begin
	begin
		inside := pool_acquire('loopback');
		raise notice 'inside %', pg_temp.live(inside);
		perform 1 / 0;
	exception when division_by_zero then
		raise notice 'caught: outside %, inside %', pg_temp.live(outside), pg_temp.live(inside);
	end;
	begin
		kept := pool_acquire('loopback');
	exception when others then
		raise notice 'not here';
	end;
	raise notice 'kept %, active %', pg_temp.live(kept), (select active from lease_active);
	-- an error of the remote leaves the lease as it was
	begin
		perform pool_query(outside, 'select 1 / 0');
	exception when division_by_zero then
		raise notice 'after an error %', pg_temp.live(outside);
	end;
end
$$;
select active from lease_active;
-- an error of ours in the middle of a result on an outer lease: its connection is lost, at once
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (5)');
savepoint s;
select count(*) from pool_query(:lease, 'select case i when 500 then ''x'' else i::text end from generate_series(1, 100000) i') as t(a int);
rollback to s;
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pool_release(:lease);
select pool_query('loopback', 'select 1');
commit;
select count(*) from lease_t;
-- over and over
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
select pg_temp.at_rest();
select count(*) from lease_t;

--
-- Remote transactions that are open at the end
--
-- at release: rolled back
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
select pool_release(:lease);
commit;
select pg_temp.at_rest();
select count(*) from lease_t;
-- at commit: the same, and said
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
\set VERBOSITY sqlstate
commit;
\set VERBOSITY default
select pg_temp.at_rest();
select count(*) from lease_t;
-- at rollback: nobody expects anything else
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
rollback;
select pg_temp.at_rest();
select count(*) from lease_t;
-- ended in time: as it says
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
-- a remote transaction that failed
begin;
select pool_acquire('loopback') as lease \gset
select pool_exec(:lease, 'begin');
select pg_temp.outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pool_exec(:lease, 'rollback');
select pool_query(:lease, 'select 1');
select pool_exec(:lease, 'begin; insert into lease_t values (1); savepoint s');
select pg_temp.outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select pool_exec(:lease, 'rollback to s; commit');
select pool_exec(:lease, 'begin');
select pg_temp.outcome(format('select pool_exec(%s, ''select 1 / 0'')', :lease));
select pool_release(:lease);
commit;
select pg_temp.at_rest();
select a from lease_t;
truncate lease_t;

-- PREPARE TRANSACTION is refused, whether or not the server could
begin;
select pool_acquire('loopback') as lease \gset
prepare transaction 'lease_prepared';
select pg_temp.live(:lease);
select pool_acquire('loopback', hold => true) as lease \gset
begin;
prepare transaction 'lease_prepared';
select pg_temp.live(:lease);
select pool_release(:lease);

--
-- The connection breaks
--
select pool_acquire('loopback', hold => true) as lease, pool_acquire('loopback', hold => true) as other \gset
select pg_temp.backend(:lease) as backend \gset
select pool_exec(:lease, 'begin; insert into lease_t values (1)');
select * from pool_query('loopback', 'select pg_terminate_backend($1, 10000)', :backend) as t(ended bool);
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pg_temp.live(:other) as other;
select pool_query('loopback', 'select 1');
select pool_release(:lease);
select pg_temp.outcome(format('select pool_release(%s)', :lease));
select pool_release(:other);
select count(*) from lease_t;
-- at its own hand, in the middle of a statement
begin;
select pool_acquire('loopback') as lease \gset
select pg_temp.outcome(format('select pool_query(%s, ''select pg_terminate_backend(pg_backend_pid())'')', :lease));
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
commit;
select pg_temp.outcome($$ select pool_query('loopback', 'select pg_terminate_backend(pg_backend_pid())') $$);
select pool_query('loopback', 'select 1');
-- broken and never used again: at commit there is nothing to say
begin;
select pool_acquire('loopback') as lease \gset
select pg_terminate_backend(pg_temp.backend(:lease), 10000);
commit;
select pool_query('loopback', 'select 1');
-- while nobody has it: another takes its place unseen
do $$
declare
	failed int := 0;
begin
	for i in 1..20 loop
		perform pg_terminate_backend(pid, 10000) from pool_query('loopback', 'select pg_backend_pid()') as t(pid int);
		begin
			perform pool_query('loopback', 'select 1');
		exception when others then
			failed := failed + 1;
		end;
	end loop;
	raise notice 'failed %', failed;
end
$$;
-- COPY costs a lease its connection
begin;
select pool_acquire('loopback') as lease \gset
select pg_temp.outcome(format('select pool_exec(%s, ''copy lease_t to stdout'')', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
commit;

--
-- Used while it is being used
--
select pool_acquire('loopback', hold => true) as lease \gset
-- one after the other is not at the same time
select * from pool_query(:lease, 'select $1 + 1', (select a from pool_query(:lease, 'select 41') as t(a int))) as t(a int);
select a, b from pool_query(:lease, 'select generate_series(1, 3)') as x(a int), lateral pool_query(:lease, 'select $1 * 2', a) as y(b int);
select pool_query(:lease, 'select generate_series(1, 2)'), pool_query(:lease, 'select generate_series(3, 4)');
begin;
declare lease_cursor cursor for select a from pool_query(:lease, 'select generate_series(1, 3)') as t(a int);
fetch 1 from lease_cursor;
select pool_query(:lease, 'select 7');
fetch 1 from lease_cursor;
commit;
-- an input function that uses the lease whose result it reads
create function lease_use(command text) returns bool
language plpgsql as $$
begin
	execute format(command, current_setting('lease.test'));
	return true;
end
$$;
create domain lease_query as int check (lease_use('select pool_query(%s, ''select 1'')'));
create domain lease_release as int check (lease_use('select pool_release(%s)'));
create domain lease_server as int check (lease_use('select pool_query(''loopback'', ''select 1'')'));
select set_config('lease.test', :'lease', false) is null;
select pg_temp.outcome(format('select * from pool_query(%s, ''select 1'') as t(a lease_query)', :lease));
select pool_release(:lease);
select pool_acquire('loopback', hold => true) as lease \gset
select set_config('lease.test', :'lease', false) is null;
select pg_temp.outcome(format('select * from pool_query(%s, ''select 1'') as t(a lease_release)', :lease));
select pool_release(:lease);
-- another connection is another matter
select * from pool_query('loopback', 'select generate_series(1, 3)') as t(a lease_server);
reset lease.test;
drop domain lease_query, lease_release, lease_server;
drop function lease_use;

--
-- Wherever a function can be called
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
	raise notice 'lease %, held %', pg_temp.live(lease), pg_temp.live(held);
	perform pool_exec(held, 'commit');
	perform pool_release(held);
end
$$;
call lease_procedure();
select count(*) from lease_t;
drop procedure lease_procedure;
-- from left to right, and released by the statement that acquired it
select pool_release(pool_acquire('loopback'));
select * from pool_query(pool_acquire('loopback'), 'select 1') as t(a int);
begin;
declare lease_cursor cursor for select pool_acquire('loopback') > 0 from generate_series(1, 3);
fetch 2 from lease_cursor;
select active from lease_active;
commit;
select active from lease_active;

-- parallel workers have no connections; the leader's are not theirs to end
create table lease_parallel as select generate_series(1, 10000) as a;
analyze lease_parallel;
create function lease_safe() returns bigint language sql parallel safe as $$ select pool_exec('loopback', 'select 1') $$;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
set max_parallel_workers_per_gather = 2;
begin;
select pool_acquire('loopback') as lease \gset
explain (costs off) select sum(a) from lease_parallel;
select sum(a) from lease_parallel;
select pg_temp.live(:lease);
-- neither made parallel, since the functions say they are unsafe
select sum(b) from lease_parallel, lateral pool_query(:lease, 'select $1', a) as t(b int) where a <= 10;
select count(*) from lease_parallel where a > 9990 and pool_exec(:lease, 'select 1') = 1;
commit;
-- its name changed in version 16
select case when current_setting('server_version_num')::int < 160000 then 'force_parallel_mode' else 'debug_parallel_query' end as forced \gset
set :forced = on;
select lease_safe();
begin;
select pool_acquire('loopback') as lease \gset
select sum(a) from lease_parallel;
select count(*) from pool_stats;
select pg_temp.live(:lease);
commit;
reset :forced;
reset parallel_setup_cost;
reset parallel_tuple_cost;
reset min_parallel_table_scan_size;
reset max_parallel_workers_per_gather;
drop table lease_parallel;
drop function lease_safe;

select pg_temp.at_rest();
truncate lease_t;
--
-- The end of the session ends a lease that was held
--
select pool_acquire('loopback', hold => true) as held \gset
select pool_exec(:held, 'begin; insert into lease_t values (1)');
select pg_temp.backend(:held) as backend \gset
\c -
\set SHOW_CONTEXT never
do $$
begin
	for i in 1..1000 loop
		exit when (select active + resetting + closing = 0 from pool_stats where server = 'loopback');
		perform pg_sleep(0.01);
	end loop;
end
$$;
select active, resetting, closing from pool_stats where server = 'loopback';
select count(*) from lease_t;
select count(*) from pg_locks where relation = 'lease_t'::regclass and pid <> pg_backend_pid();
drop view lease_active;
drop table lease_t;
