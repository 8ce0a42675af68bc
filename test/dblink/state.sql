-- State of a session of the remote: it stays with a connection, and goes with it.

--- settings
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'set work_mem = ''123kB''');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'set search_path = pg_catalog');
SELECT * FROM dblink('c', 'show search_path') AS r(s text);
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'reset work_mem');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'set session characteristics as transaction read only');
SELECT * FROM dblink('c', 'show transaction_read_only') AS r(s text);
SELECT dblink_exec('c', 'reset all');
SELECT * FROM dblink('c', 'show search_path') AS r(s text);

--- set_config()
SELECT * FROM dblink('c', 'select set_config(''app.tenant'', ''seven'', false)') AS r(s text);
SELECT * FROM dblink('c', 'select current_setting(''app.tenant'', true)') AS r(s text);
SELECT * FROM dblink('c', 'select current_setting(''app.tenant'', true)') AS r(s text);
SELECT * FROM dblink('c', 'select set_config(''app.local'', ''eight'', true)') AS r(s text);
SELECT * FROM dblink('c', 'select nullif(current_setting(''app.local'', true), '''')') AS r(s text);

--- settings within a transaction
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'set local work_mem = ''99kB''');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'begin; set work_mem = ''98kB''');
SELECT dblink_exec('c', 'rollback');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_exec('c', 'begin; set work_mem = ''97kB''');
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);

--- roles
SELECT dblink_exec('c', 'set role stylish');
SELECT * FROM dblink('c', 'select current_user, session_user') AS r(a text, b text);
SELECT dblink_exec('c', 'reset role');
SELECT * FROM dblink('c', 'select current_user') AS r(a text);

--- temporary tables
SELECT dblink_exec('c', 'create temp table scratch (i int)');
SELECT dblink_exec('c', 'insert into scratch values (1)');
SELECT * FROM dblink('c', 'select * from scratch') AS r(i int);
SELECT dblink_exec('c', 'create temp table scratch2 as select 2 as i');
SELECT * FROM dblink('c', 'select * from scratch, scratch2') AS r(i int, j int);
SELECT dblink_exec('c', 'drop table scratch2');
SELECT * FROM dblink('c', 'select * from scratch') AS r(i int);
SELECT * FROM dblink(far(), 'select * from scratch') AS r(i int);
SELECT dblink_exec('c', 'select 3 as i into temp scratch3');
SELECT * FROM dblink('c', 'select * from scratch3') AS r(i int);
SELECT dblink_exec('c', 'create temp view seen as select 4 as i');
SELECT * FROM dblink('c', 'select * from seen') AS r(i int);
SELECT dblink_exec('c', 'create temp sequence counter');
SELECT * FROM dblink('c', 'select nextval(''counter'')') AS r(i int);
SELECT * FROM dblink('c', 'select currval(''counter'')') AS r(i int);

--- prepared statements
SELECT dblink_exec('c', 'prepare adding (int, int) as select $1 + $2');
SELECT * FROM dblink('c', 'execute adding(1, 2)') AS r(i int);
SELECT * FROM dblink('c', 'execute adding(3, 4)') AS r(i int);
SELECT * FROM dblink('c', 'select name from pg_prepared_statements') AS r(s text);
SELECT * FROM dblink(far(), 'select count(*) from pg_prepared_statements') AS r(n int);
SELECT dblink_exec('c', 'deallocate all');
SELECT * FROM dblink('c', 'execute adding(3, 4)') AS r(i int);

--- advisory locks
SELECT * FROM dblink('c', 'select pg_try_advisory_lock(7)') AS r(b bool);
SELECT * FROM dblink(far(), 'select pg_try_advisory_lock(7)') AS r(b bool);
SELECT * FROM dblink('c', 'select pg_advisory_unlock(7)') AS r(b bool);
SELECT * FROM dblink(far(), 'select pg_try_advisory_lock(7)') AS r(b bool);
SELECT dblink_exec('c', 'do $$ begin perform pg_advisory_lock(8); end $$');
SELECT * FROM dblink(far(), 'select pg_try_advisory_lock(8)') AS r(b bool);

--- what a session knows
SELECT dblink_exec('c', 'create sequence serial');
SELECT * FROM dblink('c', 'select nextval(''serial'')') AS r(i int);
SELECT * FROM dblink('c', 'select currval(''serial''), lastval()') AS r(i int, j int);
SELECT * FROM dblink('c', 'select setseed(0.5)') AS r(s text);
SELECT count(*) FROM dblink('c', 'select random()') AS r(d float8);
SELECT dblink_exec('c', 'load ''plpgsql''');

--- the same process, as long as there is state
SELECT dblink_exec('c', 'create temp table scratch4 ()');
SELECT p AS pid FROM dblink('c', 'select pg_backend_pid()') AS r(p int) \gset
SELECT count(dblink_exec('c', 'update pg_temp.scratch set i = i')) FROM generate_series(1, 10);
SELECT p = :pid FROM dblink('c', 'select pg_backend_pid()') AS r(p int);

--- all of it is discarded
SELECT dblink_exec('c', 'discard all');
SELECT * FROM dblink('c', 'select count(*) from pg_class '
	'where relname like ''scratch%'' and relpersistence = ''t''') AS r(n int);
SELECT * FROM dblink('c', 'select current_setting(''app.tenant'', true)') AS r(s text);
SELECT dblink_exec('c', 'discard temp');
SELECT dblink_exec('c', 'discard plans');

--- a connection starts without the state of another
SELECT dblink_exec('c',
	'set work_mem = ''96kB''; create temp table scratch5 (); prepare other as select 1');
SELECT * FROM dblink('c', 'select pg_advisory_lock(9)') AS r(s text);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT * FROM dblink('c', 'select count(*) from pg_class where relname like ''scratch%'' '
	'and relpersistence = ''t'' and pg_table_is_visible(oid)') AS r(n int);
SELECT * FROM dblink('c', 'select count(*) from pg_prepared_statements where name = ''other''')
	AS r(n int);
SELECT * FROM dblink('c', 'set lock_timeout = ''10s''; select pg_advisory_lock(9)') AS r(b text);
SELECT * FROM dblink('c', 'select pg_advisory_unlock(9)') AS r(b bool);
SELECT dblink_disconnect('c');

--- a call does so, too
SELECT dblink_exec(far(), 'set work_mem = ''95kB''');
SELECT * FROM dblink(far(), 'show work_mem') AS r(s text);
SELECT dblink_exec(far(), 'create temp table scratch6 ()');
SELECT * FROM dblink(far(), 'select count(*) from pg_class '
	'where relname = ''scratch6'' and pg_table_is_visible(oid)') AS r(n int);
SELECT * FROM dblink(far(), 'set lock_timeout = ''10s''; select pg_advisory_lock(10)') AS r(b text);
SELECT * FROM dblink(far(), 'set lock_timeout = ''10s''; select pg_advisory_lock(10)') AS r(b text);
SELECT dblink_exec(far(), 'set role stylish');
SELECT * FROM dblink(far(), 'select current_user') AS r(s text);
SELECT dblink_exec(far(), 'prepare other as select 1');
SELECT * FROM dblink(far(), 'execute other') AS r(i int);
SELECT dblink_exec(far(), 'declare k cursor with hold for select 1');
SELECT * FROM dblink(far(), 'fetch k') AS r(i int);
SELECT dblink_exec(far(), 'set client_encoding = ''LATIN1''');
SELECT * FROM dblink(far(), 'show client_encoding') AS r(s text);
SELECT dblink_exec(far(), 'set session authorization stylish');
SELECT dblink_exec(far('boss'), 'set session authorization stylish');
SELECT * FROM dblink(far('boss'), 'select session_user') AS r(s text);

--- the client encoding of a connection
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'set client_encoding = ''UTF8''');
SELECT * FROM dblink('c', 'select ''ä''') AS r(s text);
SELECT dblink_exec('c', 'set client_encoding = ''LATIN1''');
SELECT * FROM dblink('c', 'show client_encoding') AS r(s text);
SELECT dblink_exec('c', 'reset client_encoding');
SELECT dblink_disconnect('c');
