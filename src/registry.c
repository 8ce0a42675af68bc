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

#include "compat.h"
#include "registry.h"
#include "slot.h"

static bool
key_equal(const PoolKey *a, const PoolKey *b)
{
	return a->database == b->database && a->server == b->server &&
		   a->mapping == b->mapping && a->needs_password == b->needs_password;
}

/* Needs the registry's lock or a look at the result under the pool's. */
static Pool *
lookup(const PoolKey *key)
{
	for (int i = 0; i < pool_shared->npools; i++)
	{
		if (pool_pools[i].id != 0 && key_equal(&pool_pools[i].key, key))
			return &pool_pools[i];
	}
	return NULL;
}

/* Empties a place.  Needs both locks. */
static void
reset_entry(Pool *pool)
{
	pool->id = 0;
	memset(&pool->key, 0, sizeof(pool->key));
	pool->configured = false;
	memset(&pool->stamp, 0, sizeof(pool->stamp));
	memset(&pool->options, 0, sizeof(pool->options));
	memset(&pool->last_error, 0, sizeof(pool->last_error));
	pool->peak_active = 0;
	pool->prewarm = 0;
	pool->failures = 0;
	pool->next_attempt = 0;
	pool_stats_zero(&pool->stats);
}

/* A place that is empty, or whose pool can go.  Needs the registry's lock. */
static Pool *
find_room(void)
{
	for (int i = 0; i < pool_shared->npools; i++)
	{
		if (pool_pools[i].id == 0)
			return &pool_pools[i];
	}
	for (int i = 0; i < pool_shared->npools; i++)
	{
		Pool *pool = &pool_pools[i];
		bool unused;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		unused = pool_taken_slots(pool) == 0 && pool->nwaiting == 0;
		if (unused)
			reset_entry(pool);
		LWLockRelease(&pool->lock);
		if (unused)
			return pool;
	}
	return NULL;
}

/* The pool of that key, or NULL. */
Pool *
pool_registry_find(const PoolKey *key, uint64 *id)
{
	Pool *pool;

	LWLockAcquire(&pool_shared->registry_lock, LW_SHARED);
	pool = lookup(key);
	*id = pool ? pool->id : 0;
	LWLockRelease(&pool_shared->registry_lock);
	return pool;
}

/*
 * The pool of the target, made if need be.  Raises 53400 when there is no
 * room for one more.
 */
Pool *
pool_registry_get(const PoolTarget *target, uint64 *id)
{
	Pool *pool = pool_registry_find(&target->key, id);

	if (pool != NULL)
		return pool;

	LWLockAcquire(&pool_shared->registry_lock, LW_EXCLUSIVE);
	pool = lookup(&target->key);
	if (pool == NULL && (pool = find_room()) != NULL)
	{
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		pool->id = ++pool_shared->last_pool_id;
		pool->key = target->key;
		pool->mapping_user = target->mapping_user;
		pool->server_name = target->server_name;
		pool->options = target->options;
		LWLockRelease(&pool->lock);
	}
	*id = pool ? pool->id : 0;
	LWLockRelease(&pool_shared->registry_lock);

	if (pool == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("no room for another pool"),
				 errdetail("All %d pools have connections or waiting sessions.",
						   pool_shared->npools),
				 errhint("Raise pool.max_pools and restart the server.")));
	return pool;
}
