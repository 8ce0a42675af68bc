-- dblink_open(), dblink_fetch() and dblink_close(), and the transactions that they make.

--- connected
SELECT dblink_connect(far());
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'create table numbers as select i from generate_series(1, 10) i');

--- one cursor
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT * FROM dblink_fetch('c', 'k', 3) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 3, true) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 100) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 100) AS r(i int);
SELECT dblink_close('c', 'k');
SELECT dblink_close('c', 'k');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);

--- one cursor of the unnamed connection
SELECT dblink_open('k', 'select i from numbers order by i');
SELECT * FROM dblink_fetch('k', 2) AS r(i int);
SELECT * FROM dblink_fetch('k', 2, false) AS r(i int);
SELECT dblink_close('k');
SELECT * FROM dblink_fetch('k', 2, false) AS r(i int);
SELECT dblink_close('k', false);
SELECT dblink_open('k', 'select nonsense', false);
SELECT dblink_open('k', 'select i from numbers order by i', true);
SELECT * FROM dblink_fetch('k', 1, true) AS r(i int);
SELECT dblink_close('k', true);
SELECT dblink_open('k', 'select i from numbers order by i', false);

--- it is within a transaction
SELECT dblink_disconnect();
SELECT dblink_connect(far());
SELECT dblink_exec('c', 'savepoint probe', false);
SELECT dblink_open('c', 'k', 'select 1');
SELECT dblink_exec('c', 'savepoint probe', false);
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'insert into numbers values (11)');
SELECT dblink_close('c', 'k');
SELECT dblink_exec('c', 'savepoint probe', false);
SELECT * FROM dblink('select count(*) from numbers') AS r(n int);

--- of numbers of rows
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT * FROM dblink_fetch('c', 'k', 0) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 2) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 0) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', -1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 2147483647) AS r(i int);
SELECT dblink_close('c', 'k');

--- several cursors
SELECT dblink_open('c', 'k1', 'select i from numbers order by i');
SELECT dblink_open('c', 'k2', 'select i from numbers order by i desc');
SELECT * FROM dblink_fetch('c', 'k1', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k2', 1) AS r(i int);
SELECT dblink_open('c', 'k2', 'select 1', false);
SELECT * FROM dblink_fetch('c', 'k1', 1, false) AS r(i int);
SELECT dblink_close('c', 'k1', false);
SELECT dblink_exec('c', 'rollback');
SELECT dblink_open('c', 'k1', 'select 1');
SELECT dblink_open('c', 'k2', 'select 2');
SELECT dblink_open('c', 'k3', 'select 3');
SELECT dblink_close('c', 'k2');
SELECT * FROM dblink_fetch('c', 'k1', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k3', 1) AS r(i int);
SELECT dblink_close('c', 'k3');
SELECT * FROM dblink_fetch('c', 'k1', 1) AS r(i int);
SELECT dblink_close('c', 'k1');
SELECT dblink_exec('c', 'savepoint probe', false);

--- errors close the transaction
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT * FROM dblink_fetch('c', 'other', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_close('c', 'k');
SELECT dblink_open('c', 'k', 'select 1');
SELECT dblink_exec('c', 'abort');
SELECT dblink_open('c', 'k', 'select 1');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_close('c', 'k');
SELECT dblink_exec('c', 'savepoint probe', false);

--- opening fails
SELECT dblink_open('c', 'k', 'nonsense');
SELECT dblink_open('c', 'k', 'select 1');
SELECT dblink_exec('c', 'rollback');
SELECT dblink_open('c', 'k', 'nonsense', false);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT dblink_open('c', 'k', 'insert into numbers values (1)', false);
SELECT dblink_exec('c', 'rollback');
SELECT dblink_open('c', '', 'select 1', false);
SELECT dblink_exec('c', 'rollback');
SELECT dblink_open('c', 'k; select 1', 'select 1', false);
SELECT dblink_exec('c', 'rollback');
SELECT dblink_open('c', '"a ""b"', 'select 1');
SELECT * FROM dblink_fetch('c', '"a ""b"', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', '"A"', 1) AS r(i int);
SELECT dblink_exec('c', 'rollback');

--- within a transaction of one's own
SELECT dblink_exec('c', 'begin');
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT dblink_exec('c', 'insert into numbers values (12)');
SELECT dblink_close('c', 'k');
SELECT dblink_exec('c', 'savepoint probe', false);
SELECT dblink_exec('c', 'rollback');
SELECT * FROM dblink('c', 'select max(i) from numbers') AS r(n int);
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT dblink_exec('c', 'commit');
SELECT dblink_close('c', 'k');
SELECT dblink_exec('c', 'begin');
SELECT dblink_close('c', 'k', false);
SELECT dblink_exec('c', 'rollback');

--- savepoints
SELECT dblink_open('c', 'k1', 'select i from numbers order by i');
SELECT dblink_exec('c', 'savepoint s');
SELECT dblink_open('c', 'k2', 'select i from numbers order by i');
SELECT dblink_exec('c', 'rollback to s');
SELECT * FROM dblink_fetch('c', 'k1', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k2', 1, false) AS r(i int);
SELECT dblink_exec('c', 'rollback to s');
SELECT dblink_close('c', 'k1');
SELECT dblink_exec('c', 'savepoint probe', false);
SELECT dblink_exec('c', 'rollback');

--- rows and columns that do not fit
SELECT dblink_open('c', 'k', 'select i, ''x'' from numbers order by i');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int, j int);
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int, j text);
SELECT * FROM dblink_fetch('c', 'k', 1);
SELECT dblink_fetch('c', 'k', 1);
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int, j text);
SELECT dblink_close('c', 'k');

--- an error in the middle of rows
SELECT dblink_open('c', 'k', 'select 10 / (5 - i) from numbers order by i');
SELECT * FROM dblink_fetch('c', 'k', 3) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 3) AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 3, false) AS r(i int);
SELECT dblink_close('c', 'k', false);
SELECT dblink_exec('c', 'rollback');

--- fetched with FETCH
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT * FROM dblink('c', 'fetch 2 from k') AS r(i int);
SELECT * FROM dblink('c', 'fetch backward 1 from k') AS r(i int);
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_exec('c', 'move 2 from k');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_exec('c', 'close k');
SELECT dblink_close('c', 'k', false);
SELECT dblink_exec('c', 'rollback');

--- WITH HOLD
SELECT dblink_exec('c', 'declare h cursor with hold for select i from numbers order by i');
SELECT * FROM dblink_fetch('c', 'h', 2) AS r(i int);
SELECT * FROM dblink_fetch('c', 'h', 2) AS r(i int);
SELECT dblink_open('c', 'k', 'select 1');
SELECT dblink_close('c', 'h');
SELECT dblink_close('c', 'k');

--- local transactions have no say
BEGIN;
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
ROLLBACK;
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
BEGIN;
SAVEPOINT s;
SELECT dblink_open('c', 'k2', 'select i from numbers order by i desc');
ROLLBACK TO s;
SELECT * FROM dblink_fetch('c', 'k2', 1) AS r(i int);
COMMIT;
SELECT * FROM dblink_fetch('c', 'k2', 1) AS r(i int);
SELECT dblink_close('c', 'k2');
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_close('c', 'k');

--- disconnecting with a cursor
SELECT dblink_open('c', 'k', 'select i from numbers order by i');
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(i int);
SELECT dblink_close('c', 'k');
SELECT dblink_close('c', 'k', false);

--- by a string
SELECT dblink_open(far(), 'k', 'select 1');
SELECT * FROM dblink_fetch(far(), 'k', 1) AS r(i int);
SELECT dblink_close(far(), 'k');

--- a loop over a cursor
CREATE FUNCTION pg_temp.walk() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	total int := 0;
	got int;
	part int;
BEGIN
	PERFORM dblink_open('c', 'walk', 'select i from numbers where i <= 10 order by i');
	LOOP
		SELECT count(*), coalesce(sum(i), 0) INTO got, part
			FROM dblink_fetch('c', 'walk', 3) AS r(i int);
		EXIT WHEN got = 0;
		total := total + part;
	END LOOP;
	PERFORM dblink_close('c', 'walk');
	RETURN total;
END $$;
SELECT pg_temp.walk();
SELECT pg_temp.walk();
