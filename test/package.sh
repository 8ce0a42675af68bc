#!/bin/bash
# package.sh [SUITE]...
#	Build the Debian packages in a bare system of each suite (bookworm, if none is
#	named), and use them in another one, step by step as the README says it.
#
# Needs what chroot.sh needs: root, and a mirror, also where POOL_ROOTS has the systems:
# what the build needs is fetched as the README says it.  The exit status is 77 if there
# can be no such system.  The last line is "N passed, N failed".

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

top=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
work=
child=

leave()
{
	trap '' HUP INT TERM
	[ -z "$child" ] || { kill "$child" && wait "$child"; } 2>/dev/null || true
	[ -z "$work" ] || rm -rf "$work"
}

# in_system argument...: of chroot.sh, whose results are shown and kept
in_system()
{
	local status=0 out shown

	exec {out}> >(exec tee -a "$work/results")
	shown=$!
	"$BASH" "$top/test/chroot.sh" "$@" </dev/null >&"$out" {out}>&- &
	child=$!
	wait "$child" || status=$?
	child=
	exec {out}>&-
	wait "$shown" # else the count comes before the last lines
	[ "$status" -ne 77 ] || exit 77
	return "$status"
}

# try suite
try()
{
	printf '\n== %s ==\n\n' "$1"
	mkdir "$work/$1"
	in_system --with build-essential --with lintian --bind "$work/$1" "$1" \
		bash test/package/build.sh "$work/$1" ||
		printf 'not ok  the packages of %s\n' "$1" | tee -a "$work/results"
	[ -n "$(find "$work/$1" -name '*.deb')" ] || return 0
	in_system --with iproute2 --bind "$work/$1" "$1" bash test/package/use.sh "$work/$1" ||
		printf 'not ok  the use of them in %s\n' "$1" | tee -a "$work/results"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/pool-package.XXXXXX")
trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
: >"$work/results"
for suite in "${@:-bookworm}"; do
	try "$suite"
done

passed=$(grep -c '^ok ' "$work/results" || true)
failed=$(grep -c '^not ok ' "$work/results" || true)
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
