/*
 * lease_run.c
 *		Running a statement on a lease.
 *
 * run.c runs the statement on the lease's connection; here is what that means
 * for the lease: with which connection it begins, whether it goes to another one,
 * and, when it has ended, that no statement is running on the lease any more and a
 * slot that is not to be kept is released (pool_lease_settle(); or
 * pool_lease_settle_failed() when this session raised an error in the middle, a cancel for
 * instance).  Only then is anything raised.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "options/options.h"
#include "session/acquire.h"
#include "session/backlog.h"
#include "session/by_name.h"
#include "session/describe.h"
#include "session/lease_run.h"
#include "session/lease_settle.h"
#include "session/remote_io.h"
#include "session/run_error.h"
#include "session/run_log.h"
#include "session/socket_wait.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

/*
 * However little of acquire_timeout is left, a remote that is alive must have
 * the time to say so, in milliseconds.
 */
#define MIN_PROOF_MS 500

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

/*
 * Fills in what the run is to do, which begins now: read the lease's backlog, if it
 * has one, and otherwise the statement.
 */
static void
prepare_run(PoolLeaseRun *lease_run)
{
	PoolLease *lease = lease_run->lease;
	PoolRun *run = &lease_run->run;
	const PoolOptions *options = &lease->target.options;

	memset(run, 0, sizeof(*run));
	run->copy = lease->copy;
	run->server_name = NameStr(lease->target.server_name);
	run->remote_pid = pool_shmem_slots[lease->request.slot].remote_pid;
	run->query_timeout = options->query_timeout;
	run->deadline = lease_run->deadline;
	run->statement = lease_run->statement;
	run->result = lease_run->result;
	if (lease->backlog.exists)
	{
		run->backlog = &lease->backlog;
		return;
	}
	run->reset_query = options->reset_query;
	run->prove = lease->prove || lease->copy->unproven;
	run->in_transaction =
		!run->prove && PQtransactionStatus(run->copy->pg) == PQTRANS_INTRANS;
	run->validate =
		!lease->touched &&
		lease_run->began - pool_shmem_slots[lease->request.slot].heard >
			pool_clock_from_ms(options->validate_after_idle);
	run->proof_timeout = proof_timeout(lease, run->validate);
	run->notifications =
		lease->scope == POOL_LEASE_SESSION ? &lease->notifications : NULL;
	run->describe = pool_describe_pays(run);
	pool_by_name_choose(lease, run);
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
 * Sends the statement on the connection that the lease has now.  While nothing of
 * it was sent, and nothing in this lease before, a connection that turns out to be
 * dead is replaced without the user noticing, within acquire_timeout.  That counts
 * from the lease's begin if it is for this statement alone, else from now.  So is,
 * once, one whose remote session ended before the statement began, or gave an
 * answer to the proof that is none.
 *
 * Raises errors of this session; pool_lease_settle_failed() has to be called then.
 */
void
pool_lease_run_start(PoolLeaseRun *lease_run)
{
	PoolLease *lease = lease_run->lease;
	PoolRun *run = &lease_run->run;
	PoolStats *stats = &lease->request.pool->stats;

	if (run->reset_lost) /* by the run before */
		pool_by_name_do_without(lease);
	lease_run->began = pool_clock_us();
	lease_run->fresh = !lease->touched;
	prepare_run(lease_run);
	lease->touched = true;
	if (run->validate)
		pool_stats_add(stats, POOL_COUNT_VALIDATIONS, 1);
	POOL_FAULT_POINT(run_allowed);
	if (pool_lease_begin_statement(lease))
		pool_run_begin(run);
	else
	{
		run->phase = POOL_RUN_PHASE_OVER;
		run->outcome = POOL_RUN_NOT_SENT;
	}
}

/* Sends the statement, on the connection that the lease has. */
static PoolLeaseRunStep
start_again(PoolLeaseRun *lease_run)
{
	pool_lease_end_statement(lease_run->lease);
	pool_lease_run_start(lease_run);
	return POOL_LEASE_RUN_WAIT;
}

/* A backlog was read; as judge().  The statement has what is left of its time. */
static PoolLeaseRunStep
judge_backlog(PoolLeaseRun *lease_run)
{
	if (!pool_backlog_end(lease_run->lease, &lease_run->run))
		return POOL_LEASE_RUN_OVER;
	lease_run->deadline = lease_run->run.deadline;
	return start_again(lease_run);
}

/*
 * A run is over: OVER if that is the end, WAIT if the statement was sent again on
 * the same connection, OPEN if it may go on another one; the lease has none then.
 */
static PoolLeaseRunStep
judge(PoolLeaseRun *lease_run)
{
	PoolLease *lease = lease_run->lease;
	PoolRun *run = &lease_run->run;
	PoolAcquireRequest *request = &lease->request;

	if (run->backlog != NULL)
		return judge_backlog(lease_run);
	if (run->outcome == POOL_RUN_NOT_SENT && run->validate)
		pool_stats_add(&request->pool->stats, POOL_COUNT_VALIDATION_FAILURES, 1);
	/* After query_timeout it is only slow, and to be cancelled until it ends. */
	lease->silent =
		run->proof == POOL_PROOF_LATE && run->outcome != POOL_RUN_TIMED_OUT;
	if (run->reset_lost)
		pool_by_name_note_lost(lease);
	if (pool_by_name_goes_again(lease, run))
	{
		lease->copy->unproven = false;
		lease->prove = run->reset_undone;
		return start_again(lease_run);
	}
	if (!lease_run->fresh)
		return POOL_LEASE_RUN_OVER;
	if (run->outcome == POOL_RUN_NOT_SENT)
	{
		if (run->copy->busy)
			pool_queue_doubt(request->pool, request->pool_id, lease_run->began);
		pool_lease_close(lease, POOL_CLOSE_CHECK_FAILED);
	}
	else if (!lease_run->gone_again && may_go_again(run))
	{
		lease_run->gone_again = true;
		pool_lease_close(lease, pool_lease_settle_close_reason(run));
	}
	else
		return POOL_LEASE_RUN_OVER;
	pool_lease_end_statement(lease); /* there may be no other connection */
	POOL_FAULT_POINT(run_again);
	return POOL_LEASE_RUN_OPEN;
}

/*
 * Goes on with what has come, as pool_run_step().
 *
 *		WAIT	wait for the socket: pool_remote_io_events() until wait_until
 *		OPEN	open the lease anew, and start
 *		OVER	settle
 *
 * Raises as pool_lease_run_start().
 */
PoolLeaseRunStep
pool_lease_run_step(PoolLeaseRun *lease_run, bool ready)
{
	while (pool_run_step(&lease_run->run, ready))
	{
		PoolLeaseRunStep step = judge(lease_run);

		if (step != POOL_LEASE_RUN_WAIT)
			return step;
		ready = false;
	}
	return POOL_LEASE_RUN_WAIT;
}

/*
 * Raises what keeps the lease from running a statement: 55000 or 55006 when it is
 * running one already, 08003 when it has no connection any more.
 */
void
pool_lease_run_check(PoolLease *lease)
{
	PoolRun run = {.outcome = POOL_RUN_RECLAIMED_BEFORE};

	pool_lease_refuse_if_running(lease);
	if (lease->request.slot == POOL_NONE)
		pool_run_error_raise_lost(lease);
	if (pool_lease_is_reclaimed(lease))
	{
		pool_lease_close(lease, POOL_CLOSE_RECLAIMED);
		pool_run_error_raise(lease, &run);
	}
}

/*
 * Begins to run a statement on the lease, which has a connection; nothing is sent
 * before pool_lease_run_start().  Statement and result stay the caller's, and must
 * last until the run is settled.
 */
void
pool_lease_run_begin(PoolLeaseRun *lease_run, PoolLease *lease,
					 const PoolStatement *statement, PoolResult *result)
{
	lease_run->lease = lease;
	lease_run->statement = statement;
	lease_run->result = result;
	lease_run->gone_again = false;
	lease_run->deadline = 0;
	lease_run->run.reset_lost = lease_run->run.sent = false;
	if (lease->scope != POOL_LEASE_STATEMENT)
		lease->started = pool_clock_us();
}

/*
 * Waits for the next step.  Returns whether the socket is ready; otherwise the run
 * was out of time.
 */
static bool
wait_for_remote(PoolRun *run)
{
	int events = pool_remote_io_events(run);

	if (events == 0 ||
		pool_socket_wait(PQsocket(run->copy->pg), events, run->wait_until,
						 pool_result_rows(run->result) > 0 ? POOL_WAIT_FETCH
														   : POOL_WAIT_QUERY))
		return true;
	pool_run_time_out(run);
	return false;
}

/* Runs to the end, with every wait. */
static void
run_to_end(PoolLeaseRun *lease_run)
{
	PoolLeaseRunStep step;
	bool ready = false;

	pool_lease_run_start(lease_run);
	while ((step = pool_lease_run_step(lease_run, ready)) != POOL_LEASE_RUN_OVER)
	{
		if (step == POOL_LEASE_RUN_OPEN)
		{
			pool_lease_open(lease_run->lease);
			pool_lease_run_start(lease_run);
			ready = false;
		}
		else
			ready = wait_for_remote(&lease_run->run);
	}
}

/*
 * Runs a statement on the lease, and waits for its end.  The caller ends the lease;
 * if it is one for a single statement, its slot is released here already, whatever
 * happens.  lease_run->run tells what came of it: pool_run_error_raise().
 *
 * Raises what pool_lease_run_check() does, and errors of this session.
 */
void
pool_lease_run_quietly(PoolLeaseRun *lease_run, PoolLease *lease,
					   const PoolStatement *statement, PoolResult *result)
{
	pool_lease_run_check(lease);
	pool_lease_run_begin(lease_run, lease, statement, result);
	PG_TRY();
	{
		run_to_end(lease_run);
	}
	PG_CATCH();
	{
		int sqlstate = geterrcode();

		pool_lease_settle_failed(lease_run, sqlstate);
		pool_run_log(lease, &lease_run->run, sqlstate);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pool_lease_settle(lease_run);
	POOL_FAULT_POINT(run_settled);
	pool_run_log(lease, &lease_run->run,
				 pool_run_error_sqlstate(&lease_run->run));
}

/*
 * Runs a statement on the lease, as above.
 *
 * Raises the remote's errors as they are; what pool_lease_run_check() does; 08006
 * when the connection is lost; the remote's SQLSTATE when it refuses the reset;
 * 25000 when a lease for a single statement ends in a transaction; 0A000 for a COPY;
 * 55000 when rows cannot be read; and errors of this session, 57014 for a cancel or
 * query_timeout.
 */
void
pool_lease_run(PoolLease *lease, const PoolStatement *statement,
			   PoolResult *result)
{
	PoolLeaseRun lease_run;

	pool_lease_run_quietly(&lease_run, lease, statement, result);
	pool_run_error_raise(lease, &lease_run.run);
}
