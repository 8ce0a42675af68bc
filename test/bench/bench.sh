# shellcheck shell=bash
# bench.sh
#	What the comparisons share: PgBouncer, and how a contender is timed.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
packages+=("postgresql-$pg-plproxy" pgbouncer)

connections=5

sql()
{
	"$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$stage" -p "${port[$1]}" -U postgres \
		-d "$2" "${@:3}"
}

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

# create_table: what the point queries ask for, on the remote
create_table()
{
	sql remote postgres <<'SQL'
CREATE TABLE item (id int PRIMARY KEY, name text);
INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, 10000) AS n;
ANALYZE item;
SQL
}

# create_wrappers: on the local server
create_wrappers()
{
	sql local postgres <<'SQL'
CREATE EXTENSION pool;
CREATE EXTENSION dblink;
-- A session keeps its dblink connection under the name c.
CREATE FUNCTION ask(conninfo text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  IF dblink_get_connections() IS NULL THEN PERFORM dblink_connect('c', conninfo); END IF;
  RETURN QUERY SELECT t.name FROM dblink('c', query) AS t(name text);
END $$;
-- The same wrapper around pool, so that both pay for PL/pgSQL.
CREATE FUNCTION ask_pool(server text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY SELECT t.name FROM pool_query(server, query) AS t(name text);
END $$;
SQL
}

# create_server name option...: for pool, with a mapping for the superuser
create_server()
{
	local name=$1 option options="host '127.0.0.1', port '${port[remote]}', dbname 'postgres'"
	shift

	for option in "$@"; do
		options+=", $option"
	done
	sql local postgres -c "CREATE SERVER $name FOREIGN DATA WRAPPER pool OPTIONS ($options)" \
		-c "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (user 'postgres')"
}

# script contender statement
script()
{
	printf '\\set n random(1, 10000)\n%s;\n' "$2" >"$1.sql"
}

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

# compare sessions contender...: point queries; ratios are to the first one
compare()
{
	local sessions=$1 round contender base
	shift

	printf '\npoint query, %d session(s), median of %d rounds of %d s\n' \
		"$sessions" "$rounds" "$seconds"
	rm -f ./*.tps
	for ((round = 0; round < rounds; round++)); do
		for contender in "$@"; do
			tps "$contender" "$sessions" >>"$contender.tps"
		done
	done
	base=$(median <"$1.tps")
	printf '%-24s %10s %8s\n' 'way' 'queries/s' "of $1"
	for contender in "$@"; do
		awk -v name="$contender" -v tps="$(median <"$contender.tps")" -v base="$base" \
			'BEGIN { printf "%-24s %10d %8.2f\n", name, tps, tps / base }'
	done
}
