/*
 * backlog.c
 *		What is left to read of an answer that was refused here.
 *
 * Columns that do not fit, or a value that its type does not take, are an error of
 * this session, in the middle of an answer.  The remote knows nothing of it, and the
 * user of a lease may have a transaction open there.  So the lease keeps its
 * connection, with a backlog:
 *
 *		pool_backlog_note	when the error is raised.  Nothing is read then: that
 *							could wait, in clean-up.
 *		pool_backlog_begin	the next run on the lease reads the backlog, and nothing
 *							else.  It waits like any other run, within the time of the
 *							statement that is to follow; its results are taken as ever
 *							(run_results.c), but what they hold is thrown away.
 *		pool_backlog_end	ReadyForQuery was read: the statement can be sent
 *
 * In between the copy is busy, so a lease that ends has its connection closed, and
 * what still runs there cancelled.
 *
 * What an error leaves behind is known only where the error came while a result was
 * read (PoolRun.passing): the handover is proven, all of the statement is with
 * libpq, and that is between two results.  After any other error, and after a
 * cancel or a time-out, which want the statement to end, the connection is closed.
 *
 * Notices in the backlog are not shown: they would seem to be of the next statement.
 * An error in it is that of a statement that has failed already; what it has left of
 * the remote's transaction the next statement is told by the remote.
 */
#include "postgres.h"

#include "base/fault.h"
#include "session/backlog.h"
#include "session/run_results.h"

/*
 * The most that is read of a backlog, in bytes.  The time for it is the next
 * statement's, whose user does not expect to wait for much.
 */
#define MAX_BYTES (64 * 1024 * 1024)

/* A statement of which nothing is shown. */
static const PoolStatement nobodys = {.sql = "", .verbatim = true};

/*
 * May the lease, whose copy is busy, keep its connection after this error?  One for a
 * single statement has no use for it, and that of a link may not be behind: what it
 * holds is asked of libpq between two statements.
 */
bool
pool_backlog_may_be(const PoolLease *lease, const PoolRun *run, int sqlstate)
{
	return run->passing &&
		   (lease->scope == POOL_LEASE_TRANSACTION ||
			lease->scope == POOL_LEASE_HOLD) &&
		   ERRCODE_TO_CATEGORY(sqlstate) != ERRCODE_OPERATOR_INTERVENTION;
}

/*
 * The rest of the run's answer is the lease's backlog.  What that will say of what is
 * prepared is not known, so nothing is.  Raises nothing.
 */
void
pool_backlog_note(PoolLease *lease, const PoolRun *run)
{
	PoolCopy *copy = lease->copy;

	PQclear(copy->result);
	copy->result = NULL;
	lease->backlog.exists = true;
	lease->backlog.in_transaction = run->in_transaction;
	lease->backlog.pipeline = run->pipeline;
	lease->backlog.simple = run->simple;
	lease->backlog.answered = run->answered;
	lease->backlog.reset_undone = run->reset_undone;
	copy->unproven = lease->prove = false;
	pool_prepared_clear(&lease->prepared);
	POOL_FAULT_POINT(backlog_noted);
}

/* Has the lease a backlog, in a transaction block of the remote? */
bool
pool_backlog_in_transaction(const PoolLease *lease)
{
	return lease->backlog.exists && lease->backlog.in_transaction;
}

/* Begins to read the backlog, where the run before has stopped. */
void
pool_backlog_begin(PoolRun *run)
{
	const PoolBacklog *backlog = run->backlog;

	run->statement = &nobodys;
	run->pipeline = backlog->pipeline;
	run->simple = backlog->simple;
	run->answered = backlog->answered;
	run->phase = POOL_RUN_PHASE_RESULTS;
	run->wait_until = run->deadline;
}

/* The connection cannot be used, for a reason that is a sentence. */
static void
give_up(PoolRun *run, const char *reason)
{
	run->behind = reason;
	pool_run_results_end(run, POOL_RUN_BEHIND);
}

/* Takes a result of the backlog. */
void
pool_backlog_take(PoolRun *run, const PGresult *res)
{
	int nfields = PQnfields(res);

	for (int row = 0; row < PQntuples(res); row++)
	{
		run->wasted += sizeof(uint64);
		for (int i = 0; i < nfields; i++)
			run->wasted += sizeof(uint32) + PQgetlength(res, row, i);
	}
	if (run->wasted > MAX_BYTES)
		give_up(run,
				psprintf("More than %d MB were left to read of the answer to "
						 "an earlier statement, which an error had ended.",
						 MAX_BYTES / (1024 * 1024)));
}

/*
 * The run that was to read the lease's backlog is over.  Returns true if the statement
 * can be sent; otherwise run->outcome tells what to raise.
 */
bool
pool_backlog_end(PoolLease *lease, PoolRun *run)
{
	switch (run->outcome)
	{
		case POOL_RUN_CAUGHT_UP:

			/* The proof may have been rolled back with the statement behind it. */
			lease->prove = run->error != NULL && run->backlog->reset_undone;
			lease->backlog.exists = lease->copy->busy = false;
			POOL_FAULT_POINT(backlog_read);
			return true;
		case POOL_RUN_LOST:

			/* Of the statement that is to follow nothing was sent. */
			run->outcome = POOL_RUN_NOT_SENT;
			if (!run->error->ended ||
				run->error->sqlstate == ERRCODE_CONNECTION_FAILURE)
				run->error = NULL;
			return false;
		case POOL_RUN_COPIES:
			give_up(run, "An earlier statement, which an error had ended, "
						 "goes on with a COPY.");
			return false;
		default:
			return false;
	}
}
