/*
 * registry.c
 *		Which pools exist.
 *
 * A pool is made by the first session that asks for its (database, server,
 * user mapping), and stays, with its counters, until its place is needed for
 * another one and it has neither connections nor waiters.
 *
 * A Pool pointer is only a place in shared memory: whoever keeps one keeps
 * Pool.id too, and compares it under the pool's lock.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/hedge.h"
#include "shared/limit.h"
#include "shared/queue.h"
#include "shared/registry.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"

/*
 * The place of the pool with that key, or NULL.  A dropped one is nobody's: its
 * rows may be there again (after ROLLBACK TO) while its connections are being
 * closed.  Needs the registry's lock, and a look at the result under the pool's,
 * which may have been dropped just now.
 */
static Pool *
lookup(const PoolKey *key)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		if (pool_shmem_pools[i].id != 0 && !pool_shmem_pools[i].dropped &&
			pool_target_key_equal(&pool_shmem_pools[i].key, key))
			return &pool_shmem_pools[i];
	}
	return NULL;
}

/* Empties a place.  Needs both locks. */
static void
empty_place(Pool *pool)
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
			empty_place(pool);
		LWLockRelease(&pool->lock);
		if (unused)
			return pool;
	}
	return NULL;
}

/* The pool of that key, or NULL; *id is its identity. */
static Pool *
find(const PoolKey *key, uint64 *id)
{
	Pool *pool;

	LWLockAcquire(&pool_shmem->registry_lock, LW_SHARED);
	pool = lookup(key);
	*id = pool ? pool->id : 0;
	LWLockRelease(&pool_shmem->registry_lock);
	return pool;
}

/*
 * The pool of the target; *id is its identity.  If there is none it is made, and
 * *made is true: see pool_locate_look_up() for what is to be done
 * then.  Takes locks.  Raises 53400 when there is no place for one more, or none
 * for its role.
 */
Pool *
pool_registry_get(const PoolTarget *target, uint64 *id, bool *made)
{
	Pool *pool = find(&target->key, id);
	Oid role = target->stamp.limited_role;
	bool role_full = false;

	*made = false;
	if (pool != NULL)
		return pool;

	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	pool = lookup(&target->key);
	if (pool == NULL && (pool = find_place(role, &role_full)) != NULL)
	{
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		pool->id = ++pool_shmem->last_pool_id;
		pool_hedge_init(pool);
		pool->key = target->key;
		pool->mapping_user = target->mapping_user;
		pool->limited_role = role;
		pool->encoding = GetDatabaseEncoding();
		pool->server_name = target->server_name;
		pool->user_name = target->user_name;
		pool->database_name = target->database_name;
		pool->options = target->options;
		pool->confirmed = pool_clock_us();
		pool->stats_reset = GetCurrentTimestamp();
		pool_autoscale_begin(pool);
		LWLockRelease(&pool->lock);
		*made = true;
	}
	*id = pool ? pool->id : 0;
	LWLockRelease(&pool_shmem->registry_lock);

	if (pool == NULL && role_full)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another pool of role \"%s\"",
						GetUserNameFromId(role, false)),
				 errdetail("All %d pools that pool.max_role_pools allows the role "
						   "have connections or waiting sessions, "
						   "or were paused or resized.",
						   pool_limit_role_pools()),
				 errhint("Lower min_size where it is set, "
						 "or raise pool.max_role_pools.")));
	if (pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another pool"),
				 errdetail("All %d pools have connections or waiting sessions, "
						   "or were paused or resized.",
						   pool_shmem->npools),
				 errhint("Use pool_resume() for pools that need not stay paused, "
						 "or raise pool.max_pools and restart the server.")));
	return pool;
}

/* Is it a pool of the object that was dropped?  Needs the pool's lock. */
static bool
belongs_to(const Pool *pool, Oid catalog, Oid object)
{
	const PoolKey *key = &pool->key;

	POOL_ASSERT_LOCKED_SHARED(pool);
	if (pool->id == 0)
		return false;
	if (catalog == DatabaseRelationId)
		return key->database == object;
	if (key->database != MyDatabaseId)
		return false;
	return catalog == ForeignServerRelationId ? key->server == object
											  : key->mapping == object;
}

/* Nobody can lease from it again.  Needs the pool's lock. */
static void
drop_locked(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->dropped = true;
	pool->configured = false;
	pool->prewarm = 0;
	pool_slot_retire_all(pool, POOL_CLOSE_DROPPED);
}

/* Tells those concerned that the pool was dropped; without the lock. */
static void
tell_of_drop(Pool *pool)
{
	pool_queue_tell(pool, POOL_VERDICT_RETRY);
	pool_wake_worker(pool);
}

/*
 * A server, user mapping or database was dropped: closes its pools.  Leases
 * that are under way finish; sessions that wait look again and get the error
 * that the server or mapping does not exist.  "catalog" is the one that the
 * object was in.  Takes the pools' locks, one after the other.  Raises nothing.
 */
void
pool_registry_drop(Oid catalog, Oid object)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];
		bool found;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = belongs_to(pool, catalog, object);
		if (found)
			drop_locked(pool);
		LWLockRelease(&pool->lock);
		if (found)
			tell_of_drop(pool);
	}
}

/*
 * The pool of that key is the only one that its mapping can have by now: closes
 * the other one, whose key differs in needs_password.  Takes its lock.
 */
void
pool_registry_drop_twin(const PoolKey *key)
{
	PoolKey twin = *key;
	uint64 id;
	Pool *pool;

	twin.needs_password = !key->needs_password;
	pool = find(&twin, &id);
	if (pool != NULL)
		pool_registry_discard(pool, id);
}

/*
 * The catalogs had the rows of the pool of that id at that time, of
 * pool_clock_us().  Takes its lock.
 */
void
pool_registry_confirm(Pool *pool, uint64 id, int64 when)
{
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->id == id)
		pool->confirmed = Max(pool->confirmed, when);
	LWLockRelease(&pool->lock);
}

/*
 * Closes the pool of that id, if it is still there, as pool_registry_drop()
 * does.  Who has use for it makes another one.  Takes its lock.  Raises nothing.
 */
void
pool_registry_discard(Pool *pool, uint64 id)
{
	bool found;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	found = pool->id == id && !pool->dropped;
	if (found)
		drop_locked(pool);
	LWLockRelease(&pool->lock);
	if (found)
		tell_of_drop(pool);
}

/*
 * Gives up the place of a dropped pool when nothing is left of it.  Returns
 * whether the pool is a dropped one, still there or not.  Takes both locks.
 */
bool
pool_registry_clear(Pool *pool)
{
	bool dropped;

	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	dropped = pool->dropped;
	if (dropped)
		pool->limited_by = POOL_LIMIT_NONE; /* it wants no place any more */
	if (dropped && pool_slot_count_all(pool) == 0 && pool->nwaiting == 0)
		empty_place(pool);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	return dropped;
}
