-- The remote ends a session.

--- connected, with somebody who ends sessions
SELECT dblink_connect('boss', far('boss'));
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'create table survivors (i int)');

--- by name, in a transaction
SELECT dblink_exec('c', 'begin; insert into survivors values (1)');
SELECT kill('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_get_connections() @> '{c}';
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'select 1');
SELECT * FROM dblink('c', 'select 1', false) AS r(i int);
SELECT dblink_exec('c', 'commit', false);
SELECT dblink_connect('c', far());
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'select count(*) from survivors') AS r(n int);

--- by name, with state
SELECT dblink_exec('c', 'set work_mem = ''123kB''');
SELECT kill('c');
SELECT dblink_exec('c', 'insert into survivors values (1)');
SELECT dblink_exec('c', 'insert into survivors values (1)', false);
SELECT dblink_error_message('c');
SELECT dblink_is_busy('c');
SELECT dblink_send_query('c', 'select 1');
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT * FROM dblink_get_notify('c');
SELECT dblink_cancel_query('c');
SELECT dblink_open('c', 'k', 'select 1', false);
SELECT dblink_close('c', 'k', false);
SELECT * FROM dblink_fetch('c', 'k', 1, false) AS r(i int);
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('c');

--- by name, with nothing of its own
SELECT dblink_connect('c', far());
SELECT kill('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_disconnect('c');

--- with a cursor
SELECT dblink_connect('c', far());
SELECT dblink_open('c', 'k', 'select 1');
SELECT kill('c');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_close('c', 'k');
SELECT dblink_disconnect('c');

--- with a query under way
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'begin');
SELECT p AS pid FROM dblink('c', 'select pg_backend_pid()') AS r(p int) \gset
SELECT dblink_send_query('c', 'select pg_sleep(60)');
SELECT * FROM dblink('boss', 'select pg_terminate_backend(' || :pid || ', 10000)') AS r(b bool);
SELECT wait_idle('c');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c', false) AS r(i text);
SELECT dblink_disconnect('c');

--- by a string
SELECT * FROM dblink(far(), 'select pg_terminate_backend(pg_backend_pid())') AS r(b bool);
SELECT * FROM dblink(far(), 'select pg_terminate_backend(pg_backend_pid())', false) AS r(b bool);
SELECT dblink_exec(far(), 'do $$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); end $$');
SELECT * FROM dblink(far(), 'select 1') AS r(i int);

--- the unnamed connection
SELECT dblink_connect(far());
SELECT dblink_exec('begin');
SELECT * FROM dblink('select pg_terminate_backend(pg_backend_pid())') AS r(b bool);
SELECT * FROM dblink('select 1') AS r(i int);
SELECT dblink_exec('commit', false);
SELECT dblink_connect(far());
SELECT * FROM dblink('select 1') AS r(i int);
SELECT dblink_disconnect();
SELECT dblink_disconnect('boss');
SELECT dblink_get_connections();
