-- What dblink() and dblink_exec() make of statements of all kinds, by name, without a
-- name and by string.  dblink() with COPY TO STDOUT is not here: with dblink that never
-- ends.

--- a table
SELECT dblink_connect(far());
SELECT dblink_connect('c', far());
SELECT dblink_exec('create table t (i int primary key, s text)');
SELECT dblink_exec('c', 'insert into t select i, ''s'' || i from generate_series(1, 5) i');
SELECT dblink_exec('c', 'update t set s = s where i < 4', false);
SELECT dblink_exec('delete from t where i = 5', false);
SELECT dblink_exec(far(), 'delete from t where i = 4');
SELECT dblink_exec(far(), 'delete from t where i = 4', false);

--- rows
SELECT * FROM dblink('select * from t order by i') AS r(i int, s text);
SELECT * FROM dblink('select * from t order by i', false) AS r(i int, s text);
SELECT * FROM dblink('c', 'select * from t order by i') AS r(i int, s text);
SELECT * FROM dblink('c', 'select * from t order by i', false) AS r(i int, s text);
SELECT * FROM dblink(far(), 'select * from t order by i') AS r(i int, s text);
SELECT * FROM dblink(far(), 'select * from t order by i', false) AS r(i int, s text);
SELECT * FROM dblink('c', 'select * from t where false') AS r(i int, s text);
SELECT * FROM dblink('c', 'table t limit 1') AS r(i int, s text);
SELECT * FROM dblink('c', 'values (1), (2)') AS r(i int);
SELECT * FROM dblink('c', 'with x as (select 1) select * from x') AS r(i int);
SELECT * FROM dblink('c', 'select 1;') AS r(i int);
SELECT * FROM dblink('c', 'select 1;;; ;') AS r(i int);
SELECT * FROM dblink('c', 'explain (costs off) select 1') AS r(i text);
SELECT * FROM dblink('c', 'show server_encoding') AS r(i text);

--- commands with rows
SELECT * FROM dblink('c', 'insert into t values (10, ''ten'') returning i, s') AS r(i int, s text);
SELECT * FROM dblink('c', 'update t set s = ''TEN'' where i = 10 returning s') AS r(s text);
SELECT * FROM dblink('c', 'delete from t where i = 10 returning *') AS r(i int, s text);
SELECT * FROM dblink('c', 'delete from t where i = 10 returning *') AS r(i int, s text);

--- the status of a command as a row
SELECT * FROM dblink('c', 'insert into t values (11)') AS r(s text);
SELECT * FROM dblink('c', 'update t set i = i') AS r(status text);
SELECT * FROM dblink('c', 'update t set i = i') AS r(status text) WHERE status = 'UPDATE 4';
SELECT * FROM dblink('c', 'delete from t where i = 11', false) AS r(s text);
SELECT * FROM dblink('create temp table x ()') AS r(s text);
SELECT * FROM dblink(far(), 'set work_mem = ''1MB''') AS r(s text);
SELECT * FROM dblink('c', 'begin') AS r(s text);
SELECT * FROM dblink('c', 'rollback') AS r(s text);
SELECT * FROM dblink('c', 'do $$ begin null; end $$') AS r(s text);
SELECT * FROM dblink('c', 'vacuum t') AS r(s text);

--- the status does not fit the columns
SELECT * FROM dblink('c', 'update t set i = i') AS r(i int);
SELECT * FROM dblink('c', 'update t set i = i') AS r(s name);
SELECT * FROM dblink('c', 'update t set i = i') AS r(a text, b text);
SELECT * FROM dblink('c', 'update t set i = i where false', false) AS r(i int);
SELECT * FROM dblink('c', 'select count(*) from t') AS r(n int);

--- dblink_exec() and rows
SELECT dblink_exec('select 1');
SELECT dblink_exec('select 1', false);
SELECT dblink_exec('c', 'select 1');
SELECT dblink_exec('c', 'select 1', false);
SELECT dblink_exec('c', 'select 1 where false');
SELECT dblink_exec(far(), 'select 1');
SELECT dblink_exec(far(), 'select 1', false);
SELECT dblink_exec('c', 'insert into t values (12) returning i');
SELECT * FROM dblink('c', 'select count(*) from t where i = 12') AS r(n int);
SELECT dblink_exec('c', 'delete from t where i = 12');
SELECT dblink_exec('c', 'show work_mem');
SELECT dblink_exec('c', 'explain select 1');
SELECT dblink_exec('c', 'select 1/0');

--- several statements in one string
SELECT * FROM dblink('c', 'select 1; select 2') AS r(i int);
SELECT * FROM dblink('c', 'select 3; select 1, 2') AS r(i int);
SELECT * FROM dblink('c', 'select 1 where false; select 2') AS r(i int);
SELECT * FROM dblink('c', 'select 1; select 2 where false') AS r(i int);
SELECT * FROM dblink('c', 'update t set i = i; select 2') AS r(i int);
SELECT * FROM dblink('c', 'select 2; update t set i = i') AS r(i text);
SELECT * FROM dblink('c', 'select 2; update t set i = i') AS r(i int);
SELECT * FROM dblink('c', 'update t set i = i; delete from t where false') AS r(s text);
SELECT * FROM dblink('c', 'select 1; select 1/0; select 2') AS r(i int);
SELECT * FROM dblink('c', 'insert into t values (20); select 1/0') AS r(i int);
SELECT * FROM dblink('c', 'insert into t values (20); commit; select 1/0') AS r(i int);
SELECT * FROM dblink('c', 'select i from t where i = 20') AS r(i int);
SELECT dblink_exec('c', 'delete from t where i = 20; update t set i = i');
SELECT dblink_exec('c', 'update t set i = i; select 1');
SELECT dblink_exec('c', 'select 1; update t set i = i');
SELECT dblink_exec('c', 'update t set i = i; nonsense');
SELECT dblink_exec('c', 'update t set i = i; select 1/0', false);
SELECT * FROM dblink(far(), 'select 1; select 2') AS r(i int);
SELECT dblink_exec(far(), 'update t set i = i; update t set i = i where false');

--- answers before the last one that do not fit
SELECT * FROM dblink('c', 'select 1, 2; select 3') AS r(i int);
SELECT * FROM dblink('c', 'select ''x''; select 4') AS r(i int);
SELECT * FROM dblink('c', 'select 5') AS r(i int);

--- an answer before an error, without an error
SELECT * FROM dblink('c', 'select 1; select 1/0; select 2', false) AS r(i int);
SELECT * FROM dblink('c', 'select 5') AS r(i int);

--- nothing to execute
SELECT * FROM dblink('c', '') AS r(i text);
SELECT * FROM dblink('c', '', false) AS r(i text);
SELECT * FROM dblink('c', ';') AS r(i text);
SELECT * FROM dblink('c', '-- nothing') AS r(i text);
SELECT * FROM dblink('c', '/* nothing */', false) AS r(i text);
SELECT * FROM dblink('') AS r(i text);
SELECT * FROM dblink(far(), '') AS r(i text);
SELECT dblink_exec('c', '');
SELECT dblink_exec('c', '', false);
SELECT dblink_exec('c', '-- nothing');
SELECT dblink_exec('', false);
SELECT dblink_exec(far(), '');
SELECT * FROM dblink('c', '-- before' || E'\n' || 'select 1 -- after') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- COPY to the client in dblink_exec()
SELECT dblink_exec('c', 'copy t to stdout');
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());

--- COPY to the client without an error
SELECT dblink_exec('c', 'copy t to stdout', false);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());

--- COPY from the client in dblink_exec()
SELECT dblink_exec('c', 'copy t from stdin');
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());

--- COPY from the client without an error
SELECT dblink_exec('c', 'copy t from stdin', false);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());

--- COPY by string
SELECT dblink_exec(far(), 'copy t to stdout');
SELECT dblink_exec(far(), 'copy t from stdin');

--- numbers of columns
SELECT * FROM dblink('c', 'select 1, 2') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int, j int);
SELECT * FROM dblink('c', 'select 1 where false') AS r(i int, j int);
SELECT * FROM dblink('c', 'select') AS r(i int);
SELECT * FROM dblink('c', 'select 1, 2', false) AS r(i int);
SELECT * FROM dblink(far(), 'select 1, 2') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- without a list of columns
SELECT * FROM dblink('c', 'select 1');
SELECT dblink('c', 'select 1');
SELECT dblink('c', 'select 1, 2');
SELECT dblink('c', 'select 1', false);
SELECT dblink('c', 'update t set i = i');
SELECT dblink('c', 'nonsense', false);
SELECT count(*) FROM (SELECT dblink('c', 'select 1')) x;
SELECT dblink(far(), 'select 1');
SELECT dblink('select 1');
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- statements that a session has for itself
SELECT * FROM dblink('c', 'begin; select 1') AS r(i int);
SELECT * FROM dblink('c', 'commit; select 2') AS r(i int);
SELECT dblink_exec('c', 'prepare p as select 42');
SELECT * FROM dblink('c', 'execute p') AS r(i int);
SELECT dblink_exec('c', 'deallocate p');
SELECT dblink_exec('c', 'declare k cursor for select 1');
SELECT * FROM dblink('c', 'begin; declare k cursor for select 1; fetch k') AS r(i int);
SELECT * FROM dblink('c', 'fetch k') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT dblink_exec('c', 'lock table t');
SELECT dblink_exec('c', 'discard all');

--- a statement beyond its time
SELECT dblink_exec('c', 'set statement_timeout = ''1s''');
SELECT * FROM dblink('c', 'select pg_sleep(60)') AS r(i text);
SELECT * FROM dblink('c', 'select pg_sleep(60)', false) AS r(i text);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_disconnect('c');

--- a local statement beyond its time
SELECT dblink_connect('c', far());
SET statement_timeout = '500ms';
SELECT * FROM dblink('c', 'select pg_sleep(2)') AS r(i text);
SELECT * FROM dblink(far(), 'select pg_sleep(2)') AS r(i text);
SELECT dblink_exec(far(), 'select pg_sleep(2)');
RESET statement_timeout;
SELECT dblink_get_connections();

--- the connection after that
SELECT * FROM dblink('c', 'select 1') AS r(i text);
SELECT dblink_disconnect('c');
SELECT dblink_get_connections();
