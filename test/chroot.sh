#!/bin/bash
# chroot.sh [--with PACKAGE]... [--bind DIRECTORY]... SUITE COMMAND [ARGUMENT]...
#	Run a command in a bare system of a Debian suite, which is made for
#	that and removed afterwards.
#
# The command runs as root in /pool, a copy of the sources, with processes, mounts
# and shared memory of its own and the network of the host.  When it ends, all that
# it has started ends with it.  No service is started when a package is installed.
# The system has what debootstrap calls minbase, and the packages after --with;
# a directory after --bind is the host's, at the same place.
#
# POOL_ROOTS names a directory where systems are kept as archives, so that the next
# one like it is there at once; who needs one that somebody makes waits for that.
# To have newer packages remove the archive.
#
# Needs root and a mirror: that of the host's own sources, or the usual one.  The
# exit status is the command's, or 77 if there can be no such system here.  That the suite
# does not have a package is no reason for 77: then something has to be changed.

# No version matters here.
# shellcheck source=test/lib.sh
PG_MAJOR=${PG_MAJOR:-0} . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

with=
binds=
work=
child=

impossible()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 77
}

# find_mirror: that of the host, if it is a Debian that has its suite from one
find_mirror()
{
	local codename

	mirror=http://deb.debian.org/debian
	# shellcheck disable=SC1091	# the host's
	codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "$VERSION_CODENAME") || return 0
	# shellcheck disable=SC2016	# apt-get expands it
	codename=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' |
		sed -n "s/^$codename //p" | head -n 1)
	mirror=${codename:-$mirror}
	mirror=${mirror%/}
}

# in_namespace function argument...: what it starts and mounts goes when it ends
in_namespace()
{
	unshare --mount --ipc --pid --fork --kill-child \
		"$BASH" -euc '"$@" || exit' bash "$@" <&0 &
	child=$!
	wait "$child"
}

# make_root root suite mirror package...: its own apt installs the packages, set up to
# reach mirrors as the host's is; returns 3 if the suite does not have them
make_root()
{
	local root=$1

	debootstrap --variant=minbase --include=ca-certificates "$2" "$root" "$3" \
		/usr/share/debootstrap/scripts/sid || return
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod +x "$root/usr/sbin/policy-rc.d"
	apt-config dump Acquire >"$root/etc/apt/apt.conf.d/00host"
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/pool"
	shift 3
	[ $# -gt 0 ] || return 0

	mkdir -p "$root/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' \
		>"$root/etc/postgresql-common/createcluster.d/pool-tests.conf"
	run_in_root "$root" '' / env DEBIAN_FRONTEND=noninteractive sh -ec '
		apt-get -q update --error-on=any
		apt-get -qs install --no-install-recommends "$@" || exit 3
		apt-get -qy install --no-install-recommends "$@"
		apt-get clean' sh "$@"
}

# run_in_root root binds directory command...
run_in_root()
{
	local root=$1 directory=$3 name

	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=755 dev "$root/dev"
	for name in null zero full random urandom tty; do
		: >"$root/dev/$name"
		mount --bind "/dev/$name" "$root/dev/$name"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666 pts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	for name in $2; do
		mkdir -p "$root/$name"
		mount --bind "$name" "$root/$name"
	done
	cp --remove-destination -L /etc/resolv.conf /etc/hosts "$root/etc/"
	shift 3
	# Not the last command: this shell answers for processes that have lost theirs.
	# shellcheck disable=SC2016	# the inner shell expands it
	chroot "$root" env -u LC_ALL LANG=C.UTF-8 HOME=/root TMPDIR=/tmp \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		sh -c 'cd "$1" && shift && exec "$@"' sh "$directory" "$@" || return
}
export -f make_root run_in_root

# fill root suite: as it is in POOL_ROOTS, or new
fill()
{
	local root=$1 suite=$2 archive='' lock name status=0

	name=$suite-$(md5sum <<<"$with" | cut -c 1-8)
	if [ -n "${POOL_ROOTS:-}" ]; then
		mkdir -p "$POOL_ROOTS"
		archive=$POOL_ROOTS/$name.tar
		exec {lock}>"$POOL_ROOTS/$name.lock"
		flock "$lock"
		if [ -e "$archive" ]; then
			exec {lock}>&-
			tar -C "$root" --numeric-owner -xf "$archive"
			return
		fi
	fi

	find_mirror
	need debootstrap
	printf 'making a system of %s from %s\n' "$suite" "$mirror" >&2
	# shellcheck disable=SC2086	# one word per package
	in_namespace make_root "$root" "$suite" "$mirror" $with >"$work/log" 2>&1 ||
		status=$?
	case $status in
		0) ;;
		3) die "$suite does not have$with:"$'\n'"$(tail -n 20 "$work/log")" ;;
		*) impossible "there is no system of $suite from $mirror:"$'\n'"$(tail -n 20 "$work/log")" ;;
	esac
	[ -n "$archive" ] || return 0
	tar -C "$root" --numeric-owner --one-file-system -cf "$archive.new" .
	mv "$archive.new" "$archive"
	exec {lock}>&-
}

# The first process in the namespace, so that we go on when all are gone.
# shellcheck disable=SC2086	# a space behind it
leave()
{
	local first

	trap '' HUP INT TERM
	[ -z "$child" ] || {
		first=$(cat "/proc/$child/task/$child/children") # without a newline
		[ -z "$first" ] || kill -KILL $first
		wait "$child"
	} 2>/dev/null || true
	[ -z "$work" ] || rm -rf --one-file-system "$work"
}

while [[ ${1:-} == --* ]]; do
	case $1 in
		--with) with+=" ${2:-}" ;;
		--bind) binds+=" $(realpath "${2:-}")" ;;
		*) die "unknown option $1" ;;
	esac
	shift 2
done
[ $# -ge 2 ] || die 'needs a suite and a command'
[ "$EUID" -eq 0 ] || impossible 'needs root, to make a system of its own'
unshare --mount --ipc --pid --fork true || impossible 'may not have mounts of its own here'

trap leave EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d "${TMPDIR:-/tmp}/pool-root.XXXXXX")
root=$work/root
mkdir "$root"
suite=$1
shift
fill "$root" "$suite"
copy_tree "$root/pool"
in_namespace run_in_root "$root" "$binds" /pool "$@"
