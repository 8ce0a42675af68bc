#!/bin/bash
# mutants.sh [--check] [--jobs N] [NAME]...
#	Break each guard of the code, one at a time, and see a test go red for it.
#
# A file test/mutants/NAME.mutant says what a guard promises, how it is broken,
# and which tests see that:
#
#	guard: what it promises
#	file: src/session/proof.c
#	test: 009_error_paths			one or more, each of which goes red by itself
#	round: plain					or tls; plain if it says nothing
#	--- original
#	lines that are in the file exactly once
#	--- mutant
#	lines that take their place
#
# The tests run once with the code as it is.  Then each mutant is built in a copy,
# where its tests run.  It is killed, "ok", if every one of them fails; it is "not
# ok" if one passes, or fails without the mutant, or finds nothing wrong in the time
# it has, and if the mutant cannot be built.  The last line is "N passed, N failed".
# N jobs run at a time, two if --jobs does not say otherwise.
#
# --check only looks whether all of them could be run: seconds, and no build.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=test/jobs.sh
. "$(dirname "${BASH_SOURCE[0]}")/jobs.sh"

lanes=2
check=
names=()

# Bounds what a mutant does that has a test wait for something in vain.
seconds_of_poll=${PG_TEST_TIMEOUT_DEFAULT:-30}
first_failure=
seconds_of_test=300

# what test|round name...
what()
{
	perl test/mutant.pl "$@"
}

# run_copy name round log test...: run these tests in a copy of the tree, with the
# mutant of that name if there is one
run_copy()
{
	local copy=$stage/copy.$1 name=$1 round=$2 log=$3 status=0
	shift 3

	mkdir "$copy"
	cp -a "$stage/src" "$copy/src"
	cp -al "$stage/usr" "$copy/usr"
	(
		cd "$copy/src"
		[ ! -e "test/mutants/$name.mutant" ] || what apply "$name"
		make -s PG_CONFIG="$copy/usr/lib/postgresql/$pg/bin/pg_config" with_llvm=no \
			COPT='-w -DUSE_ASSERT_CHECKING -DPOOL_FAULT_POINTS' all
	) >"$log" 2>&1 || status=$?
	if [ "$status" -eq 0 ]; then
		cd "$copy/src"
		limited $((seconds_of_test * ($# + 1))) env POOL_STAGE="$copy" TMPDIR="$copy" \
			POOL_TEST_PORTS="$stage/ports" POOL_TEST_FIRST_FAILURE="$first_failure" \
			PG_TEST_TIMEOUT_DEFAULT="$seconds_of_poll" POOL_TEST_LIMIT="$seconds_of_test" \
			PATH="$copy/usr/lib/postgresql/$pg/bin:$PATH" \
			"$BASH" test/run.sh "--$round" --jobs $((2 * lanes)) "$@" >>"$log" 2>&1 || status=$?
		cd "$stage/src"
	else
		status=build
	fi
	rm -rf "$copy"
	printf '%s\n' "$status" >"$log.status"
}

# has ok|'not ok' test log: does that test have that result?
has()
{
	grep -qE "^$1 +(plain|tls) +[a-z]+ +$2 " "$3"
}

# in_vain test log: was that test ended by its limit, with nothing wrong until then?
in_vain()
{
	grep -E -A 1 "^not ok +(plain|tls) +[a-z]+ +$1 " "$2" | grep -q '^    nothing had failed'
}

# run_good_code round test...: without the haste
run_good_code()
{
	local round=$1 seconds_of_poll=180 seconds_of_test=600
	shift

	run_copy "good-$round" "$round" "$stage/good.$round" "$@"
}

# verdict name round log test...: print why the mutant is not killed, if so
verdict()
{
	local round=$2 log=$3 test
	shift 3

	if [ "$(<"$log.status")" = build ]; then
		echo 'it cannot be built'
		return
	fi
	for test in "$@"; do
		if ! has ok "$test" "$stage/good.$round"; then
			echo "$test fails without it"
		elif has ok "$test" "$log"; then
			echo "$test passes"
		elif ! has 'not ok' "$test" "$log" || in_vain "$test" "$log"; then
			echo "$test did not come to a result"
		fi
	done
}

# run_mutant name
run_mutant()
{
	local name=$1 start=$SECONDS tests round why log=$job/log

	read -ra tests < <(what test "$name")
	round=$(what round "$name")
	run_copy "$name" "$round" "$log" "${tests[@]}"
	why=$(verdict "$name" "$round" "$log" "${tests[@]}")
	if [ -z "$why" ]; then
		printf 'ok      mutant  %-32s %4d s  %s\n' "$name" $((SECONDS - start)) "${tests[*]}"
		return
	fi
	printf 'not ok  mutant  %-32s %4d s  %s\n' "$name" $((SECONDS - start)) \
		"$(paste -s -d ';' <<<"$why")"
	show 'output' "$log"
}

# tests_of_round round name...: those that the mutants of a round name, each once
tests_of_round()
{
	local round=$1 name
	shift

	for name in "$@"; do
		[ "$(what round "$name")" != "$round" ] || what test "$name"
	done | tr -s ' ' '\n' | sort -u
}

arguments=("$@")
while [[ ${1:-} == --* ]]; do
	case $1 in
		--check) check=1 ;;
		--jobs)
			[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die '--jobs needs a number'
			lanes=$2
			shift
			;;
		*) die "unknown option $1" ;;
	esac
	shift
done
if [ -n "$check" ]; then
	cd "$(dirname "${BASH_SOURCE[0]}")/.."
else
	test_packages
	enter_stage "$0" "${arguments[@]}"
fi

for name in "$@"; do
	name=${name##*/}
	names+=("${name%.mutant}")
done
[ ${#names[@]} -gt 0 ] ||
	mapfile -t names < <(find test/mutants -name '*.mutant' -printf '%f\n' |
		sed 's/\.mutant$//' | sort)
what check "${names[@]}" || die 'not all mutants can be run'
if [ -n "$check" ]; then
	printf '%d mutants can be run\n' ${#names[@]}
	exit
fi

build -Werror -DUSE_ASSERT_CHECKING -DPOOL_FAULT_POINTS
for round in plain tls; do
	mapfile -t tests < <(tests_of_round "$round" "${names[@]}")
	[ ${#tests[@]} -gt 0 ] || continue
	run_good_code "$round" "${tests[@]}"
	grep '^not ok' "$stage/good.$round" | sed 's/^/    without a mutant: /' || true
done
first_failure=1
for name in "${names[@]}"; do
	add_job "$name" run_mutant "$name"
done
run_jobs "$lanes"

passed=$(results ok)
failed=$(results 'not ok')
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
