/*
 * run.c
 *		Running a statement on a leased connection.
 *
 * The statement is sent (remote_io.c), with the handover's proof if another
 * process used the socket last (proof.c).  Its results go to result.c one by
 * one, up to ReadyForQuery.  What came of it is left in the PoolRun, for the
 * lease to be settled before it is raised (lease_run.c).
 *
 * A statement that the remote may have begun is never sent again.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/by_name.h"
#include "session/command_tag.h"
#include "session/describe.h"
#include "session/proof.h"
#include "session/remote_io.h"
#include "session/run.h"
#include "shared/shmem.h"
#include "shared/slot.h"

/* What is said when the remote sends what cannot come now. */
#define POOL_OUT_OF_STEP "connection to the remote is out of step"

/* Notes that the connection was lost, unless the remote has told why. */
static void
note_lost(PoolRun *run, const char *message)
{
	if (run->error != NULL)
		return;
	run->error = palloc0(sizeof(PoolRemoteReport));
	run->error->elevel = ERROR;
	run->error->sqlstate = ERRCODE_CONNECTION_FAILURE;
	run->error->message = pstrdup(message);
	run->error->hint = pstrdup(POOL_HINT_CHECK_EXECUTION);
}

static void
raise_copy_not_supported(const PoolRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "COPY from or to the client cannot run over a pooled connection"),
			 errdetail("The connection to server \"%s\" is closed.",
					   run->server_name),
			 errhint(
				 "Use SELECT and INSERT, or COPY with a file or program on the remote.")));
}

/*
 * Has the remote ended its answer with this result?  Rows end with a
 * CommandComplete; for libpq anything ends them.
 */
static bool
is_complete(const PGresult *res)
{
	return PQresultStatus(res) == PGRES_EMPTY_QUERY ||
		   PQcmdStatus(unconstify(PGresult *, res))[0] != '\0';
}

/*
 * Is the result one that may come here?  One statement has one answer.  By the
 * simple protocol several have several, and by a rule one of them may have
 * several sets of rows before its CommandComplete.
 */
static bool
is_in_step(const PoolRun *run, const PGresult *res)
{
	return pool_statement_is_several(run->statement) ||
		   (!run->answered &&
			(PQresultStatus(res) == PGRES_SINGLE_TUPLE || is_complete(res)));
}

/* Passes one result of the statement on.  Returns false when the remote is gone. */
static bool
pass_on(PoolRun *run, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	switch (status)
	{
		case PGRES_SINGLE_TUPLE:
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
		case PGRES_EMPTY_QUERY:
			if (!is_in_step(run, res))
			{
				note_lost(run, POOL_OUT_OF_STEP);
				return false;
			}
			run->answered = status != PGRES_SINGLE_TUPLE && is_complete(res);
			pool_command_tag_note(run, res);
			if (run->error == NULL)
				pool_result_add(run->result, res);
			return true;
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
		case PGRES_COPY_BOTH:
			raise_copy_not_supported(run);
			return false;
		case PGRES_PIPELINE_ABORTED:
			return true;
		case PGRES_PIPELINE_SYNC: /* before the end of the answer */
			note_lost(run, POOL_OUT_OF_STEP);
			return false;
		default:
			/* Of several errors the first one is the cause. */
			if (run->error == NULL)
			{
				run->error = pool_remote_report_error(res);
				run->stale = pool_by_name_is_stale(run, res);
			}
			return PQstatus(run->copy->pg) == CONNECTION_OK;
	}
}

/*
 * Passes one result on and frees it; after an error pool_conn_cache_close()
 * frees it.  Returns false when the remote is gone.
 */
static bool
pass_on_and_free(PoolRun *run, PGresult *res)
{
	PoolCopy *copy = run->copy;
	bool alive;

	copy->result = res;
	POOL_FAULT_POINT(run_row);
	alive = pass_on(run, res);
	copy->result = NULL;
	PQclear(res);
	POOL_FAULT_POINT(run_row_passed);
	return alive;
}

/*
 * Reads up to the Sync and leaves pipeline mode.  An error that comes before
 * it is that of the commit, say of a deferred constraint.
 */
static bool
read_sync(PoolRun *run)
{
	/* A NULL ends the results of the commit's error; a second one is odd. */
	for (int ends = 0; ends < 2;)
	{
		bool timed_out = false;
		PGresult *res = pool_remote_io_next(run, run->deadline, &timed_out);
		ExecStatusType status = PQresultStatus(res);

		if (timed_out)
			pool_remote_io_raise_timeout(run);
		if (status == PGRES_PIPELINE_SYNC)
		{
			PQclear(res);
			return PQexitPipelineMode(run->copy->pg);
		}
		if (res == NULL)
			ends++;
		else if (!pass_on_and_free(run, res))
			return false;
	}
	return false;
}

/*
 * Reads the answers to what goes before a statement that is prepared.  An error
 * in one of them is the statement's: it is skipped then.
 */
static bool
read_preparations(PoolRun *run)
{
	for (int i = 0; i < run->preparations; i++)
	{
		bool timed_out = false;
		PGresult *res;

		while ((res = pool_remote_io_next(run, run->deadline, &timed_out)) !=
			   NULL)
		{
			ExecStatusType status = PQresultStatus(res);

			if (status == PGRES_COMMAND_OK)
				PQclear(res);
			else if (status != PGRES_FATAL_ERROR &&
					 status != PGRES_PIPELINE_ABORTED)
			{
				PQclear(res);
				note_lost(run, POOL_OUT_OF_STEP);
				return false;
			}
			else if (!pass_on_and_free(run, res))
				return false;
		}
		if (timed_out)
			pool_remote_io_raise_timeout(run);
		POOL_FAULT_POINT(statement_prepared);
	}
	return true;
}

/*
 * Reads all results of the statement up to ReadyForQuery.  Rows come one by
 * one, so that memory does not grow with the result.  An error while a row is
 * passed on leaves the copy busy, and so the connection is closed.
 */
static PoolRunOutcome
read_results(PoolRun *run, bool pipeline)
{
	PGconn *pg = run->copy->pg;
	bool timed_out = false;
	PGresult *res;

	POOL_FAULT_POINT(run_sent);
	if (!read_preparations(run))
		return POOL_RUN_LOST;
	PQsetSingleRowMode(pg);
	while ((res = pool_remote_io_next(run, run->deadline, &timed_out)) != NULL)
	{
		if (!pass_on_and_free(run, res))
			return POOL_RUN_LOST;
	}
	if (timed_out)
		pool_remote_io_raise_timeout(run);
	if (!run->answered && run->error == NULL)
	{
		note_lost(run, POOL_OUT_OF_STEP);
		return POOL_RUN_LOST;
	}
	POOL_FAULT_POINT(run_before_sync);
	if (pipeline && !read_sync(run))
	{
		note_lost(run, "connection to the remote was lost");
		return POOL_RUN_LOST;
	}
	return POOL_RUN_DONE;
}

/* After ReadyForQuery: is the connection, and what was read, beyond doubt? */
static PoolRunOutcome
check_end(PoolRun *run)
{
	PoolCopy *copy = run->copy;
	PGnotify *notify;

	POOL_FAULT_POINT(run_before_end);
	/* Makes libpq look at what it has read besides. */
	(void) PQisBusy(copy->pg);
	while ((notify = PQnotifies(copy->pg)) != NULL)
		PQfreemem(notify);
	pool_remote_report_show_notices(&copy->notices, run->server_name);

	if (PQstatus(copy->pg) != CONNECTION_OK || copy->notices.protocol_doubt)
	{
		note_lost(run, POOL_OUT_OF_STEP);
		return POOL_RUN_LOST;
	}
	copy->busy = false;
	run->settings_differ =
		pool_conn_cache_fingerprint(copy) != copy->fingerprint;
	if (run->settings_differ)
		run->left_state = run->unsettles = true;
	return POOL_RUN_DONE;
}

/*
 * Text is read by this database's rules: a remote session whose settings were
 * changed in a lease would give text that means something else here.
 */
static void
check_formats(PoolRun *run)
{
	const PoolCopy *copy = run->copy;
	const char *wrong;

	if (pool_result_rows(run->result) == 0 ||
		(copy->readable && !run->settings_differ))
		return;
	wrong = pool_conn_cache_misread(copy);
	if (wrong)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("setting \"%s\" of the remote session was changed",
						wrong),
				 errdetail("Rows from server \"%s\" could not be read correctly.",
						   run->server_name),
				 errhint("RESET it in the lease, or release the lease.")));
}

/*
 * Proves the handover, before the statement or together with it.  DONE: the
 * connection is this session's alone.
 */
static PoolRunOutcome
prove(PoolRun *run, bool pipeline)
{
	run->proof =
		pipeline ? pool_proof_with_statement(run) : pool_proof_alone(run);

	/* After a validation that was late it is another connection's turn. */
	if (run->proof == POOL_PROOF_LATE && !run->validate &&
		pool_clock_us() >= run->deadline)
		pool_remote_io_raise_timeout(run);
	switch (run->proof)
	{
		case POOL_PROOF_GOOD:
			return POOL_RUN_DONE;
		case POOL_PROOF_REFUSED:
		case POOL_PROOF_OPEN:
			return POOL_RUN_NOT_BEGUN;
		case POOL_PROOF_ENDED:
			return pipeline ? POOL_RUN_NOT_BEGUN : POOL_RUN_NOT_SENT;
		case POOL_PROOF_LATE:
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

/*
 * Sends the statement: in one pipeline with the proof, or after the proof if
 * there has to be one.  DONE: its results are next.
 */
static PoolRunOutcome
send_statement(PoolRun *run, bool pipeline)
{
	if (run->prove || run->validate)
	{
		PoolRunOutcome outcome = prove(run, pipeline);

		if (outcome != POOL_RUN_DONE || pipeline)
			return outcome;
	}
	run->copy->busy = true;
	if (pool_remote_io_send(run))
		return POOL_RUN_DONE;
	note_lost(run, "could not send the statement to the remote");
	return POOL_RUN_LOST;
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
 * Runs the statement; run->outcome tells what came of it.  The copy must be
 * leased to this session.
 *
 * The remote's own error is not raised but left in run->error, for the caller
 * to raise when the lease is settled.  Raises errors of this session: a cancel,
 * a value that does not fit, 57014 after query_timeout.  The copy is busy then,
 * unless the remote is ready for the next statement.
 */
void
pool_run_statement(PoolRun *run)
{
	PoolCopy *copy = run->copy;
	PoolSlot *slot = &pool_shmem_slots[copy->slot];
	bool pipeline = run->prove && !run->describe && pool_proof_may_lead(run);

	run->outcome = POOL_RUN_NOT_SENT;
	POOL_FAULT_POINT(run_begin);
	if (!pool_conn_cache_is_quiet(copy))
	{
		hear_farewell(run);
		return;
	}

	slot->used = true;
	if (pool_statement_is_several(run->statement))
		pool_result_expect_several(run->result);
	run->deadline = run->query_timeout > 0
						? pool_clock_after_ms(run->query_timeout)
						: PG_INT64_MAX;

	run->outcome = send_statement(run, pipeline);
	if (run->outcome == POOL_RUN_DONE)
		run->outcome = read_results(run, pipeline || run->describe);
	if (run->outcome == POOL_RUN_DONE)
		run->outcome = check_end(run);
	if (run->outcome != POOL_RUN_DONE)
		return;
	if (run->error != NULL)
		run->outcome = POOL_RUN_FAILED;
	else
	{
		check_formats(run);
		pool_describe_note(run);
	}
	POOL_FAULT_POINT(run_done);
}
