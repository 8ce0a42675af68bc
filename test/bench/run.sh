#!/bin/bash
# run.sh [--quick] [--profile] [--scenario NAME]... [--rounds N] [--seconds N] [--out DIR]
#	pool beside the other ways to ask a remote from SQL, and beside itself: see
#	README.md for the scenarios and what they mean.  Everything runs in throw-away
#	servers.  --quick shows that all of it works, in less than 4 minutes; its figures say
#	little.  --profile tells where processor time goes, instead of the scenarios.
#
# What comes of it lies in DIR (by default in results, in a directory for each run):
# raw.tsv, all figures; report.md, tables and aims; plot.svg; with --profile profile.md.

quick=
profile=
rounds=3
seconds=2
settle=1
out=
chosen=()

usage()
{
	sed -n '2s/^# /usage: /p' "$0" >&2
	exit 1
}

read_options()
{
	while [ $# -gt 0 ]; do
		case $1 in
			--quick) quick=yes rounds=1 seconds=1 settle=0 ;;
			--profile) profile=yes ;;
			--scenario | --rounds | --seconds | --out) [ $# -gt 1 ] || usage ;;&
			--rounds | --seconds) [[ $2 =~ ^[1-9][0-9]*$ ]] || usage ;;&
			--scenario) chosen+=("$2") ;;
			--rounds) rounds=$2 ;;
			--seconds) seconds=$2 ;;
			--out) out=$2 ;;
			*) usage ;;
		esac
		[[ $1 != --@(scenario|rounds|seconds|out) ]] || shift
		shift
	done
}

read_options "$@"
here=$(dirname "${BASH_SOURCE[0]}")

# shellcheck source=test/lib.sh
. "$here/../lib.sh"
packages+=("postgresql-$pg-plproxy" pgbouncer)

# The files are opened as whoever calls, who may write there; the second run (see
# lib.sh) writes into them.
if [ -z "$stage" ]; then
	out=${out:-$here/results/$(date +%Y%m%d-%H%M%S)}
	mkdir -p "$out"
	exec 3>"$out/raw.tsv" 4>"$out/report.md" 5>"$out/plot.svg"
	[ -z "$profile" ] || exec 6>"$out/profile.md"
	printf 'figures go to %s\n' "$out"
	# A thousand sessions, and three descriptors of the worker for what it encrypts.
	ulimit -Sn "$(ulimit -Hn)"
fi
enter_stage "$0" "$@"

# shellcheck source=test/bench/servers.sh
. "$here/servers.sh"
# shellcheck source=test/bench/ways.sh
. "$here/ways.sh"
# shellcheck source=test/bench/measure.sh
. "$here/measure.sh"
# shellcheck source=test/bench/scenarios.sh
. "$here/scenarios.sh"
# shellcheck source=test/bench/fanout.sh
. "$here/fanout.sh"
# shellcheck source=test/bench/profile.sh
. "$here/profile.sh"

for name in "${chosen[@]}"; do
	[[ " ${scenarios[*]} " == *" $name "* ]] ||
		die "unknown scenario $name; there are: ${scenarios[*]}"
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${scenarios[@]}")

start_servers
look_at_options
{
	settings | sed 's/^/# /'
	for name in "${ways[@]}"; do
		printf '# way: %s\t%s\t%s\n' "$name" "${connects[$name]}" "${label[$name]}"
	done
} | tee "$stage/raw.tsv" >&3
printf 'servers are up after %d s\n' "$SECONDS"

if [ -n "$profile" ]; then
	profile_all >"$stage/profile.md"
	cat "$stage/profile.md"
	cat "$stage/profile.md" >&6
	exit
fi
for scenario in "${chosen[@]}"; do
	"scenario_$scenario"
	close_pools
done
perl test/bench/report.pl "$stage/raw.tsv" >"$stage/report.md"
cat "$stage/report.md"
cat "$stage/report.md" >&4
perl test/bench/plot.pl "$stage/raw.tsv" >&5
