/*
 * lease_settle.c
 *		What a statement that has ended leaves of its lease.
 *
 * Whichever way it has ended: no statement is running on the lease any more, a slot
 * that is not to be kept is released, and what is known of the connection is noted.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/backlog.h"
#include "session/by_name.h"
#include "session/lease_settle.h"
#include "session/run_error.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

/* Why a connection is closed after a proof that failed. */
PoolCloseReason
pool_lease_settle_close_reason(const PoolRun *run)
{
	if (run->proof == POOL_PROOF_ENDED)
		return POOL_CLOSE_REMOTE_CLOSED;
	if (run->proof == POOL_PROOF_OPEN || pool_run_error_is_reset_refused(run))
		return POOL_CLOSE_RESET_FAILED;
	return POOL_CLOSE_PROOF_FAILED;
}

/* Counts a statement, if it was sent. */
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

/* The remote is ready for the next statement. */
static void
note_ready(PoolLease *lease, const PoolRun *run)
{
	lease->copy->unproven = false;
	lease->prove = run->error != NULL && run->reset_undone;
}

/*
 * Settles the lease after an error that this session raised while the
 * statement ran: whatever ran was not seen to its end.  What is left of its answer
 * is the lease's backlog, or the connection is closed.  Raises nothing.
 */
void
pool_lease_settle_failed(PoolLeaseRun *lease_run, int sqlstate)
{
	PoolLease *lease = lease_run->lease;
	const PoolRun *run = &lease_run->run;

	pool_lease_end_statement(lease);
	count_run(lease, run, true);
	lease->left_state = true;

	/* What came was refused here, or the error came after the end. */
	if (lease->copy != NULL && !lease->copy->busy && run->sent)
		note_ready(lease, run);
	if (lease->copy != NULL && lease->copy->busy &&
		pool_backlog_may_be(lease, run, sqlstate))
		pool_backlog_note(lease, run);
	else if (lease->copy != NULL && lease->copy->busy)
		pool_lease_close(lease, sqlstate == ERRCODE_QUERY_CANCELED
									? POOL_CLOSE_CANCELED
									: POOL_CLOSE_ERROR);
	else if (lease->copy == NULL || lease->scope == POOL_LEASE_STATEMENT)
		pool_lease_close(lease, POOL_CLOSE_NONE);
}

/*
 * The connection is not to be used after this run; its slot is released.  Raises
 * nothing.
 */
static void
close_after_run(PoolLease *lease, PoolRun *run)
{
	bool reclaimed = pool_lease_is_reclaimed(lease);

	switch (run->outcome)
	{
		case POOL_RUN_NOT_SENT:
			pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED_BEFORE;
			break;
		case POOL_RUN_NOT_BEGUN:
		case POOL_RUN_NOT_PROVEN:
			pool_lease_close(lease, pool_lease_settle_close_reason(run));
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED;
			break;
		case POOL_RUN_TIMED_OUT:
			pool_lease_close(lease, POOL_CLOSE_CANCELED);
			break;
		case POOL_RUN_COPIES:
		case POOL_RUN_BEHIND:
			pool_lease_close(lease, POOL_CLOSE_ERROR);
			break;
		default:
			pool_lease_close(lease, POOL_CLOSE_REMOTE_CLOSED);
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED;
			break;
	}
}

/*
 * Settles the lease after a run that is over.  If the lease ends with the
 * statement, its slot is released here.  run->outcome is what pool_run_error_raise()
 * has to raise then.  Raises nothing.
 */
void
pool_lease_settle(PoolLeaseRun *lease_run)
{
	PoolLease *lease = lease_run->lease;
	PoolRun *run = &lease_run->run;

	POOL_FAULT_POINT(run_settle);
	pool_lease_end_statement(lease);
	count_run(lease, run, run->outcome != POOL_RUN_DONE);
	if (run->outcome == POOL_RUN_DONE || run->outcome == POOL_RUN_FAILED ||
		run->outcome == POOL_RUN_MISREAD)
	{
		note_ready(lease, run);
		if (!pool_lease_is_reclaimed(lease))
			pool_shmem_slots[lease->request.slot].heard = pool_clock_us();
		lease->left_state = lease->left_state || run->left_state;
		if (run->holds != POOL_HOLDS_AS_BEFORE)
			lease->holds = run->holds == POOL_HOLDS_STATE;
	}
	else
		close_after_run(lease, run);
	pool_by_name_settle(lease, run);

	if (lease->scope == POOL_LEASE_STATEMENT)
	{
		if (run->outcome == POOL_RUN_DONE &&
			pool_lease_condition(lease) == POOL_CONDITION_IN_TRANSACTION)
			run->outcome = POOL_RUN_LEFT_OPEN;
		pool_lease_close(lease, POOL_CLOSE_NONE);
	}
}
