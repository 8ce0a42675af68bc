/*
 * prewarm.c
 *		The SQL function that opens connections ahead of demand.
 */
#include "postgres.h"

#include "fmgr.h"
#include "storage/condition_variable.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/wait_event.h"
#include "options/target.h"
#include "session/acquire.h"
#include "shared/breaker.h"
#include "shared/pool.h"
#include "shared/slot.h"
#include "shared/wake.h"
#include "sql/args.h"

PG_FUNCTION_INFO_V1(pool_sql_prewarm);

/* How many are open?  Does the worker still try, and did it fail last? */
static int
count_open(Pool *pool, uint64 pool_id, bool *trying, bool *failed)
{
	int open;

	LWLockAcquire(&pool->lock, LW_SHARED);
	open = pool->id == pool_id ? pool_slot_count_live(pool) : 0;
	*trying = pool->id == pool_id && pool->configured && pool->prewarm > open &&
			  pool->pause == POOL_PAUSE_NONE && !pool_breaker_refuses(pool);
	*failed = pool->id == pool_id && pool->failures > 0;
	LWLockRelease(&pool->lock);
	return open;
}

/*
 * Opens connections ahead of demand, and waits until they are there or
 * acquire_timeout is over.  Returns how many are open then.
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
	int open;
	bool trying;
	bool failed;

	pool_args_refuse_null(fcinfo, 1, "number of connections");
	wanted = PG_GETARG_INT32(1);
	if (wanted < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of connections must not be negative")));
	pool_target_resolve(server, &target);
	deadline = pool_clock_us() +
			   INT64CONST(1000) * (pool_guc_acquire_timeout >= 0
									   ? pool_guc_acquire_timeout
									   : target.options.acquire_timeout);
	pool = pool_acquire_configured(server, &target, deadline, &pool_id);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	wanted = Min(wanted, pool->limit);
	if (pool->id == pool_id && pool_slot_count_live(pool) < wanted)
		pool->prewarm = Max(pool->prewarm, wanted);
	LWLockRelease(&pool->lock);
	pool_wake_worker(pool);

	ConditionVariablePrepareToSleep(&pool->changed);
	while ((open = count_open(pool, pool_id, &trying, &failed)) < wanted &&
		   trying)
	{
		int64 left = (deadline - pool_clock_us()) / 1000;

		if (left <= 0)
			break;
		ConditionVariableTimedSleep(&pool->changed, left,
									pool_wait_event(POOL_WAIT_PREWARM));
	}
	ConditionVariableCancelSleep();
	if (open == 0 && wanted > 0 && failed)
		pool_acquire_raise_failure(pool, &target);
	PG_RETURN_INT32(open);
}
