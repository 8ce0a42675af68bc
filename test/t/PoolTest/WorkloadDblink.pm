# WorkloadDblink.pm
#	What the sessions of 024_soak.pl and 107_stress.pl ask for by dblink's functions:
#	connections by name in both modes, calls with a server's name, cursors, statements
#	that are sent, and cancels.  As in PoolTest/Workload.pm, which uses this, each answer
#	carries a token and is compared byte by byte.
#
#	What ends with an error leaves its connection "x" to the next one.

package PoolTest::WorkloadDblink;

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(workload_dblink);

# workload_dblink(): the extension and functions
sub workload_dblink
{
	return ('CREATE EXTENSION pool_dblink', <<'SQL');
-- Ends the connection that an error has left, if there is one.
CREATE FUNCTION forget_link() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF 'x' = ANY (dblink_get_connections()) THEN
		PERFORM dblink_disconnect('x');
	END IF;
END $$;

CREATE FUNCTION ask_dblink(kind text, token text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int := 1 + (random() * 6)::int;
	text_of_token text := quote_literal(token) || '::text';
	got text;
BEGIN
	PERFORM set_config('pool_dblink.mode',
		CASE WHEN random() < 0.5 THEN 'session' ELSE 'transaction' END, true);
	PERFORM forget_link();
	IF kind <> 'dl_call' THEN
		PERFORM dblink_connect('x', 'srv');
	END IF;
	CASE kind
	WHEN 'dl_call' THEN				-- nothing is left of another session
		SELECT string_agg(concat_ws(':', t, g, s), ',') INTO got
			FROM dblink('srv', format(
				'select %s, g, coalesce(current_setting(''soak.left'', true), '''')
					from generate_series(1, %s) g', text_of_token, n))
			AS r(t text, g int, s text);
		PERFORM compare(token, got, (SELECT string_agg(concat_ws(':', token, g, ''), ',')
									 FROM generate_series(1, n) g));
		PERFORM compare(token, dblink_exec('srv',
			format('insert into kept values (%s)', text_of_token)), 'INSERT 0 1');
		INSERT INTO answered VALUES (token);
	WHEN 'dl_named' THEN			-- in a transaction of the remote
		PERFORM dblink_exec('x', 'begin');
		PERFORM compare(token, dblink_exec('x',
			format('insert into kept values (%s)', text_of_token)), 'INSERT 0 1');
		PERFORM FROM dblink('x',
			format('select set_config(''soak.left'', %s, false)', text_of_token)) AS r(t text);
		SELECT t INTO got FROM dblink('x',
			format('select token from kept where token = %s', text_of_token)) AS r(t text);
		PERFORM compare(token, got, token);
		PERFORM compare(token, dblink_exec('x', 'commit'), 'COMMIT');
		INSERT INTO answered VALUES (token);
		PERFORM dblink_disconnect('x');
	WHEN 'dl_cursor' THEN
		PERFORM dblink_open('x', 'rows', format(
			'select %s || ''/'' || g, g from generate_series(1, %s) g', text_of_token, 10 * n));
		SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE t = token || '/' || g),
						 count(DISTINCT g), sum(g)) INTO got
			FROM (SELECT * FROM dblink_fetch('x', 'rows', 3 * n) AS r(t text, g int)
				  UNION ALL SELECT * FROM dblink_fetch('x', 'rows', 8 * n) AS r(t text, g int)) f;
		PERFORM compare(token, got, concat_ws(' ', 10 * n, 10 * n, 10 * n, 5 * n * (10 * n + 1)));
		PERFORM dblink_close('x', 'rows');
		PERFORM dblink_disconnect('x');
	WHEN 'dl_send' THEN				-- has several answers
		PERFORM dblink_send_query('x',
			format('select %s || ''/'' || g from generate_series(1, %s) g;'
				' select %1$s || ''/second'' from pg_sleep(%3$s)',
				text_of_token, n, random() * 0.02));
		SELECT string_agg(t, ',') INTO got FROM dblink_get_result('x') AS r(t text);
		PERFORM compare(token, got, (SELECT string_agg(token || '/' || g, ',')
									 FROM generate_series(1, n) g));
		SELECT string_agg(t, ',') INTO got FROM dblink_get_result('x') AS r(t text);
		PERFORM compare(token, got, token || '/second');
		PERFORM FROM dblink_get_result('x') AS r(t text);
		PERFORM dblink_disconnect('x');
	WHEN 'dl_cancel' THEN			-- before, in or after its time
		PERFORM dblink_send_query('x', format('select %s from pg_sleep(%s)',
			text_of_token, random() * 0.03));
		PERFORM pg_sleep(random() * 0.03);
		PERFORM dblink_cancel_query('x');
		BEGIN
			SELECT t INTO got FROM dblink_get_result('x') AS r(t text);
		EXCEPTION WHEN query_canceled THEN
			got := SQLERRM;
			IF got ~ 'statement timeout' THEN
				RAISE;
			END IF;
			got := replace(got, 'canceling statement due to user request', token);
		END;
		PERFORM compare(token, got, token);
		PERFORM FROM dblink_get_result('x') AS r(t text);
		SELECT t INTO got
			FROM dblink('x', format('select %s || ''/2''', text_of_token)) AS r(t text);
		PERFORM compare(token, got, token || '/2');
		PERFORM dblink_disconnect('x');
	END CASE;
END $$;
SQL
}

1;
