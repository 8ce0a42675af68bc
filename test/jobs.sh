# shellcheck shell=bash
# jobs.sh
#	Run jobs side by side, some at a time, and show what each has to say in one
#	piece.  Used by run.sh and mutants.sh, after lib.sh.
#
# A job is a function of the script with its arguments.  Each lane goes through
# the queue and runs what no other lane has begun: to begin a job is to make its
# directory.
#
# A job runs in a subshell, so that nothing it sets reaches another, and one that
# dies ends alone.  The directory is its home, too.  Its output goes to a file,
# the report, which is shown when the job is over.  A line there that starts with
# "ok" or "not ok" is a result: these are what is counted.

: "${stage?}"				# of lib.sh
queue=()
job=					# the directory of the job under way

# add_job name function argument...: no argument may have a space in it
add_job()
{
	queue+=("$*")
}

# run_jobs lanes: return when all are over
run_jobs()
{
	local pids=() pid

	while [ ${#pids[@]} -lt "$1" ]; do
		lane &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || die 'a part of the script ended early'
	done
}

# results ok | 'not ok': how many there are
results()
{
	cat "$stage"/[0-9]*/report 2>/dev/null | grep -c "^$1 " || true
}

lane()
{
	local number words

	answer_for_children
	for number in "${!queue[@]}"; do
		read -ra words <<<"${queue[number]}"
		job=$stage/$(printf '%02d.%s' "$number" "${words[0]}")
		if ! mkdir "$job" 2>/dev/null; then
			[ -d "$job" ] || die "cannot make $job"
			continue
		fi
		run_job "${words[@]:1}" >"$job/report" 2>"$job/messages" &
		wait $! || printf 'not ok  the job %s ended early\n' "${words[0]}" >>"$job/report"
		show 'messages' "$job/messages" >>"$job/report"
		flock "$stage" cat "$job/report"
	done
}

run_job()
{
	answer_for_children
	# Where libpq looks for certificates, and a test may put some.
	export HOME=$job
	"$@"
}

# answer_for_children: have this subshell, when it is told to end, end what it
# has started first
answer_for_children()
{
	trap end_children EXIT
	trap 'exit 129' HUP
	trap 'exit 143' TERM
}

# show heading file [lines]: indented, so that it cannot be taken for a result
show()
{
	[ -s "$2" ] || return 0
	printf '    --- %s\n' "$1"
	tail -n "${3:-30}" "$2" | sed 's/^/    /'
}
