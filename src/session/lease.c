/*
 * lease.c
 *		One lease: a session's hold on a connection.
 *
 * However a lease ends, it comes down to pool_lease_close(), which raises
 * nothing and waits for nothing: it looks at what is known of the connection and
 * releases the slot as clean, to be reset, or to be closed.  Doubt means closing.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/acquire.h"
#include "session/as_user.h"
#include "session/by_name.h"
#include "session/lease.h"
#include "shared/holder.h"
#include "shared/self.h"
#include "shared/shmem.h"

/*
 * Fetching the descriptor of a slot that is granted takes little, but it must
 * not fail because the wait for the slot took all of acquire_timeout.
 */
#define FETCH_TIMEOUT_MS 2000

/*
 * Were settings changed by which text is written and read, so that the next user
 * would read other values than were meant?  DISCARD ALL sets them back.  After
 * another reset nobody could tell: the worker, which says to sessions how they are,
 * has not seen the change, and the remote reports no setting that stays as it is.
 */
static bool
would_be_misread(const PoolLease *lease)
{
	const char *reset_query = lease->target.options.reset_query;

	if (!lease->left_state || strcmp(reset_query, POOL_DEFAULT_RESET) == 0)
		return false;
	if (lease->copy->readable && pool_conn_cache_misread(lease->copy) != NULL)
		return true;
	return reset_query[0] == '\0' &&
		   pool_conn_cache_fingerprint(lease->copy) != lease->copy->fingerprint;
}

/*
 * May the worker wait for the end of what is under way, and go on with the connection
 * (POOL_CONDITION_UNREAD)?
 */
static bool
may_be_drained(const PoolLease *lease)
{
	const PoolCopy *copy = lease->copy;

	return (lease->unwanted || POOL_FAULT_UNWANTED()) &&
		   strcmp(lease->target.options.reset_query, POOL_DEFAULT_RESET) == 0 &&
		   PQstatus(copy->pg) == CONNECTION_OK &&
		   !copy->notices.protocol_doubt && PQflush(copy->pg) == 0;
}

/*
 * What may the next user expect of the connection?  Only what this function
 * calls untouched or clean goes to another session without a reset by the worker.
 */
PoolCondition
pool_lease_condition(const PoolLease *lease)
{
	const PoolCopy *copy = lease->copy;

	if (copy == NULL || !lease->touched)
		return POOL_CONDITION_UNTOUCHED;
	if (copy->busy && lease->silent)
		return POOL_CONDITION_SILENT;
	if (copy->busy)
		return may_be_drained(lease) ? POOL_CONDITION_UNREAD
									 : POOL_CONDITION_BUSY;

	/* None of this is so after a run that came to its end: see check_end(). */
	if (PQstatus(copy->pg) != CONNECTION_OK || copy->notices.protocol_doubt ||
		PQpipelineStatus(copy->pg) != PQ_PIPELINE_OFF)
		return POOL_CONDITION_BROKEN;
	if (would_be_misread(lease))
		return POOL_CONDITION_BROKEN;
	switch (PQtransactionStatus(copy->pg))
	{
		case PQTRANS_IDLE:
			return lease->left_state || lease->scope != POOL_LEASE_STATEMENT
					   ? POOL_CONDITION_USED
					   : POOL_CONDITION_CLEAN;
		case PQTRANS_INTRANS:
		case PQTRANS_INERROR:
			return POOL_CONDITION_IN_TRANSACTION;
		default:
			return POOL_CONDITION_BROKEN;
	}
}

/* Is a connection that could be used again closed for that reason? */
static bool
closes_for(PoolCloseReason reason, PoolCondition condition)
{
	return reason != POOL_CLOSE_NONE && reason != POOL_CLOSE_HOLDER_EXITED &&
		   !(reason == POOL_CLOSE_CANCELED && condition == POOL_CONDITION_UNREAD);
}

/*
 * Releases the lease's slot, if it has one; the lease has none then.  The
 * connection is closed if its condition demands that, and in any case if a
 * reason is given, other than NONE and HOLDER_EXITED, and CANCELED of a statement
 * that need not be cancelled.  Raises nothing.
 */
void
pool_lease_close(PoolLease *lease, PoolCloseReason reason)
{
	PoolCondition condition = pool_lease_condition(lease);
	PoolCopy *copy = lease->copy;
	bool proven = copy != NULL && !lease->prove && !copy->unproven;
	PoolUser user = {.session = proven ? pool_self()->serial : 0,
					 .procno = pool_self()->procno,
					 .role = lease->request.role};
	int slot = lease->request.slot;
	bool keep;

	POOL_FAULT_POINT(close_judge);
	lease->copy = NULL;
	lease->request.slot = POOL_NONE;
	if (slot == POOL_NONE)
		return;
	if (reason == POOL_CLOSE_NONE && lease->backlog.exists)
		reason = POOL_CLOSE_ERROR;
	lease->backlog.exists = false;
	lease->closed = reason;
	if (!pool_queue_closes(condition) && closes_for(reason, condition))
		condition = condition == POOL_CONDITION_UNREAD ? POOL_CONDITION_BUSY
													   : POOL_CONDITION_BROKEN;
	keep = !pool_queue_spoils(condition);

	/* The copy first: the next owner may be at the socket at once. */
	if (copy != NULL && !keep)
		pool_conn_cache_close(copy);
	POOL_FAULT_POINT(close_copy_closed);
	if (keep)
		pool_prepared_store(slot, &lease->prepared);
	pool_queue_release(slot, lease->request.generation, condition,
					   reason != POOL_CLOSE_NONE ? reason : POOL_CLOSE_UNCLEAN,
					   lease->touched ? &user : NULL);
	POOL_FAULT_POINT(close_keep);
	if (copy != NULL && keep)
		pool_conn_cache_keep(copy, lease->left_state);
}

/*
 * Gets the session's copy of the connection in the slot that the lease has.  Returns
 * false if that ended before its descriptor was here; the lease has no slot then.
 * The deadline of acquiring is in pool_clock_us().
 *
 * Raises what pool_conn_cache_get() does; the caller's pool_lease_close() releases
 * the slot.
 */
bool
pool_lease_adopt(PoolLease *lease, int64 deadline)
{
	PoolAcquireRequest *request = &lease->request;

	deadline = Max(deadline, pool_clock_after_ms(FETCH_TIMEOUT_MS));
	lease->prove = !pool_slot_was_used_by(&pool_shmem_slots[request->slot],
										  pool_self()->serial, request->role);
	pool_prepared_load(&pool_shmem_slots[request->slot], request->generation,
					   request->role,
					   pool_by_name_is_enabled(&lease->target.options,
											   request->pool),
					   &lease->prepared);
	lease->touched = lease->left_state = false;
	lease->silent = lease->unwanted = false;
	if (lease->noted && lease->target.options.leak_threshold > 0)
		pool_holder_note(request->slot, request->generation, &lease->holder);
	lease->copy =
		pool_conn_cache_get(&request->slot, request->generation, deadline);
	if (lease->copy != NULL)
		return true;
	pool_lease_close(lease, POOL_CLOSE_HANDOVER_FAILED);
	return false;
}

/*
 * Acquires a slot for the lease, and gets the session's copy of its connection, with
 * the rights of the lease's user, who need not be the current one.  All of it counts
 * from lease->started.
 *
 * Raises what pool_acquire_slot() and pool_lease_adopt() do.  The lease may have a
 * slot then, without a copy, which the caller's pool_lease_close() releases.
 */
void
pool_lease_open(PoolLease *lease)
{
	const PoolWanted wanted = {.server_name = lease->name,
							   .string = lease->string};
	PoolAsUser before;
	int64 deadline;

	pool_as_user_begin(lease->userid, &before);
	do
	{
		deadline = pool_acquire_slot(&wanted, &lease->target, lease->timeout_ms,
									 lease->started, &lease->request);
	} while (!pool_lease_adopt(lease, deadline));
	pool_as_user_end(&before);
}

/*
 * Notes which user and application acquires the lease, and where in its code, for
 * the day when it is found to be leaked: then it is too late to ask.  It is told
 * of each slot that the lease has from here on.
 */
void
pool_lease_note_holder(PoolLease *lease)
{
	PoolHolder *holder = &lease->holder;
	char *context = GetErrorContextStack();

	memset(holder, 0, sizeof(*holder));
	if (context != NULL) /* NULL: not in a function */
	{
		int len =
			pg_mbcliplen(context, (int) strlen(context), POOL_CONTEXT_LEN - 1);

		strlcpy(holder->context, context, len + 1);
		pfree(context);
	}
	namestrcpy(&holder->user, GetUserNameFromId(lease->userid, false));
	namestrcpy(&holder->application, application_name ? application_name : "");
	holder->userid = GetSessionUserId(); /* as pg_stat_activity */
	lease->noted = true;
}

/*
 * Raises 55000 if a request is under way on the lease, 55006 if another statement is
 * running on it.
 */
void
pool_lease_refuse_if_running(const PoolLease *lease)
{
	if (lease->has_request)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("lease " INT64_FORMAT " has a request under way",
							   lease->id),
						errhint("Wait for it with pool_wait(), or end it with "
								"pool_abandon().")));
	if (lease->running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("lease " INT64_FORMAT " is running a statement",
							   lease->id)));
}

/* Was the slot reclaimed from this session?  Its connection is cut then. */
bool
pool_lease_is_reclaimed(const PoolLease *lease)
{
	const PoolSlot *slot = &pool_shmem_slots[lease->request.slot];

	return slot->owner.serial != pool_self()->serial ||
		   pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->generation)) !=
			   lease->request.generation;
}

/*
 * The lease runs a statement from here to pool_lease_end_statement(), on the slot
 * that it has now.  Returns false if that was reclaimed.
 */
bool
pool_lease_begin_statement(PoolLease *lease)
{
	lease->running = true;
	return pool_holder_begin_statement(lease->request.slot,
									   lease->request.generation);
}

/* No statement is running on the lease any more.  Raises nothing. */
void
pool_lease_end_statement(PoolLease *lease)
{
	lease->running = false;
	if (lease->request.slot != POOL_NONE)
		pool_holder_end_statement(lease->request.slot,
								  lease->request.generation);
}
