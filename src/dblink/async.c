/*
 * async.c
 *		dblink_send_query() and what belongs to it, and notifications.
 *
 * What is sent is a request (session/request.c) on the link's lease, one at a time.
 * Its answers are kept as they came, and handed out one by one; when all were, and a
 * call more has said so, the link is free again.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "dblink/call.h"
#include "dblink/link_rows.h"
#include "session/request_cancel.h"
#include "session/request_run.h"
#include "session/requests.h"

PG_FUNCTION_INFO_V1(pool_dblink_send_query);
PG_FUNCTION_INFO_V1(pool_dblink_is_busy);
PG_FUNCTION_INFO_V1(pool_dblink_get_result);
PG_FUNCTION_INFO_V1(pool_dblink_cancel_query);
PG_FUNCTION_INFO_V1(pool_dblink_error_message);
PG_FUNCTION_INFO_V1(pool_dblink_get_notify);

/* dblink_send_query(connection, query): 1, or 0 if one is under way. */
Datum
pool_dblink_send_query(PG_FUNCTION_ARGS)
{
	char *name = pool_call_text(fcinfo, 0);
	PoolLink *link = pool_link_get(name);

	if (link->request != NULL)
	{
		pool_link_note_error(link, "another command is already in progress");
		ereport(NOTICE,
				(errmsg_internal("could not send query: another command is "
								 "already in progress")));
		PG_RETURN_INT32(0);
	}
	pool_link_note_error(link, NULL);
	pool_link_run_open(link);
	PG_TRY();
	{
		link->request = pool_requests_send_on_lease(
			link->lease, pool_link_run_statement(name, pool_call_text(fcinfo, 1),
												 "while executing query"));
		link->read = 0;
	}
	PG_CATCH();
	{
		pool_link_run_settle(link);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PG_RETURN_INT32(1);
}

/* dblink_is_busy(connection): 1 if dblink_get_result() would wait, else 0. */
Datum
pool_dblink_is_busy(PG_FUNCTION_ARGS)
{
	PoolLink *link = pool_link_get(pool_call_text(fcinfo, 0));

	if (link->request == NULL)
		PG_RETURN_INT32(0);
	pool_request_run_poll();
	PG_RETURN_INT32(pool_request_is_done(link->request) ? 0 : 1);
}

/* The error of the link's request, which is done and has failed. */
static ErrorData *
take_error(PoolLink *link)
{
	ErrorData *error = pool_request_error(link->request);

	pool_link_run_note_error(link, link->request->statement,
							 &link->request->run.run, error);
	return error;
}

/* Returns the rows of a set of the request; until then it must not go. */
static void
return_set(FunctionCallInfo fcinfo, PoolLink *link, PoolSet *set)
{
	PoolLinkAnswer answer = {.set = set};

	if (link->lease->copy != NULL)
		pool_link_run_read_styles(link, &answer);
	link->reading++;
	PG_TRY();
	{
		pool_link_rows_return(fcinfo, &answer);
	}
	PG_FINALLY();
	{
		link->reading--;
	}
	PG_END_TRY();
}

/*
 * dblink_get_result(connection [, fail]): waits for the answers, and returns the next
 * one; no row when there is none any more.
 */
Datum
pool_dblink_get_result(PG_FUNCTION_ARGS)
{
	bool fail = PG_NARGS() < 2 || PG_GETARG_BOOL(1);
	PoolLink *link = pool_link_get(pool_call_text(fcinfo, 0));
	PoolRequest *request = link->request;
	PoolSets *sets;

	pool_link_rows_begin(fcinfo);
	if (request == NULL)
		return (Datum) 0;
	pool_link_refuse_if_being_read(link);
	pool_request_run_to_end(request);
	sets = pool_result_sets(request->result);
	if (link->read < pool_sets_count(sets))
	{
		PoolSet *set = pool_sets_get(sets, link->read++);

		if (pool_link_run_is_empty(set))
			pool_link_run_throw(pool_link_run_empty_error(
									request->statement->context),
								fail);
		else
			return_set(fcinfo, link, set);
	}
	else if (link->read == pool_sets_count(sets) &&
			 request->state != POOL_REQUEST_READY)
	{
		link->read++;
		pool_link_run_throw(take_error(link), fail);
	}
	else
	{
		pool_link_forget_request(link);
		pool_link_run_settle(link);
	}
	return (Datum) 0;
}

/*
 * dblink_cancel_query(connection): asks the remote to cancel what runs.  'OK', once the
 * remote was told.
 */
Datum
pool_dblink_cancel_query(PG_FUNCTION_ARGS)
{
	PoolLink *link = pool_link_get(pool_call_text(fcinfo, 0));

	if (link->request != NULL && !pool_request_cancel(link->request))
		PG_RETURN_TEXT_P(cstring_to_text("could not send cancel request"));
	PG_RETURN_TEXT_P(cstring_to_text("OK"));
}

/* dblink_error_message(connection): of the last statement; 'OK' if it had none. */
Datum
pool_dblink_error_message(PG_FUNCTION_ARGS)
{
	PoolLink *link = pool_link_get(pool_call_text(fcinfo, 0));

	PG_RETURN_TEXT_P(cstring_to_text(link->error ? link->error : "OK"));
}

/* Takes the notifications that have come while no statement ran. */
static void
hear(PoolLink *link)
{
	PoolLease *lease = link->lease;

	if (lease->copy == NULL || lease->copy->busy || lease->prove ||
		lease->copy->unproven || !PQconsumeInput(lease->copy->pg))
		return;
	(void) PQisBusy(lease->copy->pg);
	pool_notifications_take(&lease->notifications, lease->copy->pg);
}

/*
 * dblink_get_notify([connection]): the notifications that have come; none if there is
 * no unnamed connection.
 */
Datum
pool_dblink_get_notify(PG_FUNCTION_ARGS)
{
	PoolLink *link = PG_NARGS() == 1 ? pool_link_get(pool_call_text(fcinfo, 0))
									 : pool_link_find(NULL);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (link == NULL || link->lease == NULL)
		return (Datum) 0;
	hear(link);
	foreach (cell, link->lease->notifications.list)
	{
		const PoolNotification *notification = lfirst(cell);
		Datum values[] = {CStringGetTextDatum(notification->channel),
						  Int32GetDatum(notification->remote_pid),
						  CStringGetTextDatum(notification->payload)};
		bool nulls[lengthof(values)] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	pool_notifications_clear(&link->lease->notifications);
	return (Datum) 0;
}
