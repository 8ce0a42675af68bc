# shellcheck shell=bash
# profile.sh
#	Where processor time goes during point queries, of the sessions here and of those on
#	the remote.  Used by run.sh --profile, after measure.sh.
#
# Without root, perf sees of the kernel what kernel.perf_event_paranoid allows: 1 for its
# functions, too.  How much time goes into it, /proc tells in any case.

# shellcheck disable=SC2154	# variables of the others
: "${stage?}" "${bin?}"

profile_all()
{
	perf record -q -o "$stage/perf.probe" true >/dev/null 2>&1 ||
		die 'perf is not there, or cannot be used'
	echo 'Settings:'
	settings | sed 's/^/- /'
	[ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 1 ] ||
		printf '\n%s\n' "Without the kernel's functions (kernel.perf_event_paranoid)."
	profile_case pool 1 5
	profile_case pool 16 5
}

# profile_case way sessions connections
profile_case()
{
	local load time=3 cluster before after queries perfs=()

	"${pgbench_here[@]}" "${pgbench_way[@]}" -D opened=0 -D lease=0 -c "$2" \
		-j "$(($2 > 1 ? 2 : 1))" -T $((time + 5)) -f "$(script "$1" "$3" point)" >/dev/null 2>&1 &
	load=$!
	sleep 2

	queries=$(ask local "SELECT queries FROM pool_stats WHERE server = '$1.$3'")
	before=$(processor_time local; processor_time remote)
	for cluster in local remote; do
		perf record -q -o "$stage/perf.$cluster" -p "$(processes "$cluster")" \
			-- sleep "$time" >/dev/null 2>&1 &
		perfs+=($!)
	done
	wait "${perfs[@]}" || true
	after=$(processor_time local; processor_time remote)
	queries=$(($(ask local "SELECT queries FROM pool_stats WHERE server = '$1.$3'") - queries))
	{ kill "$load"; wait "$load"; } 2>/dev/null || true

	printf '\n### %d session(s) on %d connections\n\n' "$2" "$3"
	paste <(echo "$before") <(echo "$after") | awk -v queries="$queries" '
		{ printf "- %s: %.1f µs a query in its programs, %.1f in the kernel\n", $1,
			($5 - $2) * 1e4 / queries, ($6 - $3) * 1e4 / queries }'
	for cluster in local remote; do
		perf report -i "$stage/perf.$cluster" --stdio --no-children -g none \
			-F overhead,dso,symbol -t '|' 2>/dev/null >"$stage/$cluster.symbols" || true
	done
	perl test/bench/profile.pl "$stage/local.symbols" "$stage/remote.symbols"
}

# processes cluster: all sessions but this one, with commas
processes()
{
	ask "$1" "SELECT string_agg(pid::text, ',') FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
}

# processor_time cluster: its name, and what its sessions had: user and system, in 1/100 s
processor_time()
{
	local pid files=()

	for pid in $(processes "$1" | tr , ' '); do
		files+=("/proc/$pid/stat")
	done
	# The second field may have spaces, and ends with the last parenthesis.
	sed 's/.*) //' "${files[@]}" | awk -v name="$1" '
		{ own += $12; kernel += $13 } END { print name, own, kernel }'
}
