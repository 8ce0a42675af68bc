#!/bin/bash
# publish.sh DIRECTORY
#	Put what a run left in a directory into README.md: its tables, and its profile if it
#	has one; raw data and drawing go to results/published.

set -euo pipefail

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
	sed -n '2s/^# /usage: /p' "$0" >&2
	exit 1
fi
from=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")"

# replace name file: what stands in README.md between the marks of this name
replace()
{
	perl -i -pe '
		BEGIN {
			($name, $file) = splice @ARGV, 0, 2;
			open F, "<", $file or die "$file: $!";
			@text = <F>;
		}
		if (/^<!-- end of $name -->/) { $inside = 0 }
		$_ = "" if $inside;
		if (/^<!-- $name -->/) { $inside = 1; $_ .= join "", "\n", @text, "\n" }
		' "$1" "$2" README.md
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p results/published
if grep -qv '^#' "$from/raw.tsv"; then
	cp "$from/raw.tsv" results/published
	perl plot.pl "$from/raw.tsv" >results/published/plot.svg
	{
		printf '![Point queries a second](results/published/plot.svg)\n\n'
		perl report.pl "$from/raw.tsv"
	} >"$work/results"
	replace results "$work/results"
fi
if [ -s "$from/profile.md" ]; then
	cp "$from/profile.md" results/published
	replace profile "$from/profile.md"
fi
