/*
 * backoff.c
 *		When the next attempt to connect may begin, after one that failed.
 *
 * After retry_delay, twice as long each time up to retry_max_delay, spread by
 * retry_jitter.  But where trying again can help, no pause is longer than
 * breaker_timeout, so that a remote that is back is found soon; and while the
 * circuit breaker is open an attempt begins every breaker_timeout.
 *
 * There is one attempt at a time until one succeeds, however many sessions wait.
 * But if that hangs, another one is made beside it: packets that were lost when
 * it began are sent again by the kernel after longer and longer times.
 *
 * Many pools that have lost one remote must not all try in the same instant.  So
 * the first pause after the breaker has opened is shorter by up to a second, at
 * random, and so is the time until min_size is seen to when a connection was
 * lost.  From then on each pool keeps its own beat, so that they stay apart.
 */
#include "postgres.h"

#include "common/pg_prng.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/backoff.h"
#include "shared/breaker.h"
#include "shared/shmem.h"
#include "shared/stats.h"

/* More would not fit an int64; retry_max_delay is reached long before. */
#define MAX_DOUBLINGS 20

/* Over which time the attempts of pools that lost one remote are spread. */
#define SPREAD_US (1 * POOL_CLOCK_US_PER_S)

/* An attempt that takes longer than this, or than breaker_timeout, hangs. */
#define HANGS_AFTER_MS 1000

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

/* A random time from 0 to the spread. */
static int64
spread_us(int64 spread)
{
	return (int64) (spread * pg_prng_double(&pg_global_prng_state));
}

/*
 * When the next attempt may begin, after one that has failed; "trips": and has
 * opened the breaker.  Needs the lock.
 */
static int64
time_of_next(const Pool *pool, bool trips)
{
	int64 now = pool_clock_us();
	int64 timeout = pool_clock_from_ms(pool->options.breaker_timeout);
	int64 pause =
		pool_clock_from_ms(exponential_delay_ms(&pool->options, pool->failures));
	bool open = pool->breaker == POOL_BREAKER_OPEN;

	if (pool->last_error.permanent)
		return now + (open ? Max(pause, timeout) : pause);
	if (!open)
		return now + Min(pause, timeout);
	if (trips)
		return now + timeout - spread_us(Min(timeout, SPREAD_US));
	if (now < pool->next_attempt)
		return pool->next_attempt; /* several were under way when it opened */
	return now + timeout - (now - pool->next_attempt) % timeout;
}

/*
 * Notes a failed attempt in the pool.  Returns whether the sessions that wait are
 * to be told; sets *trips if the breaker opens, which an error of this machine
 * is no reason for.  Needs the lock.
 *
 * For a connection string they are told at once, as when each of them connects by
 * itself, whatever connections others have leased: those may be kept for long.  But
 * while another attempt is under way that one may serve them.
 */
bool
pool_backoff_failed(Pool *pool, const PoolConnectError *error, bool *trips)
{
	int attempts = pool->options.retry_attempts;

	POOL_ASSERT_LOCKED(pool);
	pool->last_error = *error;
	pool->failures++;
	*trips = !error->local && pool_breaker_failed(pool);
	pool->next_attempt = time_of_next(pool, *trips);
	pool_stats_add(&pool->stats, POOL_COUNT_CONNECT_ERRORS, 1);
	if (pool_target_is_string(&pool->key))
		return error->permanent || pool->nslots[POOL_SLOT_CONNECTING] <= 1;
	if (pool_slot_count_live(pool) > 0)
		return false;
	return *trips || error->permanent || pool->failures >= Max(attempts, 1);
}

/*
 * Notes that an attempt beside one that hangs has had no answer in its time,
 * which is short.  The other one may still succeed, so that decides.  Needs the
 * lock.
 */
void
pool_backoff_no_answer(Pool *pool, const PoolConnectError *error)
{
	POOL_ASSERT_LOCKED(pool);
	pool->last_error = *error;
	pool_stats_add(&pool->stats, POOL_COUNT_CONNECT_ERRORS, 1);
}

/* How long an attempt may take before it counts as one that hangs. */
int
pool_backoff_hangs_after_ms(const Pool *pool)
{
	return Max(HANGS_AFTER_MS, pool->options.breaker_timeout);
}

/*
 * When one more attempt may begin beside those that are under way.  Needs the
 * lock.
 */
int64
pool_backoff_beside_at(const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return Max(pool->next_attempt,
			   pool->last_attempt +
				   pool_clock_from_ms(pool_backoff_hangs_after_ms(pool)));
}

/* An attempt begins.  Needs the lock. */
void
pool_backoff_begin(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->last_attempt = pool_clock_us();
}

/* The remote has closed a connection, and perhaps all of them.  Needs the lock. */
void
pool_backoff_lost(Pool *pool)
{
	int64 now = pool_clock_us();

	POOL_ASSERT_LOCKED(pool);
	if (pool->refill_at < now)
		pool->refill_at = now + spread_us(SPREAD_US);
}

/*
 * An attempt is about to succeed: gives up those that hung already when it began.
 * Needs the lock; the worker ends them in its next round.
 */
void
pool_backoff_overtake(Pool *pool, const PoolSlot *slot)
{
	int64 hangs_after = pool_clock_from_ms(pool_backoff_hangs_after_ms(pool));

	POOL_ASSERT_LOCKED(pool);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *other = &pool_shmem_slots[i];

		if (other->pool == pool_index(pool) &&
			other->state == POOL_SLOT_CONNECTING &&
			other->since + hangs_after <= slot->since)
			pool_slot_retire(pool, other, POOL_CLOSE_SURPLUS);
	}
}

/* A connection was made: failures begin anew.  Needs the lock. */
void
pool_backoff_succeeded(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->failures = 0;
	pool->next_attempt = 0;
	pool_breaker_half_open(pool);
	pool_breaker_succeeded(pool);
}
