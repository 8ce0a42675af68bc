--
-- Who may use which connection, and how the remote must be reached
--
\set SHOW_CONTEXT never

-- Runs a command and says what became of it, wherever the remote listens.
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
	return regexp_replace(
		code || ': ' || message || coalesce(E'\n' || nullif(detail, ''), '') || coalesce(E'\n' || nullif(hint, ''), ''),
		'(lease|port) \d+', '\1 N', 'g');
end
$$;

-- A server that leads here, made for some wrapper, and who was let in by it.
create procedure security_server(name text, wrapper text, more text default '')
language plpgsql as $$
begin
	execute format('create server %I foreign data wrapper %I options (host %L, port %L, dbname %L%s)',
				   name, wrapper, '127.0.0.1', current_setting('port'), current_database(), more);
end
$$;
create function security_who(server text) returns text
language sql as $$
	select who from pool_query(server, 'select session_user') as t(who text)
$$;

create role regress_pool_user;
create role regress_pool_other;
create role regress_pool_remote login;
create role regress_pool_public login;
call security_server('security_server', 'pool', ', max_size ''2''');
select current_user as super \gset

--
-- USAGE on the server, by whatever function
--
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_query('security_server', 'select $1', 1) $$);
select pg_temp.outcome($$ select pool_query_json('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_exec('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_acquire('security_server') $$);
select pg_temp.outcome($$ select pool_prewarm('security_server', 1) $$);
select pg_temp.outcome($$ select pool_query('security_nowhere', 'select 1') $$);
reset role;
select count(*) from pool_stats where server = 'security_server';
grant usage on foreign server security_server to regress_pool_user, regress_pool_other;

--
-- A user mapping of one's own
--
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_acquire('security_server') $$);
select pg_temp.outcome($$ select pool_prewarm('security_server', 1) $$);
-- a superuser needs one too, and does not use another's
reset role;
create user mapping for regress_pool_other server security_server options (user 'regress_pool_remote', password_required 'false');
select replace(pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$), :'super', 'super');
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
set role regress_pool_other;
select security_who('security_server');

--
-- A password, and one that was asked for: nobody rides on what this server is
--
set role regress_pool_user;
create user mapping for regress_pool_user server security_server options (user 'regress_pool_remote');
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_acquire('security_server') $$);
select pg_temp.outcome($$ select pool_prewarm('security_server', 1) $$);
alter user mapping for regress_pool_user server security_server options (add password '');
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
-- the remote trusts everybody who comes from here
alter user mapping for regress_pool_user server security_server options (set password 'security_canary');
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
select pg_temp.outcome($$ select pool_prewarm('security_server', 1) $$);
select count(*) from pool_connections;
select pg_temp.outcome($$ alter user mapping for regress_pool_user server security_server options (add password_required 'false') $$);
-- a mapping for everybody is as good as one's own
drop user mapping for regress_pool_user server security_server;
reset role;
create user mapping for public server security_server options (user 'regress_pool_public');
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
select security_who('security_server');
alter user mapping for public server security_server options (add password_required 'false');
set role regress_pool_user;
select security_who('security_server');
-- but one's own comes first
set role regress_pool_other;
select security_who('security_server');
reset role;
create user mapping for regress_pool_user server security_server options (user 'regress_pool_remote', password_required 'false');
set role regress_pool_user;
select security_who('security_server');
-- and what it connects to is seen at the next statement
reset role;
alter user mapping for regress_pool_user server security_server options (set user 'regress_pool_public');
set role regress_pool_user;
select security_who('security_server');
reset role;
drop user mapping for regress_pool_user server security_server;
drop user mapping for public server security_server;
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
-- what a member of a role may do
revoke usage on foreign server security_server from regress_pool_user;
grant regress_pool_other to regress_pool_user;
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
revoke regress_pool_other from regress_pool_user;
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
grant usage on foreign server security_server to regress_pool_user;
create user mapping for regress_pool_user server security_server options (user 'regress_pool_remote', password_required 'false');
create user mapping for current_user server security_server options (user :'super');
alter user mapping for regress_pool_other server security_server options (set user 'regress_pool_public');

--
-- The effective user, when it changes
--
-- between acquire and use
begin;
set local role regress_pool_user;
select pool_acquire('security_server') as lease \gset
select pool_query(:lease, 'select session_user');
set local role regress_pool_other;
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_query(%s, ''select $1'', 1)', :lease));
select pg_temp.outcome(format('select pool_query_json(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_release(%s)', :lease));
-- another's connection is not reused for a statement either
select security_who('security_server');
set local role regress_pool_user;
select pool_query(:lease, 'select session_user');
select pool_release(:lease);
commit;
-- to a lease of the superuser's
begin;
select pool_acquire('security_server') as lease \gset
set local role regress_pool_user;
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
reset role;
select * from pool_query(:lease, 'select session_user = $1', current_user) as t(a bool);
commit;
-- a held one outlives the role, and is refused all the same
set role regress_pool_user;
select pool_acquire('security_server', hold => true) as lease \gset
set role regress_pool_other;
select pg_temp.outcome(format('select pool_exec(%s, ''select 1'')', :lease));
set role regress_pool_user;
select pool_query(:lease, 'select session_user');
select pool_release(:lease);
reset role;
-- session authorization too
set session authorization regress_pool_other;
select security_who('security_server');
reset session authorization;
-- a function that runs as its owner uses its owner's mapping, and gives no lease away
create function security_as_owner() returns text
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
	select public.security_who('security_server')
$$;
create function security_lease() returns bigint
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
	select public.pool_acquire('security_server')
$$;
alter function security_as_owner() owner to regress_pool_other;
alter function security_lease() owner to regress_pool_other;
set role regress_pool_user;
select security_as_owner(), security_who('security_server');
select security_as_owner() from generate_series(1, 2);
begin;
select security_lease() as lease \gset
select pg_temp.outcome(format('select pool_query(%s, ''select 1'')', :lease));
select pg_temp.outcome(format('select pool_release(%s)', :lease));
commit;
reset role;
create view security_view as select who from pool_query('security_server', 'select session_user') as t(who text);
alter view security_view owner to regress_pool_other;
grant select on security_view to regress_pool_user;
set role regress_pool_user;
-- a function in a view runs as who asks
select * from security_view;
reset role;
drop view security_view;
-- the same prepared statement, by one and then the other
prepare security_prepared as select pool_query('security_server', 'select session_user');
set role regress_pool_user;
execute security_prepared;
set role regress_pool_other;
execute security_prepared;
reset role;
deallocate security_prepared;

-- a change that may yet be rolled back connects nobody
begin;
alter server security_server options (set dbname 'template1');
select pg_temp.outcome($$ select pool_query('security_server', 'select current_database()') $$);
rollback;
select a from pool_query('security_server', 'select current_database() <> ''template1''') as t(a bool);

-- rights that are taken away
begin;
set local role regress_pool_user;
select security_who('security_server');
reset role;
revoke usage on foreign server security_server from regress_pool_user;
set local role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_server', 'select 1') $$);
rollback;
set role regress_pool_user;
select security_who('security_server');
reset role;

-- a search_path that offers something else
create schema security_evil;
create function security_evil.current_setting(text) returns text language sql as $$ select 'evil' $$;
create table security_evil.pg_foreign_server (srvname name);
create table security_evil.pool_stats (evil int);
create function security_evil.pool_stats() returns setof int language sql as $$ select 666 $$;
create view security_evil.pool_connections as select 666 as evil;
set search_path = security_evil, pg_catalog, public;
select public.pool_query('security_server', 'select 1');
select count(*) > 0 as rows, count(distinct server) > 0 as servers from public.pool_stats;
select count(*) > 0 as rows from public.pool_connections;
reset search_path;
\set VERBOSITY terse
drop schema security_evil cascade;
\set VERBOSITY default

-- options are values, not strings to be read
call security_server('security_option', 'pool', ', acquire_timeout ''1s''');
create user mapping for current_user server security_option options (user :'super');
do $$
declare
	name text;
	message text;
	detail text;
begin
	foreach name in array array['host=127.0.0.1 dbname=postgres', 'postgresql://127.0.0.1/postgres',
		'x'' dbname=''postgres', E'line\nbreak', '%s%n', repeat('x', 65536)] loop
		execute format('alter server security_option options (set dbname %L)', name);
		commit;
		begin
			perform pool_query('security_option', 'select 1');
			raise notice 'no error for %', left(name, 50);
		exception when others then
			get stacked diagnostics message = message_text, detail = pg_exception_detail;
			if name ~ '^xxx' then
				raise notice '64 kB: %', left(sqlstate, 2) in ('08', '22', '53');
			else
				raise notice '%: % %', sqlstate, message, substring(detail, 'FATAL.*');
			end if;
		end;
	end loop;
end
$$;
set client_min_messages = warning;
drop server security_option cascade;
reset client_min_messages;

--
-- GSS encryption: what was asked for, or nothing (for TLS see 014_tls.pl)
--
alter server security_server options (add gssencmode 'disable');
do $$
declare
	mode text;
	message text;
	detail text;
	hint text;
begin
	foreach mode in array array['prefer', 'require', 'disable'] loop
		execute format('alter server security_server options (set gssencmode %L)', mode);
		commit;
		begin
			perform pool_query('security_server', 'select 1');
			raise notice '% connects', mode;
		exception when others then
			get stacked diagnostics message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
			raise notice '%: % %', mode, sqlstate, message using detail = detail, hint = hint;
		end;
	end loop;
end
$$;
alter server security_server options (set gssencmode 'require');
select pg_temp.outcome($$ select pool_acquire('security_server') $$);
select pg_temp.outcome($$ select pool_prewarm('security_server', 1) $$);
alter server security_server options (drop gssencmode);
select pool_query('security_server', 'select not gss_authenticated and not encrypted from pg_stat_gssapi where pid = pg_backend_pid()');

--
-- Servers of other wrappers
--
\set VERBOSITY terse
set client_min_messages = warning;
create extension postgres_fdw;
create extension dblink;
reset client_min_messages;
call security_server('security_postgres_fdw', 'postgres_fdw', $$, fetch_size '50', use_remote_estimate 'true', updatable 'false', extensions 'pool'$$);
call security_server('security_dblink_fdw', 'dblink_fdw');
do $$
declare
	server text;
begin
	foreach server in array array['security_postgres_fdw', 'security_dblink_fdw'] loop
		execute format('create user mapping for current_user server %I options (user %L)', server, current_user);
		execute format('create user mapping for regress_pool_user server %I options (user %L, password %L)', server, 'regress_pool_remote', 'security_canary');
		execute format('grant usage on foreign server %I to regress_pool_user', server);
	end loop;
end
$$;
\set VERBOSITY default
create foreign table security_foreign (a int) server security_postgres_fdw options (schema_name 'public', table_name 'security_table');
create table security_table as select generate_series(1, 3) as a;
select server, who = current_user as self from (values ('security_postgres_fdw'), ('security_dblink_fdw')) v(server), security_who(server) who;
select * from pool_query('security_postgres_fdw', 'select * from security_table') as t(a int);
select count(*) from security_foreign;
select * from dblink('security_dblink_fdw', 'select * from security_table where a = 1') as t(a int);
begin;
select pool_acquire('security_postgres_fdw') as one, pool_acquire('security_dblink_fdw') as two \gset
select pool_exec(:one, 'begin; insert into security_table values (4); commit');
select pool_query(:two, 'select max(a) from security_table');
commit;
select server, max_size, open from pool_stats where server like 'security\_%fdw' and user_name = current_user order by server;
-- the same rules hold there
set role regress_pool_user;
select pg_temp.outcome($$ select pool_query('security_postgres_fdw', 'select 1') $$);
select pg_temp.outcome($$ select pool_query('security_dblink_fdw', 'select 1') $$);
reset role;
alter user mapping for regress_pool_user server security_postgres_fdw options (add password_required 'false');
set role regress_pool_user;
select security_who('security_postgres_fdw');
reset role;
-- a wrapper that is no way to a PostgreSQL
create foreign data wrapper security_wrapper;
create server security_strange foreign data wrapper security_wrapper options (filename '/nowhere');
create user mapping for current_user server security_strange options (secret 'security_canary');
select split_part(pg_temp.outcome(command), ':', 1) ~ '^(0A000|42809|HV...)$' as refused
from (values ($$ select pool_query('security_strange', 'select 1') $$),
	($$ select pool_acquire('security_strange') $$), ($$ select pool_prewarm('security_strange', 1) $$)) v(command);

-- a password is in no view, whoever looks
select count(*) from (select pool_stats::text from pool_stats union all select pool_connections::text from pool_connections) v(row)
where row ~ 'canary';

\set VERBOSITY terse
set client_min_messages = warning;
drop server security_strange, security_server, security_postgres_fdw, security_dblink_fdw cascade;
drop foreign data wrapper security_wrapper;
drop extension postgres_fdw, dblink;
reset client_min_messages;
drop table security_table;
drop function security_as_owner, security_lease, security_who;
drop procedure security_server;
drop role regress_pool_user, regress_pool_other, regress_pool_remote, regress_pool_public;
