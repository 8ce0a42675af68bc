#!/bin/bash
# run.sh [seconds [rounds]]
#	pool beside every other way to ask a remote from SQL.  With as many
#	connections as pool: dblink through PgBouncer, with and without a reset
#	between clients.  With a connection for each session: dblink, postgres_fdw,
#	PL/Proxy.  With a connection for each query: dblink.  All in one run, in turn,
#	several rounds; prints the median of each and its ratio to pool's.  Absolute
#	figures are of the machine, ratios are what to look at.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
packages+=("postgresql-$pg-plproxy" pgbouncer)
enter_stage "$0" "$@"

seconds=${1:-4}
rounds=${2:-5}
connections=5

sql()
{
	"$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$stage" -p "${port[$1]}" -U postgres \
		-d "$2" "${@:3}"
}

build -O2
start_cluster remote trust 'max_connections = 300'
start_cluster local trust "shared_preload_libraries = 'pool'" 'max_connections = 300' \
	'jit = off'

sql remote postgres <<'SQL'
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, 10000) AS n;
ANALYZE item;
SQL

# bounce port setting: PgBouncer with as many server connections as pool has
bounce()
{
	cat >"$stage/pgbouncer.$1.ini" <<INI
[databases]
postgres = host=127.0.0.1 port=${port[remote]} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $1
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = $connections
max_client_conn = 1000
logfile = $stage/pgbouncer.log
$2
INI
	/usr/sbin/pgbouncer -q "$stage/pgbouncer.$1.ini" >/dev/null 2>&1 &
	until "$bin/pg_isready" -q -h 127.0.0.1 -p "$1"; do sleep 0.1; done
}

bouncer=$((${port[remote]} + 10000))
bounce "$bouncer" ''
bounce $((bouncer + 1)) $'server_reset_query = DISCARD ALL\nserver_reset_query_always = 1'

direct="host=127.0.0.1 port=${port[remote]} dbname=postgres user=postgres"
through="host=127.0.0.1 port=$bouncer dbname=postgres user=postgres"
through_reset="host=127.0.0.1 port=$((bouncer + 1)) dbname=postgres user=postgres"
sql local postgres <<SQL
CREATE EXTENSION pool;
CREATE EXTENSION dblink;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION plproxy;
CREATE SERVER srv FOREIGN DATA WRAPPER pool
  OPTIONS (host '127.0.0.1', port '${port[remote]}', dbname 'postgres', max_size '$connections');
CREATE USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (user 'postgres');
CREATE SERVER srv_trusting FOREIGN DATA WRAPPER pool
  OPTIONS (host '127.0.0.1', port '${port[remote]}', dbname 'postgres', max_size '$connections',
           reset_query '');
CREATE USER MAPPING FOR CURRENT_USER SERVER srv_trusting OPTIONS (user 'postgres');
CREATE SERVER fdw FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '127.0.0.1', port '${port[remote]}', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw OPTIONS (user 'postgres');
CREATE FOREIGN TABLE item (id int, name text) SERVER fdw;
CREATE SERVER prx FOREIGN DATA WRAPPER plproxy OPTIONS (p0 '$direct');
CREATE USER MAPPING FOR CURRENT_USER SERVER prx OPTIONS (user 'postgres');
CREATE FUNCTION by_plproxy(n int) RETURNS SETOF text LANGUAGE plproxy AS
  \$\$ CLUSTER 'prx'; RUN ON 0; SELECT name FROM item WHERE id = n; \$\$;
-- A session keeps its dblink connection under the name c.
CREATE FUNCTION ask(conninfo text, query text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
BEGIN
  IF dblink_get_connections() IS NULL THEN PERFORM dblink_connect('c', conninfo); END IF;
  RETURN QUERY SELECT t.name FROM dblink('c', query) AS t(name text);
END \$\$;
-- The same wrapper around pool, so that both pay for PL/pgSQL.
CREATE FUNCTION ask_pool(server text, query text) RETURNS SETOF text LANGUAGE plpgsql AS \$\$
BEGIN
  RETURN QUERY SELECT t.name FROM pool_query(server, query) AS t(name text);
END \$\$;
SQL

cd "$stage"
contenders=(pool pool-no-reset pgbouncer-reset pgbouncer dblink postgres_fdw plproxy dblink-each-time)

# script contender statement
script()
{
	printf '\\set n random(1, 10000)\n%s;\n' "$2" >"$1.sql"
}

query="'SELECT name FROM item WHERE id = ' || :n"
script pool "SELECT ask_pool('srv', $query)"
script pool-no-reset "SELECT ask_pool('srv_trusting', $query)"
script pgbouncer-reset "SELECT ask('$through_reset', $query)"
script pgbouncer "SELECT ask('$through', $query)"
script dblink "SELECT ask('$direct', $query)"
script postgres_fdw "SELECT name FROM item WHERE id = :n"
script plproxy "SELECT by_plproxy(:n)"
script dblink-each-time "SELECT * FROM dblink('$direct', $query) AS t(name text)"

# tps contender sessions: transactions a second
tps()
{
	"$bin/pgbench" -n -h "$stage" -p "${port[local]}" -U postgres -c "$2" -j 2 \
		-T "$seconds" -f "$1.sql" postgres 2>&1 | tee -a "$stage/pgbench.err" |
		sed -n 's/^tps = \([0-9]*\).*without.*/\1/p'
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

for sessions in 1 5 16 100; do
	printf '\npoint query, %d session(s), median of %d rounds of %d s\n' \
		"$sessions" "$rounds" "$seconds"
	rm -f ./*.tps
	for ((round = 0; round < rounds; round++)); do
		for contender in "${contenders[@]}"; do
			tps "$contender" "$sessions" >>"$contender.tps"
		done
	done
	base=$(median <pool.tps)
	printf '%-20s %10s %8s\n' 'way' 'queries/s' 'of pool'
	for contender in "${contenders[@]}"; do
		awk -v name="$contender" -v tps="$(median <"$contender.tps")" -v base="$base" \
			'BEGIN { printf "%-20s %10d %8.2f\n", name, tps, tps / base }'
	done
done

# The time in ms of a statement, as psql measures it.
ms()
{
	sql local postgres -c '\timing on' -c "$1" -c "$1" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n 1
}

printf '\na million rows, one session, median of %d\n' "$rounds"
rm -f ./*.ms
many="SELECT n, ''row '' || n FROM generate_series(1, 1000000) AS n"
for ((round = 0; round < rounds; round++)); do
	ms "SELECT count(*) FROM pool_query('srv', '$many') AS t(n int, name text)" >>pool.ms
	ms "SELECT count(*) FROM dblink('$direct', '$many') AS t(n int, name text)" >>dblink.ms
done
printf 'pool %s ms, dblink %s ms\n' "$(median <pool.ms)" "$(median <dblink.ms)"

printf '\nlease and release of a connection that the session has cached\n'
sql local postgres <<'SQL'
SELECT pool_release(pool_acquire('srv'));
\timing on
DO $$ BEGIN FOR i IN 1..100000 LOOP PERFORM 1; END LOOP; END $$;
DO $$ BEGIN FOR i IN 1..100000 LOOP PERFORM pool_release(pool_acquire('srv')); END LOOP; END $$;
SQL
