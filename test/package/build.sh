#!/bin/bash
# build.sh DIRECTORY
#	Run by package.sh in a bare system with what debian/control asks for: build the
#	packages from the sources in /pool, have lintian look at them, and run the
#	package's own tests with them installed.  They are left in DIRECTORY.

# shellcheck source=test/package/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/check.sh"

version=$(sed -n "s/^default_version = '\(.*\)'/\1/p" pool.control)
build=/tmp/build/pool-$version

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

needed 'the sources can be unpacked' unpack
check 'what the build needs can be had as the README says' \
	in_build apt-get -qy build-dep .
needed 'the packages can be built' in_build dpkg-buildpackage -us -uc -j"$(nproc)"
check 'lintian finds no error' lint
lint 2>&1 | grep '^[EWI]:' | sed 's/^/    /'
cp /tmp/build/*.deb "$1"
needed 'the packages can be installed' install /tmp/build/*.deb
check "the package's own tests pass" own_tests
