/*
 * fanout.c
 *		The SQL functions that ask all of several servers.
 *
 * Each server gets a request of its own (session/request.h), at most so many at a
 * time; when one is done, its rows are read and the next server is asked.  Each
 * server commits by itself.  A server's rows are kept aside until its statement has
 * come to its end, so that no row is returned of one that fails half-way.
 *
 * After an error the requests end with the subtransaction (session/requests.c).
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "session/request_run.h"
#include "session/requests.h"
#include "sql/args.h"
#include "sql/servers.h"
#include "statement/result.h"
#include "statement/statement.h"

PG_FUNCTION_INFO_V1(pool_sql_query_all);
PG_FUNCTION_INFO_V1(pool_sql_query_all_json);

/* The columns before those of the query: server, sqlstate, error. */
#define NLEAD 3

/* Of work_mem, for each server's rows. */
#define MIN_RESULT_KB 64

typedef enum OnError
{
	ON_ERROR_RAISE,
	ON_ERROR_ROW,
	ON_ERROR_SKIP
} OnError;

typedef enum AskState
{
	ASK_UNSENT,
	ASK_SENT,
	ASK_DONE,
	ASK_FAILED
} AskState;

/* One server of a call. */
typedef struct Ask
{
	const char *server;
	AskState state;
	PoolRequest *request; /* SENT */
} Ask;

typedef struct FanOut
{
	int count;
	Ask *asks; /* in the order of the call */
	int next;  /* the first one that is UNSENT */
	int running;
	int parallel;
	OnError on_error;
	int64 deadline; /* pool_clock_us() */
	const PoolStatement *statement;
	PoolResult *result;
} FanOut;

static OnError
on_error_arg(FunctionCallInfo fcinfo, int arg)
{
	static const char *const words[] =
		{[ON_ERROR_RAISE] = "raise", [ON_ERROR_ROW] = "row", [ON_ERROR_SKIP] = "skip"};
	char *word = pool_args_text(fcinfo, arg, "on_error");

	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if (strcmp(word, words[i]) == 0)
			return (OnError) i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for on_error: \"%s\"", word),
					errhint("Valid values are: raise, row, skip.")));
	return ON_ERROR_RAISE;
}

/* How many servers are asked at a time.  Raises 22023. */
static int
parallel_arg(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		return pool_guc_max_parallel;
	if (PG_GETARG_INT32(arg) < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("parallel must be at least 1")));
	return Min(PG_GETARG_INT32(arg), pool_guc_max_parallel);
}

/* Sends requests, up to as many as there may be at a time. */
static void
send_requests(FanOut *fan)
{
	int kb;

	if (fan->next == fan->count)
		return;
	kb = Max(work_mem / Min(fan->parallel, fan->count), MIN_RESULT_KB);
	while (fan->next < fan->count && fan->running < fan->parallel)
	{
		Ask *ask = &fan->asks[fan->next++];

		ask->request =
			pool_requests_make(ask->server, fan->statement, fan->deadline, kb);
		ask->state = ASK_SENT;
		fan->running++;
	}
}

/* Returns the request that was done first of those that are, or NULL. */
static Ask *
first_done(const FanOut *fan)
{
	Ask *first = NULL;

	for (int i = 0; i < fan->next; i++)
	{
		Ask *ask = &fan->asks[i];

		if (ask->state == ASK_SENT && pool_request_is_done(ask->request) &&
			(first == NULL || ask->request->finished < first->request->finished))
			first = ask;
	}
	return first;
}

static bool
is_any_done(void *arg)
{
	return first_done(arg) != NULL;
}

/* Adds the names of the servers in that state, if there are any. */
static void
list_servers(StringInfo out, const FanOut *fan, const char *what,
			 bool (*is_listed)(const Ask *))
{
	int n = 0;

	for (int i = 0; i < fan->count; i++)
	{
		if (!is_listed(&fan->asks[i]))
			continue;
		if (n++ == 0)
			appendStringInfo(out, "%s%s: ", out->len > 0 ? "  " : "", what);
		else
			appendStringInfoString(out, ", ");
		appendStringInfo(out, "\"%s\"", fan->asks[i].server);
	}
	if (n > 0)
		appendStringInfoChar(out, '.');
}

/* May the remote have executed the statement, and nobody knows? */
static bool
is_unknown(const Ask *ask)
{
	return (ask->state == ASK_SENT || ask->state == ASK_FAILED) &&
		   pool_request_is_unknown(ask->request);
}

static bool
is_committed(const Ask *ask)
{
	return ask->state == ASK_DONE ||
		   (ask->state == ASK_SENT && ask->request->state == POOL_REQUEST_READY);
}

/* Has it failed by itself, too? */
static bool
is_failed(const Ask *ask)
{
	return ask->state == ASK_SENT &&
		   ask->request->state == POOL_REQUEST_FAILED && !is_unknown(ask);
}

static bool
is_cancelled(const Ask *ask)
{
	return ask->state != ASK_FAILED && !is_committed(ask) && !is_unknown(ask) &&
		   !is_failed(ask);
}

/* Cancels the rest, and raises the error of that server. */
static void
raise_first(FanOut *fan, Ask *ask)
{
	ErrorData *error = pool_request_error(ask->request);
	StringInfoData detail;

	pool_request_run_poll(); /* some may have been done since */
	initStringInfo(&detail);
	if (error->detail != NULL)
		appendStringInfoString(&detail, error->detail);
	list_servers(&detail, fan, "Committed on", is_committed);
	list_servers(&detail, fan, "Failed on", is_failed);
	list_servers(&detail, fan, "Canceled on", is_cancelled);
	list_servers(&detail, fan, "Not known of", is_unknown);
	error->detail = detail.len > 0 ? detail.data : NULL;
	if (error->context == NULL)
		error->context = psprintf("server \"%s\"", ask->server);
	ThrowErrorData(error);
}

/* What a row or a warning says of an error. */
static char *
describe_error(const ErrorData *error)
{
	if (error->detail == NULL)
		return pstrdup(error->message);
	return psprintf("%s: %s", error->message, error->detail);
}

/* A server has failed: raises that, or makes a row or a warning of it. */
static void
take_error(FanOut *fan, Ask *ask)
{
	const ErrorData *error = pool_request_error(ask->request);
	char *message = describe_error(error);
	Datum lead[NLEAD];
	const bool nulls[NLEAD] = {false};

	ask->state = ASK_FAILED;
	switch (fan->on_error)
	{
		case ON_ERROR_RAISE:
			raise_first(fan, ask);
			break;
		case ON_ERROR_ROW:
			lead[0] = CStringGetTextDatum(ask->server);
			lead[1] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
			lead[2] = CStringGetTextDatum(message);
			pool_result_put_lead(fan->result, lead, nulls);
			break;
		case ON_ERROR_SKIP:
			ereport(WARNING, (errcode(error->sqlerrcode),
							  errmsg("server \"%s\" is skipped: %s",
									 ask->server, message)));
			break;
	}
}

/* Takes the rows of a server, or its error. */
static void
take(FanOut *fan, Ask *ask)
{
	PoolRequest *request = ask->request;
	const bool nulls[NLEAD] = {false, true, true};
	Datum lead[NLEAD] = {0};

	if (request->state == POOL_REQUEST_READY)
	{
		lead[0] = CStringGetTextDatum(ask->server);
		pool_result_take(fan->result, request->result, lead, nulls);
		ask->state = ASK_DONE;
	}
	else
		take_error(fan, ask);
	ask->request = NULL;
	pool_request_free(request);
	fan->running--;
}

/* Asks all, and waits for them. */
static void
ask_all(FanOut *fan)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool fan-out",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);

	for (;;)
	{
		Ask *ask;

		send_requests(fan);
		if (fan->running == 0)
			break;
		(void) pool_request_run_until(is_any_done, fan, PG_INT64_MAX);
		while ((ask = first_done(fan)) != NULL)
		{
			take(fan, ask);
			MemoryContextReset(context);
		}
	}
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/*
 * pool_query_all(servers, query, parameters, on_error, parallel, timeout).  Raises
 * what is wrong with the call before anything is sent.
 */
static Datum
query_all(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	FanOut fan = {0};
	char **servers;

	fan.deadline = pool_args_deadline(fcinfo, 5);
	servers = pool_servers_arg(fcinfo, 0, &fan.count);
	fan.statement = pool_servers_statement_arg(fcinfo, 1, 2);
	fan.on_error = on_error_arg(fcinfo, 3);
	fan.parallel = parallel_arg(fcinfo, 4);
	fan.result = pool_result_create(fcinfo, mode, "", NULL);
	pool_result_set_lead(fan.result, NLEAD);
	fan.asks = palloc0(Max(fan.count, 1) * sizeof(Ask));
	for (int i = 0; i < fan.count; i++)
		fan.asks[i].server = servers[i];
	ask_all(&fan);
	pool_result_finish(fan.result);
	return (Datum) 0;
}

Datum
pool_sql_query_all(PG_FUNCTION_ARGS)
{
	return query_all(fcinfo, POOL_RESULT_ROWS);
}

Datum
pool_sql_query_all_json(PG_FUNCTION_ARGS)
{
	return query_all(fcinfo, POOL_RESULT_JSON);
}
