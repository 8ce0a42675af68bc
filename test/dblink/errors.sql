-- Errors of the remote, with all that belongs to them, raised and as notices.

--- what can fail there
SELECT dblink_connect(far());
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', $remote$
	create table parent (id int primary key);
	create table child (id int references parent, n int check (n > 0), s text not null, unique (n));
	create function thrower(int) returns int language plpgsql as $$
	begin
		if $1 = 1 then
			raise exception 'plain';
		elsif $1 = 2 then
			raise exception 'full' using detail = 'The detail.', hint = 'The hint.',
				errcode = 'AB123', table = 'tbl', column = 'col', constraint = 'con',
				schema = 'sch', datatype = 'dt';
		elsif $1 = 3 then
			raise exception '';
		elsif $1 = 4 then
			raise exception E'two\nlines' using detail = E'a\nb', hint = E'c\nd';
		elsif $1 = 5 then
			raise exception '100%% %%s %%d' using detail = '%s %n', hint = '%s %m';
		elsif $1 = 6 then
			raise exception 'ähnlich €' using errcode = 'division_by_zero';
		elsif $1 = 7 then
			raise exception '%', repeat('long ', 500);
		elsif $1 = 8 then
			raise exception using errcode = 'query_canceled', message = 'not really';
		elsif $1 = 9 then
			raise exception using errcode = '08006', message = 'connection failure';
		elsif $1 = 10 then
			raise exception using errcode = '57P01',
				message = 'terminating connection due to administrator command';
		elsif $1 = 11 then
			raise exception using errcode = '40001', message = 'could not serialize';
		elsif $1 = 12 then
			raise exception using errcode = '53300', message = 'too many';
		elsif $1 = 20 then
			raise notice 'a notice';
			raise warning 'a warning';
			raise info 'an info';
			raise log 'a log';
			raise debug 'a debug';
		elsif $1 = 21 then
			raise notice 'before';
			raise exception 'after';
		elsif $1 > 100 then
			return thrower($1 - 100);
		end if;
		return $1;
	end $$;
$remote$);

--- raised by functions
SELECT * FROM dblink('c', 'select thrower(1)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(2)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(4)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(5)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(6)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(7)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(102)') AS r(i int);

--- an empty message
SELECT * FROM dblink('c', 'select thrower(3)') AS r(i int);

--- with SQLSTATEs that mean something to who connects
SELECT * FROM dblink('c', 'select thrower(8)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(9)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(10)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(11)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(12)') AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT * FROM dblink(far(), 'select thrower(9)') AS r(i int);
SELECT * FROM dblink(far(), 'select thrower(10)') AS r(i int);

--- by each way
SELECT * FROM dblink('select thrower(2)') AS r(i int);
SELECT * FROM dblink(far(), 'select thrower(2)') AS r(i int);
SELECT dblink_exec('c', 'do $$ begin perform thrower(2); end $$');
SELECT dblink_exec('do $$ begin perform thrower(2); end $$');
SELECT dblink_exec(far(), 'do $$ begin perform thrower(2); end $$');

--- as notices
SELECT * FROM dblink('c', 'select thrower(1)', false) AS r(i int);
SELECT * FROM dblink('c', 'select thrower(2)', false) AS r(i int);
SELECT * FROM dblink('c', 'select thrower(4)', false) AS r(i int);
SELECT * FROM dblink('c', 'select thrower(5)', false) AS r(i int);
SELECT * FROM dblink('c', 'select thrower(6)', false) AS r(i int);
SELECT * FROM dblink('c', 'select thrower(9)', false) AS r(i int);
SELECT * FROM dblink('select thrower(2)', false) AS r(i int);
SELECT * FROM dblink(far(), 'select thrower(2)', false) AS r(i int);
SELECT dblink_exec('c', 'do $$ begin perform thrower(102); end $$', false);
SELECT dblink_exec('do $$ begin perform thrower(2); end $$', false);
SELECT dblink_exec(far(), 'do $$ begin perform thrower(2); end $$', false);
SELECT count(*) FROM dblink('c', 'select thrower(2)', false) AS r(i int, j text);
SELECT dblink('c', 'select thrower(1)', false);

--- notices of the remote
SELECT * FROM dblink('c', 'select thrower(20)') AS r(i int);
SELECT * FROM dblink(far(), 'select thrower(20)') AS r(i int);
SELECT dblink_exec('c', 'do $$ begin perform thrower(20); end $$');
SELECT dblink_exec('c', 'drop table if exists nowhere');
SELECT * FROM dblink('c', 'select thrower(21)') AS r(i int);
SELECT dblink_exec('c', 'commit');

--- constraints
SELECT dblink_exec('c', 'insert into child values (1, 1, ''s'')');
SELECT dblink_exec('c', 'insert into child values (null, 0, ''s'')');
SELECT dblink_exec('c', 'insert into child values (null, 1, null)');
SELECT dblink_exec('c', 'insert into child values (null, 1, ''s'')');
SELECT dblink_exec('c', 'insert into child values (null, 1, ''s'')');
SELECT dblink_exec('c', 'insert into child values (null, 1, ''s'')', false);

--- statements that are wrong
SELECT * FROM dblink('c', 'nonsense') AS r(i int);
SELECT * FROM dblink('c', 'select 1 from nowhere') AS r(i int);
SELECT * FROM dblink('c', E'select 1,\n  nocolumn\nfrom parent') AS r(i int);
SELECT * FROM dblink('c', 'select idd from parent') AS r(i int);
SELECT * FROM dblink('c', 'select nofunction(1)') AS r(i int);
SELECT * FROM dblink('c', 'select ''unterminated') AS r(i int);
SELECT * FROM dblink('c', 'select 1/0') AS r(i int);
SELECT dblink_exec('c', 'nonsense');
SELECT dblink_exec('c', 'drop table nowhere');
SELECT dblink_exec('c', 'nonsense', false);
SELECT dblink_exec('c', 'drop table parent', false);
SELECT dblink_exec('c', 'set nonsense = 1');
SELECT dblink_exec('c', 'set role boss');

--- a parameter that is not there
SELECT * FROM dblink('c', 'select $1') AS r(i int);

--- an error in the middle of rows
SELECT * FROM dblink('c', 'select 10 / (5 - i) from generate_series(1, 10) i') AS r(i int);
SELECT * FROM dblink(far(), 'select 10 / (5 - i) from generate_series(1, 10) i') AS r(i int);

--- an error in the middle of rows, without an error
SELECT * FROM dblink('c', 'select 10 / (5 - i) from generate_series(1, 10) i', false) AS r(i int);
SELECT * FROM dblink(far(), 'select 10 / (5 - i) from generate_series(1, 10) i', false) AS r(i int);

--- caught
DO $$
DECLARE
	state text; message text; detail text; hint text; context text;
	c text; t text; s text; d text; col text;
BEGIN
	PERFORM * FROM dblink('c', 'select thrower(2)') AS r(i int);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT,
		c = CONSTRAINT_NAME, t = TABLE_NAME, s = SCHEMA_NAME, d = PG_DATATYPE_NAME,
		col = COLUMN_NAME;
	RAISE NOTICE '% | % | % | % | % | % % % % %',
		state, message, detail, hint, context, c, t, s, d, col;
END $$;
DO $$
BEGIN
	PERFORM dblink_exec('c', 'insert into child values (null, 1, ''s'')');
EXCEPTION WHEN unique_violation THEN
	RAISE NOTICE 'caught';
END $$;
DO $$
BEGIN
	FOR i IN 1 .. 100 LOOP
		BEGIN
			PERFORM * FROM dblink('c', 'select 1/0') AS r(i int);
		EXCEPTION WHEN division_by_zero THEN
			NULL;
		END;
	END LOOP;
END $$;
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- of a string, caught
DO $$
BEGIN
	PERFORM * FROM dblink(far(), 'select 1/0') AS r(i int);
EXCEPTION WHEN division_by_zero THEN
	RAISE NOTICE 'caught %', SQLERRM;
END $$;
DO $$
BEGIN
	PERFORM dblink_connect('nobody');
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE 'caught % %', SQLSTATE, SQLERRM;
END $$;

--- the last error
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select thrower(2)', false) AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select thrower(4)') AS r(i int);
SELECT dblink_error_message('c');
SELECT dblink_exec('c', 'nonsense', false);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select 1; select 1/0') AS r(i int);
SELECT dblink_error_message('c');
SELECT dblink_error_message('c');
SELECT dblink_exec('c', 'begin');
SELECT dblink_error_message('c');
SELECT dblink_exec('c', 'rollback');

--- the last error after one of here
SELECT * FROM dblink('c', 'select ''x''') AS r(i int);
SELECT dblink_error_message('c');
SELECT * FROM dblink('c', 'select 1, 2') AS r(i int);
SELECT dblink_error_message('c');
SELECT dblink_exec('c', 'select 1');
SELECT dblink_error_message('c');
SELECT dblink_error_message('C');

--- messages that are terse there
SELECT dblink_exec('c', 'set lc_messages = ''C''; set client_min_messages = ''error''');
SELECT * FROM dblink('c', 'select thrower(20)') AS r(i int);
SELECT * FROM dblink('c', 'select thrower(1)') AS r(i int);
