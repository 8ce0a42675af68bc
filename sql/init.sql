--
-- What the other tests need: the extension, helpers, and the server
-- "loopback", which is this very database, reached by TCP.  Runs first.
--
create extension pool;

--
-- Helpers.  They have a schema of their own, which every new session of this
-- database searches, whatever its role.
--
create schema test;
grant usage on schema test to public;
alter database :"DBNAME" set search_path = "$user", public, test;
set search_path = "$user", public, test;

-- Waits for what another process does: at most ten seconds.
create function test.comes_true(condition text) returns bool
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

-- Waits until every connection of a server is idle, and so as the next session
-- will find it.
create function test.at_rest(server text default 'loopback') returns bool
language sql as $$
	select comes_true(format($x$(select active + resetting + connecting + closing + waiting = 0
		and acquires = releases + lost from pool_stats_all() where server = %L)$x$, server))
$$;

-- Runs a command and says what became of it.  The numbers of leases and ports
-- are not the same in every run.
create function test.outcome(command text) returns text
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
	return regexp_replace(code || ': ' || message || coalesce(E'\n' || nullif(detail, ''), '')
		|| coalesce(E'\n' || nullif(hint, ''), ''), '(lease|port) -?\d+', '\1 N', 'g');
end
$$;

-- A server that leads here, made for some wrapper; "more" are further options.
create procedure test.create_server(name text, wrapper text, more text default '')
language plpgsql as $$
begin
	execute format('create server %I foreign data wrapper %I '
				   'options (host %L, port %L, dbname %L%s)', name, wrapper,
				   '127.0.0.1', current_setting('port'), current_database(), more);
end
$$;

-- Whom the remote let in.
create function test.who(server text) returns text
language sql as $$
	select who from pool_query(server, 'select session_user') as t(who text)
$$;

-- Whether a lease can be used.
create function test.live(lease bigint) returns bool
language plpgsql as $$
begin
	return (select a = lease from pool_query(lease, 'select $1', lease) as t(a bigint));
exception when undefined_object then
	return false;
end
$$;

-- The remote's process that serves a lease.
create function test.backend(lease bigint) returns int
language sql as $$
	select pid from pool_query(lease, 'select pg_backend_pid()') as t(pid int)
$$;

-- How many connections are leased.
create view test.lease_active as select active from pool_stats where server = 'loopback';

-- Whether the figures of every pool add up, as they do whenever nothing is on its way.
create function test.adds_up() returns bool
language sql as $$
	select bool_and(acquires = releases + lost + s.active
		and connects = closed + s.open
		and s.open = s.active + s.idle + resetting
		and closed = (select sum(value::bigint) from jsonb_each_text(to_jsonb(s))
			where key like 'closed\_%')
		and closed = (select sum(count) from pool_stats_closed r
			where (r.database, r.server, r.user_name) = (s.database, s.server, s.user_name))
		and reused <= acquires and query_errors <= queries
		and peak_active between s.active and max_size
		and (s.open, s.active, s.idle, s.connecting, s.closing)
			= (c.open, c.active, c.idle, c.connecting, c.closing))
	from pool_stats_all() s, lateral (
		select count(*) filter (where state in
				('leased', 'idle', 'checking', 'returned', 'resetting')) as open,
			count(*) filter (where state = 'leased') as active,
			count(*) filter (where state = 'idle') as idle,
			count(*) filter (where state = 'connecting') as connecting,
			count(*) filter (where state = 'closing') as closing
		from pool_connections p
		where (p.database, p.server, p.user_name) = (s.database, s.server, s.user_name)) c
$$;

-- What the validator says to a command, which is undone.  The list of valid
-- options depends on libpq's version, so it is cut off.
create function test.verdict(command text) returns text
language plpgsql as $$
declare
	code text;
	message text;
	detail text;
	hint text;
begin
	execute command;
	raise exception using errcode = 'PT000';
exception
	when sqlstate 'PT000' then
		return 'accepted';
	when others then
		get stacked diagnostics code = returned_sqlstate, message = message_text,
			detail = pg_exception_detail, hint = pg_exception_hint;
		hint := regexp_replace(hint, '(Valid options in this context are:).*', '\1 ...');
		return code || ' ' || message
			|| coalesce(E'\n  detail: ' || nullif(detail, ''), '')
			|| coalesce(E'\n  hint: ' || nullif(hint, ''), '');
end
$$;
create function test.on_server(options text) returns text
language sql as $$
	select options || ': ' || verdict(
		'create server options_new foreign data wrapper pool options (' || options || ')')
$$;
create function test.on_mapping(options text) returns text
language sql as $$
	select options || ': ' || verdict(
		'create user mapping for current_user server options_server options (' || options || ')')
$$;

--
-- The server, and the first statement over it, which reaches this database as
-- this user
--
call create_server('loopback', 'pool', ', max_size ''4''');
do $$
begin
	execute format('create user mapping for current_user server loopback options (user %L)',
				   current_user);
end
$$;
select pool_query('loopback', 'select 1');
select * from pool_query('loopback', 'select current_database() = $1, current_user = $2',
						 current_database(), current_user) as t(database bool, "user" bool);
