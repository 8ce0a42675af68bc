/*
 * requests.c
 *		Sending requests, and the scopes with which they end.
 *
 * A request ends with the subtransaction in which it was sent if that is rolled
 * back, and with the transaction; one on a lease that is held beyond the
 * transaction ends with the lease.  All of them end with the session.  In each case
 * that comes before the end of the leases on which they run (session.c): callbacks
 * are called in the reverse order of their registration.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "base/fault.h"
#include "session/event_set.h"
#include "session/request_run.h"
#include "session/requests.h"
#include "session/session.h"
#include "shared/stats.h"

static void register_callbacks(void);

/* What a request needs before it is made.  Raises what the two functions do. */
static void
prepare(void)
{
	pool_session_prepare();
	pool_event_set_prepare();
	register_callbacks();
}

/*
 * Makes a request of its caller's own, which no number finds; it is sent when the
 * requests are moved on.  The deadline, in pool_clock_us(), is for all of it;
 * result_kb is how much of its rows is kept in memory.
 *
 * Raises 25000 in a parallel worker, 53000 for want of descriptors, and what
 * pool_request_make() does.
 */
PoolRequest *
pool_requests_make(const char *server_name, const PoolStatement *statement,
				   int64 deadline, int result_kb)
{
	PoolRequest *request;

	prepare();
	request = pool_request_make(server_name, NULL, statement, result_kb);
	request->deadline = deadline;
	request->internal = true;
	return request;
}

/* Moves a new request on, for the first time; after an error there is none. */
static void
begin(PoolRequest *request)
{
	PG_TRY();
	{
		POOL_FAULT_POINT(request_listed);
		pool_request_run_poll();
	}
	PG_CATCH();
	{
		pool_request_free(request);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Sends a request to any connection of the server's pool, without waiting.
 *
 * Raises as above, what pool_target_resolve() does, and errors of this session, in
 * whatever request they happen; there is no new request then.
 */
PoolRequest *
pool_requests_send(const char *server_name, const PoolStatement *statement)
{
	PoolTarget *target = palloc(sizeof(PoolTarget));
	PoolRequest *request;

	prepare();
	pool_target_resolve(server_name, target);
	pfree(target);
	request = pool_request_make(server_name, NULL, statement, work_mem);
	begin(request);
	return request;
}

/*
 * Sends a request on a lease of this session, as above.  Raises what
 * pool_lease_run_check() does besides.
 */
PoolRequest *
pool_requests_send_on_lease(PoolLease *lease, const PoolStatement *statement)
{
	PoolRequest *request;

	prepare();
	if (lease->has_request)
		pool_request_run_poll(); /* it may be done by now */
	pool_lease_run_check(lease);
	request = pool_request_make(NameStr(lease->target.server_name), lease,
								statement, work_mem);
	request->pool = lease->request.pool;
	if (lease->scope == POOL_LEASE_SESSION)
	{
		request->subid = InvalidSubTransactionId;
		request->userid = lease->userid; /* whose rights the connection has */
		request->internal = true;
	}
	pool_stats_add(&request->pool->stats, POOL_COUNT_REQUESTS, 1);
	begin(request);
	return request;
}

/* Calls the function for each request; it may free it. */
static void
for_each(void (*function)(PoolRequest *, const void *), const void *arg)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &pool_request_list)
	{
		function(dlist_container(PoolRequest, node, iter.cur), arg);
	}
}

static void
free_if_on_lease(PoolRequest *request, const void *arg)
{
	if (request->held_lease == *(const int64 *) arg)
		pool_request_free(request);
}

static void
refuse_if_read_on_lease(PoolRequest *request, const void *arg)
{
	if (request->held_lease == *(const int64 *) arg)
		pool_request_refuse_if_being_read(request);
}

/*
 * The lease, on which no request is under way, is about to end.  Raises 55006 if the
 * rows of one are being read.
 */
void
pool_requests_forget_lease(int64 lease_id)
{
	for_each(refuse_if_read_on_lease, &lease_id);
	for_each(free_if_on_lease, &lease_id);
}

/* Does the request stay when the transaction is committed? */
static bool
outlives_transaction(const PoolRequest *request)
{
	return request->subid == InvalidSubTransactionId ||
		   (request->held_lease != 0 &&
			pool_session_is_held(request->held_lease));
}

/* Warns of a request that is not done when the transaction is committed. */
static void
warn_if_unfinished(PoolRequest *request, const void *arg)
{
	if (pool_request_is_done(request) || outlives_transaction(request))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("request " UINT64_FORMAT
					" to server \"%s\" is canceled at the end of the transaction",
					request->id, request->server_name),
			 request->state == POOL_REQUEST_RUNNING
				 ? errdetail("The remote may have executed the statement, "
							 "or may not.")
				 : errdetail("The statement was not sent."),
			 errhint(
				 "Wait for it with pool_wait() or pool_result() in the same "
				 "transaction, which needs a transaction block or a function.")));
}

/* The same for one that has not been sent, and is not to be any more. */
static void
end_if_waiting(PoolRequest *request, const void *arg)
{
	if (request->state != POOL_REQUEST_WAITING || outlives_transaction(request))
		return;
	warn_if_unfinished(request, arg);
	pool_request_abandon(request);
}

static void
refuse_prepare(PoolRequest *request, const void *arg)
{
	/* On a lease that has nothing to do with transactions. */
	if (request->internal && request->subid == InvalidSubTransactionId)
		return;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot PREPARE a transaction that has requests"),
					errhint("Fetch them with pool_result(), or abandon them.")));
}

static void
end_at_commit(PoolRequest *request, const void *arg)
{
	if (outlives_transaction(request))
		request->subid = InvalidSubTransactionId;
	else
		pool_request_free(request);
}

static void
end_at_abort(PoolRequest *request, const void *arg)
{
	if (request->subid != InvalidSubTransactionId)
		pool_request_free(request);
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			for_each(end_if_waiting, NULL);
			pool_request_run_poll();
			for_each(warn_if_unfinished, NULL);
			break;
		case XACT_EVENT_PRE_PREPARE:
			for_each(refuse_prepare, NULL);
			break;
		case XACT_EVENT_COMMIT:
			POOL_FAULT_POINT(request_commit);
			for_each(end_at_commit, NULL);
			break;
		case XACT_EVENT_ABORT:
			POOL_FAULT_POINT(request_abort);
			pool_request_run_stop();
			for_each(end_at_abort, NULL);
			break;
		default:
			break;
	}
}

/* The subtransactions of subxact_callback(). */
typedef struct Scope
{
	SubTransactionId mine;
	SubTransactionId parent; /* invalid: it is rolled back */
} Scope;

static void
end_subtransaction(PoolRequest *request, const void *arg)
{
	const Scope *scope = arg;

	if (request->subid != scope->mine)
		return;
	if (scope->parent != InvalidSubTransactionId)
		request->subid = scope->parent;
	else
		pool_request_free(request);
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	Scope scope = {.mine = mine};

	if (event == SUBXACT_EVENT_COMMIT_SUB)
		scope.parent = parent;
	else if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	else
		pool_request_run_stop(); /* also for those that go on */
	POOL_FAULT_POINT(request_subxact);
	for_each(end_subtransaction, &scope);
}

/* Its memory goes with the process, which may have ended while it read the rows. */
static void
leave_request(PoolRequest *request, const void *arg)
{
	if (!pool_request_is_done(request))
		pool_request_abandon(request);
	dlist_delete(&request->node);
	pool_request_entry_free(request->entry);
}

/* Ends the requests of a session that exits.  Raises nothing. */
static void
session_exit(int code, Datum arg)
{
	pool_acquire_abandon();
	POOL_FAULT_POINT(exit_requests);
	for_each(leave_request, NULL);
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	before_shmem_exit(session_exit, (Datum) 0);
	registered = true;
}
