# shellcheck shell=bash
# memory.sh
#	Run the server so that the extension's errors with memory are seen.  Used by
#	run.sh and fuzz/run.sh, after lib.sh.
#
# Debian's server is not instrumented, and need not be.  The program postgres of
# the private copy becomes a script, which starts the real one (postgres.real)
# under valgrind, or with the runtime of AddressSanitizer loaded first, for which
# the extension is built then.  No other program notices.
#
# A report goes to a file in $POOL_TEST_REPORTS, each job's own directory: so it
# counts even if the server goes on.

: "${stage?}" "${bin=}"		# of lib.sh
memory=					# '', 'sanitize', or 'valgrind'
# how many times as long a test may take, in run.sh, and wait, in PoolTest/Wait.pm
# shellcheck disable=SC2034
patience=1

# memory_packages argument...: have enter_stage install what the script's modes need
memory_packages()
{
	[[ ! " $* " =~ ' '--(valgrind|long)' ' ]] || packages+=(valgrind)
	[[ " $* " != *' --long '* ]] || packages+=(clang-14 libclang-rt-14-dev)
}

# wrap: standard input becomes the program postgres
wrap()
{
	mv "$bin/postgres" "$bin/postgres.real"
	cat >"$bin/postgres"
	chmod +x "$bin/postgres"
}

# wrap_sanitizer runtime: of the compiler in use, a shared library
wrap_sanitizer()
{
	local here=$PWD/test/memory

	gcc -shared -fPIC -O1 -Wl,-z,initfirst -o "$stage/first.so" test/memory/first.c
	wrap <<-END
		#!/bin/bash
		options=log_path=\$POOL_TEST_REPORTS/asan:suppressions=$here/asan.supp
		options+=:detect_leaks=0:detect_stack_use_after_return=0
		options+=:abort_on_error=1:quarantine_size_mb=16:thread_local_quarantine_size_kb=64
		export ASAN_OPTIONS=\$options
		options=log_path=\$POOL_TEST_REPORTS/ubsan:print_stacktrace=1
		export UBSAN_OPTIONS=\$options:suppressions=$here/ubsan.supp
		export LD_PRELOAD=$1:$stage/first.so\${LD_PRELOAD:+:\$LD_PRELOAD}
		exec -a "\$0" "$bin/postgres.real" "\$@"
	END
}

# build_watched: instead of build
build_watched()
{
	local here=$PWD/test/memory flags

	flags=(-O1 -g -fno-omit-frame-pointer -DUSE_ASSERT_CHECKING -DPOOL_FAULT_POINTS
		-include "$here/exact.h")
	watch_memory "$stage"
	export PGCTLTIMEOUT=300
	case $memory in
		sanitize)
			patience=3
			# shellcheck disable=SC2054	# the comma is the compiler's
			flags+=(-fsanitize=address,undefined)
			wrap_sanitizer "$(realpath "$(gcc -print-file-name=libasan.so)")"
			;;
		valgrind)
			# shellcheck disable=SC2034
			patience=20
			export PG_TEST_TIMEOUT_DEFAULT=${PG_TEST_TIMEOUT_DEFAULT:-1200}
			wrap <<-END
				#!/bin/bash
				# A remote need not be slow.
				[[ \${1:-} = -D ]] &&
					grep -qs "^shared_preload_libraries.*pool" "\$2/postgresql.conf" ||
					exec -a "\$0" "$bin/postgres.real" "\$@"
				exec valgrind --quiet --log-file="\$POOL_TEST_REPORTS/valgrind.%p" \\
					--num-callers=40 --fullpath-after= --gen-suppressions=all \\
					--suppressions="$here/valgrind.supp" \\
					"$bin/postgres.real" "\$@"
			END
			;;
	esac
	build "${flags[@]}"
}

# memory_reports: print those of this job that concern us, and count each once;
# false if there are none
memory_reports()
{
	local file found=

	[ -n "$memory" ] || return 1
	for file in "$POOL_TEST_REPORTS"/*; do
		[ -s "$file" ] || continue
		# Of what valgrind says of the server alone nothing is ours.
		if [ "$memory" != valgrind ] || grep -qE '\(/[^ ]*/src/src/[a-z/_]+\.[ch]:' "$file"; then
			cat "$file"
			found=yes
		fi
		mv "$file" "$POOL_TEST_REPORTS.seen/"
	done
	[ -n "$found" ]
}

# watch_memory directory: reports of what is started from here on go there
watch_memory()
{
	[ -n "$memory" ] || return 0
	export POOL_TEST_REPORTS=$1/reports
	mkdir -p "$POOL_TEST_REPORTS" "$POOL_TEST_REPORTS.seen"
}
