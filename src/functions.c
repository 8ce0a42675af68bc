/*
 * functions.c
 *		The SQL functions: arguments in, the real work elsewhere.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "session.h"
#include "slot.h"

PG_FUNCTION_INFO_V1(pool_query_server);
PG_FUNCTION_INFO_V1(pool_query_lease);
PG_FUNCTION_INFO_V1(pool_query_json_server);
PG_FUNCTION_INFO_V1(pool_query_json_lease);
PG_FUNCTION_INFO_V1(pool_exec_server);
PG_FUNCTION_INFO_V1(pool_exec_lease);
PG_FUNCTION_INFO_V1(pool_acquire);
PG_FUNCTION_INFO_V1(pool_release);
PG_FUNCTION_INFO_V1(pool_prewarm);

static void
refuse_null(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", what)));
}

static char *
server_arg(FunctionCallInfo fcinfo)
{
	refuse_null(fcinfo, 0, "server");
	return text_to_cstring(PG_GETARG_TEXT_PP(0));
}

static PoolResult *
run_on_server(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	char *server = server_arg(fcinfo);
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

	refuse_null(fcinfo, 0, "lease");
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

/* Milliseconds; -1 for NULL, which means the default. */
static int64
timeout_arg(FunctionCallInfo fcinfo, int arg)
{
	Interval *interval;
	double ms;

	if (PG_ARGISNULL(arg))
		return -1;
	interval = PG_GETARG_INTERVAL_P(arg);
	ms = interval->time / 1000.0 +
		 ((double) interval->month * DAYS_PER_MONTH + interval->day) *
			 SECS_PER_DAY * 1000.0;
	if (ms < 0 || ms > INT_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("timeout is out of range"),
						errdetail("It must be between 0 and %d milliseconds.",
								  INT_MAX)));
	return (int64) ms;
}

Datum
pool_acquire(PG_FUNCTION_ARGS)
{
	char *server = server_arg(fcinfo);
	int64 timeout_ms = timeout_arg(fcinfo, 1);
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
	refuse_null(fcinfo, 0, "lease");
	pool_session_release(pool_session_find(PG_GETARG_INT64(0)));
	PG_RETURN_VOID();
}

/* How many are open?  Does the worker still try, and did it fail last? */
static int
count_open(Pool *pool, uint64 pool_id, bool *trying, bool *failed)
{
	int open;

	LWLockAcquire(&pool->lock, LW_SHARED);
	open = pool->id == pool_id ? pool_open_slots(pool) : 0;
	*trying = pool->id == pool_id && pool->configured && pool->prewarm > open;
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
	char *server = server_arg(fcinfo);
	int64 deadline;
	PoolTarget target;
	Pool *pool;
	uint64 pool_id;
	int wanted;
	int open;
	bool trying;
	bool failed;

	refuse_null(fcinfo, 1, "number of connections");
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
	wanted = Min(wanted, target.options.max_size);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->id == pool_id && pool_open_slots(pool) < wanted)
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
		ConditionVariableTimedSleep(&pool->changed, left, PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
	if (open == 0 && wanted > 0 && failed)
		pool_acquire_raise_failure(pool, &target);
	PG_RETURN_INT32(open);
}
