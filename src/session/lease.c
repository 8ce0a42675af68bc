/*
 * lease.c
 *		One lease: a session's hold on a connection.
 *
 * However a lease ends, it comes down to pool_lease_close(), which raises
 * nothing and does no network traffic: it looks at what is known of the
 * connection and gives the slot back as clean, to be reset, or to be closed.
 * Doubt means closing.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/clock.h"
#include "options/options.h"
#include "session/acquire.h"
#include "session/lease.h"
#include "session/remote_io.h"
#include "session/run.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "statement/remote_report.h"

/*
 * Getting the descriptor of a slot that is granted takes little, but it must
 * not fail because the wait for the slot took all of acquire_timeout.
 */
#define FETCH_TIMEOUT_US INT64CONST(5000000)

/* The settings by which text is read were changed and will not be reset. */
static bool
misreads(const PoolLease *lease)
{
	return lease->left_state && lease->target.options.reset_query[0] == '\0' &&
		   pool_conn_cache_fingerprint(lease->copy) != lease->copy->fingerprint;
}

/*
 * What may the next user expect of the connection?  Only what this function
 * calls clean goes to another session without a reset by the worker.
 */
PoolCondition
pool_lease_condition(const PoolLease *lease)
{
	const PoolCopy *copy = lease->copy;

	if (copy == NULL || !lease->touched)
		return POOL_CONDITION_CLEAN;
	if (copy->busy)
		return POOL_CONDITION_BUSY;
	if (PQstatus(copy->pg) != CONNECTION_OK || copy->notices.protocol_doubt ||
		PQpipelineStatus(copy->pg) != PQ_PIPELINE_OFF)
		return POOL_CONDITION_BROKEN;
	switch (PQtransactionStatus(copy->pg))
	{
		case PQTRANS_IDLE:
			if (misreads(lease))
				return POOL_CONDITION_BROKEN;
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

/*
 * Gives the lease's slot back, for that reason if it is to be closed; the
 * lease has none then.  With a reason other than NONE and HOLDER_EXITED it is
 * closed in any case.  Raises nothing.
 */
void
pool_lease_close(PoolLease *lease, PoolCloseReason reason)
{
	PoolCondition condition = pool_lease_condition(lease);
	PoolCopy *copy = lease->copy;
	int slot = lease->request.slot;

	lease->copy = NULL;
	lease->request.slot = POOL_NONE;
	if (slot == POOL_NONE)
		return;
	if (reason != POOL_CLOSE_NONE && !pool_queue_closes(condition) &&
		reason != POOL_CLOSE_HOLDER_EXITED)
		condition = POOL_CONDITION_BROKEN;

	/* Let go of the copy first: the next owner may be at it at once. */
	if (copy != NULL && pool_queue_closes(condition))
		pool_conn_cache_close(copy);
	pool_queue_release(slot, lease->request.generation, condition,
					   reason != POOL_CLOSE_NONE ? reason : POOL_CLOSE_UNCLEAN);
	if (copy != NULL && !pool_queue_closes(condition))
		pool_conn_cache_keep(copy, lease->left_state);
}

/*
 * Acquires a slot for the lease, and the session's copy of its connection.
 * "started" is when the session began to wait.  Raises what
 * pool_acquire_slot() and pool_conn_cache_get() do; the lease has no slot then, but
 * for one that the caller's pool_lease_close() gives back.
 */
void
pool_lease_open(PoolLease *lease, int64 started)
{
	PoolAcquireRequest *request = &lease->request;

	for (;;)
	{
		int64 deadline = pool_acquire_slot(lease->name, &lease->target,
										   lease->timeout_ms, started, request);

		lease->prove =
			pool_shmem_slots[request->slot].last_holder != pool_self()->serial;
		lease->touched = lease->left_state = false;
		lease->copy = pool_conn_cache_get(request->slot, request->generation,
										  Max(deadline, pool_clock_us() +
															FETCH_TIMEOUT_US));
		if (lease->copy != NULL)
			return;

		/* It ended on its way here. */
		pool_lease_close(lease, POOL_CLOSE_HANDOVER_FAILED);
	}
}

/*
 * Notes who has the lease, and where he took it, for the day when it is found
 * to be leaked: then it is too late to ask.
 */
void
pool_lease_note_holder(const PoolLease *lease)
{
	PoolHolder *holder = &pool_shmem_slots[lease->request.slot].holder;
	char *context;

	if (lease->target.options.leak_threshold == 0)
		return;
	context = GetErrorContextStack();
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
}

/* Raises 55006 if a statement is running on the lease. */
void
pool_lease_refuse_if_running(const PoolLease *lease)
{
	if (lease->running)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("lease " INT64_FORMAT " is running a statement",
							   lease->id)));
}

static void
prepare_run(PoolLease *lease, const PoolStatement *statement,
			PoolResult *result, PoolRun *run)
{
	const PoolOptions *options = &lease->target.options;

	memset(run, 0, sizeof(*run));
	run->copy = lease->copy;
	run->server_name = NameStr(lease->target.server_name);
	run->reset_query = options->reset_query;
	run->prove = lease->prove || lease->copy->unproven;
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
	int64 started = pool_clock_us();

	for (;;)
	{
		PoolStats *stats = &lease->request.pool->stats;
		bool fresh = !lease->touched;
		PoolRunOutcome outcome;

		prepare_run(lease, statement, result, run);
		lease->touched = true;
		if (run->validate)
			pool_stats_add(stats, POOL_COUNT_VALIDATIONS, 1);
		outcome = pool_run_statement(run);
		if (outcome == POOL_RUN_NOT_SENT && run->validate)
			pool_stats_add(stats, POOL_COUNT_VALIDATION_FAILURES, 1);
		if (outcome != POOL_RUN_NOT_SENT || !fresh)
			return outcome;
		pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
		pool_lease_open(lease, started);
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
raise_not_proven(const PoolLease *lease, const PoolRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to server \"%s\" failed",
					NameStr(lease->target.server_name)),
			 run->proof_error
				 ? errdetail("The remote did not accept the reset of the connection: %s",
							 run->proof_error->message)
				 : errdetail(
					   "The remote did not answer the reset of the connection as expected."),
			 errhint(POOL_HINT_NOT_SENT_AGAIN)));
}

/* Was the slot taken away from the session? */
static bool
is_reclaimed(const PoolLease *lease)
{
	const PoolSlot *slot = &pool_shmem_slots[lease->request.slot];

	return slot->owner.serial != pool_self()->serial ||
		   pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->generation)) !=
			   lease->request.generation;
}

static void
raise_reclaimed(const PoolLease *lease, bool running)
{
	ereport(ERROR,
			(errcode(running ? ERRCODE_CONNECTION_FAILURE
							 : ERRCODE_CONNECTION_DOES_NOT_EXIST),
			 errmsg("connection of lease " INT64_FORMAT
					" to server \"%s\" was taken away",
					lease->id, NameStr(lease->target.server_name)),
			 running ? errhint(POOL_HINT_NOT_SENT_AGAIN)
					 : errhint("Release the lease and acquire another one.")));
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

/* Counts a statement that was sent. */
static void
count_run(const PoolLease *lease, const PoolRun *run, bool failed)
{
	PoolStats *stats = &lease->request.pool->stats;

	if (!run->sent)
		return;
	pool_stats_add(stats, POOL_COUNT_QUERIES, 1);
	pool_stats_time(stats, POOL_TIMED_QUERY, pool_clock_us() - run->sent_at);
	pool_stats_add(stats, POOL_COUNT_ROWS, pool_result_rows(run->result));
	if (failed)
		pool_stats_add(stats, POOL_COUNT_QUERY_ERRORS, 1);
}

/* The end of a statement, one way or another. */
static void
settle(PoolLease *lease, PoolRun *run, PoolRunOutcome outcome)
{
	count_run(lease, run, outcome != POOL_RUN_DONE || run->error != NULL);
	if (outcome == POOL_RUN_DONE)
	{
		lease->copy->unproven = false;
		lease->prove = run->error != NULL && run->reset_undone;
		if (lease->prove)
			pool_shmem_slots[lease->request.slot].last_holder = 0;
		lease->left_state = lease->left_state || run->left_state;
	}
	else if (outcome == POOL_RUN_LOST)
		pool_lease_close(lease, POOL_CLOSE_REMOTE_CLOSED);
	else if (outcome == POOL_RUN_NOT_SENT)
		pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
	else
		pool_lease_close(lease, POOL_CLOSE_PROOF_FAILED);
}

/* No statement is running any more. */
static void
end_of_run(PoolLease *lease)
{
	lease->running = false;
	if (lease->request.slot != POOL_NONE && !is_reclaimed(lease))
		pool_shmem_slots[lease->request.slot].running = false;
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
	PoolRun run = {0};
	volatile PoolRunOutcome outcome = POOL_RUN_LOST;
	volatile bool left_open = false;
	bool reclaimed;

	pool_lease_refuse_if_running(lease);
	if (lease->request.slot == POOL_NONE)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
						errmsg("lease " INT64_FORMAT " has lost its connection",
							   lease->id),
						errhint("Release it and acquire another one.")));

	if (is_reclaimed(lease))
	{
		pool_lease_close(lease, POOL_CLOSE_RECLAIMED);
		raise_reclaimed(lease, false);
	}

	lease->running = true;
	pool_shmem_slots[lease->request.slot].running = true;
	PG_TRY();
	{
		outcome = run_once_alive(lease, statement, result, &run);
	}
	PG_CATCH();
	{
		end_of_run(lease);
		count_run(lease, &run, true);
		lease->left_state = true; /* whatever ran was not seen to its end */
		if (lease->copy != NULL && lease->copy->busy)
			pool_lease_close(lease, geterrcode() == ERRCODE_QUERY_CANCELED
										? POOL_CLOSE_CANCELED
										: POOL_CLOSE_ERROR);
		else if (lease->copy == NULL || lease->scope == POOL_LEASE_STATEMENT)
			pool_lease_close(lease, POOL_CLOSE_NONE);
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_of_run(lease);

	reclaimed = outcome != POOL_RUN_DONE && lease->request.slot != POOL_NONE &&
				is_reclaimed(lease);
	settle(lease, &run, outcome);
	if (lease->scope == POOL_LEASE_STATEMENT)
	{
		/* The slot goes back before anything is raised. */
		left_open = pool_lease_condition(lease) == POOL_CONDITION_IN_TRANSACTION;
		pool_lease_close(lease, POOL_CLOSE_NONE);
	}
	if (reclaimed)
		raise_reclaimed(lease, outcome != POOL_RUN_NOT_SENT);
	if (run.error != NULL)
		pool_remote_report_raise(run.error, NameStr(lease->target.server_name));
	if (outcome == POOL_RUN_NOT_PROVEN)
		raise_not_proven(lease, &run);
	if (outcome == POOL_RUN_NOT_SENT)
		raise_lost_before(lease);
	if (left_open)
		raise_left_open(lease);
}
