-- dblink_get_notify().  wait_notify() waits until something has come.

--- nothing
SELECT dblink_connect(far());
SELECT dblink_connect('c', far());
SELECT * FROM dblink_get_notify();
SELECT * FROM dblink_get_notify('c');

--- a notification of oneself
SELECT dblink_exec('LISTEN one');
SELECT dblink_exec('NOTIFY one');
SELECT notify_name, be_pid = p, extra
	FROM dblink_get_notify(), dblink('select pg_backend_pid()') AS t(p int);
SELECT * FROM dblink_get_notify();

--- by name
SELECT dblink_exec('c', 'LISTEN two');
SELECT dblink_exec('c', 'NOTIFY two, ''payload''');
SELECT notify_name, be_pid = p, extra
	FROM dblink_get_notify('c'), dblink('c', 'select pg_backend_pid()') AS t(p int);
SELECT * FROM dblink_get_notify('c');
SELECT * FROM dblink_get_notify();

--- several channels and payloads
SELECT dblink_exec('c', 'LISTEN three; LISTEN "Four x"');
SELECT dblink_exec(far(), 'NOTIFY two, ''a''; NOTIFY three; NOTIFY "Four x", ''ä "b"''; '
	'NOTIFY five; NOTIFY two, ''c''');
SELECT wait_notify('c', 4);
SELECT name, extra FROM notified ORDER BY n;
DELETE FROM notified;

--- twice the same
SELECT dblink_exec(far(), 'NOTIFY two, ''a''; NOTIFY two, ''a''; NOTIFY two');
SELECT wait_notify('c', 2);
SELECT name, extra FROM notified ORDER BY n;
DELETE FROM notified;

--- what has come with a statement
SELECT dblink_exec('c', 'begin; NOTIFY two, ''later''');
SELECT * FROM dblink_get_notify('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select 2') AS r(i int);
SELECT notify_name, extra FROM dblink_get_notify('c');
SELECT dblink_exec('c', 'begin; NOTIFY two, ''never''; rollback');
SELECT * FROM dblink_get_notify('c');

--- kept over errors and local transactions
BEGIN;
SELECT dblink_exec('c', 'NOTIFY two, ''kept''');
ROLLBACK;
SELECT * FROM dblink('c', 'select 1/0', false) AS r(i int);
SELECT notify_name, extra FROM dblink_get_notify('c');

--- with a query under way
SELECT dblink_send_query('c', 'select 1; NOTIFY two, ''async''; select 2');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT notify_name, extra FROM dblink_get_notify('c');

--- no more
SELECT dblink_exec('c', 'UNLISTEN two');
SELECT dblink_exec('c', 'NOTIFY two; NOTIFY three');
SELECT notify_name FROM dblink_get_notify('c');
SELECT dblink_exec('c', 'UNLISTEN *');
SELECT dblink_exec('c', 'NOTIFY three');
SELECT * FROM dblink_get_notify('c');

--- in the target list
SELECT dblink_exec('c', 'LISTEN six; NOTIFY six, ''x''');
SELECT (dblink_get_notify('c')).extra;

--- a call that listens leaves nothing behind
SELECT dblink_exec(far(), 'LISTEN seven');
SELECT dblink_exec(far(), 'LISTEN seven; NOTIFY seven');
SELECT * FROM dblink(far(), 'select count(*) from pg_listening_channels()') AS r(n int);
SELECT * FROM dblink_get_notify();

--- nor does a connection
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'select count(*) from pg_listening_channels()') AS r(n int);
SELECT dblink_exec('c', 'NOTIFY six');
SELECT * FROM dblink_get_notify('c');
SELECT dblink_disconnect('c');
SELECT * FROM dblink_get_notify('c');
SELECT dblink_disconnect();
SELECT * FROM dblink_get_notify();
