# shellcheck shell=bash
# ways.sh
#	The ways to ask a remote that are compared, and what each says in SQL.  Used by
#	run.sh, after servers.sh.
#
# A statement is written for a number, which @ stands for: pgbench puts a random one
# there, the look at the rows a given one.

# shellcheck disable=SC2016,SC2034,SC2154	# $ of SQL; variables of the others
: "${stage?}"

ways=()
declare -A label			# what the tables call it
declare -A connects			# shared: over as many connections as are said; own: one a session
declare -A option			# of the pool's server, besides where it is
declare -A setting			# of the session
declare -A known			# can be had here

# way name connections label [option [setting]]
way()
{
	ways+=("$1")
	connects[$1]=$2
	label[$1]=$3
	option[$1]=${4:-}
	setting[$1]=${5:-}
}

way pool shared 'pool'
way pool-strict shared "pool, \`fairness_round '0'\`" "fairness_round '0'"
way pool-uncached shared "pool, \`statement_cache '0'\`" "statement_cache '0'"
way pool-few shared 'pool, `pool.session_cache` 8' '' 'pool.session_cache=8'
way pool-many shared 'pool, `pool.session_cache` 128' '' 'pool.session_cache=128'
way pool-untimed shared 'pool, `pool.track_timing` off' '' 'pool.track_timing=off'
way pool-lease own 'pool, a lease a session'
way pool-loop shared 'pool, `pool_query()` on one server after the other'
way pgbouncer-reset shared 'dblink through PgBouncer, reset between clients'
way pgbouncer shared 'dblink through PgBouncer, no reset'
way dblink own 'dblink, a connection a session'
way dblink-call own 'dblink, a connection a query'
way dblink-send own '`dblink_send_query()`, a connection a server'
way pool-dblink-call shared 'pool_dblink, a connection string a query'
way pool-dblink-session own 'pool_dblink, a name a session, mode "session"' '' \
	pool_dblink.mode=session
way pool-dblink-transaction shared 'pool_dblink, a name a session, mode "transaction"' '' \
	pool_dblink.mode=transaction
way postgres_fdw own 'postgres_fdw, a connection a session'
way plproxy own 'PL/Proxy, a connection a session'
way floor own 'floor: a local function and the remote, one after the other'
way floor-local own 'floor: a local function'
way floor-remote own 'floor: straight to the remote'
way empty own 'no remote, `SELECT 1`'
way pool-tls shared 'pool, TLS (relayed)' "sslmode 'require'"
way pgbouncer-reset-tls shared 'dblink through PgBouncer, TLS twice, reset between clients'
way pgbouncer-tls shared 'dblink through PgBouncer, TLS twice, no reset'
way dblink-tls own 'dblink, TLS, a connection a session'

# look_at_options: which options of a server this pool has
look_at_options()
{
	local way

	for way in "${ways[@]}"; do
		known[$way]=yes
		[ -n "${option[$way]}" ] || continue
		if ! sql local >/dev/null 2>&1 <<SQL
BEGIN;
CREATE SERVER probe FOREIGN DATA WRAPPER pool OPTIONS (${option[$way]});
ROLLBACK;
SQL
		then
			known[$way]=
			printf 'skipping %s: the pool has no option %s\n' "$way" "${option[$way]}"
		fi
	done
}

# server way connections: the name of the pool's server, which is made if need be
server()
{
	local mode="sslmode 'disable'" name=$1.$2

	if [ ! -e "$stage/server.$name" ]; then
		[[ ${option[$1]} != *sslmode* ]] || mode=
		sql local >/dev/null <<SQL
CREATE SERVER "$name" FOREIGN DATA WRAPPER pool OPTIONS (host '127.0.0.1',
	port '${port[remote]}', dbname 'postgres', max_size '$2'
	${mode:+, $mode} ${option[$1]:+, ${option[$1]}});
CREATE USER MAPPING FOR CURRENT_USER SERVER "$name" OPTIONS (user 'postgres');
SQL
		: >"$stage/server.$name"
	fi
	printf '%s' "$name"
}

# query kind: with $1
query()
{
	case $1 in
		point) printf '%s' 'SELECT name FROM item WHERE id = $1' ;;
		update) printf '%s' 'UPDATE item SET amount = amount + 1 WHERE id = $1 RETURNING name' ;;
		encrypted)
			printf '%s' 'SELECT ssl::text AS name FROM pg_stat_ssl WHERE pid = pg_backend_pid()' \
				' AND $1 > 0' ;;
		fan) printf '%s' 'SELECT name FROM item WHERE id = 1 + $1 % 10000' ;;
		all) printf '%s' 'SELECT id, name, made, ratio, amount FROM item' ;;
	esac
}

# open way connections: what a session does first, once; nothing for most
open()
{
	case $1 in
		pool-lease)
			printf "SELECT pool_acquire('%s', hold => true) AS lease" "$(server pool 100)" ;;
		pgbouncer*-tls)
			printf "SELECT dblink_connect('c', '%s dbname=p%s sslmode=require')" \
				"$(conninfo "$1")" "$2" ;;
		pgbouncer*)
			printf "SELECT dblink_connect('c', '%s dbname=p%s sslmode=disable')" \
				"$(conninfo "$1")" "$2" ;;
		dblink-send)
			printf '%s' "SELECT count(dblink_connect('p' || i, '$(conninfo_of_host)" \
				" sslmode=disable dbname=part' || i)) FROM generate_series(0, 7) AS i" ;;
		pool-dblink-session)
			# Over a server, since there are as many connections as sessions.
			printf "SELECT pool_dblink.dblink_connect('c', '%s')" "$(server "$1" "$2")" ;;
		pool-dblink-transaction)
			printf "SELECT pool_dblink.dblink_connect('c', '%s sslmode=disable')" \
				"$(conninfo remote)" ;;
		dblink)
			printf "SELECT dblink_connect('c', '%s sslmode=disable')" "$(conninfo remote)" ;;
		dblink-tls)
			printf "SELECT dblink_connect('c', '%s sslmode=require')" "$(conninfo remote)" ;;
	esac
}

# from way connections kind columns: what stands in FROM
from()
{
	local text quoted parameter=', @'

	text=$(query "$3")
	quoted=${text/'$1'/"' || @ || '"}
	if [ "$3" = fan ]; then
		from_fan "$1" "$2" "$text"
		return
	fi
	case $1 in
		pool-lease) printf "pool_query(:lease::bigint, '%s', @) AS t(%s)" "$text" "$4" ;;
		pool-dblink-call)
			printf "pool_dblink.dblink('%s sslmode=disable', '%s') AS t(%s)" \
				"$(conninfo remote)" "$quoted" "$4" ;;
		pool-dblink-*) printf "pool_dblink.dblink('c', '%s') AS t(%s)" "$quoted" "$4" ;;
		pool*)
			[ "$3" != all ] || parameter=
			printf "pool_query('%s', '%s'%s) AS t(%s)" "$(server "$1" "$2")" "$text" \
				"$parameter" "$4" ;;
		dblink-call)
			printf "dblink('%s sslmode=disable', '%s') AS t(%s)" "$(conninfo remote)" "$quoted" \
				"$4" ;;
		dblink* | pgbouncer*) printf "dblink('c', '%s') AS t(%s)" "$quoted" "$4" ;;
		plproxy) printf '%s_by_plproxy(@) AS t(%s)' "$3" "${4%% *}" ;;
		floor-local) printf 'bench_row(@) AS t(%s)' "${4%% *}" ;;
		postgres_fdw) printf 'item' ;;
	esac
}

# from_fan way servers text: the same, from each of the servers
from_fan()
{
	case $1 in
		pool)
			printf "pool_query_all(bench_fan(%d), '%s', ARRAY[(@)::text]) " "$2" \
				"${3/'$1'/'$1::int'}"
			printf 'AS t(server text, sqlstate text, error text, name text)' ;;
		pool-loop)
			printf "unnest(bench_fan(%d)) AS s, LATERAL pool_query(s, '%s', @) AS t(name text)" \
				"$2" "$3" ;;
		dblink-send) printf 'fan_by_dblink(@) AS t(name)' ;;
		plproxy) printf 'fan_by_plproxy(@) AS t(name)' ;;
	esac
}

# statement way connections kind: a row's name by its number
statement()
{
	case $1 in
		postgres_fdw | floor-remote)
			query "$3" | sed 's/\$1/@/' ;;
		empty) printf 'SELECT 1' ;;
		*) printf 'SELECT name FROM %s' "$(from "$1" "$2" "$3" 'name text')" ;;
	esac
}
