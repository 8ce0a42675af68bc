/*
 * limit.c
 *		What keeps a pool from one more connection.
 *
 * A pool's own size is Pool.limit.  Beyond that a limit is common to several
 * pools: max_server_size to those of a server, pool.max_role_connections to those
 * that count as a role's, pool.max_connections to all.
 *
 * Pools that share a limit have a fair share of it: its places, divided by the
 * pools that have one or want one.  A place that is free goes first to those that
 * have less than their share; and from a pool that has more than its share even
 * what min_size keeps can be evicted for a session that waits in one that has
 * less (worker/evict.c).  Nobody falls below the share by that, or rises above
 * it, so two pools do not go on taking places from each other.
 *
 * Places come to pools and leave them under the registry's lock, so under it
 * they can be counted without any other.
 */
#include "postgres.h"

#include "base/guc.h"
#include "shared/limit.h"
#include "shared/pool.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"

/* The name that views and messages use; NULL for none. */
const char *
pool_limit_name(PoolLimit limit)
{
	switch (limit)
	{
		case POOL_LIMIT_SIZE:
			return "max_size";
		case POOL_LIMIT_AUTOSCALE:
			return "autoscale";
		case POOL_LIMIT_SERVER:
			return "max_server_size";
		case POOL_LIMIT_ROLE:
			return "pool.max_role_connections";
		case POOL_LIMIT_ALL:
			return "pool.max_connections";
		case POOL_LIMIT_NONE:
			break;
	}
	return NULL;
}

/* Half of "all" in the place of -1. */
static int
half_by_default(int setting, int all)
{
	return setting < 0 ? (all + 1) / 2 : setting;
}

/* How many pools may count as one role's; 0: no limit. */
int
pool_limit_role_pools(void)
{
	return half_by_default(pool_guc_max_role_pools, pool_shmem->npools);
}

/*
 * How many places the limit has for the pools it is common to; 0: no limit.  Needs
 * the pool's lock.
 */
static int
places_of(PoolLimit limit, const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	switch (limit)
	{
		case POOL_LIMIT_SIZE:
		case POOL_LIMIT_AUTOSCALE:
			return pool->limit;
		case POOL_LIMIT_SERVER:
			return pool->options.max_server_size;
		case POOL_LIMIT_ROLE:
			return OidIsValid(pool->limited_role)
					   ? half_by_default(pool_guc_max_role_connections,
										 pool_shmem->nslots)
					   : 0;
		case POOL_LIMIT_ALL:
			return pool_shmem->nslots;
		case POOL_LIMIT_NONE:
			break;
	}
	return 0;
}

/*
 * Is the limit of the one pool common to it and the other one?  Needs the
 * registry's lock, or the lock of the other and one that keeps the pool.
 */
bool
pool_limit_covers(PoolLimit limit, const Pool *pool, const Pool *other)
{
	if (other->id == 0)
		return false;
	switch (limit)
	{
		case POOL_LIMIT_SIZE:
		case POOL_LIMIT_AUTOSCALE:
			return other == pool;
		case POOL_LIMIT_SERVER:
			return other->key.database == pool->key.database &&
				   other->key.server == pool->key.server;
		case POOL_LIMIT_ROLE:
			return other->limited_role == pool->limited_role;
		case POOL_LIMIT_ALL:
			return true;
		case POOL_LIMIT_NONE:
			break;
	}
	return false;
}

/*
 * How many of the limit's places the pool has.  A lease that the remote has
 * closed is a slot in use, but no session of the server; of other pools than the
 * one that is locked, their number may just be changing, and who changes it has
 * the workers look again.  Needs the registry's lock or the pool's.
 */
int
pool_limit_taken(PoolLimit limit, const Pool *pool)
{
	return pool->nplaces -
		   (limit == POOL_LIMIT_SERVER ? pool->nremote_closed : 0);
}

/*
 * Does a pool that has less than its share want a place of this limit?  One that
 * still has another value of max_server_size cannot take a place by it, until a
 * session of its own has told the worker the new options.
 */
static bool
is_wanted_below(PoolLimit limit, const Pool *pool, int share)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		const Pool *other = &pool_shmem_pools[i];

		if (other != pool && other->limited_by == limit &&
			pool_limit_covers(limit, pool, other) &&
			(limit != POOL_LIMIT_SERVER ||
			 other->options.max_server_size == pool->options.max_server_size) &&
			pool_limit_taken(limit, other) < share)
			return true;
	}
	return false;
}

/* Does the limit keep the pool from one more place?  *keep as below. */
static bool
is_reached(PoolLimit limit, const Pool *pool, int *keep)
{
	int places = places_of(limit, pool);
	int taken = 0;
	int sharers = 0;
	int share;

	if (places == 0)
		return false;
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		const Pool *other = &pool_shmem_pools[i];
		int n;

		if (!pool_limit_covers(limit, pool, other))
			continue;
		n = pool_limit_taken(limit, other);
		taken += n;
		if (n > 0 || other == pool || other->limited_by == limit)
			sharers++;
	}
	share = Max(places / Max(sharers, 1), 1);
	*keep = PG_INT32_MAX;
	if (pool_limit_taken(limit, pool) >= share)
		return taken >= places || is_wanted_below(limit, pool, share);
	*keep = share;
	return taken >= places;
}

/*
 * Returns which of the limits over several pools keeps the pool from one more
 * place.  *keep: so many places other pools may keep; what they have beyond can
 * be evicted for this one.  Needs both locks.
 */
PoolLimit
pool_limit_find(const Pool *pool, int *keep)
{
	static const PoolLimit limits[] = {POOL_LIMIT_SERVER, POOL_LIMIT_ROLE,
									   POOL_LIMIT_ALL};

	POOL_ASSERT_REGISTRY_LOCKED();
	POOL_ASSERT_LOCKED_SHARED(pool);

	for (size_t i = 0; i < lengthof(limits); i++)
	{
		if (is_reached(limits[i], pool, keep))
			return limits[i];
	}
	return POOL_LIMIT_NONE;
}

/*
 * Returns what keeps sessions that wait from a new connection.  The pool's own
 * size does only while as many as it allows are leased, or rest between two leases
 * of one session (tenure.c).
 * Needs the lock, or a copy that was made under it.
 */
PoolLimit
pool_limit_of(const Pool *pool)
{
	if (pool->limited_by != POOL_LIMIT_NONE)
		return pool->limited_by;
	if (pool->nwaiting == 0 || pool->pause != POOL_PAUSE_NONE ||
		pool->nslots[POOL_SLOT_LEASED] + pool->nslots[POOL_SLOT_IDLE] -
				pool->nremote_closed <
			pool->limit)
		return POOL_LIMIT_NONE;
	return pool->limit < pool->options.max_size ? POOL_LIMIT_AUTOSCALE
												: POOL_LIMIT_SIZE;
}

/* How many leases this session has in pools that share the limit. */
static int
count_own(PoolLimit limit, const Pool *pool)
{
	uint64 me = pool_self()->serial;
	int n = 0;

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		const PoolSlot *slot = &pool_shmem_slots[i];

		/* Nobody else makes a slot this session's. */
		if (slot->owner.serial == me && slot->pool != POOL_NONE &&
			pool_limit_covers(limit, pool, &pool_shmem_pools[slot->pool]))
			n++;
	}
	return n;
}

/* Reads who has the limit's places.  Takes locks. */
void
pool_limit_read(PoolLimit limit, Pool *pool, PoolLimitFigures *figures)
{
	memset(figures, 0, sizeof(*figures));
	LWLockAcquire(&pool_shmem->registry_lock, LW_SHARED);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *other = &pool_shmem_pools[i];

		if (!pool_limit_covers(limit, pool, other))
			continue;
		LWLockAcquire(&other->lock, LW_SHARED);
		if (other == pool)
			figures->places = places_of(limit, pool);
		figures->taken += pool_limit_taken(limit, other);
		figures->leased += other->nslots[POOL_SLOT_LEASED];
		LWLockRelease(&other->lock);
	}
	figures->own = count_own(limit, pool);
	LWLockRelease(&pool_shmem->registry_lock);
}
