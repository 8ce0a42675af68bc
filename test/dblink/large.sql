-- Much of everything.

--- rows
SELECT dblink_connect('c', far());
SELECT count(*), sum(i), min(s), max(s)
	FROM dblink('c', 'select i, md5(i::text) from generate_series(1, 50000) i') AS r(i int, s text);
SELECT i FROM dblink('c', 'select i from generate_series(1, 1000) i') AS r(i int);
SET work_mem = '64kB';
SELECT count(*), md5(string_agg(s, '' ORDER BY i))
	FROM dblink('c', 'select i, md5(i::text) from generate_series(1, 20000) i') AS r(i int, s text);
RESET work_mem;

--- columns
SELECT 'SELECT r::text FROM dblink(''c'', ''select ' || string_agg(i::text, ', ') || ''') AS r('
	|| string_agg('c' || i || ' int', ', ') || ')' FROM generate_series(1, 100) i \gexec
SELECT 'SELECT md5(r::text) FROM dblink(''c'', ''select ' || string_agg(i::text, ', ')
	|| ''') AS r(' || string_agg('c' || i || ' text', ', ') || ')'
	FROM generate_series(1, 1600) i \gexec
SELECT 'SELECT md5(r::text) FROM dblink(''c'', ''select ' || string_agg('null', ', ') || ''') AS r('
	|| string_agg('c' || i || ' text', ', ') || ')' FROM generate_series(1, 1000) i \gexec

--- values
SELECT length(s), md5(s) FROM dblink('c', 'select repeat(''abc'', 3000000)') AS r(s text);
SELECT length(b), md5(b)
	FROM dblink('c', 'select decode(repeat(''00ff'', 500000), ''hex'')') AS r(b bytea);
SELECT array_length(a, 1)
	FROM dblink('c', 'select array_agg(i) from generate_series(1, 100000) i') AS r(a int[]);

--- statements
SELECT count(*) FROM dblink('c', 'select 1 /* ' || repeat('x', 3000000) || ' */') AS r(i int);
SELECT length(s) FROM dblink('c', 'select ''' || repeat('x', 2000000) || '''') AS r(s text);
SELECT i FROM dblink('c', (SELECT string_agg('select ' || i, '; ')
	FROM generate_series(1, 500) i)) AS r(i int);
SELECT dblink_exec('c', (SELECT string_agg('set work_mem = ''' || i + 100 || 'kB''', '; ')
	FROM generate_series(1, 500) i));
SELECT * FROM dblink('c', 'show work_mem') AS r(s text);
SELECT dblink_send_query('c', (SELECT string_agg('select ' || i, '; ')
	FROM generate_series(1, 50) i));
SELECT sum(x) FROM generate_series(1, 51) i,
	LATERAL dblink_get_result('c' || left(i::text, 0)) AS r(x int);

--- calls
SELECT sum((SELECT x FROM dblink('c', 'select ' || i) AS r(x int))) FROM generate_series(1, 500) i;
SELECT sum((SELECT x FROM dblink(far(), 'select ' || i) AS r(x int))) FROM generate_series(1, 50) i;
SELECT count(dblink_connect('n' || i, far())) FROM generate_series(1, 3) i;
SELECT count(dblink_disconnect('n' || i)) FROM generate_series(1, 3) i;
SELECT count(dblink_connect('n', far()) || dblink_disconnect('n')) FROM generate_series(1, 30) i;

--- errors
SELECT * FROM dblink('c', 'do $$ begin raise exception ''%'', repeat(''x'', 100000); end $$')
	AS r(s text);
SELECT length(dblink_error_message('c')) > 100000;
SELECT dblink_disconnect('c');
