#!/bin/bash
# use.sh DIRECTORY
#	Run by package.sh in a bare system: install the packages that are in DIRECTORY, do
#	what the README tells, word by word, replace the package while the server runs,
#	and remove it, also too early.
#
# The README's remote is db2.example: that name leads to a second cluster here, in a
# network of our own, where its port is free for sure.

# shellcheck source=test/package/check.sh
. "$(dirname "${BASH_SOURCE[0]}")/check.sh"

packages=$1
major=$(find "$packages" -name '*-pool_*.deb' | sed 's/.*postgresql-\([0-9]*\)-.*/\1/')
later=/tmp/later
conf=/etc/postgresql/$major/local/postgresql.conf

# block number heading: a block of code of that section of the README
block()
{
	awk -v want="$1" -v heading="## $2" '
		/^## / { here = $0 == heading }
		here && /^```/ { if (!inside) n++; inside = !inside; next }
		here && inside && n == want' README.md
}

# files: those that packages of PostgreSQL and of ours have brought
files()
{
	find /usr /etc /lib/ -xdev -path /etc/postgresql -prune -o -type f -print |
		grep -E 'postgresql|pool|microhttpd' | sort
}

# make_later: packages like ours of the next version, in $later
make_later()
{
	local file name

	mkdir "$later"
	for file in "$packages/postgresql-$major-pool"{,-metrics}_*.deb; do
		name=$later/$(basename "$file" .deb)
		dpkg-deb -R "$file" "$name" &&
			sed -i -E 's/^(Version: .*)/\1+later/
				/^Depends: / s/(postgresql-[0-9]+-pool \(= [^)]*)/\1+later/' \
				"$name/DEBIAN/control" &&
			dpkg-deb -b "$name" "$name.deb" && rm -r "$name" || return
	done
}

# upgrade: as the manual tells it for who has metrics; both packages are there after it
upgrade()
{
	local line

	make_later && line=$(grep -m 1 'apt install .*-metrics' doc/operations.md) || return
	line=${line/sudo /}
	line=${line//15/$major}
	DEBIAN_FRONTEND=noninteractive sh -c "${line//..\//$later/} -y -q" &&
		[ "$(dpkg-query -W -f '${db:Status-Status} ${Version}\n' \
			"postgresql-$major-pool" "postgresql-$major-pool-metrics" |
			grep -c '^installed .*+later$')" = 2 ]
}

# links: of the pages that the package has, each leads to a file that it has
links()
{
	local doc=/usr/share/doc/postgresql-$major-pool bad=0 page link

	[ -e "$doc/doc/options.md" ] && [ -e "$doc/monitoring/alerts.yml" ] || return
	while read -r page; do
		while read -r link; do
			[ -e "${page%/*}/$link" ] || { echo "$page: $link"; bad=1; }
		done < <(grep -oP '\]\((?!https?:)\K[^)#]+' "$page")
	done < <(find "$doc" -name '*.md')
	return "$bad"
}

# readme_install: the line with apt, for the version of PostgreSQL that is here
readme_install()
{
	local line

	line=$(block 1 Install | grep 'apt install') || return
	line=${line/sudo /}
	line=${line//15/$major}
	DEBIAN_FRONTEND=noninteractive sh -c "${line/..\//$packages/} -y -q"
}

sql()
{
	runuser -u postgres -- psql -X -q -At -p "$1" -v ON_ERROR_STOP=1 -c "$2"
}

restart()
{
	pg_ctlcluster "$major" local restart
}

make_remote()
{
	pg_createcluster "$major" remote -p 5432 --start &&
		sql 5432 "CREATE ROLE app LOGIN PASSWORD 'secret'" &&
		sql 5432 'CREATE DATABASE bank OWNER app' &&
		runuser -u postgres -- psql -X -q -p 5432 -d bank -c "SET ROLE app;
			CREATE TABLE accounts AS SELECT id, 'cleo' AS owner FROM generate_series(1, 50) id"
}

# refused: CREATE EXTENSION says what is missing
refused()
{
	! sql 5433 'CREATE EXTENSION pool' 2>/tmp/refused &&
		grep shared_preload_libraries /tmp/refused
}

# five_statements: with the results that the README shows
five_statements()
{
	block 1 'Five statements' | runuser -u postgres -- psql -X -q -p 5433 -v ON_ERROR_STOP=1 |
		sed 's/ *$//; $ { /^$/d }' >/tmp/result
	diff <(block 2 'Five statements') /tmp/result
}

works()
{
	[ "$(sql 5433 "SELECT * FROM pool_query('srv', 'select 41 + 1') AS t(a int)")" = 42 ]
}

# functions_of_dblink: of the extension pool_dblink, in the installed package
functions_of_dblink()
{
	sql 5433 'CREATE EXTENSION pool_dblink' &&
		[ "$(sql 5433 "SELECT * FROM dblink('srv', 'select 41 + 1') AS t(a int)")" = 42 ] &&
		sql 5433 'DROP EXTENSION pool_dblink'
}

# gone: what a session says when the library is no more where it was
gone()
{
	! works 2>/tmp/gone && grep 'could not access file ".libdir/pool"' /tmp/gone
}

# no_module: without the package for metrics the log says why there are none
no_module()
{
	echo "pool.metrics_listen = '127.0.0.1:9899'" >>"$conf"
	restart
	grep 'module "pool_metrics" is not installed' \
		"/var/log/postgresql/postgresql-$major-local.log"
}

# metrics: are served
metrics()
{
	local connection=

	for _ in {1..100}; do
		! { exec {connection}<>/dev/tcp/127.0.0.1/9899; } 2>/dev/null || break
		sleep 0.2
	done
	printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
		>&"$connection" || return
	timeout 20 cat <&"$connection" | grep '^pg_pool_connections_limit{.*server="srv"'
}

# does_not_start: because the library is gone, which the log says
does_not_start()
{
	! restart && tail -n 5 "/var/log/postgresql/postgresql-$major-local.log" |
		grep 'could not access file "pool"'
}

# drop_without: the extension can be dropped where its library is not there
drop_without()
{
	sed -i '/^shared_preload_libraries/d' "$conf" &&
		restart && sql 5433 'DROP EXTENSION pool CASCADE' &&
		[ "$(sql 5433 "SELECT count(*) FROM pg_proc WHERE proname LIKE 'pool\\_%'")" = 0 ]
}

# nothing_left: of the packages
nothing_left()
{
	dpkg --purge "postgresql-$major-pool" "postgresql-$major-pool-metrics" &&
		apt-get -qy autoremove --purge &&
		! dpkg-query -W "postgresql-$major-pool*" 2>/dev/null | grep . &&
		diff /tmp/files.before <(files)
}

if [ "${2:-}" != alone ]; then
	reach_mirror
	needed 'PostgreSQL can be installed' install "postgresql-$major"
	files >/tmp/files.before
	needed 'the package can be installed with the line of the README' readme_install
	check 'the links of the manual in it lead to files' links
check 'the package for metrics can be fetched with what it needs' \
		install --download-only "$packages/postgresql-$major-pool-metrics"_*.deb
	exec unshare --net "$BASH" "$0" "$packages" alone
fi

ip link set lo up
echo '127.0.0.1 db2.example' >>/etc/hosts
needed 'a remote can be made' make_remote
needed 'a local cluster can be made' pg_createcluster "$major" local -p 5433 --start
check 'without shared_preload_libraries CREATE EXTENSION is refused' refused
block 2 Install >>"$conf"
needed 'the server starts with the line of the README' restart
needed 'the five statements of the README do what it says' five_statements
check 'pool_dblink can be had, too' functions_of_dblink
check 'the package can be replaced while the server runs' \
	dpkg -i "$packages/postgresql-$major-pool"_*.deb
check 'the server goes on with the library that it has' works
check 'and works after a restart' eval 'restart && works'
check 'the log names the package that metrics need' no_module
check 'which can be installed' install "$packages/postgresql-$major-pool-metrics"_*.deb
check 'and then the server starts' restart
check 'the pool works beside it' works
check 'metrics are served' metrics
check 'both can be upgraded with the line of the manual' upgrade
check 'and the server starts with them' restart
check 'the pool works with them' works
check 'and metrics are served' metrics
check 'that package can be removed' apt-get -qy remove "postgresql-$major-pool-metrics"
check 'and a server that runs goes on' works
sed -i '/^pool.metrics_listen/d' "$conf"
check 'the package can be removed' apt-get -qy remove "postgresql-$major-pool"
check 'then a new session says that the library is not there' gone
check 'without it, a server that wants it does not start, and says why' does_not_start
check 'with the setting taken out it starts, and the extension can be dropped' drop_without
check 'after a purge nothing is left' nothing_left
pg_dropcluster --stop "$major" local
pg_dropcluster --stop "$major" remote
