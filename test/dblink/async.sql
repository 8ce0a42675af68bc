-- dblink_send_query(), dblink_get_result() and what belongs to them.

--- connected
SELECT dblink_connect('c', far());
SELECT dblink_connect('d', far());
SELECT dblink_exec('c', 'create table jobs (i int primary key)');

--- one statement
SELECT dblink_send_query('c', 'select 1');
SELECT wait_idle('c');
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_is_busy('c');

--- without waiting
SELECT dblink_send_query('c', 'select i from generate_series(1, 3) i');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- results that nobody asked for
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT dblink_get_result('c');
SELECT dblink_cancel_query('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- commands
SELECT dblink_send_query('c', 'insert into jobs values (1)');
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT dblink_send_query('c', 'insert into jobs values (2) returning i');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'insert into jobs values (3)');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink('c', 'select i from jobs order by i') AS r(i int);

--- several statements
SELECT dblink_send_query('c', 'select 1; select 2, 3; update jobs set i = i; select 4');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int, j int);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT wait_idle('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- nothing to execute
SELECT dblink_send_query('c', '');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT dblink_send_query('c', '-- nothing');
SELECT * FROM dblink_get_result('c', false) AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);

--- no rows
SELECT dblink_send_query('c', 'select 1 where false');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('d', 'select 1');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('d') AS r(i int);
SELECT * FROM dblink_get_result('d') AS r(i int);

--- errors
SELECT dblink_send_query('c', 'select 1/0');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 1/0');
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT dblink_error_message('c');

--- an error that is not read yet
SELECT dblink_send_query('c', 'nonsense');
SELECT dblink_error_message('c');
SELECT wait_idle('c');
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_error_message('c');

--- errors after results
SELECT dblink_send_query('c', 'select 1; select 1/0; select 3');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 1; select 1/0; select 3');
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT * FROM dblink_get_result('c', false) AS r(i int);

--- an error in the middle of rows
SELECT dblink_send_query('c', 'select 10 / (5 - i) from generate_series(1, 10) i');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 10 / (5 - i) from generate_series(1, 10) i');
SELECT * FROM dblink_get_result('c', false) AS r(i int);
SELECT * FROM dblink_get_result('c', false) AS r(i int);

--- rows that do not fit
SELECT dblink_send_query('c', 'select 1, 2; select 3');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select ''x''; select 3');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 5');
SELECT * FROM dblink_get_result('c');
SELECT dblink_get_result('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 5');
SELECT dblink_get_result('c');
SELECT * FROM dblink_get_result('c') AS r(i int);

--- sent while busy
SELECT dblink_send_query('c', 'select 1');
SELECT dblink_send_query('c', 'select 2');
SELECT dblink_error_message('c');
SELECT wait_idle('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_error_message('c');

--- sent while a result is not read to its end
SELECT dblink_send_query('c', 'select 3');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 4');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 5');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- dblink() while a query is under way
SELECT dblink_send_query('c', 'select 1');
SELECT * FROM dblink('c', 'select 2') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink('c', 'select 3') AS r(i int);

--- dblink() without an error while a query is under way
SELECT dblink_send_query('c', 'select 1');
SELECT * FROM dblink('c', 'select 2', false) AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- dblink_exec() while a query is under way
SELECT dblink_send_query('c', 'select 1');
SELECT dblink_exec('c', 'update jobs set i = i where i = 1');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- dblink_exec() without an error while a query is under way
SELECT dblink_send_query('c', 'insert into jobs values (5)');
SELECT dblink_exec('c', 'insert into jobs values (6)', false);
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink('c', 'select i from jobs where i in (5, 6) order by i') AS r(i int);

--- cursors while a query is under way
SELECT dblink_send_query('c', 'select 1');
SELECT dblink_open('c', 'k', 'select 2');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 1');
SELECT * FROM dblink_fetch('c', 'k', 1, false) AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT dblink_send_query('c', 'select 1');
SELECT dblink_close('c', 'k');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- a loop over all results
DO $$
DECLARE
	n int;
	r record;
BEGIN
	PERFORM dblink_send_query('c', 'select i from generate_series(1, 3) i; select 10; '
		'select 11 where false; select 12');
	FOR k IN 1 .. 5 LOOP
		n := 0;
		FOR r IN SELECT * FROM dblink_get_result('c') AS t(i int) LOOP
			n := n + 1;
			RAISE NOTICE 'result % row %: %', k, n, r.i;
		END LOOP;
	END LOOP;
END $$;
SELECT dblink_is_busy('c');

--- two at a time
SELECT dblink_send_query('c', 'select 1 from pg_sleep(0.1)');
SELECT dblink_send_query('d', 'select 2 from pg_sleep(0.1)');
SELECT * FROM dblink_get_result('d') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('d') AS r(i int);

--- busy and cancelled
SELECT dblink_send_query('c', 'select pg_sleep(60)');
SELECT dblink_is_busy('c');
SELECT wait_running('c');
SELECT dblink_cancel_query('c');
SELECT wait_idle('c');
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- cancelled, without an error
SELECT dblink_send_query('c', 'select pg_sleep(60)');
SELECT wait_running('c');
SELECT dblink_cancel_query('c');
SELECT * FROM dblink_get_result('c', false) AS r(i text);
SELECT dblink_error_message('c');
SELECT * FROM dblink_get_result('c', false) AS r(i text);

--- cancelled when it is done
SELECT dblink_send_query('c', 'select 1');
SELECT wait_idle('c');
SELECT dblink_cancel_query('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- cancelled in a transaction
SELECT dblink_exec('c', 'begin; insert into jobs values (20)');
SELECT dblink_send_query('c', 'select pg_sleep(60)');
SELECT wait_running('c');
SELECT dblink_cancel_query('c');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select i from jobs where i = 20') AS r(i int);

--- disconnecting with a query under way
SELECT dblink_send_query('c', 'select pg_sleep(0.2); insert into jobs values (30)');
SELECT dblink_disconnect('c');
SELECT dblink_is_busy('c');
SELECT dblink_connect('c', far());
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- within a transaction
SELECT dblink_exec('c', 'begin');
SELECT dblink_send_query('c', 'insert into jobs values (40)');
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink('d', 'select i from jobs where i = 40') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('d', 'select i from jobs where i = 40') AS r(i int);
SELECT dblink_send_query('c', 'begin; insert into jobs values (41)');
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT dblink_exec('c', 'rollback');
SELECT * FROM dblink('d', 'select i from jobs where i = 41') AS r(i int);

--- over local transactions
BEGIN;
SELECT dblink_send_query('c', 'select 1; select 2');
ROLLBACK;
SELECT * FROM dblink_get_result('c') AS r(i int);
BEGIN;
SAVEPOINT s;
SELECT * FROM dblink_get_result('c') AS r(i int);
ROLLBACK TO s;
SELECT * FROM dblink_get_result('c') AS r(i int);
COMMIT;
BEGIN;
SELECT dblink_send_query('c', 'select 3');
SELECT 1/0;
ROLLBACK;
SELECT * FROM dblink_get_result('c') AS r(i int);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- a local error between sending and fetching
DO $$
BEGIN
	PERFORM dblink_send_query('c', 'select 7');
	BEGIN
		PERFORM 1/0;
	EXCEPTION WHEN division_by_zero THEN
		RAISE NOTICE 'caught';
	END;
	RAISE NOTICE '%', (SELECT i FROM dblink_get_result('c') AS r(i int));
END $$;
SELECT * FROM dblink_get_result('c') AS r(i int);

--- a COPY
SELECT dblink_send_query('c', 'copy jobs to stdout');
SELECT * FROM dblink_get_result('c') AS r(i text);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());

--- many rows
SELECT dblink_send_query('c', 'select i, repeat(''x'', 100) from generate_series(1, 20000) i');
SELECT wait_idle('c');
SELECT count(*), sum(i), sum(length(s)) FROM dblink_get_result('c') AS r(i int, s text);
SELECT * FROM dblink_get_result('c') AS r(i int);

--- dates
SELECT dblink_exec('c', 'set datestyle = ''SQL, DMY''');
SELECT dblink_send_query('c', 'select date ''2026-02-03''');
SELECT * FROM dblink_get_result('c') AS r(d date);
SELECT * FROM dblink_get_result('c') AS r(d date);

--- others are not concerned
SELECT dblink_is_busy('d');
SELECT dblink_error_message('d');
SELECT * FROM dblink('d', 'select 1') AS r(i int);
SELECT dblink_disconnect('c');
SELECT dblink_disconnect('d');
