-- Transactions of the remote over several calls, and what local transactions have to do
-- with connections.

--- connected
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'create table ledger (i int primary key deferrable)');

--- committed
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'insert into ledger values (1)');
SELECT * FROM dblink('c', 'select count(*) from ledger') AS r(n int);
SELECT * FROM dblink(far(), 'select count(*) from ledger') AS r(n int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink(far(), 'select count(*) from ledger') AS r(n int);

--- rolled back, by all names of that
SELECT dblink_exec('c', 'begin work');
SELECT dblink_exec('c', 'insert into ledger values (2)');
SELECT dblink_exec('c', 'rollback');
SELECT dblink_exec('c', 'start transaction isolation level serializable');
SELECT * FROM dblink('c', 'show transaction_isolation') AS r(s text);
SELECT dblink_exec('c', 'insert into ledger values (2)');
SELECT dblink_exec('c', 'abort');
SELECT * FROM dblink('c', 'show transaction_isolation') AS r(s text);
SELECT dblink_exec('c', 'begin; insert into ledger values (2)');
SELECT dblink_exec('c', 'end');
SELECT * FROM dblink('c', 'select * from ledger order by 1') AS r(n int);

--- chained
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'insert into ledger values (3)');
SELECT dblink_exec('c', 'commit and chain');
SELECT dblink_exec('c', 'insert into ledger values (4)');
SELECT dblink_exec('c', 'rollback and chain');
SELECT dblink_exec('c', 'insert into ledger values (5)');
SELECT dblink_exec('c', 'rollback');
SELECT * FROM dblink('c', 'select * from ledger order by 1') AS r(n int);

--- savepoints
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'savepoint s');
SELECT dblink_exec('c', 'insert into ledger values (6)');
SELECT dblink_exec('c', 'rollback to s');
SELECT dblink_exec('c', 'insert into ledger values (7)');
SELECT dblink_exec('c', 'release s');
SELECT dblink_exec('c', 'release s', false);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select * from ledger order by 1') AS r(n int);

--- failed
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'insert into ledger values (1)');
SELECT dblink_exec('c', 'insert into ledger values (8)');
SELECT * FROM dblink('c', 'select 1') AS r(n int);
SELECT * FROM dblink('c', 'select 1', false) AS r(n int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select 1') AS r(n int);

--- failed and saved
SELECT dblink_exec('c', 'begin; insert into ledger values (8); savepoint s');
SELECT dblink_exec('c', 'insert into ledger values (1)', false);
SELECT dblink_exec('c', 'rollback to s');
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select * from ledger order by 1') AS r(n int);

--- an error at the end
SELECT dblink_exec('c', 'begin; set constraints all deferred; insert into ledger values (1)');
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('c', 'select count(*) from ledger') AS r(n int);

--- prepared there
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'insert into ledger values (9)');
SELECT dblink_exec('c', 'prepare transaction ''far''');
SELECT * FROM dblink('c', 'select count(*) from ledger where i = 9') AS r(n int);
SELECT dblink_exec('c', 'commit prepared ''far''');
SELECT * FROM dblink('c', 'select count(*) from ledger where i = 9') AS r(n int);

--- a transaction and a lock stay between calls
SELECT dblink_exec('c', 'begin; lock table ledger in exclusive mode');
SELECT dblink_exec(far(), 'set lock_timeout = ''10ms''; lock table ledger in exclusive mode');
SELECT * FROM dblink('c', 'select count(*) from pg_locks where mode = ''ExclusiveLock'' '
	'and pid = pg_backend_pid() and relation = ''ledger''::regclass') AS r(n int);
SELECT dblink_exec('c', 'rollback');
SELECT dblink_exec(far(), 'begin; set local lock_timeout = ''10s''; '
	'lock table ledger in exclusive mode; commit');

--- by a string
SELECT dblink_exec(far(), 'begin');
SELECT dblink_exec(far(), 'begin; insert into ledger values (20)');
SELECT dblink_exec(far(), 'insert into ledger values (21)');
SELECT dblink_exec(far(), 'begin; insert into ledger values (22); commit');
SELECT * FROM dblink(far(), 'insert into ledger values (23) returning i') AS r(n int);
SELECT * FROM dblink('c', 'select * from ledger where i >= 20 order by 1') AS r(n int);

--- warnings of transactions
SELECT dblink_exec('c', 'commit');
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'rollback');
SELECT dblink_exec('c', 'savepoint s');

--- local transactions
BEGIN;
SELECT dblink_connect('d', far());
SELECT dblink_exec('c', 'insert into ledger values (30)');
SELECT dblink_exec('d', 'begin; insert into ledger values (31)');
ROLLBACK;
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT * FROM dblink('d', 'select i from ledger where i >= 30 order by 1') AS r(n int);
BEGIN;
SELECT dblink_exec('d', 'commit');
SELECT dblink_disconnect('d');
ROLLBACK;
SELECT dblink_get_connections();
SELECT * FROM dblink('c', 'select i from ledger where i >= 30 order by 1') AS r(n int);

--- local savepoints
BEGIN;
SAVEPOINT s;
SELECT dblink_connect('d', far());
SELECT dblink_exec('d', 'begin; insert into ledger values (32)');
ROLLBACK TO s;
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT dblink_exec('d', 'commit');
SAVEPOINT t;
SELECT dblink_disconnect('d');
ROLLBACK TO t;
SELECT dblink_get_connections();
COMMIT;

--- a failed local transaction
BEGIN;
SELECT dblink_exec('c', 'insert into ledger values (33)');
SELECT 1/0;
SELECT dblink_exec('c', 'insert into ledger values (34)');
ROLLBACK;
SELECT * FROM dblink('c', 'select i from ledger where i > 32') AS r(n int);

--- exception blocks
DO $$
BEGIN
	PERFORM dblink_connect('d', far());
	PERFORM dblink_exec('d', 'begin');
	BEGIN
		PERFORM dblink_exec('d', 'insert into ledger values (40)');
		PERFORM dblink_connect('e', far());
		PERFORM dblink_exec('d', 'savepoint s');
		PERFORM dblink_exec('d', 'insert into ledger values (1)');
	EXCEPTION WHEN unique_violation THEN
		RAISE NOTICE 'caught %', SQLERRM;
		PERFORM dblink_exec('d', 'rollback to s');
	END;
	PERFORM dblink_exec('d', 'commit');
END $$;
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT * FROM dblink('e', 'select i from ledger where i >= 40') AS r(n int);
SELECT dblink_disconnect('d');
SELECT dblink_disconnect('e');

--- an autonomous transaction
CREATE FUNCTION pg_temp.log(i int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM * FROM dblink(far(), format('insert into ledger values (%s); commit', i)) AS r(s text);
END $$;
BEGIN;
SELECT pg_temp.log(50);
ROLLBACK;
SELECT * FROM dblink('c', 'select i from ledger where i >= 50') AS r(n int);

--- procedures that commit
CREATE PROCEDURE pg_temp.batch() LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dblink_exec('c', 'begin');
	FOR i IN 60 .. 63 LOOP
		PERFORM dblink_exec('c', format('insert into ledger values (%s)', i));
		IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
	END LOOP;
	PERFORM dblink_exec('c', 'commit');
END $$;
CALL pg_temp.batch();
SELECT * FROM dblink('c', 'select count(*) from ledger where i >= 60') AS r(n int);

--- a local transaction that is prepared
BEGIN;
CREATE TABLE prepared_here ();
SELECT dblink_exec('c', 'insert into ledger values (70)');
SELECT dblink_connect('d', far());
SELECT dblink_exec('d', 'begin');
PREPARE TRANSACTION 'near';
SELECT dblink_exec('d', 'insert into ledger values (71)');
SELECT dblink_exec('d', 'commit');
COMMIT PREPARED 'near';
SELECT dblink_disconnect('d');
DROP TABLE prepared_here;
SELECT * FROM dblink('c', 'select i from ledger where i >= 70') AS r(n int);

--- a local transaction with a request, prepared
BEGIN;
SELECT dblink_send_query('c', 'select 1');
PREPARE TRANSACTION 'near';
SELECT * FROM dblink_get_result('c') AS r(n int);
SELECT * FROM dblink_get_result('c') AS r(n int);
COMMIT PREPARED 'near';

--- read only
BEGIN READ ONLY;
SELECT dblink_exec('c', 'insert into ledger values (80)');
COMMIT;
SELECT * FROM dblink('c', 'select i from ledger where i >= 80') AS r(n int);
SELECT dblink_exec('c', 'set default_transaction_read_only = on');
SELECT dblink_exec('c', 'insert into ledger values (81)');
SELECT dblink_exec('c', 'set default_transaction_read_only = off');

--- disconnecting rolls back
SELECT dblink_exec('c', 'begin; insert into ledger values (90)');
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'select i from ledger where i >= 90') AS r(n int);
SELECT * FROM dblink('c', 'show transaction_isolation') AS r(s text);
SELECT dblink_exec('c', 'begin');
SELECT dblink_exec('c', 'commit');
SELECT dblink_disconnect('c');
