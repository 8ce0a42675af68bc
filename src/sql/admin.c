/*
 * admin.c
 *		The SQL functions by which an administrator steers pools that run.
 *
 * Those that take a server's name act on all its pools in this database, one
 * for each user mapping that was used so far.  They are reclaimed from PUBLIC
 * when the extension is created, and so need no check of their own.
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"

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
PG_FUNCTION_INFO_V1(pool_sql_cancel);
PG_FUNCTION_INFO_V1(pool_sql_stats_reset);
PG_FUNCTION_INFO_V1(pool_sql_reclaim);

/* pool_drain() has several pools to wait for, and looks at all as often. */
#define DRAIN_LOOK_MS 1000

typedef struct Sizes
{
	int min;
	int max;
} Sizes;

/* What is done to one pool, under its lock; returns what is to be counted. */
typedef int (*Action)(Pool *pool, const void *arg);

static bool
is_pool_of(const Pool *pool, Oid server)
{
	return pool->id != 0 && !pool->dropped &&
		   pool->key.database == MyDatabaseId && pool->key.server == server;
}

/*
 * Does it to each pool of the server, and wakes those whom it may concern.
 * "look_again": so do those who wait.  Returns the sum.
 */
static int
for_each_pool(Oid server, Action action, const void *arg, bool look_again)
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
		if (look_again)
			pool_queue_tell(pool, POOL_VERDICT_RETRY);
		pool_queue_serve(pool);
		pool_wake_worker(pool);
	}
	return sum;
}

static Oid
server_oid(FunctionCallInfo fcinfo)
{
	return get_foreign_server_oid(pool_args_server(fcinfo), false);
}

static int
resize(Pool *pool, const void *arg)
{
	const Sizes *sizes = arg;

	pool->resized = true;
	pool->options.min_size = sizes->min;
	pool->options.max_size = sizes->max;
	pool_autoscale_begin(pool);
	pool_slot_close_surplus(pool);
	return 1;
}

/*
 * Sets min_size and max_size until the options are altered or the server is
 * restarted.  Raises 22023 for sizes that no options could have.
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
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid sizes: min_size %d, max_size %d", sizes.min,
						sizes.max),
				 errdetail("It must be 0 <= min_size <= max_size, and 1 <= max_size <= %d.",
						   limit)));
	PG_RETURN_INT32(for_each_pool(server, resize, &sizes, false));
}

static int
set_pause(Pool *pool, const void *arg)
{
	pool->pause = *(const PoolPause *) arg;
	return 1;
}

/* No more leases: who wants one waits, or gets an error if asked to fail. */
Datum
pool_sql_pause(PG_FUNCTION_ARGS)
{
	Oid server = server_oid(fcinfo);
	bool fail = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	PoolPause pause = fail ? POOL_PAUSE_FAIL : POOL_PAUSE_WAIT;

	PG_RETURN_INT32(for_each_pool(server, set_pause, &pause, fail));
}

/* Ends that. */
Datum
pool_sql_resume(PG_FUNCTION_ARGS)
{
	PoolPause pause = POOL_PAUSE_NONE;

	PG_RETURN_INT32(for_each_pool(server_oid(fcinfo), set_pause, &pause, false));
}

static int
retire(Pool *pool, const void *arg)
{
	int n = pool_slot_count_open(pool);

	pool_slot_retire_all(pool, *(const PoolCloseReason *) arg);
	return n;
}

/*
 * Has all connections replaced: idle ones at once, others when they come back.
 * Returns how many.
 */
Datum
pool_sql_reconnect(PG_FUNCTION_ARGS)
{
	PoolCloseReason reason = POOL_CLOSE_RECONNECT;

	PG_RETURN_INT32(for_each_pool(server_oid(fcinfo), retire, &reason, false));
}

static int
revoke_all(Pool *pool, const void *arg)
{
	int n = pool_slot_count_open(pool);

	pool->prewarm = 0;
	pool_slot_retire_all(pool, POOL_CLOSE_ADMIN);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		if (slot->pool == pool_index(pool) && slot->state == POOL_SLOT_LEASED)
			pool_slot_reclaim(pool, slot, POOL_CLOSE_ADMIN);
	}
	return n;
}

/* Closes all connections now, leased ones too.  Returns how many. */
Datum
pool_sql_close(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(for_each_pool(server_oid(fcinfo), revoke_all, NULL, false));
}

static int
drain(Pool *pool, const void *arg)
{
	pool->pause = POOL_PAUSE_WAIT;
	pool->prewarm = 0;
	return retire(pool, arg);
}

/* Counts what is leased; *busy is a pool that is not empty. */
static int
count_leased(Oid server, Pool **busy)
{
	int leased = 0;

	*busy = NULL;
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		LWLockAcquire(&pool->lock, LW_SHARED);
		if (is_pool_of(pool, server) && pool_slot_count_all(pool) > 0)
		{
			leased += pool->nslots[POOL_SLOT_LEASED];
			*busy = pool;
		}
		LWLockRelease(&pool->lock);
	}
	return leased;
}

/*
 * Pauses, and closes each connection as soon as nobody uses it.  Waits until
 * all are closed or the time is over, and returns how many are still leased.
 */
Datum
pool_sql_drain(PG_FUNCTION_ARGS)
{
	Oid server = server_oid(fcinfo);
	int64 timeout_ms = pool_args_timeout(fcinfo, 1);
	int64 deadline =
		timeout_ms < 0 ? PG_INT64_MAX : pool_clock_us() + timeout_ms * 1000;
	PoolCloseReason reason = POOL_CLOSE_ADMIN;
	Pool *busy;
	int leased;

	for_each_pool(server, drain, &reason, false);
	while ((leased = count_leased(server, &busy), busy) != NULL)
	{
		int64 left = (deadline - pool_clock_us()) / 1000;

		if (left <= 0)
			break;
		ConditionVariablePrepareToSleep(&busy->changed);
		leased = count_leased(server, &busy);
		if (busy == NULL)
			break;
		ConditionVariableTimedSleep(&busy->changed, Min(left, DRAIN_LOOK_MS),
									pool_wait_event(POOL_WAIT_DRAIN));
	}
	ConditionVariableCancelSleep();
	PG_RETURN_INT32(leased);
}

static int
reset_breaker(Pool *pool, const void *arg)
{
	pool_breaker_reset(pool);
	return 1;
}

/* The next attempt to connect can begin at once. */
Datum
pool_sql_breaker_reset(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(
		for_each_pool(server_oid(fcinfo), reset_breaker, NULL, false));
}

/* The pool of a slot, locked; NULL if the slot is not in use. */
static Pool *
lock_pool_of(const PoolSlot *slot)
{
	int place = slot->pool;
	Pool *pool;

	if (place == POOL_NONE)
		return NULL;
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (slot->pool == place)
		return pool;
	LWLockRelease(&pool->lock);
	return NULL;
}

/*
 * Takes a leased connection away from its session, in any database: the
 * number is that of pool_connections.  Returns false if it is not leased.
 * Raises 22023 if there is no such number.
 */
Datum
pool_sql_reclaim(PG_FUNCTION_ARGS)
{
	PoolSlot *slot;
	Pool *pool;
	NameData server_name;
	bool leased;
	int holder;
	int number;

	pool_args_refuse_null(fcinfo, 0, "slot");
	number = PG_GETARG_INT32(0);
	if (number < 0 || number >= pool_shmem->nslots)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no slot %d", number),
						errdetail("They are numbered from 0 to %d.",
								  pool_shmem->nslots - 1),
						errhint("See column slot of view pool_connections.")));
	slot = &pool_shmem_slots[number];
	pool = lock_pool_of(slot);
	if (pool == NULL)
		PG_RETURN_BOOL(false);
	leased = slot->state == POOL_SLOT_LEASED;
	holder = slot->owner.pid;
	server_name = pool->server_name;
	if (leased)
		pool_slot_reclaim(pool, slot, POOL_CLOSE_RECLAIMED);
	LWLockRelease(&pool->lock);
	if (leased)
	{
		pool_wake_worker(pool);
		ereport(LOG,
				(errmsg("connection %d of pool for server \"%s\" was taken away from process %d by pool_reclaim()",
						number, NameStr(server_name), holder)));
	}
	PG_RETURN_BOOL(leased);
}

/*
 * Resets the counters and times of the server's pools; of all pools, in any
 * database, if no server is given.
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

/* Does that process hold a lease? */
static bool
holds_lease(int pid)
{
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];
		Pool *pool = lock_pool_of(slot);
		bool found;

		if (pool == NULL)
			continue;
		found = slot->state == POOL_SLOT_LEASED && slot->owner.pid == pid;
		LWLockRelease(&pool->lock);
		if (found)
			return true;
	}
	return false;
}

/*
 * Cancels what a session is doing, here and on the remote, provided that it
 * holds a connection; with the rules of pg_cancel_backend().
 */
Datum
pool_sql_cancel(PG_FUNCTION_ARGS)
{
	pool_args_refuse_null(fcinfo, 0, "pid");
	if (!holds_lease(PG_GETARG_INT32(0)))
		PG_RETURN_BOOL(false);
	PG_RETURN_DATUM(DirectFunctionCall1(pg_cancel_backend, PG_GETARG_DATUM(0)));
}
