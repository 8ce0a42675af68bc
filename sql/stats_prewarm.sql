--
-- Statistics: connections that pool_prewarm opens ahead of demand
--
\set SHOW_CONTEXT never

call create_server('stats_prewarm', 'pool', ', max_size ''3''');
create user mapping for current_user server stats_prewarm options (user :'USER');

--
-- They are open and idle, and nobody has used them
--
select pool_prewarm('stats_prewarm', 0);
select pool_prewarm('stats_prewarm', 2);
select open, idle, active, max_size, connects, acquires, queries, peak_active
from pool_stats where server = 'stats_prewarm';
select state, pid, uses, count(*), count(distinct remote_pid) as remotes
from pool_connections where server = 'stats_prewarm' group by 1, 2, 3;

--
-- There are at least as many as asked for, and at most as many as allowed
--
select pool_prewarm('stats_prewarm', 1);
select pool_prewarm('stats_prewarm', 2147483647);
select open, connects from pool_stats where server = 'stats_prewarm';
-- Those that are leased count, too.
begin;
select count(pool_acquire('stats_prewarm')) from generate_series(1, 2);
select pool_prewarm('stats_prewarm', 3);
select open, active, idle, connects from pool_stats where server = 'stats_prewarm';
commit;
-- What is no number of connections, or no server, is refused.
select pool_prewarm('stats_prewarm', -1);
select pool_prewarm('stats_prewarm', null);
select pool_prewarm(null, 1);
select pool_prewarm('stats_nowhere', 1);
select comes_true('adds_up()');

set client_min_messages = warning;
drop server stats_prewarm cascade;
reset client_min_messages;
