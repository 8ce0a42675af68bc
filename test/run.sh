#!/bin/bash
# run.sh [--keep] [--plain | --tls] [regress | isolation | tap | file | test name]...
#	Build the extension and run its tests in throw-away clusters.
#
# Without arguments all tests run.  Most run twice: with remotes that do not
# encrypt, and with remotes that take nobody without TLS; --plain and --tls
# choose one.  One SQL test runs after "init" of its kind, which sets up what
# the others use.  --keep leaves the directory with the results and logs.  The
# last line is "N passed, N failed".

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter_stage "$0" "$@"

passed=0
failed=0
kinds=
rounds=(plain tls)
round=					# the one under way

# These make their own remotes, or none, or look at nothing that depends on how
# data travels.
only_plain='001_not_preloaded 007_databases 011_standby 012_options 014_tls
014_tls_certificates 014_tls_manual 014_tls_proxy 014_tls_relay 016_breaker 019_limits
020_autoscale 021_hosts 022_warm 023_storm 023_storm_rejected 025_each_attempt
025_each_option 025_each_setting 026_times 027_statistics_columns
028_statistics_statements 029_statistics_limits 030_statistics_sums
031_statistics_connections 032_statistics_privileges 033_statistics_log'
only_plain=${only_plain//$'\n'/ }
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
		tap) mapfile -t tap < <(find test/t -name '*.pl' | sort) ;;
	esac
}

# attempt kind name command...: run one test, its output to $log
attempt()
{
	local kind=$1 name=$2 start=${EPOCHREALTIME/./} ok=ok
	shift 2

	log=$stage/$round.$kind.$name.out
	if limited "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		ok='not ok'
	fi
	start=$(((${EPOCHREALTIME/./} - start) / 100000))
	printf '%-6s  %-5s  %-9s  %-32s %3d.%d s\n' "$ok" "$round" "$kind" "$name" \
		$((start / 10)) $((start % 10))
	[ "$ok" = ok ]
}

# show heading file [lines]: indented, so that it cannot be taken for a result
show()
{
	[ -s "$2" ] || return 0
	printf '    --- %s\n' "$1"
	tail -n "${3:-30}" "$2" | sed 's/^/    /'
}

# close_cluster name: stop the server, which must not resist, and look in its
# log for what a test's own output does not show
close_cluster()
{
	local trouble=$stage/$1.trouble

	stop_cluster "$stage/$1" || echo 'the server did not stop' >"$trouble"
	grep -nE 'PANIC:|TRAP:|terminated by signal' "$stage/$1.log" >>"$trouble" ||
		[ -s "$trouble" ] || return 0
	failed=$((failed + 1))
	printf 'not ok  the server %s\n' "$1"
	show 'found' "$trouble"
	show 'end of the server log' "$stage/$1.log"
}

# run_sql_tests kind program test...: pg_regress or pg_isolation_regress, once
# per test; the first run creates the database
run_sql_tests()
{
	local kind=$1 program=$pgxs/src/test/$2 name existing=()
	local cluster=$round.$kind options
	local out=$stage/$cluster.results
	shift 2

	mkdir -p "$out"
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

run_tap_tests()
{
	local file name dir server_log

	export PG_REGRESS=$pgxs/src/test/regress/pg_regress
	export PERL5LIB=$pgxs/src/test/perl
	export PG_TEST_PORT_DIR=$stage/ports top_builddir=$stage
	[ -z "$keep" ] || export PG_TEST_NOCLEAN=1
	for file in "$@"; do
		name=$(basename "$file" .pl)
		[[ $round = plain || " $only_plain " != *" $name "* ]] || continue
		dir=$stage/$round.tap.$name
		mkdir -p "$dir"
		# PostgreSQL 15 knows the first variable, 16 and newer the other two.
		export TESTDIR=$dir TESTLOGDIR=$dir/tmp_check/log TESTDATADIR=$dir/tmp_check
		if ! attempt tap "$name" $((600 + ${POOL_TEST_SECONDS:-0})) prove --verbose -I . "$file"; then
			show 'output' "$log" 60
			for server_log in "$TESTLOGDIR"/*.log; do
				show "end of ${server_log##*/}" "$server_log"
			done
		fi
		stop_all
	done
}

while [[ ${1:-} == --* ]]; do
	case $1 in
		--keep) keep=files ;;
		--plain | --tls) rounds=("${1#--}") ;;
		*) die "unknown option $1" ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- regress isolation tap
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

build -Werror -DUSE_ASSERT_CHECKING
for round in "${rounds[@]}"; do
	if [ "$round" = tls ]; then
		make_certificates
		export POOL_TEST_TLS=$stage/tls
	fi
	[ ${#regress[@]} -eq 0 ] || run_sql_tests regress regress/pg_regress "${regress[@]}"
	[ ${#isolation[@]} -eq 0 ] ||
		run_sql_tests isolation isolation/pg_isolation_regress "${isolation[@]}"
	[ ${#tap[@]} -eq 0 ] || run_tap_tests "${tap[@]}"
done

[ -z "$keep" ] || printf 'results and logs are in %s\n' "$stage"
stop_all
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
