#!/bin/bash
# tls.sh [seconds [rounds]]
#	What encryption costs: pool without TLS (direct) and with it (relayed),
#	beside dblink over TLS, on connections of its own and through PgBouncer with
#	TLS on both sides.  All in one run, in turn, several rounds; prints the median
#	of each and its ratio to the relay's.

# The worker has three descriptors for each relayed connection.
ulimit -Sn "$(ulimit -Hn)"

# shellcheck source=test/bench/bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"
enter_stage "$0" "$@"

seconds=${1:-4}
rounds=${2:-5}

build -O2
make_certificates
tls=$stage/tls
start_cluster remote trust 'max_connections = 500' "$(tls_settings "$tls")"
start_cluster local trust "shared_preload_libraries = 'pool'" 'max_connections = 300' \
	'jit = off' 'pool.max_connections = 220' 'max_files_per_process = 4000'
create_table

bouncer=$((${port[remote]} + 10000))
encrypt="client_tls_sslmode = require
client_tls_key_file = $tls/server.key
client_tls_cert_file = $tls/server.crt
server_tls_sslmode = require"
bounce "$bouncer" "$encrypt"
bounce $((bouncer + 1)) "$encrypt
server_reset_query = DISCARD ALL
server_reset_query_always = 1"

own="host=127.0.0.1 port=${port[remote]} dbname=postgres user=postgres sslmode=require"
through="host=127.0.0.1 port=$bouncer dbname=postgres user=postgres sslmode=require"
through_reset="host=127.0.0.1 port=$((bouncer + 1)) dbname=postgres user=postgres sslmode=require"
create_wrappers
create_server relayed "max_size '$connections'" "sslmode 'require'"
create_server direct "max_size '$connections'" "sslmode 'disable'"
create_server relayed_own "max_size '100'" "sslmode 'require'"
create_server direct_own "max_size '100'" "sslmode 'disable'"

cd "$stage"
query="'SELECT name FROM item WHERE id = ' || :n"
for contender in relayed direct relayed_own direct_own; do
	script "$contender" "SELECT ask_pool('$contender', $query)"
done
script dblink "SELECT ask('$own', $query)"
script pgbouncer "SELECT ask('$through', $query)"
script pgbouncer-reset "SELECT ask('$through_reset', $query)"

for sessions in 1 16 100; do
	sql local postgres -q -c \
		"SELECT pool_prewarm('relayed_own', $sessions), pool_prewarm('direct_own', $sessions)" \
		>/dev/null
	compare "$sessions" relayed direct pgbouncer-reset pgbouncer relayed_own direct_own dblink
done

# A million rows for each session, one after the other over the connections that
# there are.
many="SELECT n, ''row '' || n FROM generate_series(1, 1000000) AS n"
for contender in relayed direct; do
	echo "SELECT count(*) FROM pool_query('$contender', '$many') AS t(n int, name text);" \
		>"$contender.sql"
done
echo "SELECT count(*) FROM dblink('$own', '$many') AS t(n int, name text);" >dblink.sql

# rows contender sessions: million rows a second
rows()
{
	local start=${EPOCHREALTIME/./}

	"$bin/pgbench" -n -h "$stage" -p "${port[local]}" -U postgres -c "$2" -j 2 -t 1 \
		-f "$1.sql" postgres >>"$stage/pgbench.err" 2>&1
	awk -v us=$((${EPOCHREALTIME/./} - start)) -v n="$2" 'BEGIN { printf "%.3f\n", n * 1e6 / us }'
}

for sessions in 1 16 100; do
	[ "$sessions" -lt 100 ] || rounds=1
	printf '\na million rows for each of %d session(s), median of %d\n' "$sessions" "$rounds"
	rm -f ./*.rows
	for ((round = 0; round < rounds; round++)); do
		for contender in relayed direct dblink; do
			rows "$contender" "$sessions" >>"$contender.rows"
		done
	done
	printf '%-24s %16s %12s\n' 'way' 'million rows/s' 'of relayed'
	for contender in relayed direct dblink; do
		awk -v name="$contender" -v rows="$(median <"$contender.rows")" \
			-v base="$(median <relayed.rows)" \
			'BEGIN { printf "%-24s %16.2f %12.2f\n", name, rows, rows / base }'
	done
done
