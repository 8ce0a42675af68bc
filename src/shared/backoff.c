/*
 * backoff.c
 *		When the next attempt to connect may begin, after one that failed.
 *
 * After retry_delay, twice as long each time up to retry_max_delay, spread by
 * retry_jitter; or after breaker_timeout, if the circuit breaker opens.  There
 * is one attempt at a time until one succeeds, however many sessions wait.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/backoff.h"
#include "shared/breaker.h"
#include "shared/slot.h"
#include "shared/stats.h"

/* More would not fit an int64; retry_max_delay is reached long before. */
#define MAX_DOUBLINGS 20

/* The delay after so many failures in a row, in milliseconds. */
static int
exponential_delay_ms(const PoolOptions *options, int failures)
{
	int64 delay = (int64) options->retry_delay
				  << Min(failures - 1, MAX_DOUBLINGS);
	double spread;

	delay = Min(delay, options->retry_max_delay);
	spread = delay * options->retry_jitter / 100.0;
	return (int)
		Max(1, delay + spread * (2 * pg_prng_double(&pg_global_prng_state) - 1));
}

/*
 * Notes a failed attempt in the pool.  Returns whether the sessions that wait are
 * to be told; sets *trips if the breaker opens.  Needs the lock.
 */
bool
pool_backoff_failed(Pool *pool, const PoolConnectError *error, bool *trips)
{
	int attempts = pool->options.retry_attempts;

	POOL_ASSERT_LOCKED(pool);
	pool->last_error = *error;
	pool->failures++;

	/* Several were under way when the breaker opened: its time stays. */
	if (pool->breaker != POOL_BREAKER_OPEN)
		pool->next_attempt = pool_clock_after_ms(
			exponential_delay_ms(&pool->options, pool->failures));
	*trips = pool_breaker_failed(pool);
	pool_stats_add(&pool->stats, POOL_COUNT_CONNECT_ERRORS, 1);
	if (pool_slot_count_live(pool) > 0)
		return false;
	return *trips || error->permanent || pool->failures >= Max(attempts, 1);
}

/* A connection was made: failures begin anew.  Needs the lock. */
void
pool_backoff_succeeded(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->failures = 0;
	pool->next_attempt = 0;
	pool_breaker_succeeded(pool);
}
