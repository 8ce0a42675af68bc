-- What needs no remote: keys, statements for rows, the current query.

--- a key
CREATE TABLE keyed (a int, "B b" text, c text[], d timestamp, PRIMARY KEY (a, "B b"));
SELECT * FROM dblink_get_pkey('keyed');
SELECT dblink_get_pkey('keyed');
SELECT (dblink_get_pkey('keyed')).*;
SELECT * FROM dblink_get_pkey('keyed') LIMIT 1;
SELECT * FROM dblink_get_pkey('public.keyed') WITH ORDINALITY;
SELECT * FROM dblink_get_pkey('nowhere');
SELECT * FROM dblink_get_pkey('nowhere.keyed');
SELECT * FROM dblink_get_pkey('a.b.c.d');
SELECT * FROM dblink_get_pkey('');
SELECT * FROM dblink_get_pkey('keyed; select 1');
SELECT * FROM dblink_get_pkey('KEYED');
SELECT * FROM dblink_get_pkey('"KEYED"');
CREATE TABLE keyless (a int unique not null);
SELECT * FROM dblink_get_pkey('keyless');
CREATE VIEW looking AS SELECT * FROM keyed;
SELECT * FROM dblink_get_pkey('looking');
SELECT * FROM dblink_get_pkey('keyed_pkey');
CREATE TABLE including (a int, b int, c int, PRIMARY KEY (b) INCLUDE (a));
SELECT * FROM dblink_get_pkey('including');
CREATE TABLE backwards (a int, b int, c int, PRIMARY KEY (c, a));
SELECT * FROM dblink_get_pkey('backwards');
CREATE TABLE parted (a int, b int, PRIMARY KEY (a)) PARTITION BY LIST (a);
SELECT * FROM dblink_get_pkey('parted');
ALTER TABLE backwards DROP b;
SELECT * FROM dblink_get_pkey('backwards');

--- statements
INSERT INTO keyed VALUES (1, 'it''s', '{x,"y z"}', '2026-01-02 03:04:05'),
	(2, E'back\\slash', NULL, NULL);
SELECT dblink_build_sql_insert('keyed', '1 2', 2, '{1,it''s}', '{9,new}');
SELECT dblink_build_sql_update('keyed', '1 2', 2, '{1,it''s}', '{9,new}');
SELECT dblink_build_sql_delete('keyed', '1 2', 2, '{9,"n''ew"}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{2}', '{3}');
SELECT dblink_build_sql_update('keyed', '1', 1, '{2}', '{3}');
SELECT dblink_build_sql_delete('keyed', '1', 1, '{3}');
SELECT dblink_build_sql_insert('keyed', '2 1', 2, '{it''s,1}', '{new,9}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{1}', '{NULL}');
SELECT dblink_build_sql_update('keyed', '1', 1, '{1}', '{NULL}');
SELECT dblink_build_sql_delete('keyed', '1 2', 2, '{NULL,x}');
SELECT dblink_build_sql_update('keyed', '3', 1, '{NULL}', '{NULL}');
SELECT dblink_build_sql_insert('keyed', '1 1', 2, '{1,1}', '{1,2}');
SELECT dblink_build_sql_insert('looking', '1', 1, '{1}', '{2}');

--- rows that there are not, or not one
SELECT dblink_build_sql_insert('keyed', '1', 1, '{99}', '{3}');
SELECT dblink_build_sql_update('keyed', '1', 1, '{99}', '{3}');
SELECT dblink_build_sql_delete('keyed', '1', 1, '{99}');
INSERT INTO keyed VALUES (1, 'other');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{1}', '{3}');
SELECT dblink_build_sql_update('keyed', '1', 1, '{1}', '{3}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{x}', '{3}');

--- arguments that do not fit
SELECT dblink_build_sql_insert('keyed', '1', 2, '{1}', '{2}');
SELECT dblink_build_sql_insert('keyed', '1 2', 1, '{2}', '{2}');
SELECT dblink_build_sql_insert('keyed', '1 2', 2, '{1}', '{2,x}');
SELECT dblink_build_sql_insert('keyed', '1 2', 2, '{1,x}', '{2}');
SELECT dblink_build_sql_update('keyed', '1 2', 2, '{1}', '{2,x}');
SELECT dblink_build_sql_update('keyed', '1 2', 2, '{1,x}', '{2}');
SELECT dblink_build_sql_delete('keyed', '1 2', 2, '{1}');
SELECT dblink_build_sql_delete('keyed', '1 2', 2, '{1,2,3}');
SELECT dblink_build_sql_insert('keyed', '0', 1, '{1}', '{2}');
SELECT dblink_build_sql_insert('keyed', '-1', 1, '{1}', '{2}');
SELECT dblink_build_sql_insert('keyed', '5', 1, '{1}', '{2}');
SELECT dblink_build_sql_update('keyed', '7', 1, '{1}', '{2}');
SELECT dblink_build_sql_delete('keyed', '7', 1, '{1}');
SELECT dblink_build_sql_delete('keyed', '1', 0, '{1}');
SELECT dblink_build_sql_delete('keyed', '1', -1, '{1}');
SELECT dblink_build_sql_delete('keyed', '', 1, '{1}');
SELECT dblink_build_sql_delete('keyed', '1', 2147483647, '{1}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{}', '{}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{{1}}', '{{2}}');
SELECT dblink_build_sql_insert('keyed', '1', 1, '[5:5]={2}', '[3:3]={2}');
SELECT dblink_build_sql_insert('nowhere', '1', 1, '{1}', '{2}');
SELECT dblink_build_sql_update('nowhere', '1', 1, '{1}', '{2}');
SELECT dblink_build_sql_delete('nowhere', '1', 1, '{1}');

--- dropped columns
ALTER TABLE keyed DROP c;
SELECT dblink_build_sql_insert('keyed', '1 3', 2, '{1,"2026-01-02 03:04:05"}',
	'{5,"2027-01-01 00:00:00"}');
SELECT dblink_build_sql_update('keyed', '3', 1, '{"2026-01-02 03:04:05"}',
	'{"2027-01-01 00:00:00"}');
SELECT dblink_build_sql_delete('keyed', '3', 1, '{x}');
SELECT dblink_build_sql_delete('keyed', '4', 1, '{x}');

--- names
CREATE SCHEMA "Other";
CREATE TABLE "Other"."Tab ""le" ("select" int PRIMARY KEY, "Col" text);
INSERT INTO "Other"."Tab ""le" VALUES (1, 'x');
SELECT dblink_build_sql_insert('"Other"."Tab ""le"', '1', 1, '{1}', '{2}');
SELECT dblink_build_sql_update('"Other"."Tab ""le"', '1', 1, '{1}', '{2}');
SELECT dblink_build_sql_delete('"Other"."Tab ""le"', '1', 1, '{2}');
SET search_path = "Other", public;
SELECT dblink_build_sql_delete('"Tab ""le"', '1', 1, '{2}');
RESET search_path;
SELECT * FROM dblink_get_pkey('"Other"."Tab ""le"');

--- all columns in the key
SELECT dblink_build_sql_update('including', '1 2 3', 3, '{1,2,3}', '{1,2,3}');
INSERT INTO including VALUES (1, 2, 3);
SELECT dblink_build_sql_update('including', '1 2 3', 3, '{1,2,3}', '{4,5,6}');
SET standard_conforming_strings = off;
SELECT dblink_build_sql_insert('keyed', '1', 1, '{2}', '{3}');
RESET standard_conforming_strings;

--- no rights
REVOKE ALL ON keyed FROM PUBLIC;
SET ROLE alice;
SELECT * FROM dblink_get_pkey('keyed');
SELECT dblink_build_sql_insert('keyed', '1', 1, '{2}', '{3}');
SELECT dblink_build_sql_update('keyed', '1', 1, '{2}', '{3}');
SELECT dblink_build_sql_delete('keyed', '1', 1, '{2}');
RESET ROLE;

--- the current query
SELECT dblink_current_query();
SELECT dblink_current_query() /* with a comment */ , 1;
CREATE FUNCTION pg_temp.asking() RETURNS text LANGUAGE plpgsql AS
$$ BEGIN RETURN dblink_current_query(); END $$;
SELECT pg_temp.asking();

--- tidy
DROP SCHEMA "Other" CASCADE;
DROP TABLE keyed, keyless, including, backwards, parted CASCADE;
