#!/bin/bash
# run.sh [--pg VERSION] [--keep] [--plain | --tls] [--jobs N]
#		[--fast | --long | --sanitize | --valgrind]
#		[--without OPTION]... [regress | isolation | tap | file | test name]...
#	Build the extension and run its tests in throw-away clusters.
#
# Without arguments all tests run, but for those that take long: these run when
# they are named, or all with --long.  Most run twice: with remotes that do not
# encrypt, and with remotes that take nobody without TLS; --plain and --tls
# choose one.  One SQL test runs after "init" of its kind, which sets up what
# the others use.  --keep leaves the directory with the results and logs.  What a
# test could not look at here is shown below its line, and counted at the end; a test
# that looked at nothing has not passed.  The last line is "N passed, N failed".
#
# --pg, which comes first, has another version of PostgreSQL: the tests run in a system
# of the Debian suite that has it, which chroot.sh makes.  --fast runs those that depend
# most on the version, once.
#
# --sanitize has AddressSanitizer and UBSan look on, --valgrind valgrind, with
# which a server takes 20 times as long: without a name some tests run then.
# --long runs all that there is: besides the tests that take long, the mutants,
# the fuzz targets, and the suite with --sanitize and --valgrind.
#
# --without statement_cache, and --without fairness_round: with that option off
# unless a test sets it, and without the tests that have the line "# Needs OPTION.".
#
# N jobs run at a time, two for each processor if --jobs does not say otherwise:
# a test waits more than it computes.  Each TAP test is a job.  So are all regress
# tests of a round, and all isolation tests: they share a cluster and run one
# after the other.  What a job has to say is shown when it is over.

[ "${1:-}" != --pg ] || export PG_MAJOR=${2:-}
# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
[ "${1:-}" != --pg ] || enter_suite test/run.sh "${@:3}"
# shellcheck source=test/jobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"
# shellcheck source=test/memory.sh
. "$(dirname "${BASH_SOURCE[0]}")/memory.sh"
kinds=
rounds=(plain tls)
lanes=$((2 * $(nproc)))
names=				# of --fast
everything=			# whether no test was named
long=					# whether tests that take long run without being named

# A TAP file with this line makes its own remotes, or none, or looks at nothing
# that depends on how data travels.
plain_only='# Runs in the plain round only.'

# One with this line takes long.
long_only='# Runs with --long only.'

# One with this line counts what the tools of --sanitize and --valgrind do, too.
no_memory='# Not with sanitizers or valgrind.'

# What prove says of a TAP file that skips everything; it is no result.
all_skipped='^[^ ]*\.pl \.+ skipped: '

# These take longest and start first, so that none is left alone at the end.
longest='002_tokens 006_remote 015_ageing 023_storm 024_soak'

# What --fast runs
fast='regress isolation 003_cancel 007_databases 009_error_paths 014_tls 051_catalogs
	064_local_roles 083_late_cancels 085_fault_caught 092_forged_messages
	095_nothing_in_the_clear 096_sql_fuzz 100_security_libpq 103_security_tenants
	110_statement_cache 111_reset_parts 128_binary 130_metrics_endpoint 140_versions
	150_requests 155_query_all 175_dblink_suite'

# Options that are off, and what the compiler is told of that
without=()
flags=()

memory_packages "$@"
arguments=("$@")
while [[ ${1:-} == --* ]]; do
	case $1 in
		--keep) keep=files ;;
		--long) long=yes ;;
		--fast)
			rounds=(plain)
			names=$fast
			;;
		--sanitize | --valgrind) memory=${1#--} ;;
		--without)
			[[ ${2:-} == @(statement_cache|fairness_round) ]] ||
				die '--without needs statement_cache or fairness_round'
			without+=("$2")
			flags+=("-DPOOL_DEFAULT_${2^^}=0")
			shift
			;;
		--plain | --tls) rounds=("${1#--}") ;;
		--jobs)
			[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die '--jobs needs a number'
			lanes=$2
			shift
			;;
		*) die "unknown option $1" ;;
	esac
	shift
done
# shellcheck disable=SC2086	# one word per test
[ -z "$names" ] || set -- $names
if [ $# -eq 0 ]; then
	everything=yes
	set -- regress isolation tap
	# Under valgrind these say most for their time.
	[ "$memory" != valgrind ] || set -- query query_errors lease_errors lease_savepoint \
		002_tokens.pl 006_remote.pl 012_options.pl
fi
test_packages "$@"
test_sources "$@"
enter_stage "$0" "${arguments[@]}"

regress=()
isolation=()
tap=()

makefile_value()
{
	make -s PG_CONFIG="$bin/pg_config" "print-$1"
}

# choose argument: add the tests that it names
choose()
{
	local name=${1##*/} file found=

	case $1 in
		regress | isolation | tap)
			add_kind "$1"
			return
			;;
		*isolation/expected/*)
			name=${name%.out}.spec
			;;
	esac

	# A bare name may be a test of each kind; a file's extension tells.
	if [[ $name != *.spec && $name != *.pl && -e sql/${name%.*}.sql ]]; then
		regress+=("${name%.*}")
		found=1
	fi
	if [[ $name != *.sql && $name != *.pl &&
		-e test/isolation/specs/${name%.*}.spec ]]; then
		isolation+=("${name%.*}")
		found=1
	fi
	for file in "test/t/${name%.pl}.pl" test/t/[0-9]*_"${name%.pl}.pl"; do
		[[ -e $file && $name != *.sql && $name != *.spec ]] || continue
		tap+=("$file")
		found=1
	done
	[ -n "$found" ] || die "there is no test $1"
}

add_kind()
{
	kinds+=" $1"
	case $1 in
		regress) read -ra regress < <(makefile_value REGRESS) ;;
		isolation) read -ra isolation < <(makefile_value ISOLATION) || true ;;
		tap) mapfile -t tap < <(tap_tests) ;;
	esac
}

# tap_tests: those that run without being named
tap_tests()
{
	local file

	for file in test/t/*.pl; do
		[ -n "$long" ] || ! grep -qx "$long_only" "$file" || continue
		[ -z "$memory" ] || ! grep -qx "$no_memory" "$file" || continue
		! needs_what_is_off "$file" || continue
		printf '%s\n' "$file"
	done
}

# needs_what_is_off file: is it a test of an option that is off?
needs_what_is_off()
{
	local option

	for option in "${without[@]}"; do
		! grep -qx "# Needs $option\." "$1" || return 0
	done
	return 1
}

# attempt kind name seconds command...: run one test, its output to $log.  In
# mutants.sh each test has the same time.
attempt()
{
	local kind=$1 name=$2 limit=${POOL_TEST_LIMIT:-$((patience * $3))}
	local start=${EPOCHREALTIME/./} status=0 ok=ok late=
	shift 3

	log=$job/$name.out
	limited "$limit" "$@" >"$log" 2>&1 || status=$?
	[ "$status" -eq 0 ] || ok='not ok'
	! grep -qE "$all_skipped" "$log" || ok=skip
	! memory_reports >"$job/$name.memory" || ok='not ok'
	# What timeout returns; by then prove has lost what it had not yet written.
	case $status in
		124 | 137)
			cat "$job"/tmp_check/log/regress_log_* >>"$log" 2>/dev/null || true
			# There each line starts with the time.
			grep -qE '^(\[[^]]*\]\([^)]*\) +)?not ok [0-9]' "$log" || late=yes
			printf 'ended by its limit of %d s\n' "$limit" >>"$log"
			;;
	esac
	start=$(((${EPOCHREALTIME/./} - start) / 100000))
	printf '%-6s  %-5s  %-9s  %-32s %3d.%d s\n' "$ok" "$round" "$kind" "$name" \
		$((start / 10)) $((start % 10))
	[ -z "$late" ] || printf '    nothing had failed when its %d s were over\n' "$limit"
	show_skipped "$log"
	show 'errors with memory' "$job/$name.memory" 150
	[ "$ok" != 'not ok' ]
}

# show_skipped log: the parts of a TAP test that it skipped, each reason once, or why
# all of it was
show_skipped()
{
	sed -nE -e 's/^ *ok [0-9]+ # skip */    skipped: /Ip' \
		-e "s/$all_skipped/    skipped: /p" "$1" | uniq
}

# close_cluster name: stop the server, which must not resist, and look in its
# log for what a test's own output does not show
close_cluster()
{
	local trouble=$stage/$1.trouble

	stop_cluster "$stage/$1" || echo 'the server did not stop' >"$trouble"
	memory_reports >>"$trouble" || true
	grep -nE 'PANIC:|TRAP:|terminated by signal' "$stage/$1.log" >>"$trouble" ||
		[ -s "$trouble" ] || return 0
	printf 'not ok  the server %s\n' "$1"
	show 'found' "$trouble" 150
	show 'end of the server log' "$stage/$1.log"
}

# enter_round plain|tls: let the tests of this job know
enter_round()
{
	round=$1
	watch_memory "$job"
	[ "$round" = plain ] || export POOL_TEST_TLS=$stage/tls
}

# run_sql_tests round kind program test...: pg_regress or pg_isolation_regress,
# once per test; the first run creates the database
run_sql_tests()
{
	local kind=$2 program=$pgxs/src/test/$3 name existing=()
	local cluster=$1.$kind options
	local out=$job

	enter_round "$1"
	shift 3
	read -ra options < <(makefile_value "${kind^^}_OPTS")
	start_cluster "$cluster" trust "shared_preload_libraries = 'pool'" \
		"max_connections = 100" "log_line_prefix = '%m [%p] %b %q%a '"
	for name in "$@"; do
		rm -f "$out/regression.diffs"
		if ! attempt "$kind" "$name" 300 "$program" --inputdir=. "${options[@]}" \
			--outputdir="$out" --bindir="$bin" --host="$stage" \
			--port="${port[$cluster]}" --user=postgres "${existing[@]}" "$name"; then
			if [ -s "$out/regression.diffs" ]; then
				show 'differences' "$out/regression.diffs" 200
			else
				show 'output' "$log"
				show 'end of the server log' "$stage/$cluster.log"
			fi
		fi
		existing=(--use-existing)
	done
	close_cluster "$cluster"
}

# run_tap_test round file
run_tap_test()
{
	local name server_log

	enter_round "$1"
	name=$(basename "$2" .pl)
	export PG_REGRESS=$pgxs/src/test/regress/pg_regress
	export PERL5LIB=$pgxs/src/test/perl
	export PG_TEST_PORT_DIR=${POOL_TEST_PORTS:-$stage/ports} top_builddir=$stage
	[ -z "$keep" ] || export PG_TEST_NOCLEAN=1
	# PostgreSQL 15 knows the first variable, 16 and newer the other two.
	export TESTDIR=$job TESTLOGDIR=$job/tmp_check/log TESTDATADIR=$job/tmp_check
	if ! attempt tap "$name" $((600 + ${POOL_TEST_SECONDS:-0})) \
		prove --verbose --merge -I . "$2"; then
		show 'output' "$log" 60
		# What a test says when it dies is in the first one only.
		for server_log in "$TESTLOGDIR"/regress_log_* "$TESTLOGDIR"/*.log; do
			show "end of ${server_log##*/}" "$server_log"
		done
	fi
	stop_all "$job"
}

# add_tap_tests file...: in each round that they have
add_tap_tests()
{
	local file name round

	for file in "$@"; do
		name=$(basename "$file" .pl)
		for round in "${rounds[@]}"; do
			[[ $round = plain ]] || ! grep -qx "$plain_only" "$file" || continue
			add_job "$round.tap.$name" run_tap_test "$round" "$file"
		done
	done
}

# run_other script argument...: and count its results among ours; in the background,
# so that a signal to us is not kept waiting
run_other()
{
	local out=$stage/other close='^([0-9]+) passed, ([0-9]+) failed$'

	[ -e "$1" ] || return 0
	printf '\n%s\n' "$*"
	env -u POOL_STAGE "$BASH" "$@" 2>&1 | tee "$out" &
	wait $! || true
	# One that closes in another way has not come to its end.
	[[ $(tail -n 1 "$out") =~ $close ]] || BASH_REMATCH=('' 0 1)
	passed=$((passed + BASH_REMATCH[1]))
	failed=$((failed + BASH_REMATCH[2]))
}

for argument in "$@"; do
	choose "$argument"
done
if [ ${#regress[@]} -gt 0 ] && [[ $kinds != *regress* && " ${regress[*]} " != *' init '* ]]; then
	regress=(init "${regress[@]}")
fi
if [ ${#isolation[@]} -gt 0 ] &&
	[[ $kinds != *isolation* && " ${isolation[*]} " != *' init '* ]]; then
	isolation=(init "${isolation[@]}")
fi

if [ -n "$memory" ]; then
	build_watched
else
	build -Werror -DUSE_ASSERT_CHECKING -DPOOL_FAULT_POINTS "${flags[@]}"
fi
export POOL_TEST_PATIENCE=$patience
[[ " ${rounds[*]} " != *' tls '* ]] || make_certificates

for round in "${rounds[@]}"; do
	[ ${#regress[@]} -eq 0 ] || add_job "$round.regress" \
		run_sql_tests "$round" regress regress/pg_regress "${regress[@]}"
	[ ${#isolation[@]} -eq 0 ] || add_job "$round.isolation" \
		run_sql_tests "$round" isolation isolation/pg_isolation_regress "${isolation[@]}"
done
first=()
rest=()
for file in "${tap[@]}"; do
	if [[ " $longest " == *" $(basename "$file" .pl) "* ]]; then
		first+=("$file")
	else
		rest+=("$file")
	fi
done
add_tap_tests "${first[@]}" "${rest[@]}"
run_jobs "$lanes"

[ -z "$keep" ] || printf 'results and logs are in %s\n' "$stage"
stop_all "$stage"
passed=$(results ok)
failed=$(results 'not ok')
skipped=$(results '    skipped:')
if [ -n "$long" ] && [ -n "$everything" ]; then
	run_other test/mutants.sh
	run_other test/fuzz/run.sh --seconds 60
	run_other test/run.sh --sanitize
	run_other test/run.sh --valgrind
fi
[ "$skipped" -eq 0 ] || printf '%d parts skipped\n' "$skipped"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
