-- The remote ends a session.  tried() is what a statement gives, or that it is an error:
-- which error it is, is compared where an item says so.

--- connected, with somebody who ends sessions
SELECT dblink_connect('boss', far('boss'));
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'create table survivors (i int)');

--- what it says
SELECT dblink_exec('c', 'begin');
SELECT kill('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- what it says then
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- what it says then, without an error
SELECT dblink_exec('c', 'commit', false);
SELECT dblink_disconnect('c');

--- in a transaction
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'begin; insert into survivors values (1)');
SELECT kill('c');
SELECT tried($$ SELECT i FROM dblink('c', 'insert into survivors values (2)') AS r(i text) $$);
SELECT dblink_get_connections() @> '{c}';
SELECT tried($$ SELECT i FROM dblink('c', 'select 1') AS r(i text) $$);
SELECT tried($$ SELECT dblink_exec('c', 'commit') $$);
SELECT tried($$ SELECT dblink_exec('c', 'commit', false) $$);
SELECT tried($$ SELECT dblink_connect('c', far()) $$);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'select count(*) from survivors') AS r(n int);

--- with settings
SELECT dblink_exec('c', 'set work_mem = ''123kB''');
SELECT kill('c');
SELECT tried($$ SELECT dblink_exec('c', 'insert into survivors values (3)') $$);
SELECT tried($$ SELECT dblink_exec('c', 'insert into survivors values (4)', false) $$);
SELECT dblink_error_message('c') <> 'OK';
SELECT dblink_is_busy('c');
SELECT tried($$ SELECT i FROM dblink_get_result('c', false) AS r(i text) $$);
SELECT tried($$ SELECT notify_name FROM dblink_get_notify('c') $$);
SELECT tried($$ SELECT dblink_open('c', 'k', 'select 1', false) $$);
SELECT tried($$ SELECT dblink_close('c', 'k', false) $$);
SELECT tried($$ SELECT i FROM dblink_fetch('c', 'k', 1, false) AS r(i text) $$);
SELECT tried($$ SELECT dblink_open('c', 'k', 'select 1') $$);
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('c');

--- with settings, without an error
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'set work_mem = ''123kB''');
SELECT kill('c');
SELECT tried($$ SELECT dblink_exec('c', 'insert into survivors values (5)', false) $$);
SELECT tried($$ SELECT dblink_exec('c', 'insert into survivors values (6)') $$);

--- a query without an error
SELECT tried($$ SELECT i FROM dblink('c', 'select 1', false) AS r(i text) $$);

--- a query that is sent
SELECT dblink_send_query('c', 'select 1');

--- a cancel
SELECT dblink_cancel_query('c');
SELECT dblink_disconnect('c');

--- with nothing that would be lost
SELECT dblink_connect('c', far());
SELECT kill('c');
SELECT tried($$ SELECT i FROM dblink('c', 'select 1') AS r(i text) $$);
SELECT tried($$ SELECT i FROM dblink('c', 'select 1') AS r(i text) $$);
SELECT dblink_disconnect('c');

--- with a cursor
SELECT dblink_connect('c', far());
SELECT dblink_open('c', 'k', 'select 1');
SELECT kill('c');
SELECT tried($$ SELECT i FROM dblink_fetch('c', 'k', 1) AS r(i text) $$);
SELECT tried($$ SELECT i FROM dblink_fetch('c', 'k', 1, false) AS r(i text) $$);
SELECT tried($$ SELECT dblink_close('c', 'k') $$);
SELECT dblink_disconnect('c');

--- with a query under way
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'begin');
SELECT p AS pid FROM dblink('c', 'select pg_backend_pid()') AS r(p int) \gset
SELECT dblink_send_query('c', 'select pg_sleep(60)');
SELECT * FROM dblink('boss', 'select pg_terminate_backend(' || :pid || ', 10000)') AS r(b bool);
SELECT wait_idle('c');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT tried($$ SELECT i FROM dblink_get_result('c', false) AS r(i text) $$);
SELECT tried($$ SELECT i FROM dblink('c', 'select 1') AS r(i text) $$);
SELECT dblink_disconnect('c');

--- by a string
SELECT tried($$ SELECT b FROM dblink(far(), 'select pg_terminate_backend(pg_backend_pid())')
	AS r(b text) $$);
SELECT tried($$ SELECT dblink_exec(far(), 'do $x$ begin '
	'perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); end $x$', false) $$);
SELECT * FROM dblink(far(), 'select 1') AS r(i int);

--- the unnamed connection
SELECT dblink_connect(far());
SELECT dblink_exec('begin');
SELECT tried($$ SELECT b FROM dblink('select pg_terminate_backend(pg_backend_pid())')
	AS r(b text) $$);
SELECT tried($$ SELECT b FROM dblink('select 1') AS r(b text) $$);
SELECT tried($$ SELECT dblink_exec('commit', false) $$);
SELECT dblink_connect(far());
SELECT * FROM dblink('select 1') AS r(i int);
SELECT dblink_disconnect();
SELECT dblink_disconnect('boss');
SELECT dblink_get_connections();
