/*
 * hedge.c
 *		How many statements may go to a second server since the first is slow.
 *
 * A server that is slow because it has too much to do gets no better if what waits
 * for it is asked elsewhere, too, where it makes others slow.  So of the calls that
 * begin with a pool at most one in ten is hedged: each call earns a credit, a hedge
 * costs ten, and no more than MAX_CREDIT are kept.
 *
 * The credit is an atomic; that two calls see the same one is avoided by comparing
 * when it is taken.  No lock is needed.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/hedge.h"
#include "shared/stats.h"

#define COST 10
#define MAX_CREDIT (10 * COST)

/* As long as fewer statements than these were timed, nothing is known of them. */
#define MIN_TIMED 20
#define DEFAULT_AFTER_MS 100

/* The part of all statements that take no longer than it is waited. */
#define FRACTION 0.95

/* A pool begins with credit for one hedge.  Needs the registry's lock. */
void
pool_hedge_init(Pool *pool)
{
	pg_atomic_write_u32(&pool->hedge_credit, COST);
}

/* A call begins with this pool. */
void
pool_hedge_note_call(Pool *pool)
{
	if (pg_atomic_read_u32(&pool->hedge_credit) < MAX_CREDIT)
		pg_atomic_fetch_add_u32(&pool->hedge_credit, 1);
}

/* May a call that began with this pool be hedged?  If so, that is paid for. */
bool
pool_hedge_may(Pool *pool)
{
	uint32 credit = pg_atomic_read_u32(&pool->hedge_credit);

	while (credit >= COST)
	{
		if (pg_atomic_compare_exchange_u32(&pool->hedge_credit, &credit,
										   credit - COST))
			return true;
	}
	return false;
}

/*
 * After how many microseconds a call is hedged that does not say: what 95 % of the
 * pool's statements did not take.
 */
int64
pool_hedge_after_us(const Pool *pool)
{
	PoolTimes times;

	pool_histogram_read(&pool->stats.times[POOL_TIMED_QUERY], &times);
	if (times.count < MIN_TIMED)
		return pool_clock_from_ms(DEFAULT_AFTER_MS);
	return (int64) pool_histogram_percentile(&times, FRACTION);
}
