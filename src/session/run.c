/*
 * run.c
 *		Running a statement on a leased connection.
 *
 * A run is a machine of steps, so that one session can have several under way:
 *
 *		pool_run_begin		sends the statement (remote_io.c), with the handover's
 *							proof if another process used the socket last (proof.c)
 *		pool_run_step		takes the results that have come; those of the statement
 *							go to run_results.c
 *		pool_run_time_out	ends it, since no more has come in time
 *
 * Between the steps the caller waits for the socket (run->wait_until).  What came of
 * it is left in the PoolRun, for the lease to be settled before it is raised
 * (lease_run.c).
 *
 * A statement that the remote may have begun is never sent again.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/backlog.h"
#include "session/describe.h"
#include "session/proof.h"
#include "session/remote_io.h"
#include "session/run.h"
#include "session/run_results.h"
#include "shared/shmem.h"
#include "shared/slot.h"

/*
 * Sends the statement, behind the proof if there had to be one.  What was prepared
 * or described before it is executed comes in a pipeline.
 */
static void
send_statement(PoolRun *run)
{
	run->copy->busy = true;
	if (!pool_remote_io_send(run))
		pool_run_results_lost(run, "could not send the statement to the remote");
	else if (run->describe)
	{
		run->pipeline = true;
		run->phase = POOL_RUN_PHASE_DESCRIPTION;
		run->wait_until = run->deadline;
		run->answers = 2; /* to Parse and Describe */
	}
	else
		pool_run_results_expect(run);
}

/*
 * The proof that went alone is good: leaves pipeline mode.  Returns GOOD if the
 * statement can be sent.
 */
static PoolProof
finish_proof_alone(PoolRun *run)
{
	PGconn *pg = run->copy->pg;

	if (!PQexitPipelineMode(pg))
		return POOL_PROOF_BAD;

	/* What libpq has read besides, it would take for the statement's answer. */
	(void) PQisBusy(pg);
	if (run->copy->notices.protocol_doubt)
		return POOL_PROOF_BAD;
	if (PQtransactionStatus(pg) != PQTRANS_IDLE)
		return POOL_PROOF_OPEN;
	run->copy->busy = false;
	POOL_FAULT_POINT(proof_alone_done);
	return POOL_PROOF_GOOD;
}

/* What a proof that failed means for the statement. */
static PoolRunOutcome
judge_proof(const PoolRun *run)
{
	bool pipeline = run->pipeline;

	switch (run->proof)
	{
		case POOL_PROOF_PENDING:
		case POOL_PROOF_GOOD:
			break;
		case POOL_PROOF_REFUSED:
		case POOL_PROOF_OPEN:
			return POOL_RUN_NOT_BEGUN;
		case POOL_PROOF_ENDED:
			return pipeline ? POOL_RUN_NOT_BEGUN : POOL_RUN_NOT_SENT;
		case POOL_PROOF_LATE:

			/* After a validation that was late it is another one's turn. */
			if (!run->validate && pool_clock_us() >= run->deadline)
				return POOL_RUN_TIMED_OUT;
			if (!pipeline && !run->validate)
				return POOL_RUN_NOT_BEGUN;
			break;
		case POOL_PROOF_BAD:

			/* Another connection would mostly give the same answer. */
			if (!pipeline && PQstatus(run->copy->pg) == CONNECTION_OK)
				return POOL_RUN_NOT_BEGUN;
			break;
	}
	return pipeline ? POOL_RUN_NOT_PROVEN : POOL_RUN_NOT_SENT;
}

/* What came of the proof is known: goes on with the statement, or not. */
static void
end_proof(PoolRun *run, PoolProof proof)
{
	/* After an error the remote skips what comes before the next Sync, only. */
	if (proof == POOL_PROOF_REFUSED && run->pipeline && run->proof_state.sync)
		proof = POOL_PROOF_BAD;
	if (proof == POOL_PROOF_GOOD && !run->pipeline)
		proof = finish_proof_alone(run);
	run->copy->notices.held = false;
	run->proof = proof;
	if (proof != POOL_PROOF_GOOD)
		pool_run_results_end(run, judge_proof(run));
	else if (run->pipeline)
		pool_run_results_expect(run);
	else
		send_statement(run);
}

/* Takes a result of the proof; NULL ends those of one of its statements. */
static void
take_proof(PoolRun *run, PGresult *res)
{
	PoolProof proof = pool_proof_take(run, res);

	if (proof != POOL_PROOF_PENDING)
		end_proof(run, proof);
}

/* Takes a result of the first part of a statement that is described. */
static void
take_description(PoolRun *run, PGresult *res)
{
	if (res != NULL)
	{
		if (!pool_describe_take(run, res))
			pool_run_results_lost(run,
								  "could not send the statement to the remote");
	}
	else if (--run->answers > 0)
		return;
	else if (pool_describe_execute(run))
		pool_run_results_expect(run);
	else
		pool_run_results_lost(run, "could not send the statement to the remote");
}

/*
 * Goes on with what has come; "ready" tells that the socket was, since the last
 * step.  Returns true when the run is over; otherwise the caller waits, for
 * pool_remote_io_events(), until run->wait_until.
 *
 * The remote's own error is not raised but left in run->error, for the caller to
 * raise when the lease is settled.  Raises errors of this session: a value that does
 * not fit, say.  The copy is busy then, unless the remote is ready for the next
 * statement.
 */
bool
pool_run_step(PoolRun *run, bool ready)
{
	PGresult *res;

	if (ready && run->phase != POOL_RUN_PHASE_OVER)
		pool_remote_io_receive(run);
	while (run->phase != POOL_RUN_PHASE_OVER && pool_remote_io_next(run, &res))
	{
		switch (run->phase)
		{
			case POOL_RUN_PHASE_PROOF:
				take_proof(run, res);
				break;
			case POOL_RUN_PHASE_DESCRIPTION:
				take_description(run, res);
				break;
			case POOL_RUN_PHASE_PREPARATIONS:
				pool_run_results_take_preparation(run, res);
				break;
			case POOL_RUN_PHASE_RESULTS:
				pool_run_results_take(run, res);
				break;
			case POOL_RUN_PHASE_SYNC:
				pool_run_results_take_sync(run, res);
				break;
			case POOL_RUN_PHASE_OVER:
				break;
		}
	}
	return run->phase == POOL_RUN_PHASE_OVER;
}

/* Nothing more has come by run->wait_until: the run is over. */
void
pool_run_time_out(PoolRun *run)
{
	if (run->phase == POOL_RUN_PHASE_PROOF)
		end_proof(run, POOL_PROOF_LATE);
	else
		pool_run_results_end(run, POOL_RUN_TIMED_OUT);
}

/*
 * The connection is not quiet: hears what the remote has said when it ended its
 * session.
 */
static void
hear_farewell(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	/* What has come is looked at even if it is followed by the end. */
	(void) PQconsumeInput(copy->pg);
	(void) PQisBusy(copy->pg);
	run->error = pool_remote_report_farewell(&copy->notices);
}

/*
 * The connection is not quiet: that is as it should be if it has been this session's
 * alone, and only notifications have come, which somebody wants.
 */
static bool
hear_notifications(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	if (run->notifications == NULL || run->prove)
		return false;
	while (!pool_conn_cache_is_quiet(copy))
	{
		CHECK_FOR_INTERRUPTS(); /* they may come faster than they are taken */
		if (PQstatus(copy->pg) != CONNECTION_OK || !PQconsumeInput(copy->pg))
			return false;
		(void) PQisBusy(copy->pg);
		pool_notifications_take(run->notifications, copy->pg);
	}
	return !copy->notices.protocol_doubt && copy->notices.farewell == NULL;
}

/* Sends the proof, with the statement behind it or alone. */
static void
send_proof(PoolRun *run)
{
	bool sent;

	run->phase = POOL_RUN_PHASE_PROOF;
	run->wait_until = run->deadline;
	if (run->pipeline)
		sent = pool_proof_send_with_statement(run);
	else
	{
		run->wait_until =
			Min(pool_clock_after_ms(run->proof_timeout), run->deadline);
		sent = pool_proof_send_alone(run);
	}
	if (sent)
		POOL_FAULT_POINT(proof_sent);
	else
		end_proof(run, POOL_PROOF_BAD);
}

/*
 * Begins to run the statement, on a copy that is leased to this session: sends it,
 * or the proof that goes before it; or reads the backlog.  pool_run_step() goes on.
 * Raises errors of this session, as that does.
 */
void
pool_run_begin(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	POOL_FAULT_POINT(run_begin);
	if (run->deadline == 0)
		run->deadline = run->query_timeout > 0
							? pool_clock_after_ms(run->query_timeout)
							: PG_INT64_MAX;
	if (run->backlog != NULL)
	{
		pool_backlog_begin(run);
		return;
	}
	if (!pool_conn_cache_is_quiet(copy) && !hear_notifications(run))
	{
		hear_farewell(run);
		pool_run_results_end(run, POOL_RUN_NOT_SENT);
		return;
	}

	pool_shmem_slots[copy->slot].used = true;
	if (pool_statement_is_several(run->statement))
		pool_result_expect_several(run->result);
	run->pipeline = run->prove && !run->describe && pool_proof_may_lead(run);
	if (run->prove || run->validate)
		send_proof(run);
	else
		send_statement(run);
}
