--
-- Statistics: what pool_stats, pool_stats_closed, pool_stats_events and
-- pool_connections say about the history of one pool
--
\set SHOW_CONTEXT never

-- The counters of a server that are not zero, from the views.
create function pg_temp.counters(of_server text, out counter text, out value text)
	returns setof record
language sql as $$
	select key, c.value from (
		select server, key, s.value
		from pool_stats, jsonb_each_text(to_jsonb(pool_stats)) s(key, value)
		union all select server, 'closed_' || reason, count::text from pool_stats_closed
		union all select server, event, count::text from pool_stats_events) c
	where server = of_server and c.value ~ '^\d+$' and c.value <> '0'
		and key not in ('min_size', 'max_size', 'size_limit', 'resets', 'reused', 'open', 'idle',
			'wait_p95', 'query_p95')
	order by key
$$;

-- A server of this test's own, so that counting starts at zero.
call create_server('stats_here', 'pool', ', max_size ''2''');
create user mapping for current_user server stats_here options (user :'USER');

--
-- What one session does is counted, each thing once
--
-- A pool that nobody has used is not there.
select count(*) from pool_stats where server = 'stats_here';
select count(*) from pool_connections where server = 'stats_here';
-- The first statement makes it, and one connection.
select pool_query('stats_here', 'select 1');
select database = current_database() as database, server, user_name = current_user as user_name,
	state, min_size, max_size, open, active, idle, resetting, connecting, closing, waiting, reused,
	last_error, last_error_at
from pool_stats_all() where server = 'stats_here';
select * from pg_temp.counters('stats_here');
-- 2 statements give 3 + 5 rows; the session that has the connection uses it again.
select pool_query('stats_here', 'select generate_series(1, 3)');
select pool_exec('stats_here', 'select from generate_series(1, 5)');
select count as reused from pool_stats_events where server = 'stats_here' and event = 'reused';
-- A statement that fails is counted, one that never reaches the remote is not.
select pool_query('stats_here', 'select 1 / 0');
select pool_query('stats_here', null);
-- 100 rows come as JSON, 2 rows come of which one is wanted, no row comes.
select count(*) from pool_query_json('stats_here', 'select generate_series(1, 100)');
select * from pool_query('stats_here', 'select generate_series(1, 2)') as t(a int) limit 1;
select pool_exec('stats_here', 'do $x$ begin end $x$');
select * from pg_temp.counters('stats_here');
-- A lease is one acquire, whatever is run on it.
begin;
select pool_acquire('stats_here') as lease \gset
select pool_exec(:lease, 'select 1') from generate_series(1, 10);
select active, idle from pool_stats where server = 'stats_here';
-- Its connection names this session, and the remote's process.
select c.database = current_database() as database, c.user_name = current_user as user_name,
	state, pid = pg_backend_pid() as pid,
	since between transaction_timestamp() and clock_timestamp() as since, opened < since as opened,
	remote_address = '127.0.0.1:' || current_setting('port') as address,
	remote_pid = a as remote_pid, closing_reason
from pool_connections c, pool_query(:lease, 'select pg_backend_pid()') as t(a int)
where server = 'stats_here';
select pool_release(:lease);
commit;
select at_rest('stats_here');
-- Then it is idle, and names no session.
select c.state, pid, uses = acquires as uses, closing_reason
from pool_connections c join pool_stats s using (server) where server = 'stats_here';
select * from pg_temp.counters('stats_here');
-- There are no more than two connections: the third acquire is one time-out.
begin;
select count(pool_acquire('stats_here')) from generate_series(1, 2);
select count(*) as leased, count(distinct slot) as slots, count(distinct remote_pid) as remotes
from pool_connections where server = 'stats_here' and state = 'leased';
savepoint s;
\set VERBOSITY sqlstate
select pool_acquire('stats_here', '10ms');
\set VERBOSITY default
rollback to s;
commit;
select at_rest('stats_here');
select * from pg_temp.counters('stats_here');

--
-- Each connection that is lost is closed for one reason
--
-- An error in the middle of a result and a statement that is cancelled cost one each.
select * from pool_query('stats_here',
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000000) i')
	as t(a int);
begin;
set local statement_timeout = '2s';
select pool_exec('stats_here', 'select pg_sleep(60)');
rollback;
-- So does a remote that hangs up.
select pool_exec('stats_here', 'select pg_terminate_backend(pg_backend_pid())');
select at_rest('stats_here');
select counter, value from pg_temp.counters('stats_here')
where counter not in ('rows', 'acquires', 'acquire_timeouts', 'cancels');
-- A connection that ends while it is idle is closed, but no lease is lost.
select pool_query('stats_here', 'select 1');
select pg_terminate_backend(remote_pid, 10000) from pool_connections where server = 'stats_here';
select comes_true('(select open = 0 and closing = 0 from pool_stats_all()
	where server = ''stats_here'')');
select acquires, releases, lost, connects, closed, closed_remote_closed, closed_canceled,
	closed_error, cancels >= 1 as cancels
from pool_stats_all() where server = 'stats_here';
select count(*) from pool_connections where server = 'stats_here';
select pool_query('stats_here', 'select 1');
select comes_true('adds_up()');

--
-- What another session does is counted as well
--
begin;
select count(pool_acquire('stats_here')) from generate_series(1, 2);
-- On the remote, which is this server, a session wants the third, and waits in vain.
select pool_acquire('loopback') as lease \gset
select * from pool_query(:lease, $$do $x$
begin
	perform pool_acquire('stats_here', '100ms');
exception when too_many_connections then
	raise notice 'waited in vain';
end $x$; select acquire_timeouts > 1 from pool_stats where server = 'stats_here'$$) as t(a bool);
commit;
select waiting from pool_stats where server = 'stats_here';
select at_rest();
select comes_true('adds_up()');

set client_min_messages = warning;
drop server stats_here cascade;
reset client_min_messages;
