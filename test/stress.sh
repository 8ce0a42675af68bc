#!/bin/bash
# stress.sh [--minutes N] [--seed S] [--sessions N] [option of run.sh]...
#	Many sessions on few connections and all faults at random, for ten minutes or
#	as many as are said; see t/107_stress.pl.  The seed, which is shown, makes the
#	same choice of faults again.
#
# Remotes do not encrypt, but with --tls.

set -euo pipefail

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

minutes=10
POOL_TEST_SEED=$((RANDOM * 32768 + RANDOM))
POOL_TEST_SESSIONS=100
round=--plain
options=()

while [ $# -gt 0 ]; do
	case $1 in
		--minutes | --seed | --sessions)
			[[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "$1 needs a number"
			;;&
		--minutes) minutes=$2 ;;
		--seed) POOL_TEST_SEED=$2 ;;
		--sessions) POOL_TEST_SESSIONS=$2 ;;
		--tls) round=--tls ;;
		--plain) round=--plain ;;
		--keep) options+=("$1") ;;
		*) die "unknown option $1" ;;
	esac
	case $1 in
		--minutes | --seed | --sessions) shift ;;
	esac
	shift
done

printf 'seed %d: %d sessions for %d minutes\n' "$POOL_TEST_SEED" "$POOL_TEST_SESSIONS" "$minutes"
export POOL_TEST_SEED POOL_TEST_SESSIONS POOL_TEST_SECONDS=$((60 * minutes))
exec "$BASH" "$(dirname "${BASH_SOURCE[0]}")/run.sh" "$round" "${options[@]}" 107_stress
