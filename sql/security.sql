--
-- Who may use a server: rights, user mappings and passwords
--
\set SHOW_CONTEXT never

create role regress_pool_user;
create role regress_pool_other;
create role regress_pool_remote login;
create role regress_pool_public login;
call create_server('security_server', 'pool', ', max_size ''2''');
select current_user as super \gset

--
-- USAGE on the server is needed, whatever the function
--
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
select outcome($$ select pool_query('security_server', 'select $1', 1) $$);
select outcome($$ select pool_query_json('security_server', 'select 1') $$);
select outcome($$ select pool_exec('security_server', 'select 1') $$);
select outcome($$ select pool_acquire('security_server') $$);
select outcome($$ select pool_prewarm('security_server', 1) $$);
select outcome($$ select pool_query('security_nowhere', 'select 1') $$);
reset role;
select count(*) from pool_stats where server = 'security_server';
grant usage on foreign server security_server to regress_pool_user, regress_pool_other;

--
-- A user mapping of one's own is needed
--
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
select outcome($$ select pool_acquire('security_server') $$);
select outcome($$ select pool_prewarm('security_server', 1) $$);
-- A superuser needs one, too, and does not use another's.
reset role;
create user mapping for regress_pool_other server security_server
	options (user 'regress_pool_remote', password_required 'false');
select replace(outcome($$ select pool_query('security_server', 'select 1') $$), :'super', 'super');
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
set role regress_pool_other;
select who('security_server');

--
-- A password is needed: nobody uses this server's own identity at the remote
--
set role regress_pool_user;
create user mapping for regress_pool_user server security_server
	options (user 'regress_pool_remote');
select outcome($$ select pool_query('security_server', 'select 1') $$);
select outcome($$ select pool_acquire('security_server') $$);
select outcome($$ select pool_prewarm('security_server', 1) $$);
alter user mapping for regress_pool_user server security_server options (add password '');
select outcome($$ select pool_query('security_server', 'select 1') $$);
-- It must be asked for, and this remote trusts everybody who comes from here.
alter user mapping for regress_pool_user server security_server
	options (set password 'security_canary');
select outcome($$ select pool_query('security_server', 'select 1') $$);
select outcome($$ select pool_prewarm('security_server', 1) $$);
select count(*) from pool_connections;
select outcome($$ alter user mapping for regress_pool_user server security_server
	options (add password_required 'false') $$);
-- A password is in no view, even after a failure.
reset role;
select count(*) from (
	select s::text from pool_stats s union all select s::text from pool_stats_all() s
	union all select c::text from pool_connections c) v(row)
where row ~ 'canary';
set role regress_pool_user;
-- A mapping for PUBLIC serves who has none, by the same rules.
drop user mapping for regress_pool_user server security_server;
reset role;
create user mapping for public server security_server options (user 'regress_pool_public');
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
select who('security_server');
alter user mapping for public server security_server options (add password_required 'false');
set role regress_pool_user;
select who('security_server');
-- One's own mapping comes first.
set role regress_pool_other;
select who('security_server');
reset role;
create user mapping for regress_pool_user server security_server
	options (user 'regress_pool_remote', password_required 'false');
set role regress_pool_user;
select who('security_server');
-- A change of the mapping is seen at the next statement.
reset role;
alter user mapping for regress_pool_user server security_server
	options (set user 'regress_pool_public');
set role regress_pool_user;
select who('security_server');
reset role;
drop user mapping for regress_pool_user server security_server;
drop user mapping for public server security_server;
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
-- A member of a role has the role's USAGE, not its mapping.
revoke usage on foreign server security_server from regress_pool_user;
grant regress_pool_other to regress_pool_user;
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
revoke regress_pool_other from regress_pool_user;
set role regress_pool_user;
select outcome($$ select pool_query('security_server', 'select 1') $$);
reset role;
\set VERBOSITY terse
set client_min_messages = warning;
drop server security_server cascade;
reset client_min_messages;
drop role regress_pool_user, regress_pool_other, regress_pool_remote, regress_pool_public;
