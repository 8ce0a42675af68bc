--
-- Leases that cannot be used: unknown ones, and those that are in use just now
--
\set SHOW_CONTEXT never

--
-- A lease that has ended, or never was, does not exist for any function
--
begin;
select pool_acquire('loopback') as lease \gset
select pool_release(:lease);
select outcome(format('select pool_release(%s)', :lease));
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select outcome(format('select pool_query(%s, ''select $1'', 1)', :lease));
select outcome(format('select pool_query_json(%s, ''select 1'')', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pool_acquire('loopback') as lease \gset
commit;
select outcome(format('select pool_release(%s)', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select outcome('select pool_release(0)');
select outcome('select pool_release(-1)');
select outcome('select pool_release(9223372036854775807)');
select outcome('select pool_query(4294967296, ''select 1'')');
select outcome('select pool_release(null)');
select outcome('select pool_exec(null::bigint, ''select 1'')');
select outcome('select pool_acquire(null)');
select outcome('select pool_acquire(''lease_nowhere'')');
-- A connection that is leased again has another lease; the old one stays unknown.
begin;
select pool_acquire('loopback') as again \gset
select live(:lease) as old, live(:again) as new;
-- A lease of another session is as unknown as one that never was.
select outcome(format($$ select * from pool_query('loopback', 'select pool_exec($1, ''select 1'')',
	%s::bigint) as t(a bigint) $$, :again));
select outcome(format($$ select * from pool_query('loopback', 'select pool_release($1)',
	%s::bigint) as t(a text) $$, :again));
select live(:again);
commit;

--
-- A lease runs one statement at a time
--
select pool_acquire('loopback', hold => true) as lease \gset
-- One statement after the other is not at the same time.
select * from pool_query(:lease, 'select $1 + 1',
	(select a from pool_query(:lease, 'select 41') as t(a int))) as t(a int);
select a, b from pool_query(:lease, 'select generate_series(1, 3)') as x(a int),
	lateral pool_query(:lease, 'select $1 * 2', a) as y(b int);
select pool_query(:lease, 'select generate_series(1, 2)'),
	pool_query(:lease, 'select generate_series(3, 4)');
begin;
declare lease_cursor cursor for select a from pool_query(:lease, 'select generate_series(1, 3)')
	as t(a int);
fetch 1 from lease_cursor;
select pool_query(:lease, 'select 7');
fetch 1 from lease_cursor;
commit;
-- An input function cannot use the lease whose result it reads, nor release it.
create function lease_use(command text) returns bool
language plpgsql as $$
begin
	execute format(command, current_setting('lease.test'));
	return true;
end
$$;
create domain lease_query as int check (lease_use('select pool_query(%s, ''select 1'')'));
create domain lease_release as int check (lease_use('select pool_release(%s)'));
create domain lease_server as int check (
	lease_use('select pool_query(''loopback'', ''select 1'')'));
select set_config('lease.test', :'lease', false) is null;
select outcome(format('select * from pool_query(%s, ''select 1'') as t(a lease_query)', :lease));
select pool_release(:lease);
select pool_acquire('loopback', hold => true) as lease \gset
select set_config('lease.test', :'lease', false) is null;
select outcome(format('select * from pool_query(%s, ''select 1'') as t(a lease_release)', :lease));
select pool_release(:lease);
-- The input function can use another connection.
select * from pool_query('loopback', 'select generate_series(1, 3)') as t(a lease_server);
reset lease.test;
drop domain lease_query, lease_release, lease_server;
drop function lease_use;
