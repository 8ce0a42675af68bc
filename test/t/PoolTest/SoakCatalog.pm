# SoakCatalog.pm
#	What changes the catalogs in 024_soak.pl and 107_stress.pl: sessions that create,
#	alter and drop servers and mappings at random, use them before and after others
#	can see them, and commit that or roll it back, wholly or to a savepoint.
#
#	What they met is counted in the table "met", kind "catalog", like all else.

package PoolTest::SoakCatalog;

use strict;
use warnings;

use Exporter qw(import);
use PoolTest;
use Test::More;

our @EXPORT = qw(start_changes stop_changes lose_changes @explained_changes);

my ($local, @sessions);

# Whoever changes what another one changes or drops just now hears of it; and in
# the transaction that altered a server it cannot be used.
our @explained_changes = (
	[ qr/^catalog$/, '42704', qr/^server "dN" does not exist$/ ],
	[ qr/^catalog$/, '42704', qr/^user mapping (?:for|not found for user) "\w+"/ ],
	[ qr/^catalog$/, '42704', qr/^referenced foreign server was concurrently dropped$/ ],
	[ qr/^catalog$/, '42710', qr/"dN"/ ],
	[ qr/^catalog$/, '23505', qr/^duplicate key value violates unique constraint "pg_/ ],
	[ qr/^catalog$/, '55000', qr/^(?:server|user mapping for server) "dN" was changed in this/ ],
	[ qr/^catalog$/, 'XX000',
		qr/^tuple (?:concurrently (?:updated|deleted)|already updated by self)$/ ],
	[ qr/^catalog$/, 'XX000', qr/^(?:cache lookup failed for|could not find tuple for)/ ],
	[ qr/^catalog$/, '40P01', qr/^deadlock detected$/ ]);

# start_changes(local, remote, count): so many sessions are at work until there is
# a row in the table "stop"
sub start_changes
{
	($local, my $remote, my $count) = @_;
	my $port = $remote->port;

	sql($local, <<SQL);
-- One thing that changes the catalogs, or needs them.
CREATE OR REPLACE FUNCTION change(what int, name text) RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
	CASE
	WHEN what < 3 THEN
		EXECUTE format('CREATE SERVER IF NOT EXISTS %s FOREIGN DATA WRAPPER pool
			OPTIONS (host ''127.0.0.1'', port ''$port'', dbname ''far'', max_size ''2'',
				min_size ''%s'', acquire_timeout ''5s'')', name, (random() * 1)::int);
		EXECUTE format('CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER %s
			OPTIONS (user ''app'', password ''$PoolTest::password'')', name);
	WHEN what = 3 THEN
		EXECUTE format('DROP SERVER %s CASCADE', name);
	WHEN what = 4 THEN
		EXECUTE format('DROP USER MAPPING FOR CURRENT_USER SERVER %s', name);
	WHEN what = 5 THEN
		EXECUTE format('ALTER SERVER %s OPTIONS (SET min_size ''%s'')', name, (random() * 1)::int);
	ELSE
		PERFORM pool_exec(name, 'select 1');
	END CASE;
END \$\$;
SQL
	sql($local, <<'SQL');
-- Until all have to stop: some changes, which stay or do not.
CREATE OR REPLACE PROCEDURE change_catalogs() LANGUAGE plpgsql AS $$
DECLARE
	good int := 0;
	code text;
	message text;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		code := NULL;
		BEGIN
			FOR i IN 1 .. 1 + floor(random() * 4) LOOP
				PERFORM change(floor(random() * 10)::int, 'd' || floor(random() * 3)::int);
			END LOOP;
			IF random() < 0.2 THEN
				RAISE EXCEPTION USING ERRCODE = 'UNDUN';
			END IF;
			good := good + 1;
		EXCEPTION WHEN OTHERS THEN
			code := nullif(SQLSTATE, 'UNDUN');
			message := SQLERRM;
		END;
		IF random() < 0.3 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		IF code IS NOT NULL THEN
			PERFORM met_error('catalog', code, message);
			COMMIT;
		END IF;
		PERFORM pg_sleep(random() * 0.05);
	END LOOP;
	INSERT INTO met VALUES ('catalog', '00000', NULL, good);
END $$;
SQL

	# A notice would go to the log with the statement, which has a password.
	my $quiet = '-c client_min_messages=error -c log_min_messages=warning';
	@sessions = map { session($local, options => $quiet) } 1 .. $count;
	$_->begin('CALL change_catalogs()') foreach @sessions;
	return;
}

# lose_changes(): the sessions are lost, since the server has crashed
sub lose_changes
{
	$_->die_now foreach @sessions;
	return;
}

# stop_changes(): tests: they go on to the end, and leave nothing behind
sub stop_changes
{
	is($_->result(60)->{state}, '00000', 'a session that changes the catalogs goes on to the end')
	  or diag($_->{last}{err})
	  foreach @sessions;
	$_->quit foreach @sessions;
	wait_for_value($local, <<'SQL', 0, 'each pool has a server and a mapping, which have no other');
SELECT count(*) FROM (
	SELECT FROM pool_stats s
	WHERE NOT EXISTS (SELECT FROM pg_user_mappings m
		WHERE m.srvname = s.server AND m.usename = s.user_name)
	UNION ALL
	SELECT FROM pool_stats GROUP BY server, user_name HAVING count(*) > 1) unknown
SQL
	sql($local, "DROP SERVER IF EXISTS d$_ CASCADE") foreach 0 .. 2;
	return wait_for_value($local,
		q(SELECT string_agg(server, ' ' ORDER BY server) FROM pool_stats WHERE server ~ '^d\d'), '',
		'no pool is left of the servers that were created and dropped');
}

1;
