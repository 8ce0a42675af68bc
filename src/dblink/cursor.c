/*
 * cursor.c
 *		dblink_open(), dblink_fetch() and dblink_close().
 *
 * A cursor needs a transaction: the first one begins one unless there is one, and the
 * last one that is closed commits it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "dblink/call.h"
#include "dblink/link_rows.h"

PG_FUNCTION_INFO_V1(pool_dblink_open);
PG_FUNCTION_INFO_V1(pool_dblink_fetch);
PG_FUNCTION_INFO_V1(pool_dblink_close);

/* Begins a transaction on the remote if there is none, and counts a cursor in it. */
static void
begin_cursor(const PoolLinkCall *call)
{
	PoolLink *link = call->link;

	if (link->request != NULL || pool_link_run_is_broken(link))
		return; /* opening it will fail */
	if (!pool_link_run_in_transaction(link))
	{
		pool_link_run_command(link, call->name, "BEGIN");
		link->own_transaction = true;
		link->cursors = 0;
	}
	if (link->own_transaction)
		link->cursors++;
}

/* A cursor is closed: commits the transaction that was begun for the first one. */
static void
end_cursor(const PoolLinkCall *call)
{
	PoolLink *link = call->link;

	if (!link->own_transaction || --link->cursors != 0)
		return;
	link->own_transaction = false;
	pool_link_run_command(link, call->name, "COMMIT");
}

/*
 * Runs the call's statement, which leaves nothing behind but a cursor: the transaction
 * holds that.
 */
static bool
run(const PoolLinkCall *call, PoolLinkAnswer *answer)
{
	const PoolLease *lease = call->link->lease;
	bool held = lease != NULL && lease->holds;
	bool done = pool_link_run(call, answer);

	if (call->link->lease != NULL)
		call->link->lease->holds = held;
	return done;
}

/* dblink_open([connection,] cursor, query [, fail]): 'OK' or 'ERROR'. */
Datum
pool_dblink_open(PG_FUNCTION_ARGS)
{
	PoolLinkCall call;
	PoolLinkAnswer answer;
	int first = pool_call_begin(fcinfo, 2, &call);
	char *cursor = pool_call_text(fcinfo, first);
	char *query = pool_call_text(fcinfo, first + 1);

	call.link = pool_link_get(call.name);
	begin_cursor(&call);
	call.sql = psprintf("DECLARE %s CURSOR FOR %s", cursor, query);
	call.doing = psprintf("while opening cursor \"%s\"", cursor);
	if (!run(&call, &answer))
		PG_RETURN_TEXT_P(cstring_to_text("ERROR"));
	pool_result_destroy(answer.result);
	PG_RETURN_TEXT_P(cstring_to_text("OK"));
}

/* dblink_fetch([connection,] cursor, how many [, fail]): the rows. */
Datum
pool_dblink_fetch(PG_FUNCTION_ARGS)
{
	PoolLinkCall call;
	PoolLinkAnswer answer;
	int first = pool_call_begin(fcinfo, 2, &call);
	char *cursor = pool_call_text(fcinfo, first);

	pool_link_rows_begin(fcinfo);
	call.link = pool_link_get(call.name);
	call.sql = psprintf("FETCH %d FROM %s", PG_GETARG_INT32(first + 1), cursor);
	call.doing = psprintf("while fetching from cursor \"%s\"", cursor);
	if (!run(&call, &answer))
		return (Datum) 0;
	if (pool_sets_columns(answer.set) < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_CURSOR_NAME),
						errmsg("cursor \"%s\" does not exist", cursor)));
	pool_link_rows_return(fcinfo, &answer);
	pool_result_destroy(answer.result);
	return (Datum) 0;
}

/* dblink_close([connection,] cursor [, fail]): 'OK' or 'ERROR'. */
Datum
pool_dblink_close(PG_FUNCTION_ARGS)
{
	PoolLinkCall call;
	PoolLinkAnswer answer;
	int first = pool_call_begin(fcinfo, 1, &call);
	char *cursor = pool_call_text(fcinfo, first);

	call.link = pool_link_get(call.name);
	call.sql = psprintf("CLOSE %s", cursor);
	call.doing = psprintf("while closing cursor \"%s\"", cursor);
	if (!run(&call, &answer))
		PG_RETURN_TEXT_P(cstring_to_text("ERROR"));
	pool_result_destroy(answer.result);
	end_cursor(&call);
	PG_RETURN_TEXT_P(cstring_to_text("OK"));
}
