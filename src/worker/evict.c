/*
 * evict.c
 *		Evicting, when a limit over several pools is reached (shared/limit.h).
 *
 * One pool is locked after the other, never two; what was decided on may have
 * changed by then, so it is looked at again under the victim's lock.  The victim
 * may be another worker's: it is only made CLOSING here.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/limit.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/evict.h"
#include "worker/loop.h"

/* How often to look for a connection that another pool can spare. */
#define RETRY_US (100 * POOL_CLOCK_US_PER_MS)

/*
 * How long a closing connection may take before another one is evicted: its
 * remote may not be responding.
 */
#define CLOSING_US (500 * POOL_CLOCK_US_PER_MS)

/* How well the other pool can spare a connection. */
typedef enum Spare
{
	SPARE_NONE,
	SPARE_OVER_SHARE, /* the pool needs it, or min_size, but it has too many */
	SPARE_OVER_MIN_SIZE /* nothing keeps it */
} Spare;

/*
 * Is what is idle in the pool between two leases of one session?  While others
 * wait nothing else is idle (tenure.c), and the pool needs all that it has; but it
 * may have more than its share.
 */
static bool
rests(const Pool *pool)
{
	return pool->nwaiting > 0 && pool->pause == POOL_PAUSE_NONE;
}

/*
 * How well can the other pool spare its idle connection that was not used for
 * the longest time?  "keep" is that of pool_limit_find().  Needs the other's lock.
 */
static Spare
spare_of(const Pool *pool, const Pool *other, int keep)
{
	PoolLimit limit = pool->limited_by;

	POOL_ASSERT_LOCKED_SHARED(other);
	if (other == pool || other->idle_tail == POOL_NONE ||
		!pool_limit_covers(limit, pool, other))
		return SPARE_NONE;
	if (pool_slot_count_live(other) > other->options.min_size && !rests(other))
		return SPARE_OVER_MIN_SIZE;
	return pool_limit_taken(limit, other) > keep ? SPARE_OVER_SHARE : SPARE_NONE;
}

/*
 * Is a connection being closed, whose place will be free soon, and not for longer
 * than that?  No lock is held, since only the time of the next look depends on
 * it.
 */
bool
pool_evict_is_closing_one(int64 at_most_us)
{
	int64 now = pool_clock_us();

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		if (pool_shmem_slots[i].state == POOL_SLOT_CLOSING &&
			now - pool_shmem_slots[i].since < at_most_us)
			return true;
	}
	return false;
}

/*
 * The pool whose idle connection is evicted for this one, or NULL: of those that
 * can spare it best, the one that did not use it for the longest time.
 */
static Pool *
find_victim(const Pool *pool, int keep)
{
	Pool *victim = NULL;
	Spare best = SPARE_NONE;
	int64 oldest = PG_INT64_MAX;

	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *other = &pool_shmem_pools[i];
		Spare spare;
		int64 since = PG_INT64_MAX;

		LWLockAcquire(&other->lock, LW_SHARED);
		spare = spare_of(pool, other, keep);
		if (spare != SPARE_NONE)
			since = pool_shmem_slots[other->idle_tail].returned;
		LWLockRelease(&other->lock);
		if (spare > best || (spare == best && since < oldest))
		{
			best = spare;
			oldest = since;
			victim = other;
		}
	}
	return victim;
}

/*
 * Evicts one connection, because a limit leaves no place for one that a session
 * of the pool waits for.  It is to be called again as long as that is so; for
 * that it has the worker woken.
 */
void
pool_evict_idle_for(Pool *pool, int keep)
{
	Pool *victim;

	pool_loop_wake_at(pool_clock_us() + RETRY_US);
	if (pool_evict_is_closing_one(CLOSING_US))
		return;
	victim = find_victim(pool, keep);
	if (victim == NULL)
		return;
	LWLockAcquire(&victim->lock, LW_EXCLUSIVE);
	if (spare_of(pool, victim, keep) != SPARE_NONE)
	{
		pool_slot_close(victim, &pool_shmem_slots[victim->idle_tail],
						POOL_CLOSE_EVICTED, false);
		victim->prewarm = 0;
	}
	LWLockRelease(&victim->lock);
	pool_wake_worker(victim);
}
