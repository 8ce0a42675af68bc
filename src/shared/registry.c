/*
 * registry.c
 *		Which pools exist.
 *
 * A pool is made by the first session that asks for its (database, server,
 * user mapping), or connection string, and stays, with its counters, until its place
 * is needed for another one and it has neither connections nor waiters; if it is a
 * connection string's, until nobody uses it (room.c).
 *
 * A Pool pointer is only a place in shared memory: whoever keeps one keeps
 * Pool.id too, and compares it under the pool's lock.
 */
#include "postgres.h"

#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/wait_event.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/hedge.h"
#include "shared/limit.h"
#include "shared/queue.h"
#include "shared/registry.h"
#include "shared/room.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"

/* How long to wait for the connections of a pool that makes room. */
#define CLOSE_TIMEOUT_MS 2000

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

/* Makes the target's pool in that place.  Needs the registry's lock. */
static void
make_pool(Pool *pool, const PoolTarget *target)
{
	POOL_ASSERT_REGISTRY_LOCKED();
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool->id = ++pool_shmem->last_pool_id;
	pool_hedge_init(pool);
	pool->key = target->key;
	pool->mapping_user = target->mapping_user;
	pool->limited_role = target->stamp.limited_role;
	pool->encoding = GetDatabaseEncoding();
	pool->server_name = target->server_name;
	pool->user_name = target->user_name;
	pool->database_name = target->database_name;
	pool->options = target->options;
	pool->confirmed = pool_clock_us();
	pool->stats_reset = GetCurrentTimestamp();
	pool_autoscale_begin(pool);
	LWLockRelease(&pool->lock);
}

/*
 * Drops the pool of a string that was not used for the longest time; with a role, of
 * those that count as the role's.  *place is where it is, if there is one, and the
 * result its id; 0: somebody uses it again.  Needs the registry's lock.
 */
static uint64
drop_oldest_string(Oid role, Pool **place)
{
	Pool *pool = pool_room_oldest_string(role);
	uint64 id = 0;

	if (pool == NULL)
		return 0;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool_room_string_unused(pool)) /* still */
	{
		id = pool->id;
		drop_locked(pool);
	}
	LWLockRelease(&pool->lock);
	*place = pool;
	return id;
}

/* Waits until the connections of a dropped pool are closed. */
static void
wait_until_closed(Pool *pool, uint64 id, int64 deadline)
{
	bool closed = false;

	ConditionVariablePrepareToSleep(&pool->changed);
	for (;;)
	{
		long left = pool_clock_left_ms(deadline);

		LWLockAcquire(&pool->lock, LW_SHARED);
		closed = pool->id != id || pool_slot_count_all(pool) == 0;
		LWLockRelease(&pool->lock);
		if (closed || left <= 0)
			break;
		ConditionVariableTimedSleep(&pool->changed, left,
									pool_wait_event(POOL_WAIT_ACQUIRE));
	}
	ConditionVariableCancelSleep();
	SetLatch(MyLatch); /* it may have been set for something else meanwhile */
}

/*
 * The pool of the target; *id is its identity.  If there is none it is made, and
 * *made is true: see pool_locate_look_up() for what is to be done then.  If there is
 * no room for it, a pool of a connection string that nobody uses goes.  Takes locks,
 * and waits, for a moment, for the connections of that.  Raises 53400 when there is
 * no place for one more pool, none for its role, or none for a connection string.
 */
Pool *
pool_registry_get(const PoolTarget *target, uint64 *id, bool *made)
{
	Pool *pool = find(&target->key, id);
	Oid role = target->stamp.limited_role;
	int64 deadline = pool_clock_after_ms(CLOSE_TIMEOUT_MS);

	*made = false;
	while (pool == NULL)
	{
		PoolObstacle obstacle;
		Pool *dropped = NULL;
		uint64 dropped_id = 0;

		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
		pool = lookup(&target->key);
		if (pool == NULL && (pool = pool_room_find(target, &obstacle)) != NULL)
		{
			make_pool(pool, target);
			*made = true;
		}
		else if (pool == NULL)
			dropped_id =
				drop_oldest_string(obstacle == POOL_OBSTACLE_ROLE ? role
																  : InvalidOid,
								   &dropped);
		*id = pool ? pool->id : 0;
		LWLockRelease(&pool_shmem->registry_lock);

		if (pool != NULL)
			break;
		if (dropped_id != 0)
			tell_of_drop(dropped);
		if (dropped == NULL || pool_clock_left_ms(deadline) <= 0)
			pool_room_raise(obstacle, role);
		if (dropped_id != 0 && obstacle != POOL_OBSTACLE_STRINGS)
			wait_until_closed(dropped, dropped_id, deadline);
	}
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
		pool_room_empty(pool);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	return dropped;
}
