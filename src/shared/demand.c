/*
 * demand.c
 *		How many of its connections a pool needs: the most that were leased at a
 *		time during idle_timeout.
 *
 * Sessions go on with the connection that was theirs, so each of many sessions
 * that ask now and then keeps one young, though a few would do for all.  What is
 * open beyond the demand is closed for that reason, however young it is.
 *
 * The most that were leased at a time is kept for a period of idle_timeout and
 * for the one before, so the demand is that of the last idle_timeout at least,
 * and of two at most.  All here needs the pool's lock.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/demand.h"
#include "shared/shmem.h"
#include "shared/slot.h"

/* One more slot is leased. */
void
pool_demand_note(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->demand_now = Max(pool->demand_now, pool->nslots[POOL_SLOT_LEASED]);
}

/* Begins another period when this one is over; the first is like no other. */
static void
look_at_period(Pool *pool, int64 now, int64 period)
{
	bool first = pool->demand_since == 0;

	if (!first && now - pool->demand_since < period)
		return;
	pool->demand_before = first ? PG_INT32_MAX : pool->demand_now;
	pool->demand_now = pool->nslots[POOL_SLOT_LEASED];
	pool->demand_since = now;
}

/*
 * Closes the idle connections over the demand and over min_size that are open
 * for longer than idle_timeout, those first that were not used for the longest
 * time.  To be called by the worker each time it looks at the pool; it has to
 * close them then.
 */
void
pool_demand_close_idle(Pool *pool, int64 now)
{
	int64 period = pool_clock_from_ms(pool->options.idle_timeout);
	int needed;

	POOL_ASSERT_LOCKED(pool);
	if (period == 0)
	{
		pool->demand_since = 0;
		return;
	}
	look_at_period(pool, now, period);
	needed =
		Max(Max(pool->demand_before, pool->demand_now), pool->options.min_size);
	while (pool_slot_count_live(pool) > needed && pool->idle_tail != POOL_NONE)
	{
		PoolSlot *slot = &pool_shmem_slots[pool->idle_tail];

		if (now - slot->opened <= period)
			break;
		pool_slot_close(pool, slot, POOL_CLOSE_IDLE_TIMEOUT, false);
	}
}
