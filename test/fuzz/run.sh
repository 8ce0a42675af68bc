#!/bin/bash
# run.sh [--seconds N] [--seed N] [target]...
#	Have libFuzzer look for an input that breaks what reads bytes from elsewhere.
#
# The targets are in targets.c, one function each; the seeds of each are the lines
# of a file in seeds/, as printf %b takes them.  All of the extension is built with
# AddressSanitizer and UBSan, and each target runs in a backend of its own, for 20
# seconds or what --seconds says.  The last line is "N passed, N failed".
#
# An input that has led to a failure is shown in base64; to see it again, put it
# into a file of seeds.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# shellcheck source=test/memory.sh
. "$(dirname "${BASH_SOURCE[0]}")/../memory.sh"
packages+=(clang-14 libclang-rt-14-dev)
enter_stage "$0" "$@"

seconds=20
seed=$((RANDOM * 32768 + RANDOM))
passed=0
failed=0

while [[ ${1:-} == --* ]]; do
	[[ $1 =~ ^--(seconds|seed)$ && ${2:-} =~ ^[0-9]+$ ]] ||
		die "unknown option $1, or no number after it"
	declare "${1#--}=$2"
	shift 2
done

# build_targets: the extension, and the targets beside it in the same library
build_targets()
{
	local lib arch output sources=(src/*.c src/*/*.c test/fuzz/*.c) flags
	# shellcheck disable=SC2054	# the commas are the compiler's
	flags=(-w -O1 -g -fPIC -fno-omit-frame-pointer -fwrapv -fno-strict-aliasing
		-D_GNU_SOURCE -DUSE_ASSERT_CHECKING -Isrc -I"$("$bin/pg_config" --includedir)"
		-I"$("$bin/pg_config" --includedir-server)" -include test/memory/exact.h
		-fsanitize=address,undefined,fuzzer-no-link -shared-libasan)

	lib=$(clang-14 -print-resource-dir)/lib/linux
	arch=$(uname -m)
	mkdir "$stage/objects"
	# shellcheck disable=SC2016	# the inner shell expands it
	output=$(printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I '{}' sh -ec '
		source=$1; shift
		exec clang-14 "$@" -c -o "$POOL_STAGE/objects/$(echo "$source" | tr / _).o" "$source"
		' sh '{}' "${flags[@]}" 2>&1) || die "the build failed:"$'\n'"$output"
	# The runtime, which is loaded first, has empty functions with the names of libFuzzer's.
	clang-14 -shared -Wl,-Bsymbolic -fsanitize=address,undefined -shared-libasan \
		-o "$("$bin/pg_config" --pkglibdir)/pool.so" "$stage"/objects/*.o \
		-Wl,--whole-archive "$lib/libclang_rt.fuzzer_no_main-$arch.a" -Wl,--no-whole-archive \
		-lpq -lssl -lcrypto -lpthread -lstdc++ -lm
	wrap_sanitizer "$lib/libclang_rt.asan-$arch.so"
	mkdir "$stage/reports"
	export POOL_TEST_REPORTS=$stage/reports
}

# seeds_of target: a directory with them
seeds_of()
{
	local line n=0

	mkdir -p "$stage/$1/corpus" "$stage/$1/found"
	while IFS= read -r line; do
		[[ $line == '#'* ]] && continue
		n=$((n + 1))
		printf %b "$line" >"$stage/$1/corpus/$n"
	done <"test/fuzz/seeds/$1"
}

# fuzz target
fuzz()
{
	local out=$stage/$1/out status=0 start=$SECONDS file

	seeds_of "$1"
	printf "SELECT pool_fuzz('%s', '%s')\n" "$1" "-seed=$seed -max_total_time=$seconds \
-max_len=4096 -len_control=0 -rss_limit_mb=4096 -timeout=120 -detect_leaks=0 -handle_term=0 \
-print_final_stats=1 \
-artifact_prefix=$stage/$1/found/ $stage/$1/corpus" >"$stage/$1/sql"
	# shellcheck disable=SC2016	# the inner shell expands it
	limited $((seconds * 3 + 300)) bash -c 'exec "$@" <"$0"' "$stage/$1/sql" "$bin/postgres" \
		--single -D "$stage/data" -c shared_preload_libraries=pool postgres >"$out" 2>&1 ||
		status=$?
	if grep -q '^stat::number_of_executed_units' "$out" && [ "$status" -eq 0 ] &&
		[ -z "$(find "$stage/$1/found" "$POOL_TEST_REPORTS" -type f)" ]; then
		printf 'ok      fuzz  %-10s %9d inputs %4d s\n' "$1" \
			"$(sed -n 's/^stat::number_of_executed_units: *//p' "$out")" $((SECONDS - start))
		passed=$((passed + 1))
		return
	fi
	printf 'not ok  fuzz  %-10s\n' "$1"
	failed=$((failed + 1))
	tail -n 30 "$out" | sed 's/^/    /'
	for file in "$POOL_TEST_REPORTS"/*; do
		[ -s "$file" ] || continue
		head -n 40 "$file" | sed 's/^/    /'
	done
	for file in "$stage/$1"/found/*; do
		[ -e "$file" ] || continue
		printf '    %s: %s\n' "${file##*/}" "$(base64 -w 0 "$file")"
	done
	rm -f "$POOL_TEST_REPORTS"/*
}

mapfile -t all < <(sed -n 's/^\t{"\([a-z_]*\)", .*/\1/p' test/fuzz/targets.c)
[ $# -gt 0 ] || set -- "${all[@]}"
for target in "$@"; do
	[[ " ${all[*]} " == *" $target "* ]] || die "there is no target $target"
done
printf 'seed %d\n' "$seed"
"$bin/initdb" -D "$stage/data" -U postgres --no-sync -E UTF8 --locale=C.UTF-8 \
	>"$stage/initdb.log" 2>&1 ||
	die "initdb failed:"$'\n'"$(cat "$stage/initdb.log")"
build_targets
"$bin/postgres" --single -D "$stage/data" -c shared_preload_libraries=pool postgres \
	>"$stage/create.log" 2>&1 \
	<<<"CREATE FUNCTION pool_fuzz(text, text) RETURNS void AS 'pool' LANGUAGE C"
for target in "$@"; do
	fuzz "$target"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
