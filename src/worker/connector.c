/*
 * connector.c
 *		Which connections are to be opened, in the worker.
 *
 * A session that finds no idle connection joins the queue and wakes the
 * worker.  In each round the worker looks at each pool
 * (pool_connector_open_missing) and begins as many attempts (attempt.c) as there
 * are waiters that no connection is coming for, and as min_size, prewarming and
 * the age of connections ask for.  Limits, and the time of the next attempt
 * after one that failed (shared/backoff.c), hold them back.
 */
#include "postgres.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/breaker.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/wake.h"
#include "worker/attempt.h"
#include "worker/config.h"
#include "worker/connector.h"
#include "worker/evict.h"
#include "worker/loop.h"

/* For how long a connection that is checked or reset is counted on. */
#define PROMPT_US (200 * POOL_CLOCK_US_PER_MS)

/*
 * Is that slot to come free by itself soon?  A check or reset takes no time, if
 * the remote is well.  Needs the pool's lock.
 */
static bool
is_coming(const Pool *pool, const PoolSlot *slot)
{
	int64 overdue = slot->since + PROMPT_US;

	if (slot->pool != pool_index(pool) ||
		(slot->state != POOL_SLOT_CHECKING && slot->state != POOL_SLOT_RETURNED &&
		 slot->state != POOL_SLOT_RESETTING) ||
		pool_clock_us() >= overdue)
		return false;
	pool_loop_wake_at(overdue);
	return true;
}

/* How many waiters no connection is coming for.  Needs the pool's lock. */
static int
count_unserved(const Pool *pool)
{
	int unserved = pool->nwaiting - pool->nslots[POOL_SLOT_CONNECTING];

	POOL_ASSERT_LOCKED_SHARED(pool);
	if (pool_slot_count_open(pool) == pool->nslots[POOL_SLOT_LEASED])
		return unserved;
	for (int i = 0; i < pool_shmem->nslots && unserved > 0; i++)
		unserved -= is_coming(pool, &pool_shmem_slots[i]) ? 1 : 0;
	return unserved;
}

/* How many more connections the pool needs now.  Needs its lock. */
static int
missing_connections(const Pool *pool)
{
	const PoolOptions *options = &pool->options;
	int connecting = pool->nslots[POOL_SLOT_CONNECTING];
	int wanted = Max(options->min_size, pool->prewarm) -
				 pool_slot_count_live(pool) - connecting;
	int parallel = pool->failures > 0 || pool->breaker != POOL_BREAKER_CLOSED
					   ? 1
					   : options->connect_parallel;

	POOL_ASSERT_LOCKED_SHARED(pool);

	if (!pool->configured || pool->pause != POOL_PAUSE_NONE)
		return 0;
	wanted = Max(wanted, pool->renewals - connecting);
	wanted = Max(wanted, count_unserved(pool));
	wanted = Min(wanted, pool->limit - pool_slot_count_limited(pool));
	return Min(wanted, parallel - connecting);
}

/*
 * Claims a slot for one more connection, if one is needed and may be tried now.
 * *full: there is no place for it.
 */
static PoolSlot *
claim_if_missing(Pool *pool, bool *full)
{
	PoolSlot *slot = NULL;

	*full = false;
	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->id != 0 && missing_connections(pool) > 0)
	{
		if (pool_clock_us() >= pool->next_attempt)
		{
			slot =
				pool_evict_server_at_limit(pool) ? NULL : pool_slot_claim(pool);
			*full = slot == NULL;
			if (slot != NULL)
				pool_breaker_try(pool);
			else
				pool_wake_mark_starved(pool);
		}
		else
			pool_loop_wake_at(pool->next_attempt);
	}
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	return slot;
}

/*
 * Begins to open the connections that the pool lacks, as many as may be tried
 * now.  Called for each pool in each round.
 */
void
pool_connector_open_missing(Pool *pool)
{
	PoolSlot *slot;
	bool missing;
	bool full = false;

	LWLockAcquire(&pool->lock, LW_SHARED);
	missing = pool->id != 0 && pool_config_of(pool, pool->id) != NULL &&
			  missing_connections(pool) > 0;
	LWLockRelease(&pool->lock);
	while (missing && (slot = claim_if_missing(pool, &full)) != NULL)
		pool_attempt_begin(pool, slot);
	if (missing && full && pool->nwaiting > 0)
		pool_evict_idle_for(pool);
}
