/*
 * breaker.c
 *		The circuit breaker of a pool.
 *
 *		CLOSED -> OPEN		after breaker_threshold failed attempts in a row
 *		OPEN -> HALF_OPEN	by the first attempt after breaker_timeout
 *		HALF_OPEN -> OPEN	if that fails
 *		HALF_OPEN -> CLOSED	after breaker_successes connections or clean releases,
 *							of leases in which something was sent
 *
 * While it is OPEN nothing is attempted, and a session that would have to wait
 * for a new connection gets the last error at once.  Connections that are there go on
 * serving.  HALF_OPEN opens one connection at a time.
 *
 * The worker alone makes these moves, and logs that it opens and closes.  A reset
 * (by pool_breaker_reset(), or for other options) closes it without a line in
 * the log.
 */
#include "postgres.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/breaker.h"
#include "shared/slot.h"
#include "shared/stats.h"

/* The name that views and the log use. */
const char *
pool_breaker_name(PoolBreakerState state)
{
	switch (state)
	{
		case POOL_BREAKER_CLOSED:
			return "closed";
		case POOL_BREAKER_OPEN:
			return "open";
		case POOL_BREAKER_HALF_OPEN:
			return "half_open";
	}
	return "?";
}

/*
 * An attempt has failed, and is counted in pool->failures.  Returns true if
 * the breaker opens by that; then pool->next_attempt is set.  Needs the lock.
 */
bool
pool_breaker_failed(Pool *pool)
{
	const PoolOptions *options = &pool->options;

	POOL_ASSERT_LOCKED(pool);
	if (options->breaker_threshold == 0 || pool->breaker == POOL_BREAKER_OPEN)
		return false;
	if (pool->breaker == POOL_BREAKER_CLOSED &&
		pool->failures < options->breaker_threshold)
		return false;
	pool->breaker = POOL_BREAKER_OPEN;
	pool->breaker_opened_at = GetCurrentTimestamp();
	pool->next_attempt = pool_clock_after_ms(options->breaker_timeout);
	pool_stats_add(&pool->stats, POOL_COUNT_BREAKER_TRIPS, 1);
	return true;
}

/* An attempt begins, at its time.  Needs the lock. */
void
pool_breaker_try(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	if (pool->breaker != POOL_BREAKER_OPEN)
		return;
	pool->breaker = POOL_BREAKER_HALF_OPEN;
	pool->breaker_successes = 0;
}

/* A connection was made, or used and released clean.  Needs the lock. */
void
pool_breaker_succeeded(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	if (pool->breaker == POOL_BREAKER_HALF_OPEN)
		pool->breaker_successes++;
}

/*
 * Closes it if there were successes enough; returns whether it did.  Needs the
 * lock.
 */
bool
pool_breaker_close_if_recovered(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	if (pool->breaker != POOL_BREAKER_HALF_OPEN ||
		pool->breaker_successes < pool->options.breaker_successes)
		return false;
	pool->breaker = POOL_BREAKER_CLOSED;
	return true;
}

/* Forgets all failures: the next attempt can begin at once.  Needs the lock. */
void
pool_breaker_reset(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->breaker = POOL_BREAKER_CLOSED;
	pool->failures = 0;
	pool->next_attempt = 0;
}

/*
 * Is it of no use to wait, since there is no connection, and none is attempted
 * before some time?  Needs the lock.
 */
bool
pool_breaker_refuses(const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return (pool->breaker == POOL_BREAKER_OPEN ||
			(pool->last_error.permanent && pool->failures > 0)) &&
		   pool_slot_count_live(pool) == 0 &&
		   pool_clock_us() < pool->next_attempt;
}
