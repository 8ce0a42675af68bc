-- A database whose encoding is LATIN1, with a remote of UTF8.

--- text
SELECT dblink_connect('c', far());
SELECT * FROM dblink('c', 'show client_encoding') AS r(s text);
SELECT * FROM dblink(far(), 'show client_encoding') AS r(s text);
SELECT s, length(s), octet_length(s) FROM dblink('c', 'select ''äöü''') AS r(s text);
SELECT s, length(s) FROM dblink(far(), 'select ''äöü''') AS r(s text);
SELECT * FROM dblink('c', 'select octet_length(''äöü'')') AS r(i int);

--- what is not in LATIN1
SELECT * FROM dblink('c', 'select U&''\20AC''') AS r(s text);
SELECT * FROM dblink('c', 'select U&''\20AC''', false) AS r(s text);
SELECT * FROM dblink('c', 'select ''fine'' ') AS r(s text);
SELECT dblink_exec('c', 'do $$ begin raise exception ''Größe''; end $$');
SELECT dblink_exec('c', 'do $$ begin raise exception ''%'', U&''\20AC''; end $$');

--- a client encoding of the string
SELECT * FROM dblink(far() || ' client_encoding=UTF8', 'show client_encoding') AS r(s text);
SELECT dblink_connect('d', far() || ' client_encoding=UTF8');
SELECT * FROM dblink('d', 'select ''äöü''') AS r(s text);
SELECT dblink_disconnect('d');

--- names
SELECT dblink_connect('größe', far());
SELECT dblink_get_connections() @> '{größe}';
SELECT * FROM dblink('größe', 'select 1/0') AS r(s text);
SELECT dblink_connect(repeat('ä', 70), far());
SELECT dblink_disconnect(repeat('ä', 63));
SELECT dblink_disconnect('größe');
SELECT dblink_disconnect('c');
