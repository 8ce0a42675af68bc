/*
 * session.c
 *		The leases of this session: how they begin, run and, on every path,
 *		end.
 *
 * A lease is put into the list before anything is acquired for it.  From then
 * on whatever happens, one of these ends it:
 *
 *		pool_lease_end			the normal way
 *		end of transaction		commit or abort
 *		end of subtransaction	abort, for leases begun inside
 *		exit of the session		also after FATAL, when no error is caught
 *
 * They all come down to end_slot(), which raises nothing and does no network
 * traffic: it looks at what is known of the connection and gives the slot back
 * as clean, to be reset, or to be closed.  Doubt means closing.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "remote.h"
#include "session.h"

static dlist_head leases = DLIST_STATIC_INIT(leases);

static void register_callbacks(void);

/*
 * What may the next user expect of the connection?  Only what this function
 * calls clean goes to another session without a reset by the worker.
 */
static PoolReturn
judge(const PoolLease *lease)
{
	const PoolLink *link = lease->link;

	if (link == NULL || !lease->touched)
		return POOL_RETURN_CLEAN;
	if (link->busy)
		return POOL_RETURN_BUSY;
	if (PQstatus(link->pg) != CONNECTION_OK || link->notices.protocol_doubt ||
		PQpipelineStatus(link->pg) != PQ_PIPELINE_OFF)
		return POOL_RETURN_BROKEN;
	switch (PQtransactionStatus(link->pg))
	{
		case PQTRANS_IDLE:
			return lease->left_state || lease->scope != POOL_LEASE_STATEMENT
					   ? POOL_RETURN_RESET
					   : POOL_RETURN_CLEAN;
		case PQTRANS_INTRANS:
		case PQTRANS_INERROR:
			return POOL_RETURN_ROLLBACK;
		default:
			return POOL_RETURN_BROKEN;
	}
}

/* Gives the lease's slot back.  The lease has none then.  Raises nothing. */
static void
end_slot(PoolLease *lease, PoolCloseReason reason)
{
	PoolReturn how = judge(lease);
	PoolLink *link = lease->link;
	int slot = lease->request.slot;

	lease->link = NULL;
	lease->request.slot = POOL_NONE;
	if (slot == POOL_NONE)
		return;
	if (reason != POOL_CLOSE_NONE && how < POOL_RETURN_BROKEN &&
		reason != POOL_CLOSE_HOLDER_EXITED)
		how = POOL_RETURN_BROKEN;

	/* Let go of the copy first: the next owner may be at it at once. */
	if (link != NULL && how >= POOL_RETURN_BROKEN)
		pool_link_close(link);
	pool_give_back(slot, lease->request.generation, how,
				   reason != POOL_CLOSE_NONE ? reason : POOL_CLOSE_UNCLEAN);
	if (link != NULL && how < POOL_RETURN_BROKEN)
		pool_link_put(link, lease->left_state);
}

static void
forget_lease(PoolLease *lease, PoolCloseReason reason)
{
	end_slot(lease, reason);
	dlist_delete(&lease->node);
	pfree(lease->name);
	pfree(lease);
}

/* Acquires a slot for the lease, and the session's copy of its connection. */
static void
get_slot(PoolLease *lease)
{
	int64 started = pool_clock_us();

	for (;;)
	{
		PoolRequest *request = &lease->request;

		lease->deadline = pool_acquire_slot(lease->name, &lease->target,
											lease->timeout_ms, started, request);
		lease->prove = pool_slots[request->slot].last_holder !=
					   pool_session_self()->serial;
		lease->touched = lease->left_state = false;
		lease->link =
			pool_link_get(request->slot, request->generation, lease->deadline);
		if (lease->link != NULL)
			return;

		/* It ended on its way here. */
		end_slot(lease, POOL_CLOSE_HANDOVER_FAILED);
	}
}

/*
 * Begins a lease.  timeout_ms as in pool_acquire_slot(), whose errors it
 * raises.
 */
PoolLease *
pool_lease_begin(const char *server_name, PoolLeaseScope scope, int64 timeout_ms)
{
	PoolLease *lease;
	char *name;

	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot use pooled connections in a parallel worker")));

	register_callbacks();
	name = MemoryContextStrdup(TopMemoryContext, server_name);
	lease = MemoryContextAllocZero(TopMemoryContext, sizeof(PoolLease));
	lease->name = name;
	lease->scope = scope;
	lease->subid = GetCurrentSubTransactionId();
	lease->userid = GetUserId();
	lease->timeout_ms = timeout_ms;
	lease->request.slot = POOL_NONE;
	lease->id = (int64) pg_atomic_add_fetch_u64(&pool_shared->last_lease, 1);
	dlist_push_head(&leases, &lease->node);

	PG_TRY();
	{
		get_slot(lease);
	}
	PG_CATCH();
	{
		forget_lease(lease, POOL_CLOSE_NONE);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return lease;
}

/*
 * The lease of that number.  Raises 42704 if it is not a lease of this session,
 * 42501 if another user of this session took it.
 */
PoolLease *
pool_lease_find(int64 id)
{
	dlist_iter iter;

	dlist_foreach (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->id != id || lease->scope == POOL_LEASE_STATEMENT)
			continue;
		if (lease->userid != GetUserId())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for lease " INT64_FORMAT, id),
					 errdetail("It was acquired by another user.")));
		return lease;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("lease " INT64_FORMAT " does not exist", id),
			 errdetail(
				 "A lease belongs to the session that acquired it, and ends with pool_release() or with the transaction."),
			 errhint(
				 "Acquire with hold => true to keep a lease beyond the transaction.")));
	return NULL;
}

static void
refuse_if_running(const PoolLease *lease)
{
	if (lease->running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("lease " INT64_FORMAT " is running a statement",
							   lease->id)));
}

/* Ends a lease.  Raises 55006 if a statement is running on it. */
void
pool_lease_end(PoolLease *lease)
{
	refuse_if_running(lease);
	forget_lease(lease, POOL_CLOSE_NONE);
}

/* The statement goes out on another connection: this one was never used. */
static void
replace_slot(PoolLease *lease)
{
	end_slot(lease, POOL_CLOSE_CHECK_FAILED);
	get_slot(lease);
}

static void
prepare_run(PoolLease *lease, const PoolStatement *statement,
			PoolResult *result, PoolRun *run)
{
	const PoolOptions *options = &lease->target.options;

	memset(run, 0, sizeof(*run));
	run->link = lease->link;
	run->server_name = NameStr(lease->target.server_name);
	run->reset_query = options->reset_query;
	run->prove = lease->prove;
	run->validate =
		!lease->touched && lease->request.idle_us >
							   INT64CONST(1000) * options->validate_after_idle;
	run->proof_timeout = options->health_check_timeout;
	run->query_timeout = options->query_timeout;
	run->statement = statement;
	run->result = result;
}

/*
 * Runs until the statement has gone out once.  While nothing of it was sent,
 * and nothing in this lease before, a connection that turns out to be dead is
 * replaced without the user noticing.
 */
static PoolRunOutcome
run_once_alive(PoolLease *lease, const PoolStatement *statement,
			   PoolResult *result, PoolRun *run)
{
	for (;;)
	{
		bool fresh = !lease->touched;
		PoolRunOutcome outcome;

		prepare_run(lease, statement, result, run);
		lease->touched = true;
		outcome = pool_remote_run(run);
		if (outcome != POOL_RUN_NOT_SENT)
			return outcome;
		if (!fresh)
			return POOL_RUN_NOT_SENT;
		replace_slot(lease);
	}
}

static void
raise_left_open(const PoolLease *lease)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
			 errmsg("statement left a transaction open on server \"%s\"",
					NameStr(lease->target.server_name)),
			 errdetail("The remote transaction is rolled back."),
			 errhint(
				 "Use pool_acquire() and run the statements of a transaction on the lease.")));
}

static void
raise_not_proven(const PoolLease *lease)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to server \"%s\" failed",
					NameStr(lease->target.server_name)),
			 errdetail(
				 "The remote did not answer the reset of the connection as expected; it is closed."),
			 errhint(
				 "The statement may have been executed or not; it is not sent again.")));
}

static void
raise_lost_before(const PoolLease *lease)
{
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("connection of lease " INT64_FORMAT
						   " to server \"%s\" was lost",
						   lease->id, NameStr(lease->target.server_name)),
					errdetail("The statement was not sent.")));
}

/* The end of a statement that was sent, one way or another. */
static void
settle(PoolLease *lease, PoolRun *run, PoolRunOutcome outcome)
{
	PoolStats *stats = &lease->request.pool->stats;

	pool_stats_add(stats, POOL_COUNT_QUERIES, 1);
	pool_stats_add(stats, POOL_COUNT_ROWS, pool_result_rows(run->result));
	if (outcome != POOL_RUN_DONE || run->error != NULL)
		pool_stats_add(stats, POOL_COUNT_QUERY_ERRORS, 1);
	if (outcome == POOL_RUN_DONE)
	{
		lease->prove = run->error != NULL && run->reset_undone;
		if (lease->prove)
			pool_slots[lease->request.slot].last_holder = 0;
		lease->left_state = lease->left_state || run->left_state;
	}
	else if (outcome == POOL_RUN_LOST)
		end_slot(lease, POOL_CLOSE_REMOTE_CLOSED);
	else if (outcome == POOL_RUN_NOT_SENT)
		end_slot(lease, POOL_CLOSE_CHECK_FAILED);
	else
		end_slot(lease, POOL_CLOSE_PROOF_FAILED);
}

/*
 * Runs a statement on the lease.  The caller ends the lease.
 *
 * Raises the remote's errors as they are, 08006 when the connection is lost,
 * 57014 on a cancel, 55006 when the lease is running a statement already.
 */
void
pool_lease_run(PoolLease *lease, const PoolStatement *statement,
			   PoolResult *result)
{
	PoolRun run;
	volatile PoolRunOutcome outcome = POOL_RUN_LOST;
	volatile bool left_open = false;

	refuse_if_running(lease);
	if (lease->request.slot == POOL_NONE)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
						errmsg("lease " INT64_FORMAT " has lost its connection",
							   lease->id),
						errhint("Release it and acquire another one.")));

	lease->running = true;
	PG_TRY();
	{
		outcome = run_once_alive(lease, statement, result, &run);
	}
	PG_CATCH();
	{
		lease->running = false;
		if (lease->link != NULL && lease->link->busy)
			end_slot(lease, geterrcode() == ERRCODE_QUERY_CANCELED
								? POOL_CLOSE_CANCELED
								: POOL_CLOSE_ERROR);
		PG_RE_THROW();
	}
	PG_END_TRY();
	lease->running = false;

	settle(lease, &run, outcome);
	if (lease->scope == POOL_LEASE_STATEMENT)
	{
		/* The slot goes back before anything is raised. */
		left_open = judge(lease) == POOL_RETURN_ROLLBACK;
		end_slot(lease, POOL_CLOSE_NONE);
	}
	if (run.error != NULL)
		pool_report_raise(run.error, NameStr(lease->target.server_name));
	if (outcome == POOL_RUN_NOT_PROVEN)
		raise_not_proven(lease);
	if (outcome == POOL_RUN_NOT_SENT)
		raise_lost_before(lease);
	if (left_open)
		raise_left_open(lease);
}

/*
 * Runs a statement on any connection to the server, which commits by itself.
 * Raises what pool_lease_begin() and pool_lease_run() do, and 25000 when it
 * opened a transaction and left it open.
 */
void
pool_run_on_server(const char *server_name, const PoolStatement *statement,
				   PoolResult *result)
{
	PoolLease *lease = pool_lease_begin(server_name, POOL_LEASE_STATEMENT, -1);

	pool_lease_run(lease, statement, result);
	pool_lease_end(lease);
}

/* A lease that ends with the transaction while the remote has one open. */
static void
warn_of_rollbacks(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->scope == POOL_LEASE_TRANSACTION &&
			lease->subid != InvalidSubTransactionId &&
			judge(lease) == POOL_RETURN_ROLLBACK)
			ereport(WARNING,
					(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
					 errmsg("lease " INT64_FORMAT
							" ends with an open transaction on server \"%s\"",
							lease->id, NameStr(lease->target.server_name)),
					 errdetail("The remote transaction is rolled back.")));
	}
}

static void
refuse_prepare(void)
{
	if (!dlist_is_empty(&leases))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "cannot PREPARE a transaction while a pooled connection is leased"),
				 errhint("Call pool_release() before.")));
}

/* Ends the leases of the transaction; at commit, held ones stay. */
static void
end_of_transaction(bool commit)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->subid == InvalidSubTransactionId)
			continue;
		if (commit && lease->scope == POOL_LEASE_HOLD)
			lease->subid = InvalidSubTransactionId;
		else
			forget_lease(lease, POOL_CLOSE_NONE);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			warn_of_rollbacks();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			end_of_transaction(true);
			break;
		case XACT_EVENT_ABORT:
			end_of_transaction(false);
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dlist_foreach_modify (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			lease->subid = parent;
		else
			forget_lease(lease, POOL_CLOSE_NONE);
	}
}

static void
session_exit(int code, Datum arg)
{
	pool_acquire_abandon();
	while (!dlist_is_empty(&leases))
		forget_lease(dlist_head_element(PoolLease, node, &leases),
					 POOL_CLOSE_HOLDER_EXITED);
	memset(&pool_waiters[pool_session_self()->procno].session, 0,
		   sizeof(PoolSessionRef));
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	(void) pool_session_self();
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	before_shmem_exit(session_exit, (Datum) 0);
	registered = true;
}
