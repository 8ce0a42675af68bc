/*
 * run_results.c
 *		Taking the results of a statement, one by one, up to ReadyForQuery.
 *
 * Data flow: run.c calls this with each result that comes once the statement is
 * sent and the handover is proven.  Rows go to result.c; the outcome, and what the
 * remote said, stay in the PoolRun.
 */
#include "postgres.h"

#include "base/fault.h"
#include "session/backlog.h"
#include "session/by_name.h"
#include "session/command_tag.h"
#include "session/describe.h"
#include "session/remote_io.h"
#include "session/run_results.h"

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
	if (run->statement->only_describe)
		return !run->answered && PQresultStatus(res) == PGRES_COMMAND_OK &&
			   !is_complete(res);
	return run->simple ||
		   (!run->answered &&
			(PQresultStatus(res) == PGRES_SINGLE_TUPLE || is_complete(res)));
}

/* The run is over: nothing more is read. */
void
pool_run_results_end(PoolRun *run, PoolRunOutcome outcome)
{
	run->phase = POOL_RUN_PHASE_OVER;
	run->outcome = outcome;
}

/* The run is over, since the connection was lost in the middle. */
void
pool_run_results_lost(PoolRun *run, const char *message)
{
	note_lost(run, message);
	pool_run_results_end(run, POOL_RUN_LOST);
}

/*
 * Has a result of the statement read.  What is raised then is of this session alone:
 * libpq is between two results.
 */
static void
read_result(PoolRun *run, const PGresult *res)
{
	run->passing = true;
	pool_result_add(run->result, res);
	run->passing = false;
}

/* Passes one result of the statement on. */
static void
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
				pool_run_results_lost(run, POOL_OUT_OF_STEP);
				return;
			}
			run->answered = run->statement->only_describe ||
							(status != PGRES_SINGLE_TUPLE && is_complete(res));
			pool_command_tag_note(run, res);
			if (run->backlog != NULL)
				pool_backlog_take(run, res);
			else if (run->error == NULL)
				read_result(run, res);
			return;
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
		case PGRES_COPY_BOTH:
			pool_run_results_end(run, POOL_RUN_COPIES);
			return;
		case PGRES_PIPELINE_ABORTED:
			return;
		case PGRES_PIPELINE_SYNC: /* before the end of the answer */
			pool_run_results_lost(run, POOL_OUT_OF_STEP);
			return;
		default:
			/* Of several errors the first one is the cause. */
			if (run->error == NULL)
			{
				run->error = pool_remote_report_error(res);
				run->stale = pool_by_name_is_stale(run, res);
			}
			if (PQstatus(run->copy->pg) != CONNECTION_OK)
				pool_run_results_end(run, POOL_RUN_LOST);
	}
}

/*
 * Passes one result on and frees it; after an error pool_conn_cache_close() or
 * pool_backlog_note() frees it.
 */
static void
pass_on_and_free(PoolRun *run, PGresult *res)
{
	PoolCopy *copy = run->copy;

	copy->result = res;
	POOL_FAULT_POINT(run_row);
	pass_on(run, res);
	copy->result = NULL;
	PQclear(res);
	POOL_FAULT_POINT(run_row_passed);
}

/*
 * The results of the statement are next.  Rows come one by one, so that memory does
 * not grow with the result.  An error while a row is passed on leaves the copy busy:
 * the connection is closed, or the lease has a backlog.
 */
static void
expect_results(PoolRun *run)
{
	run->phase = POOL_RUN_PHASE_RESULTS;
	PQsetSingleRowMode(run->copy->pg);
}

/* What the statement answers is next, and waited for until the deadline. */
void
pool_run_results_expect(PoolRun *run)
{
	POOL_FAULT_POINT(run_sent);
	run->wait_until = run->deadline;
	run->answers = run->preparations;
	if (run->answers > 0)
		run->phase = POOL_RUN_PHASE_PREPARATIONS;
	else
		expect_results(run);
}

/*
 * Takes an answer to what goes before a statement that is prepared.  An error in
 * one of them is the statement's: it is skipped then.
 */
void
pool_run_results_take_preparation(PoolRun *run, PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);

	if (res == NULL)
	{
		POOL_FAULT_POINT(statement_prepared);
		if (--run->answers == 0)
			expect_results(run);
	}
	else if (status == PGRES_FATAL_ERROR || status == PGRES_PIPELINE_ABORTED)
		pass_on_and_free(run, res);
	else
	{
		PQclear(res);
		if (status != PGRES_COMMAND_OK &&
			!(run->statement->read_only &&
			  (status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE)))
			pool_run_results_lost(run, POOL_OUT_OF_STEP);
	}
}

/*
 * Text is read by this database's rules: a remote session whose settings were
 * changed in a lease would give text that means something else here.
 */
static const char *
find_misread(const PoolRun *run)
{
	const PoolCopy *copy = run->copy;

	if (run->statement->verbatim || pool_result_rows(run->result) == 0 ||
		(copy->readable && !run->settings_differ))
		return NULL;
	return pool_conn_cache_misread(copy);
}

/* After ReadyForQuery: is the connection, and what was read, beyond doubt? */
static void
check_end(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	POOL_FAULT_POINT(run_before_end);
	/* Makes libpq look at what it has read besides. */
	(void) PQisBusy(copy->pg);
	pool_notifications_take(run->notifications, copy->pg);
	pool_remote_io_show_notices(run);

	if (PQstatus(copy->pg) != CONNECTION_OK || copy->notices.protocol_doubt)
	{
		pool_run_results_lost(run, POOL_OUT_OF_STEP);
		return;
	}
	copy->busy = run->backlog != NULL; /* until pool_backlog_end() */
	run->settings_differ =
		pool_conn_cache_fingerprint(copy) != copy->fingerprint;
	if (run->settings_differ)
	{
		run->left_state = run->unsettles = true;
		run->holds = POOL_HOLDS_STATE;
	}
	if (run->backlog != NULL)
		pool_run_results_end(run, POOL_RUN_CAUGHT_UP);
	else if (run->error != NULL)
		pool_run_results_end(run, POOL_RUN_FAILED);
	else if ((run->misread = find_misread(run)) != NULL)
		pool_run_results_end(run, POOL_RUN_MISREAD);
	else
	{
		pool_describe_note(run);
		pool_run_results_end(run, POOL_RUN_DONE);
	}
	POOL_FAULT_POINT(run_done);
}

/* Takes a result of the statement; NULL is the end of them. */
void
pool_run_results_take(PoolRun *run, PGresult *res)
{
	if (res != NULL)
	{
		pass_on_and_free(run, res);
		return;
	}
	if (!run->answered && run->error == NULL)
	{
		pool_run_results_lost(run, POOL_OUT_OF_STEP);
		return;
	}
	POOL_FAULT_POINT(run_before_sync);
	run->phase = POOL_RUN_PHASE_SYNC;
	run->answers = 2;
	if (!run->pipeline)
		check_end(run);
}

/*
 * Takes what comes up to the Sync, and leaves pipeline mode.  An error that comes
 * before it is that of the commit, say of a deferred constraint: a NULL ends it,
 * and a second one is odd.
 */
void
pool_run_results_take_sync(PoolRun *run, PGresult *res)
{
	static const char *const lost = "connection to the remote was lost";

	if (res == NULL)
	{
		if (--run->answers == 0)
			pool_run_results_lost(run, lost);
	}
	else if (PQresultStatus(res) != PGRES_PIPELINE_SYNC)
		pass_on_and_free(run, res);
	else
	{
		PQclear(res);
		if (PQexitPipelineMode(run->copy->pg))
			check_end(run);
		else
			pool_run_results_lost(run, lost);
	}
}
