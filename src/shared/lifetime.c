/*
 * lifetime.c
 *		How old a connection is, by max_lifetime, and its replacement.
 *
 * In the last part of its life a connection is DUE: usable, while the janitor
 * asks for another one (Pool.renewals).  When that has come the oldest goes.
 * One that is OVER is not leased again.  All here needs the pool's lock.
 */
#include "postgres.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/lifetime.h"
#include "shared/shmem.h"
#include "shared/stats.h"

/* The longest time for replacing a connection that grows old. */
#define RENEWAL_US (30 * POOL_CLOCK_US_PER_S)

/*
 * In which part of its life is it?  A tenth of its lifetime, and at most RENEWAL_US, before the
 * end is for replacing it while it is still usable.  Needs the lock.
 */
PoolLifetime
pool_lifetime_phase(const Pool *pool, const PoolSlot *slot, int64 now)
{
	const PoolOptions *options = &pool->options;
	int64 lifetime = pool_clock_from_ms(options->max_lifetime);
	int64 left;

	POOL_ASSERT_LOCKED_SHARED(pool);
	if (lifetime == 0)
		return POOL_LIFETIME_GOOD;
	left = slot->opened + lifetime - now -
		   (int64) (lifetime * slot->jitter * options->lifetime_jitter / 100);
	if (left <= 0)
		return POOL_LIFETIME_OVER;
	return left <= Min(lifetime / 10, RENEWAL_US) ? POOL_LIFETIME_DUE
												  : POOL_LIFETIME_GOOD;
}

/*
 * Is it an open connection of that pool which is to be replaced, and is not on
 * its way out yet?  Needs the lock.
 */
bool
pool_lifetime_is_due(const Pool *pool, const PoolSlot *slot, int64 now)
{
	return slot->pool == pool_index(pool) && slot->opened != 0 &&
		   slot->close_reason == POOL_CLOSE_NONE &&
		   pool_lifetime_phase(pool, slot, now) != POOL_LIFETIME_GOOD;
}

/*
 * Closes an idle connection, or one just released, that is DUE or OVER, and has
 * as many opened again.  Needs the lock; wake the worker after releasing it.
 */
void
pool_lifetime_close(Pool *pool, PoolSlot *slot)
{
	POOL_ASSERT_LOCKED(pool);
	pool->prewarm = Max(pool->prewarm, pool_slot_count_live(pool));
	pool_slot_close(pool, slot, POOL_CLOSE_MAX_LIFETIME, false);
}

/*
 * A new connection has come: the oldest of those that are due goes, as soon as
 * nobody uses it.  Needs the lock.
 */
void
pool_lifetime_renewed(Pool *pool)
{
	int64 now = pool_clock_us();
	PoolSlot *oldest = NULL;

	POOL_ASSERT_LOCKED(pool);
	if (pool->renewals == 0)
		return;
	pool->renewals--;
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		if (pool_lifetime_is_due(pool, slot, now) &&
			(oldest == NULL || slot->opened < oldest->opened))
			oldest = slot;
	}
	if (oldest != NULL && oldest->state == POOL_SLOT_IDLE)
		pool_slot_close(pool, oldest, POOL_CLOSE_MAX_LIFETIME, false);
	else if (oldest != NULL)
		pool_slot_retire(pool, oldest, POOL_CLOSE_MAX_LIFETIME);
}
