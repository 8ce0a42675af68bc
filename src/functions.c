/*
 * functions.c
 *		The SQL functions: arguments in, the real work elsewhere.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"

#include "args.h"
#include "breaker.h"
#include "compat.h"
#include "guc.h"
#include "session.h"
#include "slot.h"
#include "waits.h"

PG_FUNCTION_INFO_V1(pool_query_server);
PG_FUNCTION_INFO_V1(pool_query_lease);
PG_FUNCTION_INFO_V1(pool_query_json_server);
PG_FUNCTION_INFO_V1(pool_query_json_lease);
PG_FUNCTION_INFO_V1(pool_exec_server);
PG_FUNCTION_INFO_V1(pool_exec_lease);
PG_FUNCTION_INFO_V1(pool_acquire);
PG_FUNCTION_INFO_V1(pool_release);
PG_FUNCTION_INFO_V1(pool_prewarm);

static PoolResult *
run_on_server(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	char *server = pool_arg_server(fcinfo);
	PoolStatement *statement = pool_statement_from_args(fcinfo, 1);
	PoolResult *result = pool_result_create(fcinfo, mode, server);

	pool_session_run(server, statement, result);
	pool_result_finish(result);
	return result;
}

static PoolResult *
run_on_lease(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	PoolLease *lease;
	PoolStatement *statement;
	PoolResult *result;

	pool_arg_refuse_null(fcinfo, 0, "lease");
	statement = pool_statement_from_args(fcinfo, 1);
	lease = pool_session_find(PG_GETARG_INT64(0));
	result =
		pool_result_create(fcinfo, mode, NameStr(lease->target.server_name));
	pool_lease_run(lease, statement, result);
	pool_result_finish(result);
	return result;
}

Datum
pool_query_server(PG_FUNCTION_ARGS)
{
	run_on_server(fcinfo, POOL_RESULT_ROWS);
	return (Datum) 0;
}

Datum
pool_query_lease(PG_FUNCTION_ARGS)
{
	run_on_lease(fcinfo, POOL_RESULT_ROWS);
	return (Datum) 0;
}

Datum
pool_query_json_server(PG_FUNCTION_ARGS)
{
	run_on_server(fcinfo, POOL_RESULT_JSON);
	return (Datum) 0;
}

Datum
pool_query_json_lease(PG_FUNCTION_ARGS)
{
	run_on_lease(fcinfo, POOL_RESULT_JSON);
	return (Datum) 0;
}

Datum
pool_exec_server(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(
		pool_result_affected(run_on_server(fcinfo, POOL_RESULT_COUNT)));
}

Datum
pool_exec_lease(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(
		pool_result_affected(run_on_lease(fcinfo, POOL_RESULT_COUNT)));
}

Datum
pool_acquire(PG_FUNCTION_ARGS)
{
	char *server = pool_arg_server(fcinfo);
	int64 timeout_ms = pool_arg_timeout(fcinfo, 1);
	bool hold = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	PoolLease *lease;

	lease = pool_session_lease(server,
							   hold ? POOL_LEASE_HOLD : POOL_LEASE_TRANSACTION,
							   timeout_ms);
	PG_RETURN_INT64(lease->id);
}

Datum
pool_release(PG_FUNCTION_ARGS)
{
	pool_arg_refuse_null(fcinfo, 0, "lease");
	pool_session_release(pool_session_find(PG_GETARG_INT64(0)));
	PG_RETURN_VOID();
}

/* How many are open?  Does the worker still try, and did it fail last? */
static int
count_open(Pool *pool, uint64 pool_id, bool *trying, bool *failed)
{
	int open;

	LWLockAcquire(&pool->lock, LW_SHARED);
	open = pool->id == pool_id ? pool_live_slots(pool) : 0;
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
pool_prewarm(PG_FUNCTION_ARGS)
{
	char *server = pool_arg_server(fcinfo);
	int64 deadline;
	PoolTarget target;
	Pool *pool;
	uint64 pool_id;
	int wanted;
	int open;
	bool trying;
	bool failed;

	pool_arg_refuse_null(fcinfo, 1, "number of connections");
	wanted = PG_GETARG_INT32(1);
	if (wanted < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of connections must not be negative")));
	pool_options_resolve(server, &target);
	deadline = pool_clock_us() +
			   INT64CONST(1000) * (pool_guc_acquire_timeout >= 0
									   ? pool_guc_acquire_timeout
									   : target.options.acquire_timeout);
	pool = pool_acquire_configured(server, &target, deadline, &pool_id);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	wanted = Min(wanted, pool->limit);
	if (pool->id == pool_id && pool_live_slots(pool) < wanted)
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
