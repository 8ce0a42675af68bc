--
-- What a server's options, its wrapper and the search_path can do, and what not
--
\set SHOW_CONTEXT never

create role regress_pool_user;
create role regress_pool_remote login;
call create_server('security_server', 'pool', ', max_size ''2''');
select current_user as super \gset
create user mapping for current_user server security_server options (user :'super');

--
-- Names are what they say
--
-- A search_path that offers other objects changes nothing.
create schema security_evil;
create function security_evil.current_setting(text) returns text
	language sql as $$ select 'evil' $$;
create table security_evil.pg_foreign_server (srvname name);
create table security_evil.pool_stats (evil int);
create function security_evil.pool_stats_all() returns setof int language sql as $$ select 666 $$;
create view security_evil.pool_connections as select 666 as evil;
set search_path = security_evil, pg_catalog, public;
select public.pool_query('security_server', 'select 1');
select count(*) > 0 as rows, count(distinct server) > 0 as servers from public.pool_stats;
select count(*) > 0 as rows from public.pool_connections;
reset search_path;
\set VERBOSITY terse
drop schema security_evil cascade;
\set VERBOSITY default

-- A database name that looks like a connection string is a name.
call create_server('security_option', 'pool', ', acquire_timeout ''1s''');
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
-- GSS encryption: what was asked for, or an error (for TLS see 014_tls.pl)
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
			get stacked diagnostics message = message_text, detail = pg_exception_detail,
				hint = pg_exception_hint;
			raise notice '%: % %', mode, sqlstate, message using detail = detail, hint = hint;
		end;
	end loop;
end
$$;
alter server security_server options (set gssencmode 'require');
select outcome($$ select pool_acquire('security_server') $$);
select outcome($$ select pool_prewarm('security_server', 1) $$);
alter server security_server options (drop gssencmode);
select pool_query('security_server',
	'select not gss_authenticated and not encrypted
	from pg_stat_gssapi where pid = pg_backend_pid()');

--
-- Servers of other wrappers can be used as they are
--
\set VERBOSITY terse
set client_min_messages = warning;
create extension postgres_fdw;
create extension dblink;
reset client_min_messages;
call create_server('security_postgres_fdw', 'postgres_fdw', $$, fetch_size '50',
	use_remote_estimate 'true', updatable 'false', extensions 'pool'$$);
call create_server('security_dblink_fdw', 'dblink_fdw');
do $$
declare
	server text;
begin
	foreach server in array array['security_postgres_fdw', 'security_dblink_fdw'] loop
		execute format('create user mapping for current_user server %I options (user %L)', server,
			current_user);
		execute format('create user mapping for regress_pool_user server %I '
					   'options (user %L, password %L)',
					   server, 'regress_pool_remote', 'security_canary');
		execute format('grant usage on foreign server %I to regress_pool_user', server);
	end loop;
end
$$;
\set VERBOSITY default
create foreign table security_foreign (a int) server security_postgres_fdw
	options (schema_name 'public', table_name 'security_table');
create table security_table as select generate_series(1, 3) as a;
select server, who = current_user as self
	from (values ('security_postgres_fdw'), ('security_dblink_fdw')) v(server), who(server) who;
select * from pool_query('security_postgres_fdw', 'select * from security_table') as t(a int);
select count(*) from security_foreign;
select * from dblink('security_dblink_fdw', 'select * from security_table where a = 1') as t(a int);
begin;
select pool_acquire('security_postgres_fdw') as one,
	pool_acquire('security_dblink_fdw') as two \gset
select pool_exec(:one, 'begin; insert into security_table values (4); commit');
select pool_query(:two, 'select max(a) from security_table');
commit;
select server, max_size, open from pool_stats
	where server like 'security\_%fdw' and user_name = current_user order by server;
-- The same rules hold there.
set role regress_pool_user;
select outcome($$ select pool_query('security_postgres_fdw', 'select 1') $$);
select outcome($$ select pool_query('security_dblink_fdw', 'select 1') $$);
reset role;
alter user mapping for regress_pool_user server security_postgres_fdw
	options (add password_required 'false');
set role regress_pool_user;
select who('security_postgres_fdw');
reset role;
-- A wrapper that is no way to a PostgreSQL is refused.
create foreign data wrapper security_wrapper;
create server security_strange foreign data wrapper security_wrapper options (filename '/nowhere');
create user mapping for current_user server security_strange options (secret 'security_canary');
select split_part(outcome(command), ':', 1) ~ '^(0A000|42809|HV...)$' as refused
from (values ($$ select pool_query('security_strange', 'select 1') $$),
	($$ select pool_acquire('security_strange') $$),
	($$ select pool_prewarm('security_strange', 1) $$)) v(command);

-- A password is in no view, whoever looks.
select count(*) from (
	select s::text from pool_stats s union all select s::text from pool_stats_all() s
	union all select c::text from pool_connections c) v(row)
where row ~ 'canary';

\set VERBOSITY terse
set client_min_messages = warning;
drop server security_strange, security_server, security_postgres_fdw, security_dblink_fdw cascade;
drop foreign data wrapper security_wrapper;
drop extension postgres_fdw, dblink;
reset client_min_messages;
drop table security_table;
drop role regress_pool_user, regress_pool_remote;
