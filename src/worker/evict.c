/*
 * evict.c
 *		Limits over several pools, and evicting when they are reached.
 *
 * max_server_size bounds the pools of a server together, pool.max_connections
 * all pools.  One pool is locked after the other, never two; what was decided on
 * may have changed by then, so it is looked at again under the victim's lock.
 * The victim may be another worker's: it is only made CLOSING here.
 */
#include "postgres.h"

#include "base/clock.h"
#include "options/target.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/evict.h"
#include "worker/loop.h"

/* How often to look for a connection that another pool can spare. */
#define RETRY_US (100 * POOL_CLOCK_US_PER_MS)

/* How long a closing connection may take before another one is evicted. */
#define CLOSING_US (500 * POOL_CLOCK_US_PER_MS)

static bool
same_server(const PoolKey *a, const PoolKey *b)
{
	return a->database == b->database && a->server == b->server;
}

/*
 * Returns whether the pool's server has, over all its pools, as many connections
 * as max_server_size lets it have.  Needs the registry's lock, under which slots
 * come to pools and leave them, and the pool's.
 */
bool
pool_evict_server_at_limit(const Pool *pool)
{
	int limit = pool->options.max_server_size;
	int n = 0;

	POOL_ASSERT_REGISTRY_LOCKED();
	POOL_ASSERT_LOCKED_SHARED(pool);

	for (int i = 0; limit > 0 && i < pool_shmem->nslots; i++)
	{
		const PoolSlot *slot = &pool_shmem_slots[i];

		if (slot->pool != POOL_NONE &&
			same_server(&pool_shmem_pools[slot->pool].key, &pool->key))
			n++;
	}
	return limit > 0 && n >= limit;
}

/*
 * Can the other pool spare a connection for this one?  Returns the time at which
 * the lease of the one that was not used for the longest time ended,
 * PG_INT64_MAX if it can spare none.  One of another server's pools is of use
 * only if what is missing is a free slot.
 */
static int64
oldest_surplus(const Pool *pool, Pool *other)
{
	int64 since = PG_INT64_MAX;
	bool own_server;

	LWLockAcquire(&other->lock, LW_SHARED);
	own_server = same_server(&other->key, &pool->key);
	if (other->id != 0 && other != pool && other->idle_tail != POOL_NONE &&
		(own_server || pool->options.max_server_size == 0 ||
		 pool_shmem->free_head == POOL_NONE) &&
		pool_slot_count_live(other) > other->options.min_size)
		since = pool_shmem_slots[other->idle_tail].returned;
	LWLockRelease(&other->lock);
	return since;
}

/*
 * Is a connection being closed, whose place will be free soon?  One that takes
 * longer does not count: its remote may not be responding.  No lock is held,
 * since only the time of the next eviction depends on it.
 */
static bool
is_closing_one(void)
{
	int64 now = pool_clock_us();

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		if (pool_shmem_slots[i].state == POOL_SLOT_CLOSING &&
			now - pool_shmem_slots[i].since < CLOSING_US)
			return true;
	}
	return false;
}

/*
 * Evicts one connection, because there is no place for one that a session of
 * the pool waits for: of all that other pools can spare, the one that was not
 * used for the longest time.  It is to be called again as long as that is so;
 * for that it has the worker woken.
 */
void
pool_evict_idle_for(Pool *pool)
{
	Pool *victim = NULL;
	int64 oldest = PG_INT64_MAX;

	pool_loop_wake_at(pool_clock_us() + RETRY_US);
	if (is_closing_one())
		return;
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		int64 since = oldest_surplus(pool, &pool_shmem_pools[i]);

		if (since < oldest)
		{
			oldest = since;
			victim = &pool_shmem_pools[i];
		}
	}
	if (victim == NULL)
		return;
	LWLockAcquire(&victim->lock, LW_EXCLUSIVE);
	if (victim->idle_tail != POOL_NONE &&
		pool_slot_count_live(victim) > victim->options.min_size)
	{
		pool_slot_close(victim, &pool_shmem_slots[victim->idle_tail],
						POOL_CLOSE_EVICTED, false);
		victim->prewarm = 0;
	}
	LWLockRelease(&victim->lock);
	pool_wake_worker(victim);
}
