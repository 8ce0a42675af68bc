#!/bin/bash
# run.sh [seconds [rounds]]
#	pool beside every other way to ask a remote from SQL.  With as many
#	connections as pool: dblink through PgBouncer, with and without a reset
#	between clients.  With a connection for each session: dblink, postgres_fdw,
#	PL/Proxy.  With a connection for each query: dblink.  All in one run, in turn,
#	several rounds; prints the median of each and its ratio to pool's.  Absolute
#	figures are of the machine, ratios are what to look at.

# shellcheck source=test/bench/bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"
enter_stage "$0" "$@"

seconds=${1:-4}
rounds=${2:-5}

build -O2
start_cluster remote trust 'max_connections = 300'
start_cluster local trust "shared_preload_libraries = 'pool'" 'max_connections = 300' \
	'jit = off'
create_table

bouncer=$((${port[remote]} + 10000))
bounce "$bouncer" ''
bounce $((bouncer + 1)) $'server_reset_query = DISCARD ALL\nserver_reset_query_always = 1'

direct="host=127.0.0.1 port=${port[remote]} dbname=postgres user=postgres"
through="host=127.0.0.1 port=$bouncer dbname=postgres user=postgres"
through_reset="host=127.0.0.1 port=$((bouncer + 1)) dbname=postgres user=postgres"
create_wrappers
create_server srv "max_size '$connections'"
create_server srv_trusting "max_size '$connections'" "reset_query ''"
sql local postgres <<SQL
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION plproxy;
CREATE SERVER fdw FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '127.0.0.1', port '${port[remote]}', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER fdw OPTIONS (user 'postgres');
CREATE FOREIGN TABLE item (id int, name text) SERVER fdw;
CREATE SERVER prx FOREIGN DATA WRAPPER plproxy OPTIONS (p0 '$direct');
CREATE USER MAPPING FOR CURRENT_USER SERVER prx OPTIONS (user 'postgres');
CREATE FUNCTION by_plproxy(n int) RETURNS SETOF text LANGUAGE plproxy AS
  \$\$ CLUSTER 'prx'; RUN ON 0; SELECT name FROM item WHERE id = n; \$\$;
SQL

cd "$stage"
query="'SELECT name FROM item WHERE id = ' || :n"
script pool "SELECT ask_pool('srv', $query)"
script pool-no-reset "SELECT ask_pool('srv_trusting', $query)"
script pgbouncer-reset "SELECT ask('$through_reset', $query)"
script pgbouncer "SELECT ask('$through', $query)"
script dblink "SELECT ask('$direct', $query)"
script postgres_fdw "SELECT name FROM item WHERE id = :n"
script plproxy "SELECT by_plproxy(:n)"
script dblink-each-time "SELECT * FROM dblink('$direct', $query) AS t(name text)"

for sessions in 1 5 16 100; do
	compare "$sessions" pool pool-no-reset pgbouncer-reset pgbouncer dblink \
		postgres_fdw plproxy dblink-each-time
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
