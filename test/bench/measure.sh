# shellcheck shell=bash
# measure.sh
#	Measuring one thing and writing down what came of it.  Used by run.sh, after
#	ways.sh.
#
# A scenario says which cells it has (way, sessions, connections); run_cells goes
# through all of them round by round, in another order each time, so that a machine
# that slows down does so for all.  The raw data is a line for each figure: scenario,
# way, sessions, connections, round, value, unit.

# shellcheck disable=SC2016,SC2034,SC2154	# $ of SQL; variables of the others
: "${stage?}" "${bin?}" "${rounds?}" "${seconds?}" "${settle?}"

scenario=
round=
cells=()
pgbench_way=(-M prepared -D keeps=1)

# record way sessions connections value unit
record()
{
	[ -n "$4" ] || return 0
	printf '%s\t%s\t%d\t%d\t%d\t%s\t%s\n' "$scenario" "$1" "$2" "$3" "$round" "$4" "$5" |
		tee -a "$stage/raw.tsv" >&3
}

# cell way sessions connections: if the way can be had; own connections
# are as many as sessions
cell()
{
	local connections=$3

	[ -n "${known[$1]}" ] || return 0
	[ "${connects[$1]}" = shared ] || connections=$2
	cells+=("$1 $2 $connections")
}

# run_cells function: with each cell, in all rounds
run_cells()
{
	local words one

	for ((round = 1; round <= rounds; round++)); do
		while read -ra words <&8; do
			one="${words[*]}"
			"$1" "${words[@]}" || printf 'no figure: %s, %s\n' "$scenario" "$one"
		done 8< <(shuf -e -- "${cells[@]}")
		printf '%s: round %d of %d, after %d s\n' "$scenario" "$round" "$rounds" "$SECONDS"
	done
	cells=()
}

# script way connections kind: for pgbench; prints its name
script()
{
	local file=$stage/$1.$2.$3.sql begin end

	if [ ! -e "$file" ]; then
		begin=$(open "$1" "$2")
		end=';'
		[[ $begin != *' AS lease' ]] || end=' \gset'
		{
			printf '\\set n random(1, %d)\n' "$rows"
			[ -z "$begin" ] ||
				printf '\\if :opened = 0\n%s%s\n\\set opened :keeps\n\\endif\n' "$begin" "$end"
			# shellcheck disable=SC2001	# all of them
			printf '%s;\n' "$(statement "$1" "$2" "$3" | sed 's/@/:n::int/g')"
		} >"$file"
	fi
	printf '%s' "$file"
}

# check_rows kind [rows]: each way that the cells have gives the rows that were asked for
check_rows()
{
	local way connections got wanted=${2:-$'item 1\nitem 4711\nitem 999999'}

	while read -r way connections; do
		[ "$way" != empty ] || continue
		got=$(rows_of "$way" "$connections" "$1") || die "$scenario: $way fails"
		[ "$got" = "$wanted" ] ||
			die "$scenario: $way gives wrong rows:"$'\n'"$got"
	done < <(printf '%s\n' "${cells[@]}" |
		awk '$1 == "floor" { print "floor-local", $3; $1 = "floor-remote" } { print $1, $3 }' |
		sort -u)
}

# rows_of way connections kind
rows_of()
{
	local text begin number cluster=local

	[ "$1" != floor-remote ] || cluster=remote
	text=$(statement "$1" "$2" "$3")
	begin=$(open "$1" "$2")
	{
		echo '\o /dev/null'
		[ -z "$begin" ] || printf '%s \\gset\n' "$begin"
		echo '\o'
		for number in 1 4711 999999; do
			printf '%s;\n' "${text//@/$number}"
		done
	} | sql "$cluster" -At
}

# point way sessions connections [kind [pause]]: figures of pgbench.  With a pause (in
# ms), each session chooses again and again at random whether it asks or pauses.
point()
{
	local way=$1 files figures

	if [ "$way" = floor ]; then
		both_of_floor "$@"
		return
	fi
	files=(-f "$(script "$way" "$3" "${4:-point}")")
	[ -z "${5:-}" ] || files+=(-f "$(pause_script "$5")")
	pgbench "$way" "$2" "$3" "${files[@]}" || record "$way" "$2" "$3" 1 failed
	mapfile -t figures < <(perl test/bench/latency.pl "$settle" "$seconds" "$stage"/log/*)
	record_figures "$way" "$2" "$3" "${figures[@]}"
}

# both_of_floor floor sessions connections...: what a call costs here, and what the
# statement costs there, one after the other
both_of_floor()
{
	local figures

	point floor-local "${@:2}"
	point floor-remote "${@:2}"
	mapfile -t figures < <(awk -F '\t' -v cell="$scenario/$2/$round" '
		$1 "/" $3 "/" $5 == cell && $2 ~ /^floor-/ { figure[$2, $7] = $6 }
		END {
			here = figure["floor-local", "per s"]; there = figure["floor-remote", "per s"]
			if (here && there) printf "%.1f\tper s\n", 1 / (1 / here + 1 / there)
			here = figure["floor-local", "p50 ms"]; there = figure["floor-remote", "p50 ms"]
			if (here && there) printf "%.3f\tp50 ms\n", here + there
		}' "$stage/raw.tsv")
	record_figures floor "$2" "$3" "${figures[@]}"
}

# pgbench way sessions connections file...: false if a session had an error.  It is to
# go on until the sessions have been at work for long enough, and is told so by the
# signal by which its own alarm tells it.
pgbench()
{
	local command=("${pgbench_here[@]}") pid jobs=2

	[ "$1" != floor-remote ] || command=("${pgbench_there[@]}")
	[ "$2" -gt 1 ] || jobs=1
	rm -rf "$stage/log" && mkdir "$stage/log"
	PGOPTIONS="${setting[$1]:+-c ${setting[$1]}}" PGSSLMODE=disable \
		"${command[@]}" "${pgbench_way[@]}" -c "$2" -j "$jobs" -T 200 -D opened=0 -D lease=0 \
		-l --log-prefix="$stage/log/t" "${@:4}" >"$stage/pgbench.out" 2>&1 &
	pid=$!
	until_settled "$pid" "$2"
	[[ $1 != pool* ]] || sql local -c 'SELECT pool_stats_reset()' >/dev/null
	sleep "$seconds"
	[[ $1 != pool* ]] || [ "$1" = pool-lease ] || record_pool "$1" "$2" "$3"
	kill -ALRM "$pid" 2>/dev/null || true
	wait "$pid" && return
	printf 'pgbench failed: %s, %s, %d sessions:\n%s\n' "$scenario" "$1" "$2" \
		"$(grep -iE 'error|fatal' "$stage/pgbench.out" | sort | uniq -c | sort -rn | head -n 5)"
	return 1
}

# until_settled pid sessions: each has had an answer (of the first script), and some time
# has passed; what latency.pl leaves out.  The log lags behind, so this is a little later.
until_settled()
{
	local deadline=$((SECONDS + 90)) begun=0

	while [ "$begun" -lt "$2" ] && [ "$SECONDS" -lt "$deadline" ] && kill -0 "$1" 2>/dev/null; do
		sleep 0.2
		begun=$(find "$stage/log" -type f -exec cat {} + |
			awk 'NF >= 6 && $4 == 0 && !seen[$1]++ { n++ } END { print n + 0 }')
	done
	sleep "$settle"
}

pause_script()
{
	printf '\\sleep %d ms\n' "$1" >"$stage/pause.$1.sql"
	printf '%s' "$stage/pause.$1.sql"
}

# record_figures way sessions connections line...: each a value, a tabulator, its unit
record_figures()
{
	local line

	for line in "${@:4}"; do
		record "$1" "$2" "$3" "${line%%$'\t'*}" "${line#*$'\t'}"
	done
}

# record_pool way sessions connections: how long sessions waited for a connection, and
# how many leases needed no hand-over
record_pool()
{
	local figures

	mapfile -t figures < <(sql local -At -F $'\t' -c "
		SELECT v.value, v.unit FROM pool_stats_all() s, LATERAL (VALUES
			(s.wait_p99, 'wait p99 ms'), (s.wait_max, 'wait max ms'),
			(s.reused / nullif(s.acquires, 0)::float8, 'without hand-over')) v(value, unit)
		WHERE s.server = '$1.$3' AND v.value IS NOT NULL")
	record_figures "$1" "$2" "$3" "${figures[@]}"
}

# close_pools: so that one scenario leaves nothing to the next
close_pools()
{
	sql local -c 'SELECT pool_close(srvname) FROM pg_foreign_server s, pg_foreign_data_wrapper w
		WHERE w.oid = s.srvfdw AND fdwname = $$pool$$' >/dev/null
	until [ "$(ask local "SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'client backend'")" = 1 ]; do sleep 0.1; done
}
