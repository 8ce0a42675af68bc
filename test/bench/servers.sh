# shellcheck shell=bash
# servers.sh
#	What is compared runs on these: two clusters, and PgBouncer four times (with and
#	without a reset between clients, and both again with TLS on both sides).  Used by
#	run.sh, after lib.sh.

# shellcheck disable=SC2016,SC2034,SC2154	# $ of SQL; variables of the others
: "${stage?}" "${bin=}" "${quick?}"

rows=1000000				# of the table on the remote
sizes=(1 5 8 20 32 100)		# of PgBouncer's pools
declare -A bouncer			# port of each, by the name of the way

sql()
{
	"$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$stage" -p "${port[$1]}" -U postgres \
		-d postgres "${@:2}"
}

# ask cluster statement: its only value
ask()
{
	sql "$1" -At -c "$2"
}

start_servers()
{
	build -O2
	make -s -C test/bench/module PG_CONFIG="$bin/pg_config" with_llvm=no COPT=-O2 install ||
		die 'the module does not build'
	make_certificates
	start_cluster remote trust 'max_connections = 800' 'shared_buffers = 256MB' \
		'synchronize_seqscans = off' 'autovacuum = off' 'jit = off' \
		"$(tls_settings "$stage/tls")"
	start_cluster local trust 'max_connections = 1200' "shared_preload_libraries = 'pool'" \
		'pool.max_connections = 600' 'pool.max_pools = 128' 'pool_dblink.max_size = 20' \
		'max_files_per_process = 4000' 'autovacuum = off' 'jit = off'

	# Not a function, so that what runs in the background can be ended.
	pgbench_here=(env PGDATABASE=postgres "$bin/pgbench" -n -U postgres -h "$stage"
		-p "${port[local]}")
	pgbench_there=(env PGDATABASE=postgres "$bin/pgbench" -n -U postgres -h 127.0.0.1
		-p "${port[remote]}")

	# Not so many that it would say little, and not so few that they are all at hand.
	sql remote -v rows="$rows" <<'SQL'
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, made timestamptz NOT NULL,
	ratio float8 NOT NULL, amount bigint NOT NULL) WITH (fillfactor = 90);
INSERT INTO item SELECT n, 'item ' || n,
	timestamptz '2020-01-01 00:00:00+00' + n * interval '61.000001 s', sqrt(n), n * 1000003::bigint
	FROM generate_series(1, :rows) AS n;
VACUUM ANALYZE item;
CREATE FUNCTION update_by_plproxy(n int) RETURNS SETOF text LANGUAGE sql AS
$$ UPDATE item SET amount = amount + 1 WHERE id = n RETURNING name $$;
SQL
	sql local -v direct="$(conninfo remote) sslmode=disable" -v port="${port[remote]}" \
		-f test/bench/setup.sql
	start_bouncers
}

# conninfo cluster|way: without what it says of encryption
conninfo()
{
	printf 'host=127.0.0.1 port=%s user=postgres' "${port[$1]:-${bouncer[$1]:-}}"
	[ "$1" != remote ] || printf ' dbname=postgres'
}

start_bouncers()
{
	local reset=$'server_reset_query = DISCARD ALL\nserver_reset_query_always = 1'
	local plain='server_tls_sslmode = disable'
	local tls="client_tls_sslmode = require
client_tls_key_file = $stage/tls/server.key
client_tls_cert_file = $stage/tls/server.crt
server_tls_sslmode = require"

	start_bouncer pgbouncer "$plain"
	start_bouncer pgbouncer-reset "$plain"$'\n'"$reset"
	start_bouncer pgbouncer-tls "$tls"
	start_bouncer pgbouncer-reset-tls "$tls"$'\n'"$reset"
}

# start_bouncer way settings: with a database for each number of connections
start_bouncer()
{
	local size number

	# Like the servers', below the ports that the system chooses from.
	for _ in {1..20}; do
		number=$((17000 + RANDOM % 10000))
		{
			echo '[databases]'
			for size in "${sizes[@]}"; do
				echo "p$size = host=127.0.0.1 port=${port[remote]} dbname=postgres" \
					"user=postgres pool_size=$size"
			done
			printf '%s\n' '[pgbouncer]' 'listen_addr = 127.0.0.1' "listen_port = $number" \
				'unix_socket_dir =' 'auth_type = any' 'pool_mode = transaction' \
				'max_client_conn = 1100' "logfile = $stage/$1.log" "$2"
		} >"$stage/$1.ini"
		/usr/sbin/pgbouncer -q "$stage/$1.ini" >/dev/null 2>&1 &
		for _ in {1..50}; do
			kill -0 $! 2>/dev/null || continue 2
			if grep -qs 'process up' "$stage/$1.log"; then
				bouncer[$1]=$number
				return
			fi
			sleep 0.1
		done
	done
	die "PgBouncer does not start:"$'\n'"$(tail -n 20 "$stage/$1.log")"
}

# settings: what the figures depend on, a line each
settings()
{
	local name

	printf 'date: %s\n' "$(date -u '+%Y-%m-%d %H:%M UTC')"
	printf 'cores: %s, %s\n' "$(nproc)" \
		"$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)"
	printf 'memory: %s\n' "$(awk '/^MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)"
	printf 'kernel: %s\n' "$(uname -sr)"
	printf 'PostgreSQL: %s\n' "$(ask remote 'SHOW server_version')"
	printf 'libpq: %s\n' "$(dpkg-query -W -f '${Version}' libpq5)"
	printf 'PgBouncer: %s\n' "$(/usr/sbin/pgbouncer --version | sed -n '1s/PgBouncer //p')"
	printf 'PL/Proxy: %s\n' "$(dpkg-query -W -f '${Version}' "postgresql-$pg-plproxy")"
	printf 'compiler: %s\n' "$(gcc --version | head -n 1), -O2"
	for name in fsync jit shared_buffers max_connections; do
		printf '%s: local %s, remote %s\n' "$name" "$(ask local "SHOW $name")" \
			"$(ask remote "SHOW $name")"
	done
	printf 'load before: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
	printf 'rounds: %s of %s s, %s s after each session has had an answer\n' "$rounds" \
		"$seconds" "$settle"
}
