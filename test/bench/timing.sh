#!/bin/bash
# timing.sh [rounds]
#	What pool.track_timing costs a lease and release of a connection that the
#	session has cached: 100,000 of them with and without, in turn.

# shellcheck source=test/bench/bench.sh
. "$(dirname "${BASH_SOURCE[0]}")/bench.sh"
enter_stage "$0" "$@"

rounds=${1:-30}

build -O2
start_cluster remote trust
start_cluster local trust "shared_preload_libraries = 'pool'" 'jit = off'
sql local postgres -c 'CREATE EXTENSION pool'
create_server srv "max_size '1'" "leak_threshold '0'"
sql local postgres -v rounds="$rounds" <<'SQL'
CREATE TABLE took (timing text, ns float8);
CREATE PROCEDURE measure(rounds int) LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz;
  which text;
BEGIN
  PERFORM pool_release(pool_acquire('srv'));
  FOR round IN 1..rounds LOOP
    FOREACH which IN ARRAY ARRAY['on', 'off'] LOOP
      PERFORM set_config('pool.track_timing', which, false);
      start := clock_timestamp();
      FOR i IN 1..100000 LOOP
        PERFORM pool_release(pool_acquire('srv'));
      END LOOP;
      INSERT INTO took SELECT which,
        extract(epoch FROM clock_timestamp() - start) * 1e9 / 100000;
    END LOOP;
  END LOOP;
END $$;
CALL measure(:rounds);
SELECT timing, round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ns)) AS "median ns",
  round(min(ns)) AS "least ns" FROM took GROUP BY timing ORDER BY timing;
SQL
