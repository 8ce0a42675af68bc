--
-- Statistics: a remote that does not let us in
--
\set SHOW_CONTEXT never

call create_server('stats_failing', 'pool', ', max_size ''3''');
alter server stats_failing options (set dbname 'stats_nowhere');
create user mapping for current_user server stats_failing options (user :'USER');

--
-- An acquire fails at once, by the remote's own words, in one attempt
--
select outcome($$ select pool_query('stats_failing', 'select 1') $$);
select state, open, active, waiting, connects, acquires, releases, lost, queries,
	acquire_failures, connect_errors,
	last_error ~ 'FATAL:  database "stats_nowhere" does not exist$' as last_error,
	last_error_at between transaction_timestamp() - interval '1min' and clock_timestamp() as lately
from pool_stats_all() where server = 'stats_failing';
-- Each acquire that fails is counted; none of them is a time-out.
select outcome($$ select pool_acquire('stats_failing') $$);
select acquires, acquire_failures, connect_errors between 1 and 2 as connect_errors,
	acquire_timeouts
from pool_stats where server = 'stats_failing';
-- When the remote lets us in, the pool is ready, and what happened stays counted.
alter server stats_failing options (set dbname :'DBNAME');
select pool_query('stats_failing', 'select 1');
select state, open, connects, connect_errors between 1 and 2 as connect_errors, acquires
from pool_stats where server = 'stats_failing';

--
-- A prewarm that fails says so, and is no failed acquire
--
alter server stats_failing options (set dbname 'stats_nowhere');
select outcome($$ select pool_prewarm('stats_failing', 1) $$);
select acquire_failures from pool_stats where server = 'stats_failing';
select comes_true('adds_up()');

set client_min_messages = warning;
drop server stats_failing cascade;
reset client_min_messages;
