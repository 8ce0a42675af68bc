-- NULL in place of each argument.

--- before there is a connection
SELECT dblink_connect(NULL);
SELECT dblink_connect(NULL, NULL);
SELECT dblink_connect('c', NULL);
SELECT dblink_connect(NULL, far());
SELECT dblink_connect_u(NULL);
SELECT dblink_connect_u(NULL, NULL);
SELECT dblink_connect_u('c', NULL);
SELECT dblink_disconnect(NULL);
SELECT dblink_get_connections();

--- with a connection
SELECT dblink_connect(far());
SELECT dblink_connect('c', far());
SELECT * FROM dblink(NULL) AS t(i int);
SELECT * FROM dblink('select 1', NULL::bool) AS t(i int);
SELECT * FROM dblink('c', NULL::text) AS t(i int);
SELECT * FROM dblink(NULL, 'select 1') AS t(i int);
SELECT * FROM dblink('c', 'select 1', NULL) AS t(i int);
SELECT * FROM dblink('c', NULL, true) AS t(i int);
SELECT dblink_exec(NULL);
SELECT dblink_exec('c', NULL::text);
SELECT dblink_exec('select 1', NULL::bool);
SELECT dblink_exec('c', 'select 1', NULL);
SELECT dblink_exec(NULL, 'select 1', NULL);

--- cursors
SELECT dblink_open(NULL, NULL);
SELECT dblink_open('k', NULL);
SELECT dblink_open('k', 'select 1', NULL::bool);
SELECT dblink_open('c', 'k', NULL::text);
SELECT dblink_open('c', NULL, 'select 1', true);
SELECT dblink_open('c', 'k', 'select 1', NULL);
SELECT * FROM dblink_fetch(NULL, 1) AS t(i int);
SELECT * FROM dblink_fetch('k', NULL) AS t(i int);
SELECT * FROM dblink_fetch('k', 1, NULL) AS t(i int);
SELECT * FROM dblink_fetch('c', NULL, 1) AS t(i int);
SELECT * FROM dblink_fetch('c', 'k', NULL, true) AS t(i int);
SELECT dblink_close(NULL);
SELECT dblink_close('k', NULL::bool);
SELECT dblink_close('c', NULL::text);
SELECT dblink_close(NULL, 'k', true);
SELECT dblink_close('c', 'k', NULL);

--- requests
SELECT dblink_send_query(NULL, 'select 1');
SELECT dblink_send_query('c', NULL);
SELECT dblink_is_busy(NULL);
SELECT * FROM dblink_get_result(NULL) AS t(i int);
SELECT * FROM dblink_get_result('c', NULL) AS t(i int);
SELECT dblink_cancel_query(NULL);
SELECT dblink_error_message(NULL);
SELECT * FROM dblink_get_notify(NULL);

--- keys
SELECT * FROM dblink_get_pkey(NULL);
SELECT dblink_build_sql_insert(NULL, '1', 1, '{a}', '{a}');
SELECT dblink_build_sql_insert('pg_class', NULL, 1, '{a}', '{a}');
SELECT dblink_build_sql_update('pg_class', '1', NULL, '{a}', '{a}');
SELECT dblink_build_sql_update('pg_class', '1', 1, NULL, '{a}');
SELECT dblink_build_sql_delete('pg_class', '1', 1, NULL);
SELECT dblink_fdw_validator(NULL, NULL);

--- all is as before
SELECT dblink_get_connections();
SELECT * FROM dblink('select 1') AS t(i int);
SELECT * FROM dblink('c', 'select 1') AS t(i int);
