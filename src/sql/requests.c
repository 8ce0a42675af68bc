/*
 * requests.c
 *		The SQL functions that send statements without waiting, and fetch their
 *		answers.
 *
 * They turn arguments into a statement, numbers into requests, and kept rows into
 * those of the calling query; the work is done in session/requests.c and
 * session/request_run.c, which say what is raised.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "session/request_run.h"
#include "session/requests.h"
#include "session/session.h"
#include "sql/args.h"
#include "statement/result.h"
#include "statement/statement.h"

PG_FUNCTION_INFO_V1(pool_sql_send_server);
PG_FUNCTION_INFO_V1(pool_sql_send_lease);
PG_FUNCTION_INFO_V1(pool_sql_wait);
PG_FUNCTION_INFO_V1(pool_sql_poll);
PG_FUNCTION_INFO_V1(pool_sql_result);
PG_FUNCTION_INFO_V1(pool_sql_result_json);
PG_FUNCTION_INFO_V1(pool_sql_abandon);

/* Sends a statement to any connection of a server's pool; returns the request. */
Datum
pool_sql_send_server(PG_FUNCTION_ARGS)
{
	char *server = pool_args_server(fcinfo);
	PoolStatement *statement = pool_statement_from_args(fcinfo, 1, NULL);

	PG_RETURN_INT64((int64) pool_requests_send(server, statement)->id);
}

/* Sends a statement on a lease; returns the request. */
Datum
pool_sql_send_lease(PG_FUNCTION_ARGS)
{
	PoolStatement *statement;
	PoolLease *lease;

	pool_args_refuse_null(fcinfo, 0, "lease");
	statement = pool_statement_from_args(fcinfo, 1, NULL);
	lease = pool_session_find(PG_GETARG_INT64(0));
	PG_RETURN_INT64((int64) pool_requests_send_on_lease(lease, statement)->id);
}

/* What pool_wait() waits for. */
typedef struct Awaited
{
	int count; /* of the requests; each is there once */
	int needed;
	PoolRequest **requests;
} Awaited;

static int
count_done(const Awaited *awaited)
{
	int done = 0;

	for (int i = 0; i < awaited->count; i++)
		done += pool_request_is_done(awaited->requests[i]) ? 1 : 0;
	return done;
}

static bool
are_enough(void *arg)
{
	const Awaited *awaited = arg;

	return count_done(awaited) >= awaited->needed;
}

static int
compare_numbers(const void *a, const void *b)
{
	int64 left = DatumGetInt64(*(const Datum *) a);
	int64 right = DatumGetInt64(*(const Datum *) b);

	return left < right ? -1 : left > right;
}

static int
compare_finished(const void *a, const void *b)
{
	const PoolRequest *left = *(PoolRequest *const *) a;
	const PoolRequest *right = *(PoolRequest *const *) b;

	return left->finished < right->finished ? -1
											: left->finished > right->finished;
}

/* The requests of an array, each once.  Raises 22004 and what find() does. */
static void
find_requests(ArrayType *array, Awaited *awaited)
{
	Datum *numbers;
	bool *nulls;
	int count;

	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &numbers, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("requests must not contain nulls")));
	}
	qsort(numbers, count, sizeof(Datum), compare_numbers);
	awaited->requests = palloc(Max(count, 1) * sizeof(PoolRequest *));
	awaited->count = 0;
	for (int i = 0; i < count; i++)
	{
		if (i == 0 || compare_numbers(&numbers[i], &numbers[i - 1]) != 0)
			awaited->requests[awaited->count++] =
				pool_request_find(DatumGetInt64(numbers[i]));
	}
}

/* How many requests are to be waited for.  Raises 22004 and 22023. */
static int
number_needed(FunctionCallInfo fcinfo, int arg, int count)
{
	pool_args_refuse_null(fcinfo, arg, "n");
	if (PG_GETARG_INT32(arg) < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("n must not be negative")));
	return Min(PG_GETARG_INT32(arg), count);
}

/*
 * Waits until so many of the requests are done, or the timeout is over; returns
 * those that are, in the order in which they were.
 */
Datum
pool_sql_wait(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64 deadline = pool_args_deadline(fcinfo, 2);
	Awaited awaited;

	pool_args_refuse_null(fcinfo, 0, "requests");
	find_requests(PG_GETARG_ARRAYTYPE_P(0), &awaited);
	awaited.needed = number_needed(fcinfo, 1, awaited.count);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	if (awaited.needed == 0)
		pool_request_run_poll();
	else
		(void) pool_request_run_until(are_enough, &awaited, deadline);
	qsort(awaited.requests, awaited.count, sizeof(PoolRequest *),
		  compare_finished);
	for (int i = 0; i < awaited.count; i++)
	{
		const PoolRequest *request = awaited.requests[i];
		Datum value = Int64GetDatum((int64) request->id);
		bool is_null = false;

		if (pool_request_is_done(request))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value,
								 &is_null);
	}
	return (Datum) 0;
}

/* The request that the first argument is the number of. */
static PoolRequest *
request_arg(FunctionCallInfo fcinfo)
{
	pool_args_refuse_null(fcinfo, 0, "request");
	return pool_request_find(PG_GETARG_INT64(0));
}

/* Takes what has come, and tells the state of a request. */
Datum
pool_sql_poll(PG_FUNCTION_ARGS)
{
	PoolRequest *request = request_arg(fcinfo);

	pool_request_run_poll();
	PG_RETURN_TEXT_P(
		cstring_to_text(pool_request_entry_state_name(request->state)));
}

/*
 * Raises the error of a request that has failed or is cancelled, which is no more
 * then.
 */
static void
raise_failure(PoolRequest *request)
{
	if (request->state == POOL_REQUEST_READY)
		return;
	PG_TRY();
	{
		ThrowErrorData(pool_request_error(request));
	}
	PG_CATCH();
	{
		pool_request_free(request);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Waits for a request and returns its rows, after which it is no more. */
static Datum
fetch(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	PoolRequest *request = request_arg(fcinfo);
	PoolResult *result =
		pool_result_create(fcinfo, mode, request->server_name, NULL);

	pool_request_run_to_end(request);
	raise_failure(request);
	pool_request_refuse_if_being_read(request);
	pool_result_take(result, request->result, NULL, NULL);
	pool_result_finish(result);
	pool_request_free(request);
	return (Datum) 0;
}

Datum
pool_sql_result(PG_FUNCTION_ARGS)
{
	return fetch(fcinfo, POOL_RESULT_ROWS);
}

Datum
pool_sql_result_json(PG_FUNCTION_ARGS)
{
	return fetch(fcinfo, POOL_RESULT_JSON);
}

/* Cancels a request, here and at the remote. */
Datum
pool_sql_abandon(PG_FUNCTION_ARGS)
{
	PoolRequest *request = request_arg(fcinfo);

	if (request->state == POOL_REQUEST_CANCELLED)
		PG_RETURN_VOID();
	pool_request_refuse_if_being_read(request);
	pool_request_abandon(request);
	PG_RETURN_VOID();
}
