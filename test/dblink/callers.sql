-- From where the functions are called.

--- connected
SELECT dblink_connect('c', far());
SELECT dblink_exec('c',
	'create table items as select i, ''item '' || i as s from generate_series(1, 20) i');

--- joins
SELECT a.i, b.s FROM dblink('c', 'select i from items') AS a(i int)
	JOIN dblink('c', 'select i, s from items') AS b(i int, s text) USING (i)
	WHERE a.i < 4 ORDER BY 1;
SELECT * FROM generate_series(1, 3) g,
	LATERAL dblink('c', 'select s from items where i = ' || g) AS r(s text);
SELECT * FROM generate_series(1, 3) g,
	dblink(far(), 'select s from items where i = ' || g) AS r(s text);
SELECT * FROM generate_series(1, 3) g,
	LATERAL dblink('c', CASE g WHEN 2 THEN 'select 1/0' ELSE 'select 7' END) AS r(s text);
SELECT g, r.* FROM generate_series(1, 3) g
	LEFT JOIN LATERAL dblink('c', 'select 1/(2 - ' || g || ')', false) AS r(i int) ON true;
SELECT * FROM dblink('c', 'select i from items order by i') AS a(i int) LIMIT 2;
SELECT count(*) FROM dblink('c', 'select i from items') AS a(i int),
	dblink('c', 'select i from items') AS b(i int);
SELECT * FROM ROWS FROM (dblink('c', 'select 1') AS (i int), generate_series(1, 2)) AS r;
SELECT * FROM dblink('c', 'select i from items where i < 3 order by i') WITH ORDINALITY AS r(i, n);
SELECT * FROM ROWS FROM (dblink('c', 'select 5') AS (i int)) WITH ORDINALITY AS r(i, n);
SELECT (SELECT s FROM dblink('c', 'select s from items where i = 1') AS r(s text));
SELECT EXISTS (SELECT FROM dblink('c', 'select 1') AS r(i int));
WITH w AS MATERIALIZED (SELECT * FROM dblink('c', 'select 1') AS r(i int)) SELECT * FROM w, w AS x;

--- the target list and where
SELECT dblink_exec('c', 'update items set s = s where i = 1'),
	dblink_exec('c', 'update items set s = s');
SELECT i, dblink_exec('c', 'update items set s = s where i = ' || i) FROM generate_series(1, 2) i;
SELECT 1 WHERE dblink_exec('c', 'update items set s = s where i = 1') = 'UPDATE 1';
SELECT dblink_exec('c', 'update items set s = s', i = 1) FROM generate_series(1, 2) i;
SELECT coalesce(dblink_get_connections(), '{}');

--- views, rules and triggers
CREATE VIEW far_items AS SELECT * FROM dblink('c', 'select i, s from items') AS r(i int, s text);
SELECT * FROM far_items WHERE i <= 2 ORDER BY i;
SELECT pg_get_viewdef('far_items');
CREATE TABLE here (i int);
CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM dblink_exec('c', format('insert into items values (%s, ''from here'')', NEW.i));
	RETURN NEW;
END $$;
CREATE TRIGGER forward AFTER INSERT ON here FOR EACH ROW EXECUTE FUNCTION forward();
INSERT INTO here VALUES (100), (101);
INSERT INTO here SELECT i + 200 FROM dblink('c', 'select i from items where i < 3') AS r(i int);
SELECT * FROM dblink('c', 'select i, s from items where i >= 100 order by i') AS r(i int, s text);
CREATE MATERIALIZED VIEW kept AS SELECT * FROM far_items WITH DATA;
SELECT count(*) FROM kept;
REFRESH MATERIALIZED VIEW kept;
CREATE TABLE copied AS SELECT * FROM far_items;
SELECT count(*) FROM copied;
DROP TABLE here, copied;
DROP MATERIALIZED VIEW kept;
DROP VIEW far_items;

--- functions
CREATE FUNCTION pg_temp.items(n int) RETURNS TABLE (i int, s text) LANGUAGE sql AS
$$ SELECT * FROM dblink('c', 'select i, s from items where i <= ' || n || ' order by i')
	AS r(i int, s text) $$;
SELECT * FROM pg_temp.items(2);
CREATE FUNCTION pg_temp.looping() RETURNS SETOF int LANGUAGE plpgsql AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM dblink('c', 'select i from items order by i limit 3') AS t(i int) LOOP
		RETURN NEXT r.i + (SELECT j FROM dblink('c', 'select ' || r.i || ' * 10') AS t(j int));
	END LOOP;
END $$;
SELECT * FROM pg_temp.looping();
DO $$
DECLARE
	n int;
BEGIN
	EXECUTE 'SELECT i FROM dblink($1, $2) AS r(i int)' INTO n USING 'c', 'select 42';
	RAISE NOTICE '%', n;
END $$;

--- cursors and prepared statements of here
BEGIN;
DECLARE mine CURSOR FOR SELECT * FROM dblink('c', 'select i from items order by i') AS r(i int);
FETCH 2 FROM mine;
SELECT dblink_exec('c', 'update items set s = s where i = 1');
FETCH 1 FROM mine;
COMMIT;
BEGIN;
DECLARE mine SCROLL CURSOR WITH HOLD FOR
	SELECT * FROM dblink('c', 'select i from items where i < 4 order by i') AS r(i int);
COMMIT;
FETCH LAST FROM mine;
FETCH BACKWARD 1 FROM mine;
CLOSE mine;
PREPARE remotely(text) AS SELECT * FROM dblink('c', $1) AS r(i int);
EXECUTE remotely('select 1');
EXECUTE remotely('select 2');
EXECUTE remotely('select 3, 4');
DEALLOCATE remotely;

--- plans
EXPLAIN (COSTS OFF) SELECT * FROM dblink('c', 'select 1') AS r(i int);
EXPLAIN (COSTS OFF, VERBOSE) SELECT * FROM dblink('c', 'select 1') AS r(i int);
EXPLAIN (COSTS OFF) SELECT dblink_exec('c', 'select 1');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE TABLE wide AS SELECT i FROM generate_series(1, 5000) i;
ANALYZE wide;
SELECT count(*) FROM wide WHERE i < (SELECT i FROM dblink('c', 'select 100') AS r(i int));
SELECT count(dblink_exec('c', 'update items set s = s where i = 1')) FROM wide WHERE i < 20;
EXPLAIN (COSTS OFF) SELECT count(dblink_is_busy('c')) FROM wide;
SELECT sum(dblink_is_busy('c')) FROM wide;
DROP TABLE wide;
RESET ALL;

--- several functions in one statement
SELECT dblink_connect('d', far()), dblink_exec('d', 'begin'),
	dblink_exec('d', 'create temp table x on commit drop as select 1'),
	dblink_exec('d', 'commit'), dblink_disconnect('d');
SELECT dblink_connect('d', far()), dblink_connect('e', far()), dblink_connect('d', far());
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT dblink_disconnect('d'), dblink_disconnect('e');

--- with a name that is not on the path
CREATE SCHEMA empty;
SET search_path = empty;
SELECT * FROM public.dblink('c', 'select 1') AS r(i int);
SELECT public.dblink_exec('c', 'nonsense');
RESET search_path;
DROP SCHEMA empty;

--- composite types of columns
CREATE TYPE item AS (i int, s text);
CREATE FUNCTION pg_temp.typed() RETURNS SETOF item LANGUAGE sql AS
$$ SELECT * FROM dblink('c', 'select i, s from items where i < 3 order by i')
	AS r(i int, s text) $$;
SELECT * FROM pg_temp.typed();
SELECT r FROM dblink('c', 'select i, s from items where i = 1') AS r(i int, s text);
SELECT (r).s FROM (SELECT r FROM dblink('c', 'select i, s from items where i = 1')
	AS r(i int, s text)) x;
SELECT row_to_json(r) FROM dblink('c', 'select i, s from items where i = 1') AS r(i int, s text);
DROP TYPE item CASCADE;
SELECT dblink_disconnect('c');
