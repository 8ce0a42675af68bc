# shellcheck shell=bash
# check.sh
#	For what package.sh runs in a bare system: checks, which go on when one has failed.

set -uo pipefail

# check what command...: a line with the result, and the command's output if it fails
check()
{
	local output

	if output=$("${@:2}" 2>&1 </dev/null); then
		printf 'ok      %s\n' "$1"
	else
		printf 'not ok  %s\n' "$1"
		tail -n 40 <<<"$output" | sed 's/^/    /'
	fi
}

# needed what command...: one without which nothing else makes sense
needed()
{
	local result

	result=$(check "$@")
	printf '%s\n' "$result"
	[[ $result == ok* ]] || exit 1
}

install()
{
	DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"
}

# reach_mirror: have the lists of today; without a mirror nothing can be said
reach_mirror()
{
	local output

	output=$(apt-get -q update --error-on=any 2>&1) || {
		printf 'there is no mirror:\n%s\n' "$output" >&2
		exit 77
	}
}
