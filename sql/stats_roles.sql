--
-- Statistics: who sees what
--
\set SHOW_CONTEXT never

create role regress_pool_nobody;
create role regress_pool_own;
create role regress_pool_reader in role pg_read_all_stats;
create role regress_pool_monitor in role pg_monitor;

-- Three pools of a superuser: one is used, one only prewarmed, one never connected.
call create_server('stats_roles_here', 'pool', ', max_size ''2''');
call create_server('stats_roles_idle', 'pool', ', max_size ''3''');
call create_server('stats_roles_lost', 'pool', ', max_size ''3''');
alter server stats_roles_lost options (set dbname 'stats_nowhere');
create user mapping for current_user server stats_roles_here options (user :'USER');
create user mapping for current_user server stats_roles_idle options (user :'USER');
create user mapping for current_user server stats_roles_lost options (user :'USER');
select pool_query('stats_roles_here', 'select 1');
select pool_prewarm('stats_roles_idle', 1);
select outcome($$ select pool_query('stats_roles_lost', 'select 1') $$);

--
-- A role sees the pool of its own mapping, and no other
--
create user mapping for regress_pool_own server stats_roles_here
	options (user :'USER', password_required 'false');
grant usage on foreign server stats_roles_here to regress_pool_own;
set role regress_pool_own;
select count(*) from pool_stats;
select pool_query('stats_roles_here', 'select 1');
select server, user_name, acquires, queries from pool_stats;
select server, user_name, metric, count from pool_stats_times;
select server, user_name, sum(count) from pool_stats_closed group by 1, 2;
select server, user_name, event, count from pool_stats_events
where count > 0 and event = 'releases';
select server, user_name, count(*) from pool_connections group by 1, 2;
select count(*) from pool_stats_all();
select distinct user_name from pool_connections();

--
-- A role without a pool sees nothing, and cannot use the server
--
set role regress_pool_nobody;
select count(*) from pool_stats;
select count(*) from pool_stats_times;
select count(*) from pool_stats_closed;
select count(*) from pool_stats_events;
select count(*) from pool_connections;
select count(*) from pool_stats_all();
select count(*) from pool_connections();
select pool_prewarm('stats_roles_here', 1);
select pool_query('stats_roles_here', 'select 1');

--
-- Who may read all statistics sees the pools of all, and so does a superuser
--
set role regress_pool_reader;
select server, count(*) from pool_stats where server like 'stats_roles%'
group by server order by server;
select count(distinct user_name) from pool_connections where server = 'stats_roles_here';
set role regress_pool_monitor;
select server, count(*) from pool_stats where server like 'stats_roles%'
group by server order by server;
reset role;
select server, user_name from pool_stats
where server = 'stats_roles_here' and user_name <> current_user;

--
-- Nobody sees a password
--
alter user mapping for regress_pool_own server stats_roles_here
	options (add password 'stats_canary');
set role regress_pool_own;
select pool_query('stats_roles_here', 'select 1');
reset role;
select count(*) from (
	select s::text from pool_stats_all() s union all select pool_stats::text from pool_stats
	union all select pool_connections::text from pool_connections) v(row)
where row ~ 'canary';

set client_min_messages = warning;
drop server stats_roles_here, stats_roles_idle, stats_roles_lost cascade;
reset client_min_messages;
drop role regress_pool_nobody, regress_pool_own, regress_pool_reader, regress_pool_monitor;
