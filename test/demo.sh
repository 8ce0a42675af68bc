#!/bin/bash
# demo.sh [--keep]
#	pool at work: a local server with the extension, a remote one with a table,
#	50 sessions that share five connections, and eight databases that are asked at
#	once.  Exits non-zero if anything is not as it should be.  --keep leaves both
#	servers running to look around.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter_stage "$0" "$@"

case ${1:-} in
	'' | --keep) ;;
	*) die "usage: test/demo.sh [--keep]" ;;
esac

sessions=50
rounds=60				# statements of each session
connections=5
failures=0

heading()
{
	printf '\n== %s ==\n\n' "$*"
}

# check what value operator expected
check()
{
	if test "$2" "$3" "$4"; then
		printf '%-44s %8s   ok\n' "$1" "$2"
	else
		printf '%-44s %8s   WRONG, expected %s %s\n' "$1" "$2" "$3" "$4"
		failures=$((failures + 1))
	fi
}

# sql cluster database option...: psql on the cluster's socket
sql()
{
	"$bin/psql" -X -q -v ON_ERROR_STOP=1 -h "$stage" -p "${port[$1]}" -U postgres \
		-d "$2" "${@:3}"
}

# show: statements from the input, line by line as they can be typed, each before its result
show()
{
	sql local shop --echo-all || die 'the statement above failed'
}

value()
{
	sql "$1" "$2" -At -c "$3"
}

heading 'Building pool and starting two servers'
build -O2
start_cluster remote scram-sha-256
start_cluster local scram-sha-256 "shared_preload_libraries = 'pool'"
value remote postgres 'CREATE DATABASE bank'
value local postgres 'CREATE DATABASE shop'
sql remote bank <<'SQL'
CREATE ROLE app LOGIN PASSWORD 'secret';
CREATE TABLE accounts (id int PRIMARY KEY, owner text, balance numeric(10,2));
INSERT INTO accounts
  SELECT n, (ARRAY['ann', 'bob', 'cleo', 'dan'])[n % 4 + 1], 100 * n
  FROM generate_series(1, 1000) AS n;
GRANT SELECT, UPDATE ON accounts TO app;
SQL
printf 'remote: 127.0.0.1:%s, database bank, role app with a password\n' "${port[remote]}"
printf "local:  127.0.0.1:%s, database shop, shared_preload_libraries = 'pool'\n" "${port[local]}"

heading "The set-up: at most $connections connections for everybody"
show <<SQL
CREATE EXTENSION pool;
CREATE SERVER srv FOREIGN DATA WRAPPER pool
  OPTIONS (host '127.0.0.1', port '${port[remote]}', dbname 'bank', max_size '$connections');
CREATE USER MAPPING FOR CURRENT_USER SERVER srv OPTIONS (user 'app', password 'secret');
SQL

heading 'Queries'
show <<'SQL'
SELECT pool_query('srv', 'select 1');
SELECT * FROM pool_query('srv', 'select $1::int + 1', 41) AS t(x int);
SELECT x FROM pool_query_json('srv', 'select * from accounts limit 3') AS x;
SQL

heading 'A lease: one connection, and a remote transaction on it'
show <<'SQL'
BEGIN;
SELECT pool_acquire('srv') AS lease \gset
SELECT pool_exec(:lease, 'begin');
SELECT pool_exec(:lease, 'update accounts set balance = balance - $1::numeric where id = 2', 50);
SELECT pool_exec(:lease, 'update accounts set balance = balance + $1::numeric where id = 1', 50);
SELECT * FROM pool_query(:lease, 'select id, balance from accounts where id <= 2 order by id')
  AS t(id int, balance numeric);
SELECT pool_exec(:lease, 'commit');
SELECT pool_release(:lease);
COMMIT;
SQL
check 'moved on the remote' \
	"$(value remote bank "SELECT string_agg(balance::text, ',' ORDER BY id) FROM accounts
		WHERE id <= 2")" \
	= 150.00,150.00

heading "$sessions sessions at once, $rounds statements each"
value local shop 'CREATE UNLOGGED TABLE answers (session int, sent text, got text, backend int)'
# Every statement sends a token of its own and keeps what came back.
cat >"$stage/session.sql" <<'SQL'
\set counter :counter + 1
INSERT INTO answers
  SELECT :client_id, s.sent, t.got, t.backend
  FROM (SELECT :client_id || '/' || :counter AS sent) AS s,
    pool_query('srv', 'select $1::text, pg_backend_pid()', s.sent) AS t(got text, backend int);
SQL
sed 1d "$stage/session.sql"

# Meanwhile the remote is asked again and again who is connected.
"$bin/psql" -X -q -At -h "$stage" -p "${port[remote]}" -U postgres bank >"$stage/samples" \
	<<<"SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' \\watch 0.05" &
sampler=$!
start=${EPOCHREALTIME/./}
limited 100 "$bin/pgbench" -n -h "$stage" -p "${port[local]}" -U postgres -D counter=0 \
	-c $sessions -j 2 -t $rounds -f "$stage/session.sql" shop >"$stage/pgbench.out" 2>&1 ||
	die "pgbench failed:"$'\n'"$(tail -n 20 "$stage/pgbench.out")"
start=$(((${EPOCHREALTIME/./} - start) / 100000))
kill "$sampler"
wait "$sampler" 2>/dev/null || true
most=$(grep -xE '[0-9]+' "$stage/samples" | sort -n | tail -n 1)

printf '\n%d statements in %d.%d s, %d looks at the remote\n\n' $((sessions * rounds)) \
	$((start / 10)) $((start % 10)) "$(grep -cxE '[0-9]+' "$stage/samples")"
check 'answers' "$(value local shop 'SELECT count(*) FROM answers')" -eq $((sessions * rounds))
check 'wrong answers' \
	"$(value local shop 'SELECT count(*) FROM answers WHERE got IS DISTINCT FROM sent')" -eq 0
check 'missing or doubled answers' \
	"$(value local shop "SELECT $((sessions * rounds)) - count(DISTINCT sent) FROM answers")" -eq 0
check 'sessions that got answers' \
	"$(value local shop 'SELECT count(DISTINCT session) FROM answers')" -eq $sessions
check 'most remote backends seen, not above' "${most:-0}" -le $connections
check 'most remote backends seen, not below' "${most:-0}" -ge 1
check 'remote backends that answered' \
	"$(value local shop 'SELECT count(DISTINCT backend) FROM answers')" -le $connections

heading 'What pool has counted; times in ms'
show <<'SQL'
SELECT * FROM pool_stats \gx
SELECT metric, count, round(avg::numeric, 1) AS avg, p50, p95, p99, max FROM pool_stats_times;
SELECT event, count, description FROM pool_stats_events WHERE count > 0;
SQL
check 'acquires - releases - lost - active' \
	"$(value local shop 'SELECT acquires - releases - lost - active FROM pool_stats_all()')" -eq 0
check 'active' "$(value local shop 'SELECT active FROM pool_stats')" -eq 0
check 'waiting' "$(value local shop 'SELECT waiting FROM pool_stats')" -eq 0

heading 'Pulling the cable: the remote crashes and comes back'
# It comes back with TLS, which the last part needs.
make_certificates
tls_settings "$stage/tls" >>"$stage/remote/postgresql.conf"
"$bin/pg_ctl" -s -w -D "$stage/remote" -l "$stage/remote.log" -m immediate restart >/dev/null
start=${EPOCHREALTIME/./}
tries=1
reason=
until answer=$(value local shop "SELECT *
	FROM pool_query('srv', 'select balance from accounts where id = 2')
	AS t(balance numeric)" 2>&1); do
	[ "$answer" = "$reason" ] || printf 'not yet: %s\n' "$answer"
	reason=$answer
	[ $((${EPOCHREALTIME/./} - start)) -lt 15000000 ] || break
	tries=$((tries + 1))
done
printf 'try %d answered %d ms after the remote was back\n' "$tries" \
	$(((${EPOCHREALTIME/./} - start) / 1000))
check 'balance after the crash' "$answer" = 150.00

heading 'What pool has counted: why it closed connections'
show <<'SQL'
SELECT reason, count, description FROM pool_stats_closed WHERE count > 0;
SQL

heading 'An encrypted remote, whose certificate a private CA has signed'
show <<SQL
CREATE SERVER srv_tls FOREIGN DATA WRAPPER pool
  OPTIONS (host 'localhost', hostaddr '127.0.0.1', port '${port[remote]}', dbname 'bank',
           sslmode 'verify-full', sslrootcert '$stage/tls/ca.crt');
CREATE USER MAPPING FOR CURRENT_USER SERVER srv_tls OPTIONS (user 'app', password 'secret');
SELECT * FROM pool_query('srv_tls',
  'select version, cipher from pg_stat_ssl where pid = pg_backend_pid()')
  AS t(version text, cipher text);
SELECT server, state, relayed, tls_version, tls_cipher FROM pool_connections;
SQL
check 'encrypted connections' \
	"$(value local shop "SELECT count(*) FROM pool_connections
		WHERE server = 'srv_tls' AND relayed")" -ge 1

heading 'Eight databases asked at once, one of them dead'
shards=8
for ((n = 1; n <= shards; n++)); do
	value remote postgres "CREATE DATABASE shard$n"
	sql remote "shard$n" <<<"CREATE TABLE items AS SELECT generate_series(1, 100 * $n) AS id;
		GRANT SELECT ON items TO app"
	# Nobody listens on port 1.
	sql local shop <<<"CREATE SERVER shard$n FOREIGN DATA WRAPPER pool
		OPTIONS (host '127.0.0.1', port '$((n < shards ? port[remote] : 1))', dbname 'shard$n');
		CREATE USER MAPPING FOR CURRENT_USER SERVER shard$n
		OPTIONS (user 'app', password 'secret')"
done
show <<'SQL'
SELECT server, sqlstate, split_part(error, ': ', 1) AS error, items
  FROM pool_query_all(ARRAY(SELECT 'shard' || n FROM generate_series(1, 8) AS n),
      'select count(*) from items', on_error => 'row', timeout => '20s')
    AS t(server text, sqlstate text, error text, items bigint)
  ORDER BY server;
SQL

# took: milliseconds that a query takes; its answer is in $answer
took()
{
	local start=${EPOCHREALTIME/./}

	answer=$(value local shop "$1")
	milliseconds=$(((${EPOCHREALTIME/./} - start) / 1000))
}

# The connections are open, and that one server is down is known by now.
took "SELECT string_agg(items::text, ',' ORDER BY server)
	FROM pool_query_all(ARRAY(SELECT 'shard' || n FROM generate_series(1, $shards) AS n),
		'select count(*), pg_sleep(0.2) from items', on_error => 'row', timeout => '20s')
	AS t(server text, sqlstate text, error text, items bigint, slept text)"
at_once=$milliseconds
check 'items of all but the dead one' "$answer" = 100,200,300,400,500,600,700
took "SELECT count(*) FROM (SELECT pool_query('shard' || n,
	'select count(*), pg_sleep(0.2) from items') FROM generate_series(1, $shards - 1) AS n) AS q"
check 'answers one by one' "$answer" -eq $((shards - 1))
printf '\nStatements of 200 ms each: %d ms at once, %d ms one by one\n' "$at_once" "$milliseconds"

heading 'Sent without waiting'
show <<'SQL' | tee "$stage/requests.out"
BEGIN;
SELECT array_agg(pool_send('shard' || n, 'select pg_sleep(0.3)')) AS requests
  FROM generate_series(1, 7) AS n \gset
SELECT server, state FROM pool_requests ORDER BY server;
SELECT count(*) AS done FROM pool_wait(:'requests', 7);
SELECT state, count(*) FROM pool_requests GROUP BY state;
COMMIT;
SQL
check 'requests shown as ready' "$(sed -n 's/^ ready *| *//p' "$stage/requests.out")" -eq 7
check 'requests left' "$(value local shop 'SELECT count(*) FROM pool_requests')" -eq 0
check 'requests counted' \
	"$(value local shop "SELECT sum(count) FROM pool_stats_events
		WHERE event = 'requests' AND server LIKE 'shard%'")" -eq $((shards * 2 + shards - 1))
check 'connections of shards in use' \
	"$(value local shop "SELECT sum(active) FROM pool_stats WHERE server LIKE 'shard%'")" -eq 0

heading 'Code that was written for dblink: 100 calls with a connection string, and 20 names'
place="host=127.0.0.1 port=${port[remote]} dbname=bank user=app password=secret"
show <<SQL | tee "$stage/dblink.out"
CREATE EXTENSION pool_dblink;
SELECT count(*) AS calls, count(DISTINCT process) AS processes
  FROM generate_series(1, 100),
    LATERAL dblink('$place', 'select pg_backend_pid()') AS t(process int);
SET pool_dblink.mode = 'transaction';
SELECT count(dblink_connect('name' || n, '$place')) AS names FROM generate_series(1, 20) AS n;
SELECT count(*) AS calls, count(DISTINCT process) AS processes
  FROM generate_series(1, 20) AS n,
    LATERAL dblink('name' || n, 'select pg_backend_pid()') AS t(process int);
SQL
check 'processes at the remote for the calls' \
	"$(awk -F '|' '$1 + 0 == 100 { print $2 + 0 }' "$stage/dblink.out")" -eq 1
check 'processes at the remote for the names' \
	"$(awk -F '|' '$1 + 0 == 20 && NF == 2 { print $2 + 0 }' "$stage/dblink.out")" -eq 1

if [ "${1:-}" = --keep ]; then
	keep=clusters
	heading 'Both servers are still running'
	read -r local_pid <"$stage/local/postmaster.pid"
	read -r remote_pid <"$stage/remote/postmaster.pid"
	printf '%s\n' \
		"local:   $bin/psql -h $stage -p ${port[local]} -U postgres shop" \
		"remote:  $bin/psql -h $stage -p ${port[remote]} -U postgres bank" \
		"stop:    kill -INT $local_pid $remote_pid" \
		"remove:  rm -rf $stage"
fi

printf '\n'
[ "$failures" -eq 0 ] || die "$failures checks failed"
echo 'everything is as it should be'
