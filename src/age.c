/*
 * age.c
 *		How old a connection is, by max_lifetime, and its replacement.
 *
 * In the last part of its life a connection is DUE: usable, while the janitor
 * asks for another one (Pool.renewals).  When that has come the oldest goes.  One
 * that is OVER goes to nobody.  All here needs the pool's lock.
 */
#include "postgres.h"

#include "age.h"
#include "compat.h"
#include "slot.h"

/* The longest time for replacing a connection that grows old. */
#define RENEWAL_US INT64CONST(30000000)

/*
 * How old is it?  A tenth of its lifetime, and at most RENEWAL_US, before the
 * end is for replacing it while it is still usable.  Needs the lock.
 */
PoolAge
pool_age_of(const Pool *pool, const PoolSlot *slot, int64 now)
{
	const PoolOptions *options = &pool->options;
	int64 lifetime = INT64CONST(1000) * options->max_lifetime;
	int64 left;

	if (lifetime == 0)
		return POOL_AGE_GOOD;
	left = slot->opened + lifetime - now -
		   (int64) (lifetime * slot->jitter * options->lifetime_jitter / 100);
	if (left <= 0)
		return POOL_AGE_OVER;
	return left <= Min(lifetime / 10, RENEWAL_US) ? POOL_AGE_DUE : POOL_AGE_GOOD;
}

/*
 * Is it an open connection of that pool which is to be replaced, and is not on
 * its way out yet?  Needs the lock.
 */
bool
pool_age_is_due(const Pool *pool, const PoolSlot *slot, int64 now)
{
	return slot->pool == pool_index(pool) && slot->opened != 0 &&
		   slot->doom == POOL_CLOSE_NONE &&
		   pool_age_of(pool, slot, now) != POOL_AGE_GOOD;
}

/*
 * Closes one that is DUE or OVER, and has as many opened again.  Needs the
 * lock; wake the worker after releasing it.
 */
void
pool_age_expire(Pool *pool, PoolSlot *slot)
{
	pool->prewarm = Max(pool->prewarm, pool_live_slots(pool));
	pool_slot_close(pool, slot, POOL_CLOSE_MAX_LIFETIME, false);
}

/*
 * A new connection has come: the oldest of those that are due goes, as soon as
 * nobody uses it.  Needs the lock.
 */
void
pool_age_renewed(Pool *pool)
{
	int64 now = pool_clock_us();
	PoolSlot *oldest = NULL;

	if (pool->renewals == 0)
		return;
	pool->renewals--;
	for (int i = 0; i < pool_shared->nslots; i++)
	{
		PoolSlot *slot = &pool_slots[i];

		if (pool_age_is_due(pool, slot, now) &&
			(oldest == NULL || slot->opened < oldest->opened))
			oldest = slot;
	}
	if (oldest != NULL && oldest->state == POOL_SLOT_IDLE)
		pool_slot_close(pool, oldest, POOL_CLOSE_MAX_LIFETIME, false);
	else if (oldest != NULL)
		pool_slot_doom(oldest, POOL_CLOSE_MAX_LIFETIME);
}
