# shellcheck shell=bash
# lib.sh
#	What the scripts share that build, start servers or install packages: run.sh,
#	mutants.sh, network.sh, demo.sh, fuzz/run.sh, those in bench, and .ci/run.
#
# A script runs twice.  The first time, as whoever calls it, it installs the
# packages that are missing, copies the sources to a temporary directory, and
# starts itself again from there: as the user postgres if it was root, since
# a server refuses to run as root.  The second time it puts a private copy of
# the PostgreSQL installation beside the sources (PostgreSQL finds its files
# relative to its programs, so it can be moved), and installs the extension
# only there.  Neither the clone nor the machine's PostgreSQL is changed.
#
# $stage is that directory: src/ the sources, usr/ the private PostgreSQL, the
# clusters by their names, and everybody's sockets.  It goes at the end,
# together with all that runs in it.

set -euo pipefail

stage=${POOL_STAGE:-}
keep=					# '', 'files', or 'clusters' too
declare -A port			# of each cluster, by name
dblink_suite=			# whether a test needs it

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# distribution_version: of PostgreSQL; the newest that is installed where apt knows none
distribution_version()
{
	local version

	version=$(LC_ALL=C apt-cache depends postgresql 2>/dev/null |
		sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	[ -n "$version" ] || version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 \
		-printf '%f\n' 2>/dev/null | sort -n | tail -n 1)
	echo "$version"
}

# need package...: install those that are missing
need()
{
	local package output missing=() as_root=()

	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>&1)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ "$EUID" -ne 0 ]; then
		sudo -n true 2>/dev/null ||
			die "please install: apt-get install ${missing[*]}"
		as_root=(sudo -n)
	fi

	# Debian would create a cluster on port 5432 and start it, and start other services
	# that a package has; not for our sake.  Who has forbidden that goes on doing so.
	# One at a time: what forbids it for one installation must not go in the next one.
	printf 'installing %s\n' "${missing[*]}"
	# shellcheck disable=SC2016	# the inner shell expands it
	output=$("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -ec '
		no_cluster=/etc/postgresql-common/createcluster.d/pool-tests.conf
		no_service=/usr/sbin/policy-rc.d
		exec 9</usr/sbin
		flock 9
		ours=$no_cluster
		trap "rm -f \$ours" EXIT
		trap "exit 1" HUP INT TERM
		if (set -C; printf "#!/bin/sh\nexit 101\n" >"$no_service") 2>/dev/null; then
			ours="$ours $no_service"
			chmod 755 "$no_service"
		fi
		mkdir -p "${no_cluster%/*}"
		echo "create_main_cluster = false" >"$no_cluster"
		apt-get -q update 9<&-
		apt-get -qy -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" 9<&-
		' sh "${missing[@]}" 2>&1 </dev/null) ||
		die "could not install ${missing[*]}:"$'\n'"$(tail -n 20 <<<"$output")"
}

pg=${PG_MAJOR:-$(distribution_version)}
if [ -z "$pg" ]; then # a system that has never asked its mirror
	need postgresql
	pg=$(distribution_version)
fi
packages=("postgresql-$pg" "postgresql-server-dev-$pg" libpq-dev gcc make
	libc6-dev libmicrohttpd-dev perl libipc-run-perl strace openssl)

# named file test...: is it one of the TAP tests that are named, or all?
named()
{
	local name

	name=$(basename "$1" .pl)
	shift
	[[ $# -eq 0 || " $* " =~ [\ /](tap|($name|${name#*_})(\.pl)?)\  ]]
}

# test_packages test...: try to install what the TAP tests that are named, or all, need
# besides, as they say in a line.  A test that cannot have it is skipped.
test_packages()
{
	local file name line wanted=()

	[ -z "$stage" ] || return 0
	for file in "$(dirname "${BASH_SOURCE[0]}")"/t/*.pl; do
		named "$file" "$@" || continue
		line=$(grep -oP '^# Needs the package \K[a-z-]+(?=\.$)' "$file") || continue
		[[ " ${wanted[*]} " == *" $line "* ]] || wanted+=("$line")
	done
	for name in "${wanted[@]}"; do
		(need "$name") || true
	done
}

# test_sources test...: have enter_stage fetch the suite of dblink if a TAP test that is
# named, or one of all, needs it, as it says in a line
test_sources()
{
	local file

	while read -r file; do
		! named "$file" "$@" || dblink_suite=yes
	done < <(grep -lx '# Needs the suite of dblink\.' \
		"$(dirname "${BASH_SOURCE[0]}")"/t/*.pl)
}

# copy_tree directory: the sources without what a build or a test left there
copy_tree()
{
	mkdir -p "$1"
	tar -C "$(dirname "${BASH_SOURCE[0]}")/.." --exclude=./.git \
		--exclude='*.o' --exclude='*.bc' --exclude='*.so' --exclude=./results \
		--exclude=./output_iso --exclude=./tmp_check --exclude=./log \
		--exclude=./test/dblink/suite -cf - . |
		tar -C "$1" --no-same-owner -xf -
}

# enter_suite script argument...: run it where $pg is the distribution's version
enter_suite()
{
	local suite package options=()

	case $pg in
		15) suite=bookworm ;;
		17) suite=trixie ;;
		18) suite=forky ;;
		*) die "there is no suite of Debian with PostgreSQL $pg" ;;
	esac
	[[ " $* " != *' --keep '* ]] || die '--keep is not for a system that is removed'
	for package in "${packages[@]}"; do
		options+=(--with "$package")
	done
	# What fetch.sh keeps is there as well.
	if [ -n "${POOL_ROOTS:-}" ] && mkdir -p "$POOL_ROOTS/sources"; then
		POOL_ROOTS=$(realpath "$POOL_ROOTS")
		export POOL_ROOTS
		options+=(--bind "$POOL_ROOTS/sources")
	fi
	exec "$BASH" "$(dirname "${BASH_SOURCE[0]}")/chroot.sh" "${options[@]}" "$suite" bash "$@"
}

# enter_stage script argument...: return in the second run of the script only,
# in the copy of the sources
enter_stage()
{
	local script base=${TMPDIR:-/tmp} as_user=() name environment=("PG_MAJOR=$pg")

	script=$(realpath --relative-to="$(dirname "${BASH_SOURCE[0]}")/.." "$1")
	shift

	[ "$pg" -ge 15 ] ||
		die "the pool needs PostgreSQL 15 or newer, not $pg; PG_MAJOR chooses another one"
	if [ -z "$stage" ]; then
		need "${packages[@]}"
		[ "$EUID" -ne 0 ] ||
			as_user=(setpriv --reuid=postgres --regid=postgres --init-groups)

		# A socket's path has 107 bytes; and the other user must get there.
		if [ ${#base} -gt 50 ] || ! "${as_user[@]}" test -w "$base" -a -x "$base"; then
			base=/tmp
		fi
		stage=$(mktemp -d "$base/pool.XXXXXX")
		trap 'rm -rf "$stage"' EXIT
		copy_tree "$stage/src"
		# A test that does not find it says what the second file has.
		[ -z "$dblink_suite" ] ||
			bash "$stage/src/test/dblink/fetch.sh" "$pg" "$stage/src/test/dblink/suite" \
				2>"$stage/src/test/dblink/missing" || true
		[ "$EUID" -ne 0 ] || chown -R postgres: "$stage"

		# Of the environment only what cannot change a result: no PG*, no LC_*.
		for name in TERM PG_TEST_EXTRA PG_TEST_TIMEOUT_DEFAULT \
			POOL_TEST_STATEMENTS POOL_TEST_SEED POOL_TEST_SECONDS POOL_TEST_SESSIONS \
			POOL_TEST_HANDOVERS POOL_TEST_CUT_EVERY; do
			[ -z "${!name:-}" ] || environment+=("$name=${!name}")
		done
		cd "$stage/src"
		exec "${as_user[@]}" env -i "${environment[@]}" LANG=C.UTF-8 \
			PATH="$stage/usr/lib/postgresql/$pg/bin:/usr/local/bin:/usr/bin:/bin" \
			HOME="$stage" TMPDIR="$stage" POOL_STAGE="$stage" \
			"$BASH" "$script" "$@"
	fi

	trap leave_stage EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	private_postgres
}

leave_stage()
{
	end_children
	[ "$keep" = clusters ] || stop_all "$stage"
	[ -n "$keep" ] || rm -rf "$stage"
}

# end_children: those in the background, and wait until they have ended
end_children()
{
	local pids

	trap '' HUP INT TERM
	pids=$(jobs -p)
	# shellcheck disable=SC2086	# one word per process
	[ -z "$pids" ] || { kill $pids; wait; } 2>/dev/null || true
}

private_postgres()
{
	bin=$stage/usr/lib/postgresql/$pg/bin
	if [ ! -e "$stage/usr" ]; then # else mutants.sh has put it there
		mkdir "$stage/usr"
		tar -C /usr --exclude=bitcode --exclude=man -cf - \
			"lib/postgresql/$pg" "share/postgresql/$pg" | tar -C "$stage/usr" -xf -
		ln -s /usr/include "$stage/usr/include"
	fi
	pgxs=$("$bin/pg_config" --pkglibdir)/pgxs
	[[ $pgxs == "$stage"/* ]] || die "this PostgreSQL cannot be moved: $pgxs"
}

# build flag...: compile and install into the private copy; bitcode for JIT
# would only take time
build()
{
	local make=(make -s PG_CONFIG="$bin/pg_config" with_llvm=no COPT="$*")

	"${make[@]}" -j"$(nproc)" all || die 'the build failed'
	"${make[@]}" install || die 'the installation failed'
}

# make_certificates: those that the tests and the demo need, in $stage/tls
make_certificates()
{
	[ -e "$stage/tls/server.crt" ] || bash test/certificates.sh "$stage/tls" 2>"$stage/tls.log" ||
		die "openssl failed:"$'\n'"$(cat "$stage/tls.log")"
}

# tls_settings directory: what makes a server encrypt with these certificates
tls_settings()
{
	printf '%s\n' 'ssl = on' "ssl_cert_file = '$1/server.crt'" \
		"ssl_key_file = '$1/server.key'"
}

# start_cluster name host-authentication setting...: superuser postgres, trusted
# on the socket in $stage; leaves the port in ${port[name]}.  Those who come by
# TCP have to encrypt if POOL_TEST_TLS names a directory with certificates
start_cluster()
{
	local name=$1 data=$stage/$1
	local log=$data.log

	"$bin/initdb" -D "$data" -U postgres --auth-local=trust --auth-host="$2" \
		--no-sync -E UTF8 --locale=C.UTF-8 >"$log" 2>&1 ||
		die "initdb failed:"$'\n'"$(cat "$log")"
	shift 2
	printf '%s\n' "listen_addresses = '127.0.0.1'" "fsync = off" \
		"unix_socket_directories = '$stage'" "$@" >>"$data/postgresql.conf"
	if [ -n "${POOL_TEST_TLS:-}" ]; then
		sed -i 's/^host /hostssl /' "$data/pg_hba.conf"
		tls_settings "$POOL_TEST_TLS" >>"$data/postgresql.conf"
	fi

	# Only the server can tell whether a port is free: it tries to have it.  The
	# TAP tests choose theirs from 10200 on, the system from 32768 on.
	for _ in {1..20}; do
		port[$name]=$((7000 + RANDOM % 3200))
		echo "port = ${port[$name]}" >>"$data/postgresql.conf"
		: >"$log"
		! "$bin/pg_ctl" -s -w -D "$data" -l "$log" start >/dev/null 2>&1 || return 0
		grep -q 'Address already in use' "$log" || break
	done
	die "cluster $name does not start:"$'\n'"$(tail -n 20 "$log")"
}

# stop_cluster data-directory: false if it did not stop on a friendly request
stop_cluster()
{
	"$bin/pg_ctl" -s -D "$1" -m fast -t 30 stop && return
	"$bin/pg_ctl" -s -D "$1" -m immediate -t 30 stop
	return 1
}

# stop_all directory: every server below it, also those that a test has started
# and lost.  A file that survived a crash may name a process that is someone
# else's by now.
stop_all()
{
	local pidfile pid

	while read -r pidfile; do
		{ read -r pid <"$pidfile"; } 2>/dev/null || continue
		grep -qsF "$bin/postgres" "/proc/$pid/cmdline" || continue
		stop_cluster "${pidfile%/*}" || true
	done < <(find "$1" -name postmaster.pid 2>/dev/null)
}

# limited seconds command...: in the background, so that a signal to the script
# is not kept waiting, and in a process group of its own, so that a command
# which hangs goes with its children
limited()
{
	timeout -k 15 "$@" </dev/null &
	wait $!
}
