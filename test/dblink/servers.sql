-- Connections by the name of a server of dblink_fdw, and its validator.

--- servers
SELECT fdwname, fdwvalidator::regproc FROM pg_foreign_data_wrapper WHERE fdwname = 'dblink_fdw';
SELECT format('CREATE SERVER far_server FOREIGN DATA WRAPPER dblink_fdw '
	'OPTIONS (host %L, port %L, dbname %L)', '127.0.0.1', far_port(), far_db()) \gexec
SELECT format('CREATE SERVER "Odd "" name" FOREIGN DATA WRAPPER dblink_fdw '
	'OPTIONS (host %L, port %L, dbname %L)', '127.0.0.1', far_port(), far_db()) \gexec
SELECT format('CREATE SERVER %I FOREIGN DATA WRAPPER dblink_fdw '
	'OPTIONS (host %L, port %L, dbname %L)',
	repeat('s', 63), '127.0.0.1', far_port(), far_db()) \gexec
CREATE SERVER bare FOREIGN DATA WRAPPER dblink_fdw;

--- without a mapping
SELECT dblink_connect('far_server');
SELECT dblink_connect('c', 'far_server');
SELECT * FROM dblink('far_server', 'select 1') AS r(i int);
SELECT dblink_get_connections();

--- mappings
CREATE USER MAPPING FOR CURRENT_USER SERVER far_server OPTIONS (user 'app', password 'secret');
CREATE USER MAPPING FOR PUBLIC SERVER "Odd "" name" OPTIONS (user 'app', password 'secret');
SELECT format('CREATE USER MAPPING FOR PUBLIC SERVER %I OPTIONS (user %L, password %L)',
	repeat('s', 63), 'app', 'secret') \gexec
SELECT dblink_connect('far_server');
SELECT * FROM dblink('select current_user') AS r(s text);
SELECT dblink_disconnect();
SELECT dblink_connect('c', 'far_server');
SELECT dblink_connect('far_server', 'far_server');
SELECT array_agg(n ORDER BY n COLLATE "C") FROM unnest(dblink_get_connections()) n;
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT dblink_exec('far_server', 'create temp table mine ()');
SELECT * FROM dblink('far_server', 'select count(*) from mine') AS r(n int);
SELECT dblink_disconnect('far_server');
SELECT * FROM dblink('far_server', 'select count(*) from mine') AS r(n int);
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', 'Odd " name');
SELECT dblink_disconnect('c');
SELECT dblink_connect('c', repeat('s', 70));
SELECT * FROM dblink('c', 'select 1/0') AS r(n int);
SELECT dblink_disconnect('c');

--- by call
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
SELECT * FROM dblink('far_server', 'select 1/0') AS r(s text);
SELECT * FROM dblink('far_server', 'select 1/0', false) AS r(s text);
SELECT dblink_exec('far_server', 'set work_mem = ''123kB''');
SELECT dblink_exec('far_server', 'nonsense', false);
SELECT * FROM dblink('far_server', 'show work_mem') AS r(s text);
SELECT * FROM dblink('FAR_SERVER', 'show work_mem') AS r(s text);

--- a mapping for all
CREATE USER MAPPING FOR PUBLIC SERVER far_server OPTIONS (user 'stylish', password 'secret');
GRANT USAGE ON FOREIGN SERVER far_server TO alice;
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
SET ROLE alice;
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
SELECT dblink_connect('c', 'far_server');
SELECT * FROM dblink('c', 'select current_user') AS r(s text);
SELECT dblink_disconnect('c');
SET ROLE bob;
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
SELECT dblink_connect('c', 'far_server');
SELECT dblink_connect('far_server');
SELECT dblink_exec('far_server', 'select 1');
RESET ROLE;

--- a mapping of one's own, without a password
CREATE USER MAPPING FOR alice SERVER far_server OPTIONS (user 'trusted');
SET ROLE alice;
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
SELECT dblink_connect('c', 'far_server');
RESET ROLE;
ALTER USER MAPPING FOR alice SERVER far_server OPTIONS (ADD password '');
SET ROLE alice;
SELECT dblink_connect('c', 'far_server');
RESET ROLE;
ALTER USER MAPPING FOR alice SERVER far_server OPTIONS (SET password 'secret');
SET ROLE alice;
SELECT dblink_connect('c', 'far_server');
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
RESET ROLE;
ALTER USER MAPPING FOR alice SERVER far_server OPTIONS (SET user 'app', SET password 'wrong');
SET ROLE alice;
SELECT dblink_connect('c', 'far_server');
RESET ROLE;
ALTER USER MAPPING FOR alice SERVER far_server OPTIONS (SET password 'secret');
SET ROLE alice;
SELECT dblink_connect('c', 'far_server');
SELECT dblink_disconnect('c');
RESET ROLE;

--- a superuser, without a password
ALTER USER MAPPING FOR CURRENT_USER SERVER far_server OPTIONS (SET user 'trusted', DROP password);
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);
ALTER USER MAPPING FOR CURRENT_USER SERVER far_server
	OPTIONS (SET user 'app', ADD password 'secret');
SELECT * FROM dblink('far_server', 'select current_user') AS r(s text);

--- a server is altered while it is used
SELECT dblink_connect('c', 'far_server');
SELECT dblink_exec('c', 'begin');
ALTER SERVER far_server OPTIONS (ADD options '-c work_mem=99kB');
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT * FROM dblink('far_server', 'show work_mem') AS r(s text);
SELECT dblink_disconnect('c');

--- a server is dropped while it is used
SELECT dblink_connect('c', 'far_server');
SELECT dblink_exec('c', 'begin');
BEGIN;
DROP SERVER far_server CASCADE;
SELECT * FROM dblink('c', 'select 1') AS r(i int);
ROLLBACK;
SELECT * FROM dblink('c', 'select 1') AS r(i int);
SELECT dblink_exec('c', 'commit');
SELECT dblink_disconnect('c');

--- a server of another wrapper
CREATE FOREIGN DATA WRAPPER other_fdw;
SELECT format('CREATE SERVER other FOREIGN DATA WRAPPER other_fdw '
	'OPTIONS (host %L, port %L, dbname %L, nonsense %L)',
	'127.0.0.1', far_port(), far_db(), 'x') \gexec
CREATE USER MAPPING FOR CURRENT_USER SERVER other OPTIONS (user 'app', password 'secret', more 'x');
SELECT * FROM dblink('other', 'select current_user') AS r(s text);
SELECT dblink_connect('c', 'other');
SELECT dblink_disconnect('c');
DROP FOREIGN DATA WRAPPER other_fdw CASCADE;

--- options that are not allowed
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (nonsense 'x');
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (user 'x');
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (password 'x');
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (client_encoding 'UTF8');
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (replication 'x');
CREATE SERVER wrong FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host 'a', host 'b');
CREATE SERVER right1 FOREIGN DATA WRAPPER dblink_fdw OPTIONS (sslmode 'nonsense', port 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER right1 OPTIONS (host 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER right1 OPTIONS (nonsense 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER right1
	OPTIONS (user 'x', password 'y', sslpassword 'z');
ALTER SERVER right1 OPTIONS (ADD max_size '5');
ALTER FOREIGN DATA WRAPPER dblink_fdw OPTIONS (host 'x');
ALTER FOREIGN DATA WRAPPER dblink_fdw OPTIONS (nonsense 'x');
CREATE FOREIGN TABLE wrong (i int) SERVER right1 OPTIONS (host 'x');
CREATE FOREIGN TABLE right2 (i int) SERVER right1;
SELECT * FROM right2;
SELECT dblink_connect('c', 'right1');
SELECT dblink_fdw_validator('{host=x}', 'pg_foreign_server'::regclass);
SELECT dblink_fdw_validator('{host=x}', 'pg_user_mapping'::regclass);
SELECT dblink_fdw_validator('{user=x}', 'pg_user_mapping'::regclass);
SELECT dblink_fdw_validator('{user=x}', 0);
SELECT dblink_fdw_validator('{}', 0);

--- no mapping and a string of nothing
SELECT dblink_connect('c', 'bare');
DROP SERVER far_server, "Odd "" name", bare, right1 CASCADE;
SELECT format('DROP SERVER %I CASCADE', repeat('s', 63)) \gexec
SELECT dblink_get_connections();
