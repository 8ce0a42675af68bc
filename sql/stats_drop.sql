--
-- Statistics: a pool goes with its server
--
\set SHOW_CONTEXT never

create role regress_pool_own;
call create_server('stats_drop_here', 'pool', ', max_size ''2''');
call create_server('stats_drop_idle', 'pool', ', max_size ''3''');
call create_server('stats_drop_lost', 'pool', ', max_size ''3''');
create user mapping for current_user server stats_drop_here options (user :'USER');
create user mapping for current_user server stats_drop_idle options (user :'USER');
create user mapping for current_user server stats_drop_lost options (user :'USER');
create user mapping for regress_pool_own server stats_drop_here
	options (user :'USER', password_required 'false');
grant usage on foreign server stats_drop_here to regress_pool_own;

--
-- DROP SERVER ends its pools, and their connections
--
-- One server has the pools of two users.
select pool_query('stats_drop_here', 'select 1');
set role regress_pool_own;
select pool_query('stats_drop_here', 'select 1');
reset role;
-- One has more connections than were used, one does not let us in any more.
select pool_prewarm('stats_drop_idle', 3);
select pool_query('stats_drop_idle', 'select 1');
select pool_query('stats_drop_lost', 'select 1');
alter server stats_drop_lost options (set dbname 'stats_nowhere');
select outcome($$ select pool_prewarm('stats_drop_lost', 1) $$);
select server, count(*) from pool_stats where server like 'stats_drop%'
group by server order by server;
\set VERBOSITY terse
drop server stats_drop_here, stats_drop_idle, stats_drop_lost cascade;
\set VERBOSITY default
select comes_true('(select count(*) = 0 from pool_connections where server like ''stats%'')');
select comes_true('(select count(*) = 0 from pool_stats where server like ''stats%'')');
drop role regress_pool_own;

--
-- It leaves room for others: there may be more pools in all than at a time
--
do $$
declare
	before int := (select count(*) from pool_stats);
	failed int := 0;
begin
	for i in 1..current_setting('pool.max_pools')::int + 2 loop
		call create_server('stats_passing', 'pool', ', max_size ''1''');
		execute format('create user mapping for current_user server stats_passing '
					   'options (user %L)', current_user);
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
		perform comes_true('(select count(*) = 0 from pool_stats
			where server = ''stats_passing'')');
		exit when failed > 0;
	end loop;
	raise notice 'failed %, pools left %', failed, (select count(*) from pool_stats) - before;
end
$$;
