# shellcheck shell=bash
# scenarios.sh
#	What is measured, a function for each.  Used by run.sh, after measure.sh.

# shellcheck disable=SC2016,SC2034,SC2154	# $ of SQL; variables of the others
: "${stage?}" "${rounds?}" "${seconds?}"

scenarios=(memory lease point think own cache idle session update lateral million tls growth
	fanout dblink)

bouncers=(pgbouncer-reset pgbouncer)

# cells sessions connections way...
cells()
{
	local way

	for way in "${@:3}"; do
		cell "$way" "$1" "$2"
	done
}

# Point queries by primary key, with as many sessions as come.
scenario_point()
{
	cells 1 5 pool pool-uncached "${bouncers[@]}" pool-lease dblink dblink-call postgres_fdw \
		plproxy floor
	cells 5 5 pool "${bouncers[@]}" dblink
	cells 16 5 pool pool-strict pool-uncached "${bouncers[@]}" pool-lease dblink postgres_fdw \
		plproxy
	cells 16 20 pool
	cells 20 20 pool
	cells 100 5 pool pool-strict "${bouncers[@]}" dblink plproxy
	cells 100 20 pool "${bouncers[@]}"
	cells 1000 20 pool
	[ -n "$quick" ] || cells 1000 20 "${bouncers[@]}"
	[ -n "$quick" ] || cells 1000 5 pool
	check_rows point
	run_cells point
}

# The same by sessions that pause between two queries: 100 for 10 ms, 1,000 for 200 ms.
scenario_think()
{
	cells 100 5 pool "${bouncers[@]}" dblink
	[ -n "$quick" ] || cells 1000 20 pool pgbouncer-reset
	check_rows point
	run_cells point_pause
}

point_pause()
{
	local pause=10

	[ "$2" -lt 1000 ] || pause=200
	point "$1" "$2" "$3" point "$pause"
}

# As many connections as sessions: whether each session keeps to its own.
scenario_own()
{
	local sessions

	for sessions in 32 100; do
		cells "$sessions" "$sessions" pool dblink
		ask local "SELECT pool_prewarm('$(server pool "$sessions")', $sessions)" >/dev/null
	done
	check_rows point
	run_cells point
}

# What pool.session_cache does for sessions that share more connections.
scenario_cache()
{
	cells 100 20 pool-few pool
	[ -n "$quick" ] || cells 100 20 pool-many
	check_rows point
	run_cells point
}

# Five sessions at work beside sessions that hold copies of the connections and are idle.
scenario_idle()
{
	local idle numbers=(0 100)

	[ -n "$quick" ] || numbers+=(300 1000)
	for idle in "${numbers[@]}"; do
		cells+=("pool 5 5 $idle")
	done
	check_rows point
	run_cells beside_idle
}

# beside_idle way sessions connections idle
beside_idle()
{
	local scenario=idle-$4 name pid=''

	name=$(server "$1" "$3")
	ask local "SELECT pool_prewarm('$name', $3)" >/dev/null
	printf "CALL bench_copies('%s', %d);\n\\\\sleep 3600 s\n" "$name" "$3" >"$stage/idle.sql"
	sql local -c "SELECT pool_stats_reset('$name')" >/dev/null
	if [ "$4" -gt 0 ]; then
		"${pgbench_here[@]}" -c "$4" -j 2 -t 1 -f "$stage/idle.sql" >/dev/null 2>&1 &
		pid=$!
		until [ "$(ask local "SELECT acquires FROM pool_stats WHERE server = '$name'")" = \
			$(($4 * $3)) ]; do
			kill -0 "$pid" 2>/dev/null || die "$4 idle sessions cannot be had"
			sleep 0.2
		done
	fi
	point "$1" "$2" "$3"
	[ -z "$pid" ] || { kill "$pid"; wait "$pid"; } 2>/dev/null || true
	until [ "$(ask local "SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend'")" = 1 ]; do sleep 0.1; done
}

# A new local session for each query, beside one that asks nothing.
scenario_session()
{
	cells 1 5 empty pool pgbouncer-reset dblink
	[ -n "$quick" ] || cells 16 5 empty pool
	check_rows point
	local pgbench_way=(-M simple -C -D keeps=0)
	run_cells point
}

# An update of one row, chosen at random.
scenario_update()
{
	cells 1 5 pool dblink
	cells 16 5 pool pool-uncached "${bouncers[@]}" dblink postgres_fdw plproxy
	check_rows update
	run_cells update
}

update()
{
	point "$1" "$2" "$3" update
}

# One statement with a call for each of many rows.
scenario_lateral()
{
	cells 1 5 pool pool-uncached dblink plproxy
	check_rows point
	run_cells lateral
}

lateral()
{
	local text calls=100000

	[ -z "$quick" ] || calls=10000
	text=$(from "$1" "$3" point 'name text')
	text="SELECT count(*) FROM generate_series(1, $calls) AS n, LATERAL ${text//@/n}
		WHERE t.name = 'item ' || n"
	in_session "$1" "$3" "$text" >"$stage/lateral"
	[ "$(head -n 1 "$stage/lateral")" = "$calls" ] || die "lateral: $1 gives wrong rows"
	record "$1" 1 "$3" "$(sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' "$stage/lateral")" ms
}

# in_session way connections statement: in a new one, with its time
in_session()
{
	local begin

	begin=$(open "$1" "$2")
	{
		[ -z "$begin" ] || printf '\\o /dev/null\n%s \\gset\n\\o\n' "$begin"
		printf '\\timing on\n%s;\n' "$3"
	} | sql local -At
}

columns='id int, name text, made timestamptz, ratio float8, amount bigint'

# All rows of the table, and what the session's memory grows by.
scenario_million()
{
	local way sums expected

	sums='count(*), sum(id), sum(hashtext(name)), max(made), sum(hashfloat8(ratio)), sum(amount)'
	expected=$(ask remote "SELECT $sums FROM item")
	for way in pool dblink pool-tls dblink-tls postgres_fdw; do
		[ -z "$quick" ] || [ ${#cells[@]} -lt 2 ] || break
		cell "$way" 1 5
		[ "$(in_session "$way" 5 "SELECT $sums FROM $(from "$way" 5 all "$columns")" |
			head -n 1)" = "$expected" ] || die "million: $way gives wrong rows"
	done
	run_cells million
}

million()
{
	local figures all=''

	# A foreign table would send the count alone.
	[ "$1" != postgres_fdw ] || all='FILTER (WHERE random() >= 0 AND item IS NOT NULL)'
	figures=$(in_session "$1" "$3" "SELECT ms || ' ' || kb FROM bench_twice(\$query\$
		SELECT count(*) $all FROM $(from "$1" "$3" all "$columns")\$query\$)" | head -n 1)
	record "$1" 1 "$3" "${figures% *}" ms
	record "$1" 1 "$3" "${figures#* }" 'kB more'
}

# Point queries over encrypted connections.
scenario_tls()
{
	local sessions numbers=(1 16)

	[ -n "$quick" ] || numbers+=(100)
	for sessions in "${numbers[@]}"; do
		cells "$sessions" 5 pool-tls pgbouncer-reset-tls pgbouncer-tls dblink-tls
	done
	check_rows point
	check_rows encrypted $'true\ntrue\ntrue'
	run_cells point
}

# The same statement over dblink and over pool_dblink: with a connection string in each
# query, and with a connection by name.
scenario_dblink()
{
	local sessions numbers=(1 16)

	[ -n "$quick" ] || numbers+=(200)
	scenario=dblink-call
	for sessions in "${numbers[@]}"; do
		cells "$sessions" 20 dblink-call pool-dblink-call
	done
	check_rows point
	run_cells point
	scenario=dblink-named
	for sessions in "${numbers[@]}"; do
		cells "$sessions" 20 dblink pool-dblink-session pool-dblink-transaction
	done
	[ -n "$quick" ] || cells 1000 20 pool-dblink-transaction
	check_rows point
	run_cells point
}

# pool_acquire() and pool_release() alone, in C.
scenario_lease()
{
	cells+=('pool 1 1' 'pool-untimed 1 1' 'pool 16 8')
	check_rows point
	sql local -c 'CREATE UNLOGGED TABLE IF NOT EXISTS lease_times
		(p50 float8, p99 float8, max float8, clock float8)'
	run_cells lease
}

# lease way sessions connections
lease()
{
	local name figures leases=100000

	name=$(server "$1" "$3")
	[ "$2" = 1 ] || leases=10000
	ask local "SELECT pool_prewarm('$name', $3)" >/dev/null
	printf "SELECT pool_query('%s', 'SELECT 1');
		INSERT INTO lease_times SELECT p50, p99, max, clock FROM bench_lease('%s', %d);\n" \
		"$name" "$name" "$leases" >"$stage/lease.sql"
	PGOPTIONS="${setting[$1]:+-c ${setting[$1]}}" "${pgbench_here[@]}" -c "$2" -t 1 \
		-f "$stage/lease.sql" >/dev/null 2>&1
	mapfile -t figures < <(sql local -At -F $'\t' -c '
		WITH t AS (DELETE FROM lease_times RETURNING *),
		f AS (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY p50) AS p50, max(p99) AS p99,
			max(max) AS max, min(clock) AS clock FROM t)
		SELECT v.value, v.unit FROM f, LATERAL (VALUES (p50, $$p50 us$$), (p99, $$p99 us$$),
			(max, $$max us$$), (clock, $$clock us$$)) v(value, unit)')
	record_figures "$1" "$2" "$3" "${figures[@]}"
}

# Memory of the worker for a connection, and of a session for its copy.
scenario_memory()
{
	cells+=('pool 1 100' 'pool-tls 1 100')
	run_cells memory
}

memory()
{
	local name worker="SELECT pid FROM pg_stat_activity WHERE backend_type = 'pool worker'" old

	name=$(server "$1" 100)
	old=$(ask local "$worker")
	# A new one: what the worker has freed would be used again.
	ask local "SELECT pg_terminate_backend($old)" >/dev/null
	until [ "$(ask local "$worker")" != "$old" ] && [ -n "$(ask local "$worker")" ]; do
		sleep 0.2
	done
	record "$1" 1 100 "$(ask local "SELECT bench_connection_memory('$name', 100)")" \
		'kB a connection'
	record "$1" 1 100 "$(PGOPTIONS='-c pool.session_cache=200' ask local \
		"SELECT bench_copy_memory('$name', 100)")" 'kB a copy'
}

# From one connection to twenty, when twenty sessions begin at once.
scenario_growth()
{
	cells+=('pool 20 20')
	run_cells growth
}

growth()
{
	local name watcher

	name=$(server pool 20)
	ask local "SELECT pool_close('$name')" >/dev/null
	until [ "$(ask local "SELECT pool_prewarm('$name', 1)")" = 1 ]; do sleep 0.1; done
	echo "SELECT pool_exec('$name', 'SELECT pg_sleep(0.05)');" >"$stage/growth.sql"
	ask local "SELECT bench_growth('$name', 20)" >"$stage/growth" &
	watcher=$!
	"${pgbench_here[@]}" -c 20 -j 2 -T 2 -f "$stage/growth.sql" >/dev/null 2>&1
	wait "$watcher" || true
	record "$1" 20 20 "$(cat "$stage/growth")" 'ms to 20 connections'
}
