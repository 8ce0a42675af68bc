/*
 * prewarm.c
 *		The SQL function that opens connections ahead of demand.
 *
 * The worker opens them: Pool.prewarm says how many there are to be.  Whenever
 * one is open, or could not be opened, the worker broadcasts Pool.changed.
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/condition_variable.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/wait_event.h"
#include "options/target.h"
#include "session/acquire.h"
#include "session/acquire_error.h"
#include "shared/breaker.h"
#include "shared/pool.h"
#include "shared/slot.h"
#include "shared/wake.h"
#include "sql/args.h"

PG_FUNCTION_INFO_V1(pool_sql_prewarm);

/* What a session that waits for connections looks at. */
typedef struct Progress
{
	int open;	 /* connections that can be leased, now or after a reset */
	bool trying; /* the worker is about to open more */
	bool failed; /* the last attempt to connect failed */
} Progress;

/* Nothing is open, and nothing tried, if the pool is gone. */
static void
read_progress(Pool *pool, uint64 pool_id, Progress *progress)
{
	memset(progress, 0, sizeof(*progress));
	LWLockAcquire(&pool->lock, LW_SHARED);
	if (pool->id == pool_id)
	{
		progress->open = pool_slot_count_live(pool);
		progress->trying = pool->configured && pool->prewarm > progress->open &&
						   pool->pause == POOL_PAUSE_NONE &&
						   !pool_breaker_refuses(pool);
		progress->failed = pool->failures > 0;
	}
	LWLockRelease(&pool->lock);
}

/*
 * Asks the worker for that many connections, or as many as the limit allows.
 * Returns how many were asked for.
 */
static int
request(Pool *pool, uint64 pool_id, int wanted)
{
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	wanted = Min(wanted, pool->limit);
	if (pool->id == pool_id && pool_slot_count_live(pool) < wanted)
		pool->prewarm = Max(pool->prewarm, wanted);
	LWLockRelease(&pool->lock);
	pool_wake_worker(pool);
	return wanted;
}

/*
 * Waits until that many connections are open, the worker has stopped trying, or
 * the deadline has come.  *progress is what was seen last.
 */
static void
wait_until_open(Pool *pool, uint64 pool_id, int wanted, int64 deadline,
				Progress *progress)
{
	ConditionVariablePrepareToSleep(&pool->changed);
	for (;;)
	{
		long left = pool_clock_left_ms(deadline);

		read_progress(pool, pool_id, progress);
		if (progress->open >= wanted || !progress->trying || left == 0)
			break;
		ConditionVariableTimedSleep(&pool->changed, left,
									pool_wait_event(POOL_WAIT_PREWARM));
	}
	ConditionVariableCancelSleep();
}

/*
 * Opens connections ahead of demand, and waits until they are open or
 * acquire_timeout is over.  Returns how many are open then.  Raises 22004 and
 * 22023 for the arguments, what pool_acquire_configured() does, and why
 * connecting failed if nothing is open; none of that is a failed acquire.
 */
Datum
pool_sql_prewarm(PG_FUNCTION_ARGS)
{
	char *server = pool_args_server(fcinfo);
	int64 deadline;
	PoolTarget target;
	Pool *pool;
	uint64 pool_id;
	int wanted;
	Progress progress;

	pool_args_refuse_null(fcinfo, 1, "number of connections");
	wanted = PG_GETARG_INT32(1);
	if (wanted < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of connections must not be negative")));
	pool_target_resolve(server, &target);
	deadline = pool_clock_after_ms(pool_guc_acquire_timeout >= 0
									   ? pool_guc_acquire_timeout
									   : target.options.acquire_timeout);
	pool = pool_acquire_configured(server, &target, deadline, &pool_id);

	wanted = request(pool, pool_id, wanted);
	wait_until_open(pool, pool_id, wanted, deadline, &progress);
	if (progress.open == 0 && wanted > 0 && progress.failed)
		pool_acquire_error_connect(pool, pool_id, &target);
	PG_RETURN_INT32(progress.open);
}
