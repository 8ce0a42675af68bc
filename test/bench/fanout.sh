# shellcheck shell=bash
# fanout.sh
#	Asking many servers at a time.  Used by run.sh, after scenarios.sh.
#
# Each server is a foreign server of its own, with a pool of its own, and a database
# on the remote: there are eight of these, which the servers have in turn.

# shellcheck disable=SC2016,SC2034,SC2154	# $ of SQL; variables of the others
: "${stage?}" "${bin=}" "${quick?}"

fan_servers=64

# start_fan: once, the databases with a small table each, and the servers
start_fan()
{
	local i

	[ ! -e "$stage/fan" ] || return 0
	for i in {0..7}; do
		ask remote "CREATE DATABASE part$i TEMPLATE template0" >/dev/null
		"$bin/psql" -X -q -h "$stage" -p "${port[remote]}" -U postgres -d "part$i" <<'SQL'
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO item SELECT n, 'item ' || n FROM generate_series(1, 10000) AS n;
VACUUM ANALYZE item;
SQL
	done
	sql local -v servers="$fan_servers" -v direct="$(conninfo_of_host) sslmode=disable" \
		-v port="${port[remote]}" -f test/bench/fanout.sql
	ask local "SELECT pool_prewarm(name, 1) FROM unnest(bench_fan($fan_servers)) AS name" \
		>/dev/null
	: >"$stage/fan"
}

conninfo_of_host()
{
	printf 'host=127.0.0.1 port=%s user=postgres' "${port[remote]}"
}

# A statement of 100 ms on 1 to 64 servers; a row by its key from each of 8; and what a
# request costs the session in time and memory.
scenario_fanout()
{
	local number numbers=(1 8 64)

	start_fan
	[ -n "$quick" ] || numbers+=(2 32)
	for number in "${numbers[@]}"; do
		cell pool 1 "$number"
	done
	run_cells fan_sleep
	cells 1 8 pool pool-loop dblink-send plproxy
	check_rows fan "$(for number in 2 4712 10000; do
		for _ in {1..8}; do echo "item $number"; done
	done)"
	scenario=fanout-point run_cells fan_point
	cells+=('pool 1 64')
	run_cells fan_memory
}

# fan_sleep pool 1 servers: the time of a call, in a session that has the connections
fan_sleep()
{
	local figures

	figures=$(fan_session "SELECT ms FROM bench_repeat(\$query\$
		SELECT count(*) FROM pool_query_all(bench_fan($3), 'SELECT pg_sleep(0.1)', NULL)
			AS t(server text, sqlstate text, error text, slept text)\$query\$, 5)")
	record "$1" 1 "$3" "$figures" 'ms'
}

# fan_session statement: in a session that asks all at a time
fan_session()
{
	PGOPTIONS='-c pool.max_parallel=64' ask local "$1"
}

# fan_point way 1 8: queries a second, each of 8 servers; and processor time
fan_point()
{
	local begin cpu

	point "$1" "$2" "$3" fan
	begin=$(open "$1" "$3")
	cpu=$({
		echo '\o /dev/null'
		[ -z "$begin" ] || printf '%s \\gset\n' "$begin"
		printf 'PREPARE fan(int) AS %s;\n' "$(statement "$1" "$3" fan | sed 's/@/$1/g')"
		echo '\o'
		echo "SELECT cpu / 8 FROM bench_repeat('EXECUTE fan(4711)', 1000);"
	} | sql local -At)
	record "$1" "$2" "$3" "$cpu" 'us of the session a server'
}

# fan_memory pool 1 requests: of a new session, while so many requests are under way
fan_memory()
{
	record "$1" 1 "$3" "$(fan_session "SELECT bench_request_memory($3, false)")" \
		'kB a request'
	record "$1" 1 "$3" "$(fan_session "SELECT bench_request_memory($3, true)")" \
		'kB a request and first copy'
}
