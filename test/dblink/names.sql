-- Connections and their names.

--- nothing is connected
SELECT dblink_get_connections();
SELECT dblink_disconnect();
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('');
SELECT * FROM dblink('select 1') AS t(i int);
SELECT * FROM dblink('select 1', true) AS t(i int);
SELECT * FROM dblink('select 1', false) AS t(i int);
SELECT dblink_exec('select 1');
SELECT dblink_exec('select 1', true);
SELECT dblink_exec('select 1', false);
SELECT dblink_open('k', 'select 1');
SELECT dblink_open('k', 'select 1', false);
SELECT dblink_open('c', 'k', 'select 1');
SELECT dblink_open('c', 'k', 'select 1', false);
SELECT * FROM dblink_fetch('k', 1) AS t(i int);
SELECT * FROM dblink_fetch('k', 1, false) AS t(i int);
SELECT * FROM dblink_fetch('c', 'k', 1) AS t(i int);
SELECT * FROM dblink_fetch('c', 'k', 1, false) AS t(i int);
SELECT dblink_close('k');
SELECT dblink_close('k', false);
SELECT dblink_close('c', 'k');
SELECT dblink_close('c', 'k', false);
SELECT dblink_send_query('c', 'select 1');
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS t(i int);
SELECT * FROM dblink_get_result('c', false) AS t(i int);
SELECT dblink_cancel_query('c');
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_notify();
SELECT * FROM dblink_get_notify('c');

--- a name that is no connection is a connection string
SELECT * FROM dblink('nobody', 'select 1') AS t(i int);
SELECT * FROM dblink('nobody', 'select 1', false) AS t(i int);
SELECT dblink_exec('nobody', 'select 1');
SELECT dblink_exec('nobody', 'select 1', false);
SELECT dblink_connect('nobody');
SELECT dblink_connect('c', 'nobody');
SELECT dblink_get_connections();

--- the unnamed connection
SELECT dblink_connect(far());
SELECT dblink_get_connections();
SELECT * FROM dblink('select 1') AS t(i int);
SELECT dblink_exec('set application_name = ''first''');
SELECT * FROM dblink('show application_name') AS t(a text);

--- the unnamed connection is replaced
SELECT dblink_connect(far());
SELECT count(*) FROM dblink('show application_name') AS t(a text) WHERE a = 'first';
SELECT dblink_disconnect();
SELECT dblink_disconnect();

--- replacing the unnamed connection fails
SELECT dblink_connect(far());
SELECT dblink_exec('set application_name = ''kept''');
SELECT dblink_connect('nobody');
SELECT * FROM dblink('show application_name') AS t(a text);
SELECT dblink_disconnect();

--- the unnamed connection is replaced within a transaction on the remote
SELECT dblink_connect(far());
SELECT dblink_exec('begin');
SELECT dblink_connect(far());
SELECT dblink_exec('begin');
SELECT dblink_exec('commit');
SELECT dblink_disconnect();

--- named connections
SELECT dblink_connect('c', far());
SELECT dblink_connect('c', far());
SELECT dblink_connect('c', 'nobody');
SELECT dblink_connect('C', far());
SELECT dblink_connect(' c', far());
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT * FROM dblink('c', 'select 1') AS t(i int);
SELECT * FROM dblink('C', 'select 2') AS t(i int);
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('C');
SELECT dblink_disconnect(' c');
SELECT dblink_get_connections();

--- the name is free after a failure
SELECT dblink_connect('c', far() || ' dbname=nowhere');
SELECT dblink_get_connections();
SELECT dblink_connect('c', far());
SELECT dblink_disconnect('c');

--- strange names
SELECT dblink_connect('', far());
SELECT dblink_get_connections();
SELECT * FROM dblink('', 'select 1') AS t(i int);
SELECT dblink_exec('', 'select 1');
SELECT dblink_disconnect('');
SELECT dblink_connect('a"b''c d\e %s', far());
SELECT dblink_get_connections();
SELECT * FROM dblink('a"b''c d\e %s', 'select 1/0') AS t(i int);
SELECT dblink_exec('a"b''c d\e %s', 'select 1/0');
SELECT dblink_exec('a"b''c d\e %s', 'select 1/0', false);
SELECT dblink_disconnect('a"b''c d\e %s');
SELECT dblink_connect(E'two\nlines', far());
SELECT * FROM dblink(E'two\nlines', 'select 1/0') AS t(i int);
SELECT dblink_disconnect(E'two\nlines');
SELECT dblink_connect('dbname=postgres', far());
SELECT * FROM dblink('dbname=postgres', 'select 1') AS t(i int);
SELECT dblink_disconnect('dbname=postgres');

--- long names
SELECT dblink_connect(repeat('x', 63), far());
SELECT dblink_connect(repeat('x', 64), far());
SELECT dblink_connect(repeat('x', 100), far());
SELECT dblink_get_connections();
SELECT * FROM dblink(repeat('x', 100), 'select 1') AS t(i int);
SELECT * FROM dblink(repeat('x', 100), 'select 1/0') AS t(i int);
SELECT dblink_exec(repeat('x', 64), 'select 1/0');
SELECT dblink_open(repeat('x', 64), 'k', 'select 1');
SELECT * FROM dblink_fetch(repeat('x', 65), 'k', 2) AS t(i int);
SELECT dblink_close(repeat('x', 66), 'k');
SELECT dblink_send_query(repeat('x', 64), 'select 1');
SELECT * FROM dblink_get_result(repeat('x', 64)) AS t(i int);
SELECT * FROM dblink_get_result(repeat('x', 64)) AS t(i int);
SELECT dblink_error_message(repeat('x', 64));
SELECT dblink_cancel_query(repeat('x', 64));
SELECT * FROM dblink_get_notify(repeat('x', 64));
SELECT dblink_disconnect(repeat('x', 70));
SELECT dblink_disconnect(repeat('x', 63));
SELECT dblink_connect(repeat('y', 64), far());
SELECT dblink_disconnect(repeat('y', 80));
SELECT dblink_disconnect(repeat('y', 80));

--- long names of several bytes a character
SELECT dblink_connect(repeat('ä', 31), far());
SELECT dblink_connect(repeat('ä', 32), far());
SELECT dblink_connect('x' || repeat('ä', 32), far());
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT * FROM dblink(repeat('ä', 40), 'select 1/0') AS t(i int);
SELECT dblink_disconnect(repeat('ä', 50));
SELECT dblink_disconnect('x' || repeat('ä', 31));
SELECT dblink_get_connections();

--- many connections
SELECT count(dblink_connect('c' || i, far())) FROM generate_series(1, 15) i;
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;

--- each has a process of its own
SELECT count(DISTINCT p) FROM generate_series(1, 15) i,
	LATERAL dblink('c' || i, 'select pg_backend_pid()') AS t(p int);

--- each has a transaction of its own
SELECT count(dblink_exec('c' || i, 'begin')) FROM generate_series(1, 15) i;
SELECT count(DISTINCT p) FROM generate_series(1, 15) i,
	LATERAL dblink('c' || i, 'select pg_backend_pid()') AS t(p int);
SELECT count(dblink_exec('c' || i, 'commit')) FROM generate_series(1, 15) i;
SELECT count(dblink_disconnect(n)) FROM unnest(dblink_get_connections()) n;
SELECT dblink_get_connections();

--- strings that are wrong
SELECT dblink_connect('host');
SELECT dblink_connect('host=');
SELECT dblink_connect('nonsense=1 ' || far());
SELECT dblink_connect('host=''127.0.0.1');
SELECT dblink_connect('postgresql://127.0.0.1:99999/x');
SELECT dblink_connect('postgresql://[::1/x');
SELECT dblink_connect(far() || ' port=0');
SELECT dblink_connect(far() || ' port=x');
SELECT dblink_connect(far() || ' sslmode=x');
SELECT dblink_connect(far() || ' target_session_attrs=x');
SELECT dblink_connect(far() || ' connect_timeout=10');
SELECT dblink_disconnect();

--- a connect_timeout that is no number
SELECT dblink_connect(far() || ' connect_timeout=x');

--- connections that fail
SELECT dblink_connect(far() || ' port=1');
SELECT dblink_connect('c', far() || ' port=1');
SELECT * FROM dblink(far() || ' port=1', 'select 1') AS t(i int);
SELECT * FROM dblink(far() || ' port=1', 'select 1', false) AS t(i int);
SELECT dblink_exec(far() || ' port=1', 'select 1');
SELECT dblink_exec(far() || ' port=1', 'select 1', false);
SELECT dblink_connect(far() || ' host=/nonexistent');
SELECT dblink_connect(far() || ' host=nowhere.invalid');
SELECT dblink_connect(far() || ' dbname=nowhere');
SELECT dblink_connect(far() || ' user=nobody');
SELECT dblink_connect(far() || ' password=wrong');
SELECT dblink_connect(far() || ' password=wrong');
SELECT dblink_connect(far() || ' options=''-c nonsense=1''');
SELECT dblink_connect(far() || ' sslmode=require');
SELECT dblink_get_connections();

--- another form of string
SELECT dblink_connect('u', replace(url(), 'PATH', ''));
SELECT * FROM dblink('u', 'select current_user') AS t(u text);
SELECT dblink_disconnect('u');
SELECT * FROM dblink(url(), 'select current_user') AS t(u text);
SELECT * FROM dblink(url() || '?options=-c%20work_mem%3D77kB', 'show work_mem') AS t(a text);

--- options of the string
SELECT * FROM dblink(far() || ' options=''-c work_mem=123kB''', 'show work_mem') AS t(a text);
SELECT dblink_connect('c', far() || ' options=''-c work_mem=123kB -c search_path=pg_catalog''');
SELECT * FROM dblink('c', 'show work_mem') AS t(a text);
SELECT * FROM dblink('c', 'show search_path') AS t(a text);
SELECT dblink_disconnect('c');
SELECT * FROM dblink(far() || ' client_encoding=LATIN1', 'show client_encoding') AS t(a text);
SELECT * FROM dblink(far() || ' keepalives=0 tcp_user_timeout=1000', 'select 1') AS t(a text);
SELECT * FROM dblink(far() || ' target_session_attrs=read-write', 'select 1') AS t(a text);
SELECT * FROM dblink(far() || ' target_session_attrs=read-only', 'select 1') AS t(a text);
SELECT * FROM dblink(far() || ' gssencmode=disable channel_binding=disable', 'select 1')
	AS t(a text);
SELECT * FROM dblink(far() || ' host=127.0.0.1,127.0.0.1', 'select 1') AS t(a text);
SELECT * FROM dblink(far() || ' hostaddr=127.0.0.1', 'select 1') AS t(a text);

--- what a connection looks like there
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'show client_encoding') AS t(a text);
SELECT * FROM dblink('c', 'show datestyle') AS t(a text);
SELECT * FROM dblink('c', 'show intervalstyle') AS t(a text);
SELECT * FROM dblink('c', 'show timezone') AS t(a text);
SELECT * FROM dblink('c', 'show extra_float_digits') AS t(a text);
SELECT * FROM dblink('c', 'show search_path') AS t(a text);
SELECT * FROM dblink('c', 'show statement_timeout') AS t(a text);
SELECT * FROM dblink('c', 'select current_user, session_user, current_database()')
	AS t(a text, b text, c text);
SELECT dblink_disconnect('c');

--- the name of an application
SELECT * FROM dblink(far() || ' application_name=mine', 'show application_name') AS t(a text);

--- no name of an application
SELECT * FROM dblink(far(), 'show application_name') AS t(a text);

--- replication
SELECT * FROM dblink(far() || ' replication=database', 'select 1') AS t(a text);
