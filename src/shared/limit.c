/*
 * limit.c
 *		What keeps a pool from one more connection: limits over several pools.
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
#include "shared/shmem.h"

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

/* How many places the limit has for the pools it is common to; 0: no limit. */
static int
places_of(PoolLimit limit, const Pool *pool)
{
	switch (limit)
	{
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

/* Does a pool that has less than its share want a place of this limit? */
static bool
is_wanted_below(PoolLimit limit, const Pool *pool, int share)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		const Pool *other = &pool_shmem_pools[i];

		if (other != pool && other->limited_by == limit &&
			pool_limit_covers(limit, pool, other) &&
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
