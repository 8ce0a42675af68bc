/*
 * breaker.c
 *		The circuit breaker of a pool.
 *
 *		CLOSED -> OPEN		after breaker_threshold failed attempts in a row
 *		OPEN -> HALF_OPEN	by a connection that was made, or when the worker
 *							does not try by itself any more
 *		HALF_OPEN -> OPEN	by an attempt that fails
 *		HALF_OPEN -> CLOSED	after breaker_successes connections or clean releases,
 *							of leases in which something was sent
 *
 * While it is OPEN the worker tries every breaker_timeout, and a session that
 * would have to wait for a new connection gets the last error at once.
 * Connections that are there go on serving.
 *
 * What a session is told is never old for that reason: OPEN means that the worker
 * tries at next_attempt.  If it does not, since nobody has asked for a while, the
 * pool is paused, there is no place for a connection, or the remote has said that
 * trying again is useless, the breaker is HALF_OPEN from then on: the next
 * session has an attempt made, and waits for it.  HALF_OPEN opens one connection
 * at a time.
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

/* For how long the worker goes on to try after a session has asked. */
#define WANTED_US (60 * POOL_CLOCK_US_PER_S)

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
 * the breaker opens by that.  Needs the lock.
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
	pool_stats_add(&pool->stats, POOL_COUNT_BREAKER_TRIPS, 1);
	return true;
}

/*
 * A connection was made, or the worker does not try by itself any more.  Needs
 * the lock.
 */
void
pool_breaker_half_open(Pool *pool)
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
 * Does the worker try though no session waits?  It does if one has asked lately,
 * and there is no connection.  Needs the lock.
 */
bool
pool_breaker_probes(const Pool *pool, int64 now)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return pool->breaker == POOL_BREAKER_OPEN && !pool->last_error.permanent &&
		   pool_slot_count_live(pool) == 0 && now - pool->asked_at < WANTED_US;
}

/*
 * Is it of no use to wait, since there is no connection, and the worker tries
 * alone, or none is attempted before some time?  Not for a connection string: there
 * each who asks has an attempt made, and pauses are short.  Needs the lock.
 */
bool
pool_breaker_refuses(const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	if (pool_target_is_string(&pool->key))
		return false;
	return pool_slot_count_live(pool) == 0 &&
		   (pool->breaker == POOL_BREAKER_OPEN ||
			(pool->last_error.permanent && pool->failures > 0 &&
			 pool_clock_us() < pool->next_attempt));
}
