/*
 * hedge.c
 *		The SQL function that takes the first answer of several servers.
 *
 * The first server is asked.  The next one is asked as well when that one has taken
 * too long (a hedge, of which there may be so many: shared/hedge.c), or instead when
 * it has failed.  The first complete success wins.  The others are not cancelled:
 * what they do changes nothing, since it is READ ONLY, so the worker reads their
 * answers and goes on with the connections.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "session/proof.h"
#include "session/request_run.h"
#include "session/requests.h"
#include "shared/hedge.h"
#include "shared/stats.h"
#include "sql/args.h"
#include "sql/servers.h"
#include "statement/result.h"

PG_FUNCTION_INFO_V1(pool_sql_query_any);

/* One server of a call. */
typedef struct Runner
{
	PoolRequest *request;
	bool seen; /* has failed, and that was looked at */
} Runner;

typedef struct Race
{
	int count;
	char **servers;
	Runner *runners; /* in the order of the call */
	int next;		 /* the first that was not asked */
	int failed;
	Runner *first_failed; /* NULL: none has */
	const PoolStatement *statement;
	int64 hedge_after; /* microseconds; -1: by what the pool takes */
	int64 hedge_at;	   /* when the next one is asked, pool_clock_us() */
} Race;

/* Asks the next server. */
static void
ask_next(Race *race, bool hedge)
{
	Runner *runner = &race->runners[race->next];

	runner->request =
		pool_requests_make(race->servers[race->next], race->statement,
						   PG_INT64_MAX, work_mem);
	runner->request->hedge = hedge;
	race->next++;
}

/* The pool with which the call began, or NULL if that is not known. */
static Pool *
first_pool(const Race *race)
{
	return race->runners[0].request->pool;
}

/* Returns the one that was done first of those that are and were not seen. */
static Runner *
first_done(const Race *race)
{
	Runner *first = NULL;

	for (int i = 0; i < race->next; i++)
	{
		Runner *runner = &race->runners[i];

		if (!runner->seen && pool_request_is_done(runner->request) &&
			(first == NULL ||
			 runner->request->finished < first->request->finished))
			first = runner;
	}
	return first;
}

static bool
is_any_done(void *arg)
{
	return first_done(arg) != NULL;
}

/* When the next server is asked besides; never, if there is none. */
static void
set_hedge_time(Race *race)
{
	int64 after = race->hedge_after;

	race->hedge_at = PG_INT64_MAX;
	if (race->next == race->count)
		return;
	if (after < 0 && first_pool(race) == NULL)
		return;
	if (after < 0)
		after = pool_hedge_after_us(first_pool(race));
	race->hedge_at = pool_clock_us() + after;
}

/* The servers that were asked are slow: asks another one, if that may be. */
static void
hedge(Race *race)
{
	Pool *pool = first_pool(race);

	race->hedge_at = PG_INT64_MAX;
	if (pool == NULL || !pool_hedge_may(pool))
		return;
	ask_next(race, true);
	set_hedge_time(race);
}

/*
 * One has failed: another one is asked at once, if there is one.  Raises the first
 * error when all have failed.
 */
static void
note_failure(Race *race, Runner *runner)
{
	runner->seen = true;
	race->failed++;
	if (race->first_failed == NULL)
		race->first_failed = runner;
	if (race->next < race->count)
	{
		ask_next(race, false);
		set_hedge_time(race);
	}
	else if (race->failed == race->next)
		ThrowErrorData(pool_request_error(race->first_failed->request));
}

/* Waits for the first success. */
static Runner *
find_winner(Race *race)
{
	ask_next(race, false);
	pool_request_run_poll();
	if (first_pool(race) != NULL)
		pool_hedge_note_call(first_pool(race));
	set_hedge_time(race);
	for (;;)
	{
		Runner *runner;

		if (!pool_request_run_until(is_any_done, race, race->hedge_at))
		{
			hedge(race);
			continue;
		}
		runner = first_done(race);
		if (runner->request->state == POOL_REQUEST_READY)
			return runner;
		note_failure(race, runner);
	}
}

/* Raises 0A000 for what cannot go into one transaction with what makes it READ ONLY. */
static void
refuse_if_not_plain(const PoolStatement *statement)
{
	if (!pool_proof_is_plain(statement->sql) ||
		pool_statement_is_several(statement))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pool_query_any() cannot run this statement"),
				 errdetail("It runs one SELECT, WITH, VALUES or TABLE, in a "
						   "READ ONLY transaction.")));
}

/* pool_query_any(servers, query, parameters, hedge_after) */
Datum
pool_sql_query_any(PG_FUNCTION_ARGS)
{
	int64 hedge_ms = pool_args_interval(fcinfo, 3, "hedge_after");
	Race race = {0};
	PoolStatement *statement;
	PoolResult *result;
	Runner *winner;

	race.servers = pool_servers_arg(fcinfo, 0, &race.count);
	if (race.count == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("servers must not be empty")));
	statement = pool_servers_statement_arg(fcinfo, 1, 2);
	refuse_if_not_plain(statement);
	statement->read_only = true;
	race.statement = statement;
	race.hedge_after = hedge_ms < 0 ? -1 : pool_clock_from_ms(hedge_ms);
	race.runners = palloc0(race.count * sizeof(Runner));
	result = pool_result_create(fcinfo, POOL_RESULT_ROWS, "", NULL);

	winner = find_winner(&race);
	if (winner->request->hedge)
		pool_stats_add(&winner->request->pool->stats, POOL_COUNT_HEDGES_WON, 1);
	for (int i = 0; i < race.next; i++)
	{
		if (&race.runners[i] != winner)
			pool_request_let_go(race.runners[i].request);
	}
	pool_result_take(result, winner->request->result, NULL, NULL);
	pool_result_finish(result);
	pool_request_free(winner->request);
	return (Datum) 0;
}
