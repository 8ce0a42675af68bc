--
-- Leases: each is one remote session, and who finds none idle waits
--
\set SHOW_CONTEXT never

--
-- One lease is one remote session: what one statement leaves, the next finds
--
begin;
select pool_acquire('loopback') as lease \gset
select pg_typeof(:lease::bigint), :lease > 0 as positive;
select pool_query(:lease, 'select 1 as a, ''x''::text as b');
select * from pool_query(:lease, 'select $1::int + 1', 41) as t(a int);
select x from pool_query_json(:lease, 'select 1 as a, null as b') x;
select x from pool_query_json(:lease, 'select $1 as a', 'x'::text) x;
select pool_exec(:lease, 'set work_mem = ''99kB''; create temporary table lease_temp (a int);
	prepare lease_prepared as select 7');
select pool_exec(:lease, 'insert into lease_temp values ($1), ($2)', 1, 2);
select * from pool_query(:lease, 'select count(*), current_setting(''work_mem'') from lease_temp')
	as t(a bigint, b text);
select pool_query(:lease, 'execute lease_prepared');
select count(distinct backend(:lease)) from generate_series(1, 5);
-- A statement on the server runs in another session, and sees nothing of that.
select backend(:lease) <> pid as another from pool_query('loopback', 'select pg_backend_pid()')
	as t(pid int);
select a, (select b from pool_query('loopback',
	'select count(*) from pg_class where relname = ''lease_temp'' and pg_table_is_visible(oid)')
	as u(b bigint)) as elsewhere
from pool_query(:lease, 'select count(*) from pg_class
	where relname = ''lease_temp'' and pg_table_is_visible(oid)') as t(a bigint);
select active from lease_active;
select pool_release(:lease);
select active from lease_active;
commit;
select at_rest();
-- What it left is gone, whichever of the connections it was.
select distinct a, b, c from (select pool_acquire('loopback') from generate_series(1, 4)) l(lease),
	lateral pool_query(lease, $$select current_setting('work_mem') = '99kB',
		(select count(*) from pg_prepared_statements), to_regclass('pg_temp.lease_temp')::text$$)
		as t(a bool, b bigint, c text);

-- Several leases at once have a session each, with settings of its own.
begin;
select pool_acquire('loopback') as one, pool_acquire('loopback') as two,
	pool_acquire('loopback') as three \gset
select :one <> :two and :two <> :three and :one <> :three as leases;
select count(distinct backend(lease)) as sessions from unnest(array[:one, :two, :three]) lease;
select active from lease_active;
select pool_exec(:one, 'set application_name = ''one''');
select pool_exec(:two, 'set application_name = ''two''');
select a, b, c from pool_query(:one, 'show application_name') as x(a text),
	pool_query(:two, 'show application_name') as y(b text),
	pool_query(:three, 'select current_setting(''application_name'') in (''one'', ''two'')')
		as z(c bool);
-- A release of one does not end the others; the commit ends them.
select pool_release(:two);
select live(:one) as one, live(:two) as two, live(:three) as three;
commit;
select live(:one) as one, live(:two) as two, live(:three) as three;
select active from lease_active;

-- Outside a transaction block a lease ends with its statement.
select pool_acquire('loopback') as lease \gset
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
do $$
declare
	lease bigint := pool_acquire('loopback');
begin
	raise notice 'live %', live(lease);
	perform set_config('lease.test', lease::text, false);
end
$$;
select live(current_setting('lease.test')::bigint);
reset lease.test;

--
-- Whoever waits in vain is told so in time, whichever way the time was set
--
select at_rest();
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
			raise notice '%: %, in time %', attempt,
				regexp_replace(message, 'within \d+ ms$', 'within N ms'),
				waited < '20s' and (attempt = 2 or waited >= '50ms');
			if attempt = 1 then
				raise notice 'detail: %, hint: %', detail, hint;
			end if;
			if substring(message, '(\d+) ms')::int
				not between (case attempt when 2 then 0 else 50 end) and 20000 then
				raise notice 'says %', message;
			end if;
		end;
	end loop;
	-- the other leases go on
	raise notice 'live %', (select bool_and(live(lease)) from unnest(leases) lease);
end
$$;
-- A statement_timeout ends the wait too, and is not counted as a time-out of acquire.
begin;
select count(pool_acquire('loopback')) from generate_series(1, 4);
set local statement_timeout = '100ms';
select pool_acquire('loopback', '1min');
rollback;
select acquire_timeouts - :before as timeouts, active, waiting from pool_stats
	where server = 'loopback';
-- What is no length of time is refused.
select outcome($$ select pool_acquire('loopback', '-1 ms') $$);
select outcome($$ select pool_acquire('loopback', '1 month') $$);
select outcome($$ select pool_acquire('loopback', null) $$);
select outcome($$ select pool_acquire('loopback', hold => null) $$);
