--
-- What pool_stats and pool_connections say, pool_prewarm, and what the
-- extension gives to everybody
--
\set SHOW_CONTEXT never

-- Servers of this test's own, so that counting starts at zero.
do $$
declare
	name text;
begin
	foreach name in array array['stats_here', 'stats_prewarm', 'stats_failing'] loop
		execute format('create server %I foreign data wrapper pool options '
					   '(host %L, port %L, dbname %L, max_size %L)', name,
					   '127.0.0.1', current_setting('port'),
					   case name when 'stats_failing' then 'stats_nowhere' else current_database() end,
					   case name when 'stats_here' then '2' else '3' end);
		execute format('create user mapping for current_user server %I options (user %L)', name, current_user);
	end loop;
end
$$;

create function pg_temp.at_rest(server text) returns bool
language sql as $$
	select comes_true(format($x$(select active + resetting + connecting + closing + waiting = 0
		from pool_stats_all() where server = %L)$x$, server))
$$;
-- Runs a command and says how it failed, wherever the remote listens.
create function pg_temp.outcome(command text) returns text
language plpgsql as $$
declare
	code text;
	message text;
	detail text;
begin
	execute command;
	return 'done';
exception when others then
	get stacked diagnostics code = returned_sqlstate, message = message_text, detail = pg_exception_detail;
	return regexp_replace(code || ': ' || message || coalesce(E'\n' || nullif(detail, ''), ''), 'port \d+', 'port N', 'g');
end
$$;
-- The counters that are not zero, from the views.
create function pg_temp.counters(of_server text, out counter text, out value text) returns setof record
language sql as $$
	select key, c.value from (
		select server, key, s.value
		from pool_stats, jsonb_each_text(to_jsonb(pool_stats)) with ordinality s(key, value, n)
		union all select server, 'closed_' || reason, count::text from pool_stats_closed
		union all select server, event, count::text from pool_stats_events) c
	where server = of_server and c.value ~ '^\d+$' and c.value <> '0'
		and key not in ('min_size', 'max_size', 'size_limit', 'resets', 'reused', 'open', 'idle',
			'wait_p95', 'query_p95')
	order by key
$$;
-- One of them that pool_stats_events has.
create function pg_temp.event(of_server text, of_event text) returns bigint
language sql as $$ select count from pool_stats_events where server = of_server and event = of_event $$;
-- The sums that hold whenever nothing is on its way.
create function pg_temp.adds_up() returns bool
language sql as $$
	select bool_and(acquires = releases + lost + s.active
		and connects = closed + s.open
		and s.open = s.active + s.idle + resetting
		and closed = (select sum(value::bigint) from jsonb_each_text(to_jsonb(s)) where key like 'closed\_%')
		and closed = (select sum(count) from pool_stats_closed r
			where (r.database, r.server, r.user_name) = (s.database, s.server, s.user_name))
		and reused <= acquires and query_errors <= queries
		and peak_active between s.active and max_size
		and (s.open, s.active, s.idle, s.connecting, s.closing) = (c.open, c.active, c.idle, c.connecting, c.closing))
	from pool_stats_all() s, lateral (
		select count(*) filter (where state in ('leased', 'idle', 'checking', 'returned', 'resetting')) as open,
			count(*) filter (where state = 'leased') as active, count(*) filter (where state = 'idle') as idle,
			count(*) filter (where state = 'connecting') as connecting, count(*) filter (where state = 'closing') as closing
		from pool_connections p
		where (p.database, p.server, p.user_name) = (s.database, s.server, s.user_name)) c
$$;

--
-- The history of a pool
--
-- a pool that nobody has used
select count(*) from pool_stats where server like 'stats%';
select count(*) from pool_connections where server like 'stats%';
select pool_query('stats_here', 'select 1');
select database = current_database() as database, server, user_name = current_user as user_name, state, min_size, max_size,
	open, active, idle, resetting, connecting, closing, waiting, reused, last_error, last_error_at
from pool_stats_all() where server = 'stats_here';
select * from pg_temp.counters('stats_here');
-- 2 statements, 3 + 5 rows, by the session that has the connection
select pool_query('stats_here', 'select generate_series(1, 3)');
select pool_exec('stats_here', 'select from generate_series(1, 5)');
select pg_temp.event('stats_here', 'reused') as reused;
-- a statement that fails, one that never reaches the remote
select pool_query('stats_here', 'select 1 / 0');
select pool_query('stats_here', null);
-- 100 rows as JSON, 2 rows of which one is wanted, no row
select count(*) from pool_query_json('stats_here', 'select generate_series(1, 100)');
select * from pool_query('stats_here', 'select generate_series(1, 2)') as t(a int) limit 1;
select pool_exec('stats_here', 'do $x$ begin end $x$');
select * from pg_temp.counters('stats_here');
-- a lease is one acquire, whatever is run on it
begin;
select pool_acquire('stats_here') as lease \gset
select pool_exec(:lease, 'select 1') from generate_series(1, 10);
select active, idle from pool_stats where server = 'stats_here';
-- what it looks like from the other side
select c.database = current_database() as database, c.user_name = current_user as user_name, state, pid = pg_backend_pid() as pid,
	since between transaction_timestamp() and clock_timestamp() as since, opened < since as opened,
	remote_address = '127.0.0.1:' || current_setting('port') as address, remote_pid = a as remote_pid, closing_reason
from pool_connections c, pool_query(:lease, 'select pg_backend_pid()') as t(a int)
where server = 'stats_here';
select pool_release(:lease);
commit;
select pg_temp.at_rest('stats_here');
select c.state, pid, uses = acquires as uses, closing_reason
from pool_connections c join pool_stats s using (server) where server = 'stats_here';
select * from pg_temp.counters('stats_here');
-- no more than two: one time-out
begin;
select count(pool_acquire('stats_here')) from generate_series(1, 2);
select count(*) as leased, count(distinct slot) as slots, count(distinct remote_pid) as remotes from pool_connections where server = 'stats_here' and state = 'leased';
savepoint s;
\set VERBOSITY sqlstate
select pool_acquire('stats_here', '10ms');
\set VERBOSITY default
rollback to s;
commit;
select pg_temp.at_rest('stats_here');
select * from pg_temp.counters('stats_here');
-- an error in the middle of a result, and a statement that is cancelled: two connections fewer
select * from pool_query('stats_here', 'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000000) i') as t(a int);
begin;
set local statement_timeout = '100ms';
select pool_exec('stats_here', 'select pg_sleep(60)');
rollback;
-- a remote that hangs up
select pool_exec('stats_here', 'select pg_terminate_backend(pg_backend_pid())');
select pg_temp.at_rest('stats_here');
select counter, value from pg_temp.counters('stats_here') where counter not in ('rows', 'acquires', 'acquire_timeouts', 'cancels');
select pool_query('stats_here', 'select 1');
select pg_terminate_backend(remote_pid, 10000) from pool_connections where server = 'stats_here';
select comes_true('(select open = 0 and closing = 0 from pool_stats_all() where server = ''stats_here'')');
select acquires, releases, lost, connects, closed, closed_remote_closed, closed_canceled, closed_error, cancels >= 1 as cancels
from pool_stats_all() where server = 'stats_here';
select count(*) from pool_connections where server = 'stats_here';
select pool_query('stats_here', 'select 1');
select comes_true('pg_temp.adds_up()');

-- a remote that does not let us in: at once, by its own words, in one attempt
select pg_temp.outcome($$ select pool_query('stats_failing', 'select 1') $$);
select state, open, active, waiting, connects, acquires, releases, lost, queries, acquire_failures, connect_errors,
	last_error ~ 'FATAL:  database "stats_nowhere" does not exist$' as last_error,
	last_error_at between transaction_timestamp() - interval '1min' and clock_timestamp() as lately
from pool_stats_all() where server = 'stats_failing';
select pg_temp.outcome($$ select pool_acquire('stats_failing') $$);
select acquires, acquire_failures, connect_errors between 1 and 2 as connect_errors, acquire_timeouts from pool_stats where server = 'stats_failing';
do $$
begin
	execute format('alter server stats_failing options (set dbname %L)', current_database());
end
$$;
select pool_query('stats_failing', 'select 1');
select state, open, connects, connect_errors between 1 and 2 as connect_errors, acquires from pool_stats where server = 'stats_failing';

--
-- Opening ahead of demand
--
select pool_prewarm('stats_prewarm', 0);
select pool_prewarm('stats_prewarm', 2);
select open, idle, active, max_size, connects, acquires, queries, peak_active from pool_stats where server = 'stats_prewarm';
select state, pid, uses, count(*), count(distinct remote_pid) as remotes from pool_connections where server = 'stats_prewarm' group by 1, 2, 3;
-- as many as asked for at least, and as allowed at most
select pool_prewarm('stats_prewarm', 1);
select pool_prewarm('stats_prewarm', 2147483647);
select open, connects from pool_stats where server = 'stats_prewarm';
-- those in use count too
begin;
select count(pool_acquire('stats_prewarm')) from generate_series(1, 2);
select pool_prewarm('stats_prewarm', 3);
select open, active, idle, connects from pool_stats where server = 'stats_prewarm';
commit;
select pool_prewarm('stats_prewarm', -1);
select pool_prewarm('stats_prewarm', null);
select pool_prewarm(null, 1);
select pool_prewarm('stats_nowhere', 1);
-- a failure is said
alter server stats_failing options (set dbname 'stats_nowhere');
select pg_temp.outcome($$ select pool_prewarm('stats_failing', 1) $$);
-- a prewarm that fails is no failed acquire
select acquire_failures from pool_stats where server = 'stats_failing';

--
-- Sessions beside this one
--
begin;
select count(pool_acquire('stats_here')) from generate_series(1, 2);
-- on the remote, which is this server, another session wants the third
select pool_acquire('loopback') as lease \gset
select * from pool_query(:lease, $$do $x$
begin
	perform pool_acquire('stats_here', '100ms');
exception when too_many_connections then
	raise notice 'waited in vain';
end $x$; select acquire_timeouts > 1 from pool_stats where server = 'stats_here'$$) as t(a bool);
commit;
select waiting from pool_stats where server = 'stats_here';
select pg_temp.at_rest('loopback');
select comes_true('pg_temp.adds_up()');

--
-- Who sees what
--
create role regress_pool_nobody;
create role regress_pool_own;
create role regress_pool_reader in role pg_read_all_stats;
create role regress_pool_monitor in role pg_monitor;
do $$
begin
	execute format('create user mapping for regress_pool_own server stats_here options (user %L, password_required %L)', current_user, 'false');
end
$$;
grant usage on foreign server stats_here to regress_pool_own;
set role regress_pool_own;
select count(*) from pool_stats;
select pool_query('stats_here', 'select 1');
select server, user_name, acquires, queries from pool_stats;
select server, user_name, metric, count from pool_stats_times;
select server, user_name, sum(count) from pool_stats_closed group by 1, 2;
select server, user_name, event, count from pool_stats_events where count > 0 and event = 'releases';
select server, user_name, count(*) from pool_connections group by 1, 2;
select count(*) from pool_stats_all();
select distinct user_name from pool_connections();
set role regress_pool_nobody;
select count(*) from pool_stats;
select count(*) from pool_stats_times;
select count(*) from pool_stats_closed;
select count(*) from pool_stats_events;
select count(*) from pool_connections;
select count(*) from pool_stats_all();
select count(*) from pool_connections();
set role regress_pool_reader;
select server, count(*) from pool_stats where server like 'stats%' group by server order by server;
select count(distinct user_name) from pool_connections where server = 'stats_here';
set role regress_pool_monitor;
select server, count(*) from pool_stats where server like 'stats%' group by server order by server;
reset role;
-- a superuser sees all
select server, user_name from pool_stats where server = 'stats_here' and user_name <> current_user;
-- nothing secret is shown
alter user mapping for regress_pool_own server stats_here options (add password 'stats_canary');
set role regress_pool_own;
select pool_query('stats_here', 'select 1');
reset role;
select count(*) from (select s::text from pool_stats_all() s union all select pool_stats::text from pool_stats
	union all select pool_connections::text from pool_connections) v(row)
where row ~ 'canary';

--
-- The extension's objects
--
create temporary view stats_members as
	select classid, objid, pg_describe_object(classid, objid, 0) as object from pg_depend
	where refclassid = 'pg_extension'::regclass and deptype = 'e' and classid <> 'pg_type'::regclass
		and refobjid = (select oid from pg_extension where extname = 'pool');
-- the views, the functions and the wrapper are all there
select object from stats_members where classid <> 'pg_proc'::regclass order by object collate "C";
select count(*) > 15 as functions from stats_members where classid = 'pg_proc'::regclass;
-- each is described, and so is each column of the views
select object from stats_members where coalesce(obj_description(objid, classid::regclass::name), '') = '';
select attrelid::regclass, attname from stats_members join pg_attribute on attrelid = objid
where classid = 'pg_class'::regclass and attnum > 0 and coalesce(col_description(attrelid, attnum), '') = '';
select coalesce(obj_description(oid, 'pg_extension'), '') <> '' as described from pg_extension where extname = 'pool';
-- what everybody may do: read the views, call the functions (which look at the rights on the server), not the wrapper
select relname, grantee, privilege_type, is_grantable from pg_class, aclexplode(relacl)
where oid in (select objid from stats_members where classid = 'pg_class'::regclass) and grantee <> relowner
order by relname, privilege_type;
select has_table_privilege('regress_pool_nobody', objid, 'insert, update, delete, truncate, trigger, references') as writable, object
from stats_members where classid = 'pg_class'::regclass order by object collate "C";
select has_foreign_data_wrapper_privilege('regress_pool_nobody', 'pool', 'usage');
select prosecdef, proleakproof, count(*) from pg_proc where oid in (select objid from stats_members where classid = 'pg_proc'::regclass)
group by 1, 2;
-- what touches a connection is no work for a parallel worker, nor can it be done at plan time
select proname, provolatile, proparallel from pg_proc
where oid in (select objid from stats_members where classid = 'pg_proc'::regclass)
	and proname not in ('pool_stats_all', 'pool_connections', 'pool_waiters', 'pool_histogram', 'pool_fdw_validator')
	and (provolatile, proparallel) <> ('v', 'u');
set role regress_pool_nobody;
select pool_prewarm('stats_here', 1);
select pool_query('stats_here', 'select 1');
create server stats_mine foreign data wrapper pool;
reset role;

--
-- A pool goes with its server
--
drop view stats_members;
select pool_query('stats_prewarm', 'select 1');
\set VERBOSITY terse
drop server stats_here, stats_prewarm, stats_failing cascade;
\set VERBOSITY default
select comes_true('(select count(*) = 0 from pool_connections where server like ''stats%'')');
select comes_true('(select count(*) = 0 from pool_stats where server like ''stats%'')');
-- and leaves room for others: there may be more in all than at a time
do $$
declare
	before int := (select count(*) from pool_stats);
	failed int := 0;
begin
	for i in 1..current_setting('pool.max_pools')::int + 2 loop
		execute format('create server stats_passing foreign data wrapper pool options (host %L, port %L, dbname %L, max_size %L)',
					   '127.0.0.1', current_setting('port'), current_database(), '1');
		execute format('create user mapping for current_user server stats_passing options (user %L)', current_user);
		commit;
		begin
			perform pool_query('stats_passing', 'select 1');
		exception when others then
			failed := failed + 1;
			raise notice '%: % %', i, sqlstate, sqlerrm;
		end;
		drop user mapping for current_user server stats_passing;
		drop server stats_passing;
		commit;
		perform comes_true('(select count(*) = 0 from pool_stats where server = ''stats_passing'')');
		exit when failed > 0;
	end loop;
	raise notice 'failed %, pools left %', failed, (select count(*) from pool_stats) - before;
end
$$;
drop role regress_pool_nobody, regress_pool_own, regress_pool_reader, regress_pool_monitor;
