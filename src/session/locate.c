/*
 * locate.c
 *		From a server's name, or a connection string, to its pool.
 *
 * Resolves the name with the rights of the current user (a string has brought the
 * rights of who made it), finds the pool or makes it, and tells the worker how to
 * connect if it does not know these options yet.
 *
 * No lock is held while this session waits or raises an error.
 */
#include "postgres.h"

#include "storage/lwlock.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "options/conninfo.h"
#include "session/conn_cache.h"
#include "session/handover.h"
#include "session/locate.h"
#include "session/pending_drop.h"
#include "shared/registry.h"

/* How long the worker may take to note options; it takes no time, if it runs. */
#define CONFIGURE_TIMEOUT_MS 2000

/* The pool that this session asked for last; NULL: look it up. */
static struct
{
	PoolKey key;
	Pool *pool;
	uint64 pool_id;
} recent;

/* What the name or the string means now. */
static void
resolve(const PoolWanted *wanted, PoolTarget *target)
{
	if (wanted->string != NULL)
		pool_conn_string_target(wanted->string, target);
	else
		pool_target_resolve(wanted->server_name, target);
}

/* Does the worker know how to connect for this pool, by whichever options? */
static bool
is_configured(Pool *pool, uint64 pool_id)
{
	bool configured;

	LWLockAcquire(&pool->lock, LW_SHARED);
	configured = pool->id == pool_id && pool->configured;
	LWLockRelease(&pool->lock);
	return configured;
}

/*
 * Sends the target's options to the worker.  True: it has noted them.  With other
 * options or another role the mapping may have had a pool of the other key.
 */
static bool
send_options(const PoolWanted *wanted, const PoolTarget *target, Pool *pool,
			 uint64 pool_id, int64 deadline)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool conninfo",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	PoolConninfo conninfo = {0};
	volatile bool noted = false;

	pool_conn_cache_make_room();
	PG_TRY();
	{
		if (wanted->string != NULL)
			pool_conn_string_conninfo(wanted->string, &conninfo);
		else
			pool_conninfo_build(target, &conninfo);
		POOL_FAULT_POINT(acquire_configure);
		noted =
			pool_handover_configure(pool, pool_id, target, &conninfo,
									Max(deadline, pool_clock_after_ms(
													  CONFIGURE_TIMEOUT_MS)));
		POOL_FAULT_POINT(acquire_configured);
	}
	PG_FINALLY();
	{
		for (int i = 0; i < conninfo.count; i++) /* one is the password */
			explicit_bzero(unconstify(char *, conninfo.values[i]),
						   strlen(conninfo.values[i]));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (noted && target->only_key)
		pool_registry_drop_twin(&target->key);
	return noted;
}

/*
 * Tells the worker the options of the target, which it does not have: it has
 * none, or others.  Others may be newer than the target's, so the name is
 * resolved again then, and the target brought up to date.
 *
 * Returns true if the worker has noted them; otherwise the caller resolves the
 * name and looks its pool up again.  The deadline is in pool_clock_us().
 */
bool
pool_locate_configure(const PoolWanted *wanted, PoolTarget *target, Pool *pool,
					  uint64 pool_id, int64 deadline)
{
	if (is_configured(pool, pool_id))
	{
		PoolKey key = target->key;

		resolve(wanted, target);
		if (!pool_target_key_equal(&target->key, &key))
			return false;
	}
	return send_options(wanted, target, pool, pool_id, deadline);
}

/*
 * The pool that the target names; made if there is none.  *pool_id gets its id.
 *
 * A pool that is made here is made from what this session knew a moment ago.  A
 * drop that was committed meanwhile has closed the pools that there were, and
 * will not come back for this one.  So the name is resolved again when the pool
 * is there to be seen: either that meets the drop's message, which was sent
 * before the pools were closed, or the drop meets the pool.
 */
Pool *
pool_locate_look_up(const PoolWanted *wanted, PoolTarget *target,
					uint64 *pool_id)
{
	for (;;)
	{
		PoolKey key = target->key;
		Pool *pool;
		bool made;

		if (target->uncommitted)
			pool_pending_drop_at_abort(key.mapping);
		pool = pool_registry_get(target, pool_id, &made);
		if (!made)
			return pool;
		PG_TRY();
		{
			POOL_FAULT_POINT(acquire_pool_made);
			resolve(wanted, target);
		}
		PG_CATCH();
		{
			pool_registry_discard(pool, *pool_id);
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (pool_target_key_equal(&target->key, &key))
			return pool;
		pool_registry_discard(pool, *pool_id);
	}
}

/*
 * Resolves the name, and looks up the pool that it means.  Mostly that is the
 * same again; pool_queue_acquire() finds out if it is gone, and then "anew" has
 * it looked up again.
 */
void
pool_locate_pool(const PoolWanted *wanted, PoolTarget *target, bool anew,
				 PoolAcquireRequest *request)
{
	if (anew)
		recent.pool = NULL;
	resolve(wanted, target);
	POOL_FAULT_POINT(acquire_resolved);
	if (recent.pool == NULL || target->uncommitted ||
		!pool_target_key_equal(&recent.key, &target->key))
	{
		recent.pool = NULL; /* in case the next line fails */
		recent.pool = pool_locate_look_up(wanted, target, &recent.pool_id);
		recent.key = target->key;
	}
	request->pool = recent.pool;
	request->pool_id = recent.pool_id;
}
