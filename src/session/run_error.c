/*
 * run_error.c
 *		What a run that failed says.
 *
 * Everything that is raised here comes from the PoolRun and the lease's names,
 * after the lease was settled (lease_settle.c): its slot may be another session's
 * by now, so nothing is read from it.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "session/run_error.h"
#include "statement/remote_report.h"

/* Has the remote refused the reset with an error, and goes on itself? */
bool
pool_run_error_is_reset_refused(const PoolRun *run)
{
	return run->proof_error != NULL && !run->proof_error->ended;
}

/* The SQLSTATE of what pool_run_error_raise() raises; 0: nothing. */
int
pool_run_error_sqlstate(const PoolRun *run)
{
	switch (run->outcome)
	{
		case POOL_RUN_DONE:
			return 0;
		case POOL_RUN_FAILED:
		case POOL_RUN_LOST:
			return run->error->sqlstate;
		case POOL_RUN_LEFT_OPEN:
			return ERRCODE_INVALID_TRANSACTION_STATE;
		case POOL_RUN_TIMED_OUT:
			return ERRCODE_QUERY_CANCELED;
		case POOL_RUN_COPIES:
			return ERRCODE_FEATURE_NOT_SUPPORTED;
		case POOL_RUN_MISREAD:
			return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		case POOL_RUN_BEHIND:
		case POOL_RUN_RECLAIMED_BEFORE:
			return ERRCODE_CONNECTION_DOES_NOT_EXIST;
		case POOL_RUN_NOT_BEGUN:
		case POOL_RUN_NOT_PROVEN:
			if (run->proof_error != NULL)
				return run->proof_error->sqlstate;
			break;
		default:
			break;
	}
	return ERRCODE_CONNECTION_FAILURE;
}

/* Raises why the connection of a lease was found unusable. */
static void
raise_not_sent(const PoolLease *lease, const PoolRun *run)
{
	const char *server_name = NameStr(lease->target.server_name);
	const PoolRemoteReport *farewell =
		run->proof == POOL_PROOF_ENDED ? run->proof_error : run->error;

	if (farewell != NULL)
		ereport(ERROR,
				(errcode(farewell->sqlstate),
				 errmsg("remote has ended the connection of lease " INT64_FORMAT
						" to server \"%s\"",
						lease->id, server_name),
				 errdetail("The statement was not sent.  The remote said: %s",
						   farewell->message)));
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("connection of lease " INT64_FORMAT
						   " to server \"%s\" was lost",
						   lease->id, server_name),
					errdetail("The statement was not sent.")));
}

/* For ereport(): why the remote's answer to the proof is none. */
static int
report_proof(const PoolRun *run)
{
	switch (run->proof)
	{
		case POOL_PROOF_LATE:
			return errdetail("The remote did not answer the reset "
							 "of the connection within %d ms.",
							 run->proof_timeout);
		case POOL_PROOF_OPEN:
			return errdetail("Option \"reset_query\" has left a transaction open "
							 "on the remote.");
		default:
			return errdetail("The remote did not answer the reset "
							 "of the connection as expected.");
	}
}

/*
 * Raises what came of a proof that failed: the remote's own error if it gave
 * one, else 08006.
 */
static void
raise_proof_failed(const char *server_name, const PoolRun *run)
{
	const char *context = run->statement->context;
	const char *hint = run->outcome == POOL_RUN_NOT_BEGUN
						   ? "The statement was not executed."
						   : POOL_HINT_CHECK_EXECUTION;

	if (pool_run_error_is_reset_refused(run))
		ereport(ERROR, (errcode(run->proof_error->sqlstate),
						errmsg("connection to server \"%s\" could not be reset",
							   server_name),
						errdetail("The remote did not accept the reset "
								  "of the connection: %s",
								  run->proof_error->message),
						errhint("%s", hint)));
	if (run->proof_error != NULL)
	{
		run->proof_error->hint = pstrdup(hint);
		pool_remote_report_raise(run->proof_error, server_name, context);
	}
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("connection to server \"%s\" failed", server_name),
					report_proof(run), errhint("%s", hint)));
}

/* Raises 57014: query_timeout is over. */
static void
raise_timeout(const char *server_name, const PoolRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling remote statement on server \"%s\" due to query_timeout",
					server_name),
			 run->backlog != NULL
				 ? errdetail("The rest of the answer to an earlier statement did not "
							 "come within %d ms.  The statement was not sent.",
							 run->query_timeout)
			 : run->sent
				 ? errdetail("The statement ran for longer than %d ms.",
							 run->query_timeout)
				 : errdetail("The remote did not answer the reset of the connection within %d ms.  "
							 "The statement was not sent.",
							 run->query_timeout)));
}

static void
raise_copies(const char *server_name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(
				 "COPY from or to the client cannot run over a pooled connection"),
			 errdetail("The connection to server \"%s\" is closed.", server_name),
			 errhint(
				 "Use SELECT and INSERT, or COPY with a file or program on the remote.")));
}

static void
raise_misread(const char *server_name, const char *setting)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("setting \"%s\" of the remote session was changed", setting),
			 errdetail("Rows from server \"%s\" could not be read correctly.",
					   server_name),
			 errhint("RESET it in the lease, or release the lease.")));
}

/* What is known of why a lease has no connection any more; NULL: nothing. */
static const char *
why_lost(PoolCloseReason reason)
{
	switch (reason)
	{
		case POOL_CLOSE_CANCELED:
			return "A statement on it was canceled or timed out.";
		case POOL_CLOSE_ERROR:
			return "A statement on it failed before its answer had been read.";
		case POOL_CLOSE_REMOTE_CLOSED:
			return "It was lost while a statement ran.";
		case POOL_CLOSE_CHECK_FAILED:
			return "It was found to be lost before a statement was sent.";
		case POOL_CLOSE_PROOF_FAILED:
		case POOL_CLOSE_RESET_FAILED:
			return "The remote did not answer the reset of the connection as expected.";
		case POOL_CLOSE_RECLAIMED:
			return "It was reclaimed.";
		default:
			return NULL;
	}
}

/* Raises 08003: the lease has no connection any more, for that reason or NULL. */
static void
raise_lost_for(const PoolLease *lease, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
			 errmsg("lease " INT64_FORMAT " has lost its connection", lease->id),
			 reason != NULL ? errdetail("%s", reason) : 0,
			 errhint("Release the lease and acquire another one.")));
}

/* Raises 08003: the lease has no connection any more, since an earlier statement. */
void
pool_run_error_raise_lost(const PoolLease *lease)
{
	raise_lost_for(lease, why_lost(lease->closed));
}

/* Raises what came of a run, after the lease was settled.  DONE: nothing. */
void
pool_run_error_raise(const PoolLease *lease, const PoolRun *run)
{
	const char *server_name = NameStr(lease->target.server_name);

	switch (run->outcome)
	{
		case POOL_RUN_DONE:
			break;
		case POOL_RUN_FAILED:
		case POOL_RUN_LOST:
			pool_remote_report_raise(run->error, server_name,
									 run->statement->context);
			break;
		case POOL_RUN_LEFT_OPEN:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
					 errmsg("statement left a transaction open on server \"%s\"",
							server_name),
					 errdetail("The remote transaction is rolled back."),
					 errhint("Use pool_acquire() and run the statements "
							 "of a transaction on the lease.")));
			break;
		case POOL_RUN_TIMED_OUT:
			raise_timeout(server_name, run);
			break;
		case POOL_RUN_COPIES:
			raise_copies(server_name);
			break;
		case POOL_RUN_BEHIND:
			raise_lost_for(lease, run->behind);
			break;
		case POOL_RUN_CAUGHT_UP:
			Assert(false); /* the statement itself follows */
			break;
		case POOL_RUN_MISREAD:
			raise_misread(server_name, run->misread);
			break;
		case POOL_RUN_NOT_SENT:
			raise_not_sent(lease, run);
			break;
		case POOL_RUN_NOT_BEGUN:
		case POOL_RUN_NOT_PROVEN:
			raise_proof_failed(server_name, run);
			break;
		case POOL_RUN_RECLAIMED_BEFORE:
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
					 errmsg("connection of lease " INT64_FORMAT
							" to server \"%s\" was reclaimed",
							lease->id, server_name),
					 errhint("Release the lease and acquire another one.")));
			break;
		case POOL_RUN_RECLAIMED:
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("connection of lease " INT64_FORMAT
								   " to server \"%s\" was reclaimed",
								   lease->id, server_name),
							errhint(POOL_HINT_CHECK_EXECUTION)));
			break;
	}
}

/* A copy of the text, or NULL, that lasts as long as the transaction. */
static const char *
in_transaction(const char *text)
{
	return text == NULL ? NULL
						: MemoryContextStrdup(TopTransactionContext, text);
}

/*
 * To be called before ThrowErrorData() raises a copy of an error: that keeps pointers
 * to the names of file, function and domain, and the memory of the copy may be gone
 * before the error is shown, as that of a DO block's expression is.
 */
void
pool_run_error_keep_places(ErrorData *error)
{
	error->filename = in_transaction(error->filename);
	error->funcname = in_transaction(error->funcname);
	error->domain = in_transaction(error->domain);
}
