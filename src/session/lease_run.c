/*
 * lease_run.c
 *		Running a statement on a lease.
 *
 * run.c runs the statement on the lease's connection; here is what that means
 * for the lease.  A run ends in one of two ways: it comes back, and what there
 * is to raise is in the PoolRun (run_error.c); or this session raises an error
 * in the middle, a cancel for instance.  Either way the lease is settled first:
 * no statement is running on it any more, and a slot that is not to be kept is
 * released.  Only then is anything raised.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "options/options.h"
#include "session/acquire.h"
#include "session/by_name.h"
#include "session/describe.h"
#include "session/lease_run.h"
#include "session/run.h"
#include "session/run_error.h"
#include "session/run_log.h"
#include "shared/holder.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

/*
 * However little of acquire_timeout is left, a remote that is alive must have
 * the time to say so, in milliseconds.
 */
#define MIN_PROOF_MS 500

/* Was the slot reclaimed from this session?  Its connection is cut then. */
static bool
is_reclaimed(const PoolLease *lease)
{
	const PoolSlot *slot = &pool_shmem_slots[lease->request.slot];

	return slot->owner.serial != pool_self()->serial ||
		   pg_atomic_read_u64(unconstify(pg_atomic_uint64 *, &slot->generation)) !=
			   lease->request.generation;
}

/*
 * The lease runs a statement from here to end_run(), on the slot that it has
 * now.  Returns false if that was reclaimed.
 */
static bool
begin_run(PoolLease *lease)
{
	lease->running = true;
	return pool_holder_begin_statement(lease->request.slot,
									   lease->request.generation);
}

/* No statement is running on the lease any more.  Raises nothing. */
static void
end_run(PoolLease *lease)
{
	lease->running = false;
	if (lease->request.slot != POOL_NONE)
		pool_holder_end_statement(lease->request.slot,
								  lease->request.generation);
}

/*
 * How long the remote may take to prove that it is there, in milliseconds.
 * After a validation another connection can take the place of one that is dead;
 * half of what is left of acquire_timeout is for that.
 */
static int
proof_timeout(const PoolLease *lease, bool validate)
{
	const PoolOptions *options = &lease->target.options;
	long left;

	if (!validate)
		return options->health_check_timeout;
	left = pool_clock_left_ms(pool_acquire_deadline(&lease->target,
													lease->timeout_ms,
													lease->started)) /
		   2;
	if (options->query_timeout > 0)
		left = Min(left, options->query_timeout);
	return Min(options->health_check_timeout, Max(left, MIN_PROOF_MS));
}

/* Fills in what the run is to do; it begins now, in pool_clock_us(). */
static void
prepare_run(PoolLease *lease, const PoolStatement *statement,
			PoolResult *result, int64 now, PoolRun *run)
{
	const PoolOptions *options = &lease->target.options;

	memset(run, 0, sizeof(*run));
	run->copy = lease->copy;
	run->server_name = NameStr(lease->target.server_name);
	run->remote_pid = pool_shmem_slots[lease->request.slot].remote_pid;
	run->reset_query = options->reset_query;
	run->prove = lease->prove || lease->copy->unproven;
	run->validate =
		!lease->touched && now - pool_shmem_slots[lease->request.slot].heard >
							   pool_clock_from_ms(options->validate_after_idle);
	run->proof_timeout = proof_timeout(lease, run->validate);
	run->query_timeout = options->query_timeout;
	run->statement = statement;
	run->result = result;
	run->describe = pool_describe_pays(run);
	pool_by_name_choose(lease, run);
}

/* Why a connection is closed after a proof that failed. */
static PoolCloseReason
proof_close_reason(const PoolRun *run)
{
	if (run->proof == POOL_PROOF_ENDED)
		return POOL_CLOSE_REMOTE_CLOSED;
	if (run->proof == POOL_PROOF_OPEN || pool_run_error_is_reset_refused(run))
		return POOL_CLOSE_RESET_FAILED;
	return POOL_CLOSE_PROOF_FAILED;
}

/*
 * Has the remote certainly executed nothing of the statement, for a reason that
 * may not be so on another connection?
 */
static bool
may_go_again(const PoolRun *run)
{
	return run->outcome == POOL_RUN_NOT_BEGUN &&
		   (run->proof == POOL_PROOF_ENDED || run->proof == POOL_PROOF_BAD ||
			run->reset_lost);
}

/*
 * Runs until the statement has gone out once.  While nothing of it was sent,
 * and nothing in this lease before, a connection that turns out to be dead is
 * replaced without the user noticing, within acquire_timeout.  That counts from
 * the lease's begin if it is for this statement alone, else from now.  So is,
 * once, one whose remote session ended before the statement began, or gave an
 * answer to the proof that is none.
 */
static void
run_once_alive(PoolLease *lease, const PoolStatement *statement,
			   PoolResult *result, PoolRun *run)
{
	bool again = true; /* may go out another time */

	if (lease->scope != POOL_LEASE_STATEMENT)
		lease->started = pool_clock_us();
	for (;;)
	{
		const PoolAcquireRequest *request = &lease->request;
		PoolStats *stats = &request->pool->stats;
		int64 began = pool_clock_us();
		bool fresh = !lease->touched;

		prepare_run(lease, statement, result, began, run);
		lease->touched = true;
		if (run->validate)
			pool_stats_add(stats, POOL_COUNT_VALIDATIONS, 1);
		POOL_FAULT_POINT(run_allowed);
		if (begin_run(lease))
			pool_run_statement(run);
		else
			run->outcome = POOL_RUN_NOT_SENT;
		if (run->outcome == POOL_RUN_NOT_SENT && run->validate)
			pool_stats_add(stats, POOL_COUNT_VALIDATION_FAILURES, 1);
		lease->silent = run->proof == POOL_PROOF_LATE;
		if (run->reset_lost)
			pool_by_name_note_lost(lease);
		if (pool_by_name_goes_again(lease, run))
		{
			end_run(lease);
			lease->copy->unproven = false;
			lease->prove = run->reset_undone;
			continue;
		}
		if (!fresh)
			return;
		if (run->outcome == POOL_RUN_NOT_SENT)
		{
			if (run->copy->busy)
				pool_queue_doubt(request->pool, request->pool_id, began);
			pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
		}
		else if (again && may_go_again(run))
		{
			again = false;
			pool_lease_close(lease, proof_close_reason(run));
		}
		else
			return;
		POOL_FAULT_POINT(run_again);
		pool_lease_open(lease);
		if (run->reset_lost)
			pool_by_name_do_without(lease);
	}
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

/*
 * Settles the lease after an error that this session raised while the
 * statement ran: whatever ran was not seen to its end.  Raises nothing.
 */
static void
settle_after_error(PoolLease *lease, const PoolRun *run, int sqlstate)
{
	end_run(lease);
	count_run(lease, run, true);
	lease->left_state = true;

	/* What came was refused here: the statement, and the reset, succeeded. */
	if (lease->copy != NULL && !lease->copy->busy && run->sent)
		lease->copy->unproven = lease->prove = false;
	if (lease->copy != NULL && lease->copy->busy)
		pool_lease_close(lease, sqlstate == ERRCODE_QUERY_CANCELED
									? POOL_CLOSE_CANCELED
									: POOL_CLOSE_ERROR);
	else if (lease->copy == NULL || lease->scope == POOL_LEASE_STATEMENT)
		pool_lease_close(lease, POOL_CLOSE_NONE);
}

/* The connection is not to be used after this run; its slot is released. */
static void
close_after_run(PoolLease *lease, PoolRun *run)
{
	bool reclaimed = is_reclaimed(lease);

	switch (run->outcome)
	{
		case POOL_RUN_NOT_SENT:
			pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED_BEFORE;
			break;
		case POOL_RUN_NOT_BEGUN:
		case POOL_RUN_NOT_PROVEN:
			pool_lease_close(lease, proof_close_reason(run));
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED;
			break;
		default:
			pool_lease_close(lease, POOL_CLOSE_REMOTE_CLOSED);
			if (reclaimed)
				run->outcome = POOL_RUN_RECLAIMED;
			break;
	}
}

/*
 * Settles the lease after a run that came back.  If the lease ends with the
 * statement, its slot is released here.  run->outcome is what pool_run_error_raise()
 * has to raise then.  Raises nothing.
 */
static void
settle(PoolLease *lease, PoolRun *run)
{
	end_run(lease);
	count_run(lease, run, run->outcome != POOL_RUN_DONE);
	if (run->outcome == POOL_RUN_DONE || run->outcome == POOL_RUN_FAILED)
	{
		lease->copy->unproven = false;
		if (!is_reclaimed(lease))
			pool_shmem_slots[lease->request.slot].heard = pool_clock_us();
		lease->prove = run->error != NULL && run->reset_undone;
		lease->left_state = lease->left_state || run->left_state;
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

/*
 * Runs a statement on the lease.  The caller ends the lease; if it is one for
 * a single statement, its slot is released here already, whatever happens.
 *
 * Raises the remote's errors as they are; 55006 when the lease is running a
 * statement already; 08003 when it has no connection any more; 08006 when the
 * connection is lost; the remote's SQLSTATE when it refuses the reset; 25000 when
 * a lease for a single statement ends in a transaction; and errors of this
 * session, 57014 for a cancel or query_timeout.
 */
void
pool_lease_run(PoolLease *lease, const PoolStatement *statement,
			   PoolResult *result)
{
	PoolRun run = {0};

	pool_lease_refuse_if_running(lease);
	if (lease->request.slot == POOL_NONE)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
						errmsg("lease " INT64_FORMAT " has lost its connection",
							   lease->id),
						errhint("Release the lease and acquire another one.")));
	if (is_reclaimed(lease))
	{
		pool_lease_close(lease, POOL_CLOSE_RECLAIMED);
		run.outcome = POOL_RUN_RECLAIMED_BEFORE;
		pool_run_error_raise(lease, &run);
	}

	PG_TRY();
	{
		run_once_alive(lease, statement, result, &run);
	}
	PG_CATCH();
	{
		int sqlstate = geterrcode();

		settle_after_error(lease, &run, sqlstate);
		if (pool_guc_log_min_duration >= 0)
			pool_run_log(lease, &run, sqlstate);
		PG_RE_THROW();
	}
	PG_END_TRY();
	POOL_FAULT_POINT(run_settle);
	settle(lease, &run);
	POOL_FAULT_POINT(run_settled);
	if (pool_guc_log_min_duration >= 0)
		pool_run_log(lease, &run, pool_run_error_sqlstate(&run));
	pool_run_error_raise(lease, &run);
}
