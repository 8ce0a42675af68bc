--
-- The extension, and a server for the other tests: "loopback" is this very
-- database, by TCP
--
create extension pool;

do $$
begin
	execute format('create server loopback foreign data wrapper pool '
				   'options (host %L, port %L, dbname %L, max_size %L)',
				   '127.0.0.1', current_setting('port'), current_database(), '4');
	execute format('create user mapping for current_user server loopback '
				   'options (user %L)', current_user);
end
$$;

-- the first statement over it
select pool_query('loopback', 'select 1');
select * from pool_query('loopback', 'select current_database() = $1, current_user = $2',
						 current_database(), current_user) as t(database bool, "user" bool);
-- Waits for what another process does: at most ten seconds.
create function comes_true(condition text) returns bool
language plpgsql as $$
declare
	answer bool;
begin
	for i in 1..1000 loop
		execute 'select ' || condition into answer;
		exit when answer;
		perform pg_sleep(0.01);
	end loop;
	return answer;
end
$$;
