--
-- Whose connection is used when the effective user changes
--
\set SHOW_CONTEXT never

create role regress_pool_user;
create role regress_pool_other;
create role regress_pool_remote login;
create role regress_pool_public login;
call create_server('security_server', 'pool', ', max_size ''2''');
select current_user as super \gset

grant usage on foreign server security_server to regress_pool_user, regress_pool_other;
create user mapping for regress_pool_user server security_server
	options (user 'regress_pool_remote', password_required 'false');
create user mapping for regress_pool_other server security_server
	options (user 'regress_pool_public', password_required 'false');
create user mapping for current_user server security_server options (user :'super');

--
-- What one user may, another may not
--
-- A lease can be used only by the user who acquired it.
begin;
set local role regress_pool_user;
select pool_acquire('security_server') as lease \gset
select pool_query(:lease, 'select session_user');
set local role regress_pool_other;
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select outcome(format('select pool_query(%s, ''select $1'', 1)', :lease));
select outcome(format('select pool_query_json(%s, ''select 1'')', :lease));
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select outcome(format('select pool_release(%s)', :lease));
-- Nor is another user's connection reused for a statement.
select who('security_server');
set local role regress_pool_user;
select pool_query(:lease, 'select session_user');
select pool_release(:lease);
commit;
-- So it is with a lease of a superuser.
begin;
select pool_acquire('security_server') as lease \gset
set local role regress_pool_user;
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
reset role;
select * from pool_query(:lease, 'select session_user = $1', current_user) as t(a bool);
commit;
-- So it is with a lease that is held, which survives the change of role.
set role regress_pool_user;
select pool_acquire('security_server', hold => true) as lease \gset
set role regress_pool_other;
select outcome(format('select pool_exec(%s, ''select 1'')', :lease));
set role regress_pool_user;
select pool_query(:lease, 'select session_user');
select pool_release(:lease);
reset role;
-- SESSION AUTHORIZATION changes the user, too.
set session authorization regress_pool_other;
select who('security_server');
reset session authorization;
-- A SECURITY DEFINER function uses its owner's mapping, and its lease is no use to the caller.
create function security_as_owner() returns text
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
	select test.who('security_server')
$$;
create function security_lease() returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
	select public.pool_acquire('security_server')
$$;
alter function security_as_owner() owner to regress_pool_other;
alter function security_lease() owner to regress_pool_other;
set role regress_pool_user;
select security_as_owner(), who('security_server');
select security_as_owner() from generate_series(1, 2);
begin;
select security_lease() as lease \gset
select outcome(format('select pool_query(%s, ''select 1'')', :lease));
select outcome(format('select pool_release(%s)', :lease));
commit;
reset role;
create view security_view as select who from pool_query('security_server', 'select session_user')
	as t(who text);
alter view security_view owner to regress_pool_other;
grant select on security_view to regress_pool_user;
set role regress_pool_user;
-- A function in a view runs as the user who asks.
select * from security_view;
reset role;
drop view security_view;
-- A prepared statement runs as the user who executes it.
prepare security_prepared as select pool_query('security_server', 'select session_user');
set role regress_pool_user;
execute security_prepared;
set role regress_pool_other;
execute security_prepared;
reset role;
deallocate security_prepared;

-- A change that may yet be rolled back connects nobody.
begin;
alter server security_server options (set dbname 'template1');
select outcome($$ select pool_query('security_server', 'select current_database()') $$);
rollback;
select a from pool_query('security_server', 'select current_database() <> ''template1''')
	as t(a bool);

-- A right that is revoked is gone at once, even though a connection is there.
begin;
set local role regress_pool_user;
select who('security_server');
reset role;
revoke usage on foreign server security_server from regress_pool_user;
set local role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
rollback;
set role regress_pool_user;
select who('security_server');
reset role;
\set VERBOSITY terse
set client_min_messages = warning;
drop server security_server cascade;
reset client_min_messages;
drop function security_as_owner, security_lease;
drop role regress_pool_user, regress_pool_other, regress_pool_remote, regress_pool_public;
