#!/bin/bash
# build.sh DIRECTORY
#	Run by package.sh in a bare system with a compiler and lintian: install what
#	debian/control asks for and build the packages from the sources in /pool, both as
#	the README says it, have lintian look at them and at the source package, and run
#	the package's own tests with them installed.  They are left in DIRECTORY.

# shellcheck source=test/package/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/check.sh"

version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pool.control)
build=/tmp/build/pool-$version

# readme_line word: that line of the README's commands, for root, who is asked nothing
readme_line()
{
	sed -n "/^## Install/,/^## Five/ { /^\\(sudo \\)*$1/ { s/^sudo //; s/ *#.*//
		s/^apt /&-qy /; p } }" README.md | grep .
}

# readme_says word: do what that line says
readme_says()
{
	local line

	line=$(readme_line "$1") && DEBIAN_FRONTEND=noninteractive sh -c "$line"
}

# build_source: for lintian; the same files, and the sources as they are published
build_source()
{
	dpkg-buildpackage -us -uc -S -d
}

# unpack: the sources without debian/, as they are published, and debian/ beside
unpack()
{
	mkdir -p "$build" &&
		cp -R . "$build" &&
		tar -C /tmp/build --exclude="pool-$version/debian" \
			-czf "/tmp/build/postgresql-pool_$version.orig.tar.gz" "pool-$version"
}

in_build()
{
	cd "$build" && "$@"
}

# lint: its errors fail, all that it says is shown
lint()
{
	lintian --allow-root --fail-on error /tmp/build/*.changes
}

# own_tests: as autopkgtest runs them
own_tests()
{
	chown -R postgres: "$build" &&
		in_build runuser -u postgres -- env HOME=/tmp/build debian/tests/installcheck
}

reach_mirror
needed 'the sources can be unpacked' unpack
needed 'what the build needs can be had as the README says' \
	in_build readme_says 'apt build-dep'
needed 'the packages can be built as the README says' in_build readme_says dpkg-buildpackage
check 'a source package can be built' in_build build_source
check 'lintian finds no error' lint
lint 2>&1 | grep '^[EWI]:' | sed 's/^/    /'
cp /tmp/build/*.deb "$1"
needed 'the packages can be installed' install /tmp/build/*.deb
check "the package's own tests pass" own_tests
