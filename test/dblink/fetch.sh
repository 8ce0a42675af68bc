#!/bin/bash
# fetch.sh VERSION DIRECTORY
#	Put the regression suite of contrib/dblink into DIRECTORY, as it is in the source
#	of the PostgreSQL VERSION that is installed, with the file in C that it needs.
#
# The source comes from the repositories that apt knows to have the package.  Nothing of
# apt's is changed for that: the lists of sources are in a directory that goes away.
# If they have it of other releases of that version only, the newest one's suite is taken;
# the file "release" says which it is.
#
# With POOL_ROOTS=DIRECTORY what was fetched is kept in its subdirectory "sources"; to
# have another release remove it there.
# If there is no suite to be had, the last line of standard error says why.

set -euo pipefail

package=postgresql-$1
directory=$2
kept=
work=
release=

fail()
{
	printf '%s\n' "$*" >&2
	exit 1
}

# repositories: the files of apt that have those with the package
repositories()
{
	local place

	while read -r place; do
		# shellcheck disable=SC2016	# apt-get expands it
		apt-get indextargets --format '$(SOURCESENTRY)' 'Identifier: Packages' \
			"Description: $place" | sed 's/:[0-9]*$//'
	done < <(apt-cache madison "$package" | sed -n 's/.*| *\(.* Packages\)$/\1/p') | sort -u
}

# name_sources: the same repositories, as those of sources
name_sources()
{
	local file

	mkdir -p "$work/parts" "$work/lists" "$work/cache"
	while read -r file; do
		case $file in
			*.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
			*) sed -n 's/^deb\([[:space:]]\)/deb-src\1/p' "$file" ;;
		esac >"$work/parts/${file##*/}"
	done < <(repositories)
	[ ! -e "$work/parts/sources.list" ] || mv "$work/parts/sources.list" "$work/parts/main.list"
	[ -n "$(ls "$work/parts")" ] || fail "apt knows no repository that has $package"
}

# with_sources command...: of apt, with these repositories only
with_sources()
{
	timeout 300 "$1" -q -o Dir::Etc::SourceList=/dev/null \
		-o Dir::Etc::SourceParts="$work/parts" -o Dir::State::Lists="$work/lists" \
		-o Dir::Cache="$work/cache" -o APT::Sandbox::User= "${@:2}" 2>>"$work/log"
}

# download release: or one that is there, if it is not; sets "release"
download()
{
	local releases=()

	cd "$work"
	if with_sources apt-get update >/dev/null; then
		mapfile -t releases < <(with_sources apt-cache madison "$package" |
			sed -n 's/^[^|]*| *\([^ ]*\) .* Sources$/\1/p')
		for release in "$1" "${releases[@]}"; do
			! with_sources apt-get source --download-only --tar-only \
				"$package=$release" >/dev/null || return 0
		done
	fi
	fail "no source of $package can be had: $(grep -m 1 '^[EW]:' "$work/log")"
}

# unpack: what is needed of it, to "suite"
unpack()
{
	local tree=$work/tree

	mkdir "$tree" "$work/suite"
	/usr/lib/apt/apt-helper cat-file "$work"/*.orig.tar.* |
		tar -C "$tree" --strip-components=1 --no-same-owner -xf - --wildcards \
			'*/contrib/dblink/sql' '*/contrib/dblink/expected' \
			'*/contrib/dblink/pg_service.conf' '*/src/test/regress/regress.c' ||
		fail "the source of $package has no suite of dblink where it used to be"
	cp -R "$tree"/contrib/dblink/* "$tree/src/test/regress/regress.c" "$work/suite"
	echo "$release" >"$work/suite/release"
}

# keep: for the next one; not if somebody else has kept it by now
keep()
{
	local copy=$kept.$$

	if ! { mkdir -p "${kept%/*}" && cp -R "$work/suite" "$copy" &&
		mv -T "$copy" "$kept"; } 2>/dev/null; then
		rm -rf "$copy"
	fi
}

# shellcheck disable=SC2016	# dpkg-query expands it
installed=$(dpkg-query -W -f '${source:Version}' "$package" 2>/dev/null) ||
	fail "$package is not a package of this system, whose source could be fetched"
[ -z "${POOL_ROOTS:-}" ] || kept=$POOL_ROOTS/sources/dblink-$installed
if [ -z "$kept" ] || [ ! -d "$kept" ]; then
	work=$(mktemp -d "${TMPDIR:-/tmp}/pool-source.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	printf 'fetching the source of %s\n' "$package"
	name_sources
	download "$installed"
	unpack
	[ -z "$kept" ] || keep
	mv -T "$work/suite" "$directory"
else
	cp -R "$kept" "$directory"
fi
