-- Values of all kinds of types, and those that do not fit.

--- connected
SELECT dblink_connect('c', far());
SELECT dblink_exec('c', 'create type pair as (a int, b text)');
SELECT dblink_exec('c', 'create type mood as enum (''sad'', ''glad'')');

--- types
SELECT * FROM dblink('c',
	$$ select true, 1::int2, 2::int8, 1.50::numeric, 'NaN'::float8, '-Infinity'::float4 $$)
	AS r(b bool, s int2, l int8, n numeric, d float8, f float4);
SELECT * FROM dblink('c', 'select 0.1::float8 + 0.2::float8, 1.1::float4') AS r(d float8, f float4);
SELECT * FROM dblink('c', $$ select '\x00ff10'::bytea, ''::bytea $$) AS r(b bytea, e bytea);
SELECT * FROM dblink('c',
	$$ select '{1,NULL,3}'::int[], '{{a,b},{"c,d",NULL}}'::text[], '{}'::int[] $$)
	AS r(a int[], b text[], e int[]);
SELECT * FROM dblink('c', $$ select '{"a": [1, null]}'::json, '{"b":1,"a":2}'::jsonb $$)
	AS r(j json, b jsonb);
SELECT * FROM dblink('c', $$ select row(1, 'x y')::pair, null::pair $$) AS r(p pair, q pair);
SELECT * FROM dblink('c', $$ select array[row(1, 'x')::pair] $$) AS r(p pair[]);
SELECT * FROM dblink('c', $$ select 5, 'x' $$) AS r(p positive, t text);
SELECT * FROM dblink('c', $$ select 'glad'::mood $$) AS r(m mood);
SELECT * FROM dblink('c',
	$$ select '10.0.0.1/8'::inet, '08:00:2b:01:02:03'::macaddr, '101'::bit(3) $$)
	AS r(i inet, m macaddr, b bit(3));
SELECT * FROM dblink('c', $$ select '[1,5)'::int4range, point(1, 2), 'a & b'::tsquery $$)
	AS r(r int4range, p point, q tsquery);
SELECT * FROM dblink('c', $$ select '<a>b</a>'::xml $$) AS r(x xml);
SELECT * FROM dblink('c',
	$$ select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 1234.5::money $$)
	AS r(u uuid, m money);
SELECT * FROM dblink('c',
	$$ select 'abc  '::char(5), 'abcdef'::varchar, 'x'::"char", 'n'::name $$)
	AS r(c char(5), v varchar(10), h "char", n name);

--- typmods
SELECT * FROM dblink('c', $$ select 'abcdef' $$) AS r(v varchar(3));
SELECT * FROM dblink('c', $$ select 'abc   ' $$) AS r(v varchar(3));
SELECT * FROM dblink('c', $$ select 1.236 $$) AS r(n numeric(4, 2));
SELECT * FROM dblink('c', $$ select 12345.6 $$) AS r(n numeric(4, 2));
SELECT * FROM dblink('c', $$ select 'ab' $$) AS r(c char(4));
SELECT * FROM dblink('c', $$ select '2026-01-02 03:04:05.6789' $$) AS r(t timestamp(1));

--- NULL and nothing
SELECT r.*, a IS NULL, b IS NULL FROM dblink('c', $$ select null, '' $$) AS r(a text, b text);
SELECT * FROM dblink('c', $$ select null $$) AS r(p positive);
SELECT * FROM dblink('c', $$ select null $$) AS r(p filled);

--- other types than there
SELECT * FROM dblink('c', 'select 1, 2.5, true') AS r(a text, b text, c text);
SELECT * FROM dblink('c', $$ select '42', ' 7 ' $$) AS r(a int, b int);
SELECT * FROM dblink('c', 'select 1') AS r(a bool);
SELECT * FROM dblink('c', 'select relname from pg_class where relname = ''pg_class''')
	AS r(a regclass);
SELECT pg_typeof(a) FROM dblink('c', 'select 1::int8') AS r(a int2);

--- values that do not fit
SELECT * FROM dblink('c', $$ select 'x' $$) AS r(i int);
SELECT * FROM dblink('c', 'select 100000') AS r(i int2);
SELECT * FROM dblink('c', 'select 2.5') AS r(i int);
SELECT * FROM dblink('c', $$ select 'nonsense' $$) AS r(d date);
SELECT * FROM dblink('c', 'select -5') AS r(p positive);
SELECT * FROM dblink('c', $$ select '(1,2,3)' $$) AS r(p pair);
SELECT * FROM dblink('c', $$ select '(x,2)' $$) AS r(p pair);
SELECT * FROM dblink('c', $$ select 'furious' $$) AS r(m mood);
SELECT * FROM dblink('c', $$ select '{1,2' $$) AS r(a int[]);
SELECT * FROM dblink('c', $$ select '{' $$) AS r(j json);
SELECT * FROM dblink('c', $$ select '<a' $$) AS r(x xml);
SELECT * FROM dblink('c',
	'select case i when 500 then ''x'' else i::text end from generate_series(1, 1000) i')
	AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- values that do not fit, without an error
SELECT * FROM dblink('c', $$ select 'x' $$, false) AS r(i int);
SELECT * FROM dblink(far(), $$ select 'x' $$) AS r(i int);
SELECT * FROM dblink(far(), $$ select 'x' $$, false) AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);

--- in a transaction of the remote
SELECT dblink_exec('c', 'begin');
SELECT * FROM dblink('c', $$ select 'x' $$) AS r(i int);
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');

--- dates in the remote's style
SELECT dblink_exec('c', 'set datestyle = ''German''');
SELECT * FROM dblink('c', $$ select date '2026-02-03', timestamp '2026-02-03 04:05:06' $$)
	AS r(d date, t timestamp);
SELECT * FROM dblink('c', $$ select date '2026-02-03' $$) AS r(d text);
SELECT dblink_exec('c', 'set datestyle = ''SQL, DMY''');
SELECT * FROM dblink('c',
	$$ select date '2026-02-03', timestamptz '2026-02-03 04:05:06+00' = '2026-02-03 04:05:06+00' $$)
	AS r(d date, t text);
SELECT * FROM dblink('c', 'select ''02/03/2026''') AS r(d date);
SELECT dblink_exec('c', 'set datestyle = ''SQL, MDY''');
SELECT * FROM dblink('c', $$ select date '2026-02-03' $$) AS r(d date);
SHOW datestyle;

--- and the local style
SET datestyle = 'German';
SELECT * FROM dblink('c', $$ select date '2026-02-03' $$) AS r(d date);
SELECT * FROM dblink('c', $$ select date '2026-02-03' $$) AS r(d text);
SELECT * FROM dblink(far(), $$ select date '2026-02-03' $$) AS r(d date);
SELECT * FROM dblink(far(), $$ select date '2026-02-03' $$) AS r(d text);
SHOW datestyle;
RESET datestyle;

--- an error leaves the local style as it was
SELECT * FROM dblink('c', $$ select '31/31/2026' $$) AS r(d date);
SHOW datestyle;
DO $$
BEGIN
	PERFORM * FROM dblink('c', 'select ''31/31/2026''') AS r(d date);
EXCEPTION WHEN OTHERS THEN
	RAISE NOTICE '% % %', SQLSTATE, SQLERRM, current_setting('datestyle');
END $$;
SHOW datestyle;

--- intervals
SELECT dblink_exec('c', 'set intervalstyle = ''sql_standard''');
SELECT * FROM dblink('c', $$ select interval '-1 day -2 hours', interval '1 year 2 months' $$)
	AS r(i interval, j interval);
SELECT dblink_exec('c', 'set intervalstyle = ''iso_8601''');
SELECT * FROM dblink('c', $$ select interval '-1 day -2 hours', interval '1 year 2 months' $$)
	AS r(i interval, j interval);
SELECT dblink_exec('c', 'set intervalstyle = ''postgres_verbose''');
SELECT * FROM dblink('c', $$ select interval '-1 day -2 hours' $$) AS r(i interval);
SET intervalstyle = 'sql_standard';
SELECT * FROM dblink('c', $$ select interval '-1 day -2 hours' $$) AS r(i interval);
RESET intervalstyle;
SHOW intervalstyle;

--- styles that change within the string
SELECT * FROM dblink('c', $$ set datestyle = 'ISO, DMY'; select '01/02/2026' $$) AS r(d date);
SELECT * FROM dblink('c', $$ set datestyle = 'ISO, MDY'; select '01/02/2026' $$) AS r(d date);
SELECT * FROM dblink(far(), $$ set datestyle = 'ISO, DMY'; select '01/02/2026' $$) AS r(d date);

--- styles of the string
SELECT * FROM dblink(far() || ' options=''-c datestyle=German''',
	$$ select date '2026-02-03' $$) AS r(d date);
SELECT * FROM dblink(far() || ' options=''-c datestyle=German''',
	$$ select date '2026-02-03' $$) AS r(d text);

--- styles of the role there
SELECT dblink_exec(far('boss'), 'alter role stylish set datestyle = ''SQL, DMY''');
SELECT * FROM dblink(far('stylish'), $$ select date '2026-02-03' $$) AS r(d date);
SELECT * FROM dblink(far('stylish'), $$ select date '2026-02-03' $$) AS r(d text);
SELECT dblink_connect('s', far('stylish'));
SELECT * FROM dblink('s', $$ select date '2026-02-03' $$) AS r(d date);
SELECT dblink_send_query('s', $$ select date '2026-02-03' $$);
SELECT * FROM dblink_get_result('s') AS r(d date);
SELECT * FROM dblink_get_result('s') AS r(d date);
SELECT dblink_open('s', 'k', $$ select date '2026-02-03' $$);
SELECT * FROM dblink_fetch('s', 'k', 1) AS r(d date);
SELECT dblink_close('s', 'k');
SELECT dblink_disconnect('s');

--- floats with fewer digits there
SELECT dblink_exec('c', 'set extra_float_digits = -5');
SELECT * FROM dblink('c', 'select 1.0::float8 / 3') AS r(d text);
SELECT dblink_exec('c', 'set bytea_output = ''escape''');
SELECT * FROM dblink('c', $$ select '\x00ff41'::bytea $$) AS r(b bytea);
SELECT dblink_exec('c', 'set timezone = ''Asia/Tokyo''');
SELECT t AT TIME ZONE 'UTC'
	FROM dblink('c', $$ select timestamptz '2026-02-03 04:05:06+00' $$) AS r(t timestamptz);
SELECT dblink_disconnect('c');
