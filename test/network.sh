#!/bin/bash
# network.sh [--keep] [case]...
#	What happens between a local server and a remote when the network between them
#	fails.  Where it cannot run it exits with 77, and the last line says why.
#
# Needs root, for two network namespaces.  The local server is in one, the remote
# in the other; the only way between them is a relay (network/relay.c), which
# does to the packets what a case tells it.  Nothing outside is touched.  The
# namespaces have no names, so they end with the processes in them: when this
# script ends, however that is, the relay and the far shell read the end of their
# input and end, too.
#
# The script comes here three times.  First as root, to make a namespace and to
# be in it; then to make the other one, and the relay between them; then as the
# user postgres in a copy of the sources, like run.sh (see lib.sh).  It goes on
# with four descriptors: 6 and 7 are the relay's input and output, 8 and 9 those
# of the far shell, which runs commands in the other namespace.
#
# The cases are in network/cases.pl.  When they have run the last line is "N passed,
# N failed".

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
here=$(dirname "${BASH_SOURCE[0]}")

not_run()
{
	printf '0 passed, 0 failed, not run: %s\n' "$*"
	exit 77
}

# enter_namespace argument...: come here again, in a namespace of our own
enter_namespace()
{
	[ "$EUID" -eq 0 ] || not_run 'network namespaces can be made by root only'
	[ -c /dev/net/tun ] || not_run 'there is no /dev/net/tun'
	need "${packages[@]}"
	unshare --net true 2>/dev/null || not_run 'no network namespace can be made here'
	exec unshare --net "$BASH" "${BASH_SOURCE[0]}" --in-namespace "$@"
}

# join_namespaces: make the other one, and the relay.  Nothing is left of the
# directory: both have opened what they need when they are ready.
join_namespaces()
{
	local answer='' dir far

	dir=$(mktemp -d)
	# shellcheck disable=SC2064	# it is the directory of now
	trap "rm -rf '$dir'" EXIT
	gcc -Wall -O2 -o "$dir/relay" "$here/network/relay.c"
	mkfifo "$dir"/{6,7,8,9}
	exec 6<>"$dir/6" 7<>"$dir/7" 8<>"$dir/8" 9<>"$dir/9"

	# Who has both ends of a pipe never reads its end, so they open one each, and
	# close what they were given.
	# shellcheck disable=SC2016	# the inner shell expands it
	unshare --net setpriv --reuid=postgres --regid=postgres --init-groups \
		env -i LANG=C.UTF-8 PATH=/usr/bin:/bin bash -c '
			echo 0
			while IFS= read -r command; do
				status=0
				$command </dev/null >/dev/null 2>&1 || status=$?
				echo "$status"
			done' <"$dir/8" >"$dir/9" 6<&- 7<&- 8<&- 9<&- &
	far=$!
	read -rt 20 answer <&9 || true
	[ "$answer" = 0 ] || not_run 'no shell starts in the other network namespace'
	"$dir/relay" $$ "$far" postgres <"$dir/6" >"$dir/7" 6<&- 7<&- 8<&- 9<&- &
	read -rt 20 answer <&7 || true
	[ "$answer" = ready ] || not_run "the relay says: ${answer:-nothing}"
	rm -rf "$dir"
	trap - EXIT
}

# report: results as lines, and what there is to say about those that failed
report()
{
	local line details=() start=$SECONDS

	while IFS= read -r line; do
		if [[ $line =~ ^(not )?ok\ [0-9]+\ -\ (.*)$ ]]; then
			printf '%-6s  network  %-20s %3d s\n' "${line%% [0-9]*}" \
				"${BASH_REMATCH[2]}" $((SECONDS - start))
			[[ $line = ok* ]] || printf '    %s\n' "${details[@]}"
			details=()
			start=$SECONDS
		else
			details+=("$line")
			[ -z "$keep" ] || printf '    %s\n' "$line"
		fi
	done
}

case ${1:-} in
	--in-namespace)
		shift
		join_namespaces
		enter_stage "$0" --joined "$@"
		;;
	--joined) enter_stage "$0" "$@" ;;
	*) enter_namespace "$@" ;;
esac
shift
if [ "${1:-}" = --keep ]; then
	keep=files
	shift
fi

build -Werror -DUSE_ASSERT_CHECKING
make_certificates
export PG_REGRESS=$pgxs/src/test/regress/pg_regress PERL5LIB=$pgxs/src/test/perl
export PG_TEST_PORT_DIR=$stage/ports top_builddir=$stage
export TESTDIR=$stage/network TESTLOGDIR=$stage/network/tmp_check/log
export TESTDATADIR=$stage/network/tmp_check POOL_NETWORK_TLS=$stage/tls
[ -z "$keep" ] || export PG_TEST_NOCLEAN=1
mkdir "$stage/network"

cases=$#
[ "$cases" -gt 0 ] || cases=$(grep -cE "^\s[a-z'-]+ => ([[\\]|sub)" test/network/cases.pl)

# Not as a pipeline, which would keep a signal to the script waiting.
mkfifo "$stage/lines"
tee "$stage/results" <"$stage/lines" | report &
reporter=$!
status=0
limited $((100 + 60 * cases)) perl -I test/t test/network/cases.pl "$@" \
	>"$stage/lines" 2>&1 || status=$?
wait "$reporter"
passed=$(grep -c '^ok ' "$stage/results" || true)
failed=$(grep -c '^not ok ' "$stage/results" || true)

# One that ended early has a result less than it should.
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
	printf 'not ok  network  ended early\n'
	tail -n 30 "$stage/results" | sed 's/^/    /'
	failed=1
fi
if [ "$failed" -gt 0 ]; then
	for log in "$TESTLOGDIR"/*.log; do
		printf '    --- end of %s\n' "${log##*/}"
		tail -n 30 "$log" | sed 's/^/    /'
	done
fi
[ -z "$keep" ] || printf 'results and logs are in %s\n' "$stage"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
