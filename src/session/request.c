/*
 * request.c
 *		A statement that is sent without waiting for its answer.
 *
 * A request is WAITING for a connection, RUNNING, or done: READY, FAILED or
 * CANCELLED.  It is moved on by request_run.c, and ends with its scope by
 * requests.c; here is what it is made of, and how each state is left.
 *
 * It has a lease of its own, or runs on one that the session holds.  It gives the
 * connection back as soon as its answer is complete; the rows are kept in its
 * result until somebody takes them.
 *
 * All of it is the session's own memory, but for the entry that the view
 * pool_requests shows, in which is its place in a queue.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/fault.h"
#include "base/guc.h"
#include "session/event_set.h"
#include "session/lease_settle.h"
#include "session/raised.h"
#include "session/remote_io.h"
#include "session/request.h"
#include "session/request_run.h"
#include "session/run_error.h"
#include "session/session.h"
#include "session/socket_wait.h"
#include "shared/shmem.h"

/* Those of this session, in the order of sending. */
dlist_head pool_request_list = DLIST_STATIC_INIT(pool_request_list);

/* How many were finished so far. */
uint64 pool_request_finished = 0;

/*
 * Makes a request, on a lease that the session holds or, if that is NULL, on one of
 * its own.  The statement is copied.  Up to result_kb of its rows are kept in
 * memory, more on disk.  Nothing is sent yet.
 *
 * Raises 54000 if all sessions have as many requests as there may be.
 */
PoolRequest *
pool_request_make(const char *server_name, PoolLease *lease,
				  const PoolStatement *statement, int result_kb)
{
	uint64 id = pg_atomic_add_fetch_u64(&pool_shmem->last_request, 1);
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool request",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	PoolRequest *request = palloc0(sizeof(PoolRequest));

	request->id = id;
	request->context = context;
	request->server_name = pstrdup(server_name);
	request->subid = GetCurrentSubTransactionId();
	request->userid = GetUserId();
	request->statement = pool_statement_copy(statement);
	request->deadline = PG_INT64_MAX;
	request->lease = lease;
	request->own = lease == NULL;
	request->held_lease = lease != NULL ? lease->id : 0;
	request->result =
		statement->verbatim
			? pool_result_create_sets(context, server_name, result_kb, true)
			: pool_result_create_kept(context, server_name, result_kb);
	MemoryContextSwitchTo(old_context);

	request->entry = pool_request_entry_take(id, server_name, GetUserId());
	if (request->entry == NULL)
	{
		pool_result_destroy(request->result);
		MemoryContextDelete(context);
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("too many requests"),
						errdetail("All sessions together can have %d of them.",
								  pool_guc_max_requests),
						errhint("Fetch or abandon requests, or raise "
								"pool.max_requests.")));
	}
	MemoryContextSetParent(context, TopMemoryContext);
	if (lease != NULL)
		lease->has_request = true;
	dlist_push_tail(&pool_request_list, &request->node);
	pool_socket_wait_other = pool_request_run_beside;
	return request;
}

/* Is its answer, or error, here? */
bool
pool_request_is_done(const PoolRequest *request)
{
	return request->state != POOL_REQUEST_WAITING &&
		   request->state != POOL_REQUEST_RUNNING;
}

/*
 * Was the statement sent, and not seen to its end?  Then the remote may have executed
 * it, or not.
 */
bool
pool_request_is_unknown(const PoolRequest *request)
{
	const PoolRun *run = &request->run.run;

	if (request->state == POOL_REQUEST_READY || !run->sent)
		return false;
	return run->phase != POOL_RUN_PHASE_OVER ||
		   (run->outcome != POOL_RUN_DONE && run->outcome != POOL_RUN_MISREAD &&
			run->outcome != POOL_RUN_FAILED &&
			run->outcome != POOL_RUN_LEFT_OPEN &&
			run->outcome != POOL_RUN_NOT_SENT &&
			run->outcome != POOL_RUN_NOT_BEGUN);
}

/* It is in that state now, and others may see it. */
void
pool_request_note(PoolRequest *request, PoolRequestState state)
{
	if (request->state == state)
		return;
	request->state = state;
	pool_request_entry_note(request->entry, state);
}

/*
 * Has the event set tell of its socket.  Where there is nothing to wait for it is
 * ready as it is.  Raises what pool_event_set_add() does.
 */
void
pool_request_watch(PoolRequest *request)
{
	PoolRun *run = &request->run.run;
	int events =
		run->phase == POOL_RUN_PHASE_OVER ? 0 : pool_remote_io_events(run);
	int sock = PQsocket(run->copy->pg);

	if (events == 0)
	{
		pool_request_unwatch(request);
		request->ready = true;
		return;
	}
	if (!request->watched)
		pool_event_set_add(request->id, sock, events);
	else if (events != request->events)
		pool_event_set_change(request->id, sock, events);
	request->watched = true;
	request->events = events;
}

/*
 * The event set is not to tell of its socket any more.  To be called before the
 * connection's copy is given away or closed.  Raises nothing.
 */
void
pool_request_unwatch(PoolRequest *request)
{
	if (request->watched && request->lease->copy != NULL)
		pool_event_set_remove(PQsocket(request->lease->copy->pg));
	request->watched = request->ready = false;
}

/*
 * It is done, and has no lease any more.  Its run, if there was one, is settled.
 * Raises nothing.
 */
void
pool_request_finish(PoolRequest *request, PoolRequestState state)
{
	PoolLease *lease = request->lease;

	POOL_FAULT_POINT(request_finish);
	request->lease = NULL;
	if (lease != NULL && request->own)
		pool_session_end_lease(lease, POOL_CLOSE_NONE);
	else if (lease != NULL)
	{
		lease->has_request = false;
		lease->request.waiter = NULL;
	}
	request->finished = ++pool_request_finished;
	pool_request_note(request, state);

	/* Answers from before an error are handed out, each as it came. */
	if (state != POOL_REQUEST_READY && request->result != NULL &&
		pool_result_sets(request->result) == NULL)
	{
		pool_result_destroy(request->result);
		request->result = NULL;
	}
}

/*
 * It has failed, with the error that the function raises for it (raised.c), which is
 * kept for pool_result().
 */
void
pool_request_fail(PoolRequest *request, void (*raise)(void *))
{
	MemoryContext context = MemoryContextSwitchTo(request->context);

	request->error = pool_raised(raise, request);
	MemoryContextSwitchTo(context);
	pool_request_finish(request, POOL_REQUEST_FAILED);
}

/*
 * Ends what is under way, here and at the remote; pool_request_finish() has to follow.
 * A lease that the session holds, and that has no connection yet, has no slot then.
 * Raises nothing, and waits for nothing: the worker cancels the statement.
 */
void
pool_request_stop(PoolRequest *request)
{
	PoolLease *lease = request->lease;

	if (request->state == POOL_REQUEST_RUNNING)
	{
		pool_request_unwatch(request);
		pool_lease_settle_failed(&request->run, ERRCODE_QUERY_CANCELED);
	}
	else if (request->state == POOL_REQUEST_WAITING && lease != NULL)
	{
		pool_acquire_leave(&request->acquire);
		if (lease->copy == NULL)
			pool_lease_close(lease, POOL_CLOSE_NONE);
	}
}

/*
 * Ends what is under way, and throws away what has come; it is CANCELLED then.
 * Raises nothing.
 */
void
pool_request_abandon(PoolRequest *request)
{
	POOL_FAULT_POINT(request_abandon);
	pool_request_stop(request);
	pool_request_finish(request, POOL_REQUEST_CANCELLED);
}

/*
 * This session has raised an error, in whatever call, while it moved the request on:
 * ends what is under way, and keeps the error for who asks for the request.  To be
 * called while the error is being handled.
 */
void
pool_request_break(PoolRequest *request)
{
	MemoryContext context = CurrentMemoryContext;

	pool_request_abandon(request);
	MemoryContextSwitchTo(request->context);
	request->error = CopyErrorData();
	MemoryContextSwitchTo(context);
	pool_request_note(request, POOL_REQUEST_FAILED);
}

/*
 * The error of a request that has failed or is cancelled, for ThrowErrorData(): a copy,
 * whose texts are the request's.
 */
ErrorData *
pool_request_error(const PoolRequest *request)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	if (request->error != NULL && request->state == POOL_REQUEST_FAILED)
	{
		*error = *request->error;
		pool_run_error_keep_places(error); /* the request may be freed */
		return error;
	}
	error->elevel = ERROR;
	error->sqlerrcode = ERRCODE_QUERY_CANCELED;
	error->message =
		psprintf("request " UINT64_FORMAT " was canceled", request->id);
	return error;
}

/* It is no more.  Raises nothing. */
void
pool_request_free(PoolRequest *request)
{
	if (!pool_request_is_done(request))
		pool_request_abandon(request);
	dlist_delete(&request->node);
	pool_request_entry_free(request->entry);
	if (request->result != NULL)
		pool_result_destroy(request->result);
	MemoryContextDelete(request->context);
	if (dlist_is_empty(&pool_request_list))
		pool_socket_wait_other = NULL;
}

/* Raises 55006 if the rows of the request are being read, by this very call say. */
void
pool_request_refuse_if_being_read(const PoolRequest *request)
{
	if (request->result != NULL && pool_result_is_being_taken(request->result))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("result of request " UINT64_FORMAT " is being read",
						request->id)));
}

/*
 * It is no more, and what it does is not cancelled: that changes nothing, and the
 * connection may be of use.  Raises nothing.
 */
void
pool_request_let_go(PoolRequest *request)
{
	if (request->state == POOL_REQUEST_RUNNING)
		request->lease->unwanted = true;
	pool_request_free(request);
}

/*
 * Returns the request of that number.  Raises 42704 if it is none of this session,
 * 42501 if another user of this session sent it, 25000 in a parallel worker.
 */
PoolRequest *
pool_request_find(int64 id)
{
	dlist_iter iter;

	pool_session_prepare();
	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->id != (uint64) id || request->internal)
			continue;
		if (request->userid != GetUserId())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for request " INT64_FORMAT, id),
					 errdetail("It was sent by another user.")));
		return request;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("request " INT64_FORMAT " does not exist", id),
			 errdetail("A request belongs to the session that sent it, and ends "
					   "with pool_result() or with the transaction.")));
	return NULL;
}
