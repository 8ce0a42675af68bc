/*
 * admin.c
 *		The SQL functions by which an administrator controls running pools.
 *
 * They act on all pools of a server in this database, one for each user mapping
 * that was used so far; what they return is the sum over these.  They raise
 * 42704 if there is no such server.  The install script revokes them from
 * PUBLIC, so they check no privilege themselves.
 *
 * Each pool is changed under its lock; then its waiters are served and the
 * worker is woken, without it.
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "base/wait_event.h"
#include "options/option_table.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "sql/args.h"

PG_FUNCTION_INFO_V1(pool_sql_resize);
PG_FUNCTION_INFO_V1(pool_sql_pause);
PG_FUNCTION_INFO_V1(pool_sql_resume);
PG_FUNCTION_INFO_V1(pool_sql_reconnect);
PG_FUNCTION_INFO_V1(pool_sql_drain);
PG_FUNCTION_INFO_V1(pool_sql_close);
PG_FUNCTION_INFO_V1(pool_sql_breaker_reset);
PG_FUNCTION_INFO_V1(pool_sql_stats_reset);

/*
 * pool_drain() sleeps on the condition variable of one pool that is not empty;
 * at least this often it looks at the others.
 */
#define DRAIN_LOOK_MS 1000

typedef struct Sizes
{
	int min;
	int max;
} Sizes;

/* Changes one pool, whose lock is held; returns what is summed up. */
typedef int (*Action)(Pool *pool, const void *arg);

/* Whether it is a pool of that server.  Needs the lock. */
static bool
is_pool_of(const Pool *pool, Oid server)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return pool->id != 0 && !pool->dropped &&
		   pool->key.database == MyDatabaseId && pool->key.server == server;
}

/*
 * Applies an action to each pool of the server, and returns the sum of what it
 * returned.  "retry": sessions that wait begin to acquire anew, and so find out
 * what has changed.
 */
static int
for_each_pool(Oid server, Action action, const void *arg, bool retry)
{
	int sum = 0;

	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];
		bool found;

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		found = is_pool_of(pool, server);
		if (found)
			sum += action(pool, arg);
		LWLockRelease(&pool->lock);
		if (!found)
			continue;
		if (retry)
			pool_queue_tell(pool, POOL_VERDICT_RETRY);
		pool_queue_serve(pool);
		pool_wake_worker(pool);
	}
	return sum;
}

/* The server that the first argument names.  Raises 42704 and 22004. */
static Oid
server_oid(FunctionCallInfo fcinfo)
{
	return get_foreign_server_oid(pool_args_server(fcinfo), false);
}

static int
resize(Pool *pool, const void *arg)
{
	const Sizes *sizes = arg;

	POOL_ASSERT_LOCKED(pool);
	pool->resized = true;
	pool->options.min_size = sizes->min;
	pool->options.max_size = sizes->max;
	pool_autoscale_begin(pool);
	pool_slot_close_surplus(pool);
	return 1;
}

/*
 * Sets min_size and max_size until the options are altered or the server is
 * restarted.  Returns the number of pools.  Raises 22023 for sizes that the
 * options could not have.
 */
Datum
pool_sql_resize(PG_FUNCTION_ARGS)
{
	Oid server = server_oid(fcinfo);
	int limit = pool_options_find("max_size")->max;
	Sizes sizes;

	pool_args_refuse_null(fcinfo, 1, "min_size");
	pool_args_refuse_null(fcinfo, 2, "max_size");
	sizes.min = PG_GETARG_INT32(1);
	sizes.max = PG_GETARG_INT32(2);
	if (sizes.min < 0 || sizes.max < 1 || sizes.min > sizes.max ||
		sizes.max > limit)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid sizes: min_size %d, max_size %d",
							   sizes.min, sizes.max),
						errdetail("min_size must be from 0 to max_size, "
								  "and max_size from 1 to %d.",
								  limit)));
	PG_RETURN_INT32(for_each_pool(server, resize, &sizes, false));
}

static int
set_pause(Pool *pool, const void *arg)
{
	POOL_ASSERT_LOCKED(pool);
	pool->pause = *(const PoolPause *) arg;
	return 1;
}

/*
 * Pauses: no lease begins and no connection is opened; sessions that want one
 * wait, or fail if the second argument is true.  Returns the number of pools.
 */
Datum
pool_sql_pause(PG_FUNCTION_ARGS)
{
	Oid server = server_oid(fcinfo);
	bool fail = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	PoolPause pause = fail ? POOL_PAUSE_FAIL : POOL_PAUSE_WAIT;

	PG_RETURN_INT32(for_each_pool(server, set_pause, &pause, fail));
}

/* Ends the pause of pool_pause() or pool_drain(); returns the number of pools. */
Datum
pool_sql_resume(PG_FUNCTION_ARGS)
{
	PoolPause pause = POOL_PAUSE_NONE;

	PG_RETURN_INT32(for_each_pool(server_oid(fcinfo), set_pause, &pause, false));
}

/* Retires all connections, for the reason in *arg; returns how many. */
static int
retire_all(Pool *pool, const void *arg)
{
	int n = pool_slot_count_open(pool);

	pool_slot_retire_all(pool, *(const PoolCloseReason *) arg);
	return n;
}

/*
 * Has all connections replaced: idle ones at once, others when they are released
 * or when what the worker does with them ends.  Returns how many.
 */
Datum
pool_sql_reconnect(PG_FUNCTION_ARGS)
{
	PoolCloseReason reason = POOL_CLOSE_RECONNECT;

	PG_RETURN_INT32(
		for_each_pool(server_oid(fcinfo), retire_all, &reason, false));
}

/* Retires all connections and reclaims those that are leased. */
static int
close_all(Pool *pool, const void *arg)
{
	PoolCloseReason reason = POOL_CLOSE_ADMIN;
	int n = retire_all(pool, &reason);

	pool->prewarm = 0;
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		if (slot->pool == pool_index(pool) && slot->state == POOL_SLOT_LEASED)
			pool_slot_reclaim(pool, slot, reason);
	}
	return n;
}

/* Closes all connections at once, leased ones too.  Returns how many. */
Datum
pool_sql_close(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(for_each_pool(server_oid(fcinfo), close_all, NULL, false));
}

/* Pauses, and retires all connections; returns how many. */
static int
drain(Pool *pool, const void *arg)
{
	POOL_ASSERT_LOCKED(pool);
	pool->pause = POOL_PAUSE_WAIT;
	pool->prewarm = 0;
	return retire_all(pool, arg);
}

/*
 * Has the pool connections that this session may wait for?  Not for its own
 * leases: they do not end while it waits.  Needs the lock.
 */
static bool
has_others(const Pool *pool)
{
	int own = 0;

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		const PoolSlot *slot = &pool_shmem_slots[i];

		if (slot->pool == pool_index(pool) && slot->state == POOL_SLOT_LEASED &&
			slot->owner.serial == pool_self()->serial)
			own++;
	}
	return pool_slot_count_all(pool) > own;
}

/* What a drain has left of the server's connections. */
typedef struct Remains
{
	int all; /* those being opened and closed included */
	int leased;
	Pool *busy; /* a pool that has some to wait for, or NULL */
} Remains;

static void
count_remains(Oid server, Remains *remains)
{
	memset(remains, 0, sizeof(*remains));
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		LWLockAcquire(&pool->lock, LW_SHARED);
		if (is_pool_of(pool, server))
		{
			remains->all += pool_slot_count_all(pool);
			remains->leased += pool->nslots[POOL_SLOT_LEASED];
			if (has_others(pool))
				remains->busy = pool;
		}
		LWLockRelease(&pool->lock);
	}
}

/* What is not leased is not in the number that is returned, and is there still. */
static void
warn_of_remains(const Remains *remains, FunctionCallInfo fcinfo)
{
	int n = remains->all - remains->leased;

	if (n == 0)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg_plural("%d connection to server \"%s\" is not leased and not closed yet",
						   "%d connections to server \"%s\" are not leased and not closed yet",
						   n, n, pool_args_server(fcinfo)),
			 errdetail("The remote may have a session for each."),
			 errhint("Look in pool_connections for their state, "
					 "and call pool_drain() again with more time.")));
}

/*
 * Pauses, and closes each connection as soon as it is not leased.  Waits until
 * all are closed but those that this session has leased, or the timeout is over,
 * and returns how many are still leased; a warning tells of others.
 * Raises 22023 for a timeout that is out of range.
 */
Datum
pool_sql_drain(PG_FUNCTION_ARGS)
{
	Oid server = server_oid(fcinfo);
	int64 deadline = pool_args_deadline(fcinfo, 1);
	PoolCloseReason reason = POOL_CLOSE_ADMIN;
	Remains remains;

	for_each_pool(server, drain, &reason, false);
	for (;;)
	{
		long left = pool_clock_left_ms(deadline);

		count_remains(server, &remains);
		if (remains.busy == NULL || left == 0)
			break;

		/* The first sleep at a pool returns at once, to have it looked at again. */
		ConditionVariableTimedSleep(&remains.busy->changed,
									left < 0 ? DRAIN_LOOK_MS
											 : Min(left, DRAIN_LOOK_MS),
									pool_wait_event(POOL_WAIT_DRAIN));
	}
	ConditionVariableCancelSleep();
	warn_of_remains(&remains, fcinfo);
	PG_RETURN_INT32(remains.leased);
}

static int
reset_breaker(Pool *pool, const void *arg)
{
	pool_breaker_reset(pool);
	return 1;
}

/*
 * Closes the circuit breaker, so that the next attempt to connect begins at
 * once.  Returns the number of pools.
 */
Datum
pool_sql_breaker_reset(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(
		for_each_pool(server_oid(fcinfo), reset_breaker, NULL, false));
}

/*
 * Resets the counters and times of the server's pools, or of all pools in all
 * databases if the server is NULL.
 */
Datum
pool_sql_stats_reset(PG_FUNCTION_ARGS)
{
	Oid server = PG_ARGISNULL(0) ? InvalidOid : server_oid(fcinfo);

	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		if (pool->id != 0 && (!OidIsValid(server) || is_pool_of(pool, server)))
			pool_slot_restart_counts(pool);
		LWLockRelease(&pool->lock);
	}
	PG_RETURN_VOID();
}
