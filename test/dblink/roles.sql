-- Who may connect how, and who may use a connection.

--- rights
SELECT p.oid::regprocedure, prosecdef, proisstrict, provolatile, proparallel, proleakproof,
	prorettype::regtype, proretset, proargnames,
	has_function_privilege('alice', p.oid, 'execute')
FROM pg_proc p WHERE proname LIKE 'dblink%' ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT attname, atttypid::regtype FROM pg_attribute
WHERE attrelid = 'dblink_pkey_results'::regclass AND attnum > 0 ORDER BY attnum;

--- a role without rights needs a password
SET ROLE alice;
SELECT dblink_connect(far());
SELECT dblink_disconnect();
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT dblink_disconnect('c');
SELECT * FROM dblink(far(), 'select current_user') AS r(s text);
SELECT dblink_connect(bare_far());
SELECT dblink_connect('c', bare_far());
SELECT * FROM dblink(bare_far(), 'select 1') AS r(i int);
SELECT * FROM dblink(bare_far(), 'select 1', false) AS r(i int);
SELECT dblink_exec(bare_far(), 'select 1');
SELECT dblink_connect(bare_far() || ' password=');
SELECT dblink_connect(bare_far() || ' password=''''');
SELECT dblink_connect('dbname=postgres');
SELECT dblink_connect('');
SELECT dblink_connect(bare_far() || ' passfile=/etc/passwd');
SELECT dblink_connect('c', url());
SELECT dblink_disconnect('c');
SELECT dblink_get_connections();

--- a role without rights and a string that is none
SELECT dblink_connect('nonsense');
RESET ROLE;

--- a password that is not used
SET ROLE alice;
SELECT dblink_connect(far('trusted'));
SELECT dblink_connect('c', far('trusted'));
SELECT * FROM dblink(far('trusted'), 'select 1') AS r(i int);
SELECT * FROM dblink(far('trusted'), 'select 1', false) AS r(i int);
SELECT dblink_exec(far('trusted'), 'create table by_trust ()');
SELECT dblink_get_connections();
RESET ROLE;
SELECT * FROM dblink(far('trusted'), 'select current_user') AS r(s text);
SELECT * FROM dblink(bare_far('trusted'), 'select current_user') AS r(s text);
SET ROLE alice;
SELECT * FROM dblink(far('trusted'), 'select current_user') AS r(s text);
SELECT * FROM dblink(bare_far('trusted'), 'select current_user') AS r(s text);
RESET ROLE;

--- a wrong password
SET ROLE alice;
SELECT dblink_connect('c', far() || ' password=wrong');
SELECT * FROM dblink(far() || ' password=wrong', 'select 1') AS r(i int);
SELECT * FROM dblink(far(), 'select 1') AS r(i int);
RESET ROLE;

--- dblink_connect_u()
SET ROLE alice;
SELECT dblink_connect_u(bare_far('trusted'));
SELECT dblink_connect_u('c', bare_far('trusted'));
RESET ROLE;
GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO alice;
GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO alice;
SET ROLE alice;
SELECT dblink_connect_u(bare_far('trusted'));
SELECT dblink_connect_u('c', bare_far('trusted'));
SELECT * FROM dblink('select current_user') AS r(s text);
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT * FROM dblink(bare_far('trusted'), 'select current_user') AS r(s text);
SELECT dblink_exec('c', 'begin');
RESET ROLE;
SET ROLE bob;
SELECT * FROM dblink('c', 'select now() < clock_timestamp()') AS r(b bool);
SELECT dblink_exec('c', 'commit');
SELECT dblink_send_query('c', 'select current_user');
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT * FROM dblink_get_result('c') AS r(s text);
SELECT dblink_open('c', 'k', 'select current_user');
RESET ROLE;
SELECT * FROM dblink_fetch('c', 'k', 1) AS r(s text);
SELECT dblink_close('c', 'k');
SET ROLE bob;
SELECT dblink_error_message('c');
SELECT dblink_is_busy('c');
SELECT * FROM dblink_get_notify('c');
SELECT dblink_connect('c', far());
SELECT dblink_disconnect('c');
SELECT dblink_disconnect();
SELECT dblink_connect_u('c', far());
RESET ROLE;

--- connections of the superuser, used by others
SELECT dblink_connect('c', far());
SELECT dblink_connect('t', bare_far('trusted'));
SET ROLE bob;
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT * FROM dblink('t', 'select current_user') AS r(s text);
SELECT dblink_disconnect('t');
RESET ROLE;
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT dblink_disconnect('c');

--- connections of a role, used by others
SET ROLE alice;
SELECT dblink_connect('a', far());
SET ROLE bob;
SELECT dblink_connect('b', far());
SELECT * FROM dblink('a', 'select current_user') AS r(s text);
RESET ROLE;
SELECT * FROM dblink('a', 'select current_user') AS r(s text);
SELECT * FROM dblink('b', 'select current_user') AS r(s text);
SELECT dblink_disconnect('a');
SELECT dblink_disconnect('b');

--- functions with the rights of their owner
CREATE FUNCTION trusting() RETURNS text LANGUAGE sql SECURITY DEFINER AS
$$ SELECT s FROM dblink(bare_far('trusted'), 'select current_user') AS r(s text) $$;
CREATE FUNCTION connecting() RETURNS text LANGUAGE sql SECURITY DEFINER AS
$$ SELECT dblink_connect('definer', bare_far('trusted')) $$;
SET ROLE alice;
SELECT trusting();
SELECT * FROM dblink(bare_far('trusted'), 'select 1') AS r(i int);
SELECT connecting();
SELECT * FROM dblink('definer', 'select current_user') AS r(s text);
SELECT dblink_disconnect('definer');
RESET ROLE;
ALTER FUNCTION trusting() OWNER TO bob;
SELECT trusting();
SET ROLE alice;
SELECT trusting();
RESET ROLE;
DROP FUNCTION trusting(), connecting();

--- as the session's own role
SET SESSION AUTHORIZATION alice;
SELECT * FROM dblink(far(), 'select current_user') AS r(s text);
SELECT * FROM dblink(bare_far('trusted'), 'select 1') AS r(i int);
SELECT dblink_connect('c', far());
RESET SESSION AUTHORIZATION;
SELECT dblink_disconnect('c');

--- without the right to call
REVOKE EXECUTE ON FUNCTION dblink(text, text) FROM PUBLIC;
SET ROLE alice;
SELECT * FROM dblink(far(), 'select 1') AS r(i int);
RESET ROLE;
GRANT EXECUTE ON FUNCTION dblink(text, text) TO PUBLIC;
