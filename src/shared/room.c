/*
 * room.c
 *		Where a pool can be made, and what goes for it.
 *
 * A pool takes an empty place, or that of one that has neither connections nor
 * waiters.  Servers are few, and made by who may create them; connection strings can
 * be as many as anybody writes, and most are used for a while and never again.  So
 * their pools are bounded by pool_dblink.max_pools, and where a new pool finds no
 * room, of a string or of a server, the one of a string that was not used for the
 * longest time goes for it, with its idle connections.
 *
 * All of it is under the registry's lock, and takes the pools' after it, one at a
 * time.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/guc.h"
#include "shared/breaker.h"
#include "shared/limit.h"
#include "shared/room.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

/* In that time who has made a pool has told the worker how to connect. */
#define CONFIGURE_US (2 * POOL_CLOCK_US_PER_S)

/* Empties a place.  Needs both locks. */
void
pool_room_empty(Pool *pool)
{
	POOL_ASSERT_REGISTRY_LOCKED();
	POOL_ASSERT_LOCKED(pool);
	pool->id = 0;
	memset(&pool->key, 0, sizeof(pool->key));
	pool->limited_role = InvalidOid;
	pool->configured = pool->dropped = pool->resized = false;
	pool->pause = POOL_PAUSE_NONE;
	memset(&pool->stamp, 0, sizeof(pool->stamp));
	memset(&pool->options, 0, sizeof(pool->options));
	pg_atomic_write_u32(&pool->statements_lost, 0);
	memset(&pool->last_error, 0, sizeof(pool->last_error));
	pool->limit = 0;
	pool->nremote_closed = pool->nleaked = pool->check_failures = 0;
	pool->leased_at_reset = pool->open_at_reset = 0;
	pool->peak_active = 0;
	pool->busy_us = 0;
	pool->prewarm = pool->renewals = 0;
	pool->demand_now = pool->demand_before = 0;
	pool->demand_since = 0;
	pool->asked_at = pool->last_attempt = pool->refill_at = 0;
	pool->limited_by = POOL_LIMIT_NONE;
	pool_breaker_reset(pool);
	pool->breaker_opened_at = 0;
	pool_stats_zero(&pool->stats);
}

/* Has the role as many pools as it may?  Needs the registry's lock. */
static bool
is_role_full(Oid role)
{
	int limit = pool_limit_role_pools();
	int n = 0;

	POOL_ASSERT_REGISTRY_LOCKED();
	if (!OidIsValid(role) || limit == 0)
		return false;
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		if (pool_shmem_pools[i].id != 0 &&
			pool_shmem_pools[i].limited_role == role)
			n++;
	}
	return n >= limit;
}

/*
 * Can the pool go for another one?  What an administrator has set would go with
 * it, and for a pool that is made again nobody would set it again.  Needs the
 * pool's lock.
 */
static bool
is_dispensable(const Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	return pool_slot_count_all(pool) == 0 && pool->nwaiting == 0 &&
		   (pool->dropped || (pool->pause == POOL_PAUSE_NONE && !pool->resized));
}

/*
 * A place that is empty, or whose pool can go; if the role has as many pools as
 * it may, *role_full, one of its own.  Needs the registry's lock.
 */
static Pool *
find_place(Oid role, bool *role_full)
{
	POOL_ASSERT_REGISTRY_LOCKED();
	*role_full = is_role_full(role);
	for (int i = 0; i < pool_shmem->npools && !*role_full; i++)
	{
		if (pool_shmem_pools[i].id == 0)
			return &pool_shmem_pools[i];
	}
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];
		bool unused;

		if (*role_full && pool->limited_role != role)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		unused = is_dispensable(pool);
		if (unused)
			pool_room_empty(pool);
		LWLockRelease(&pool->lock);
		if (unused)
			return pool;
	}
	return NULL;
}

/* Is it a pool of a string, and not dropped?  Needs the registry's lock. */
static bool
is_of_string(const Pool *pool)
{
	return pool->id != 0 && !pool->dropped && pool_target_is_string(&pool->key);
}

/* Are there as many as there may be?  Needs the registry's lock. */
static bool
strings_full(void)
{
	int n = 0;

	POOL_ASSERT_REGISTRY_LOCKED();
	for (int i = 0; i < pool_shmem->npools; i++)
		n += is_of_string(&pool_shmem_pools[i]) ? 1 : 0;
	return n >= pool_guc_dblink_max_pools;
}

/*
 * The place for a pool of the target, or NULL and what is in its way.  Needs the
 * registry's lock.
 */
Pool *
pool_room_find(const PoolTarget *target, PoolObstacle *obstacle)
{
	bool role_full;
	Pool *pool;

	*obstacle = POOL_OBSTACLE_STRINGS;
	if (pool_target_is_string(&target->key) && strings_full())
		return NULL;
	pool = find_place(target->stamp.limited_role, &role_full);
	*obstacle = role_full ? POOL_OBSTACLE_ROLE : POOL_OBSTACLE_PLACES;
	return pool;
}

/*
 * Is it a string's that nobody uses?  Who has just made one, and tells the worker how to
 * connect, is about to.  Needs the pool's lock and the registry's.
 */
bool
pool_room_string_unused(const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return is_of_string(pool) && pool->nslots[POOL_SLOT_LEASED] == 0 &&
		   pool->nwaiting == 0 &&
		   (pool->configured ||
			pool->confirmed + CONFIGURE_US < pool_clock_us());
}

/*
 * Of the pools of strings that nobody uses, the one that was not used for the longest
 * time; NULL: there is none.  With a role: of those that count as the role's.  Needs the
 * registry's lock; takes the pools', so what it says can have changed.
 */
Pool *
pool_room_oldest_string(Oid role)
{
	Pool *oldest = NULL;
	int64 oldest_used = PG_INT64_MAX;

	POOL_ASSERT_REGISTRY_LOCKED();
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		if (OidIsValid(role) && pool->limited_role != role)
			continue;
		LWLockAcquire(&pool->lock, LW_SHARED);
		if (pool_room_string_unused(pool) && pool->confirmed < oldest_used)
		{
			oldest = pool;
			oldest_used = pool->confirmed;
		}
		LWLockRelease(&pool->lock);
	}
	return oldest;
}

/* Raises 53400: there is no room for a pool of that role. */
void
pool_room_raise(PoolObstacle obstacle, Oid role)
{
	if (obstacle == POOL_OBSTACLE_STRINGS)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another pool of a connection string"),
				 errdetail("All %d pools that pool_dblink.max_pools allows have "
						   "leased connections or waiting sessions.",
						   pool_guc_dblink_max_pools),
				 errhint("Disconnect what is not needed, "
						 "or raise pool_dblink.max_pools.")));
	if (obstacle == POOL_OBSTACLE_ROLE)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another pool of role \"%s\"",
						GetUserNameFromId(role, false)),
				 errdetail("All %d pools that pool.max_role_pools allows the role "
						   "have connections or waiting sessions, "
						   "or were paused or resized.",
						   pool_limit_role_pools()),
				 errhint("Set min_size to 0 and a shorter idle_timeout, close idle "
						 "connections with pool_reconnect(), or raise "
						 "pool.max_role_pools.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no room for another pool"),
			 errdetail("All %d pools have connections or waiting sessions, "
					   "or were paused or resized.",
					   pool_shmem->npools),
			 errhint("Set min_size to 0 and a shorter idle_timeout, close idle "
					 "connections with pool_reconnect(), use pool_resume() for "
					 "pools that need not stay paused, or raise pool.max_pools "
					 "and restart the server.")));
}
