/*
 * remote.c
 *		Running a statement on a leased connection.
 *
 * The handover's proof.  When another process was the last to use the socket,
 * what its libpq had read is lost to this one, so that an empty socket proves
 * nothing.  The session therefore sends, in one pipeline:
 *
 *		1. the reset query (DISCARD ALL)				Sync
 *		2. SET application_name = '<nonce> pool ...'	Sync
 *		3. the statement								Sync
 *
 * and looks at the answers to 1 and 2, and at the application_name that the
 * remote reports with the second ReadyForQuery, before it looks at the third.
 * Only the answer to this very SET can carry the nonce; if it is there, what
 * follows is the answer to the statement.  If anything else comes, no row is
 * shown to anyone and the connection is closed.
 *
 * The proof goes alone and is waited for when the connection must be seen
 * alive first (idle for longer than validate_after_idle), or when the
 * statement is a string of several, for which there is only the simple
 * protocol, which libpq does not mix with a pipeline.
 *
 * A statement that was sent is never sent again.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "remote.h"
#include "waiters.h"

#define NONCE_BYTES 8
#define NONCE_LEN (NONCE_BYTES * 2) /* as hexadecimal digits */

/*
 * Command tags that leave nothing behind in the remote session, if no function
 * in them does.  What follows any other is a reset.
 */
static const char *const stateless_tags[] = {"SELECT",	"INSERT", "UPDATE",
											 "DELETE",	"MERGE",  "SHOW",
											 "EXPLAIN", "FETCH"};

static void
lost(PoolRun *run, const char *message)
{
	run->error = palloc0(sizeof(PoolRemoteReport));
	run->error->elevel = ERROR;
	run->error->sqlstate = ERRCODE_CONNECTION_FAILURE;
	run->error->message = pstrdup(message);
	run->error->hint = pstrdup(
		"The statement may have been executed or not; it is not sent again.");
}

/*
 * The next result, waiting for it.  *timed_out is set when the deadline comes
 * first.  Interrupts are taken while waiting.
 */
static PGresult *
next_result(PoolRun *run, int64 deadline, bool *timed_out)
{
	PGconn *pg = run->link->pg;

	while (PQisBusy(pg))
	{
		int unsent = PQflush(pg);

		if (unsent < 0)
			break; /* PQgetResult() tells why */
		if (!pool_link_wait(run->link,
							unsent > 0
								? WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE
								: WL_SOCKET_READABLE,
							deadline))
		{
			*timed_out = true;
			return NULL;
		}
		if (!PQconsumeInput(pg))
			break;
		pool_notices_show(&run->link->notices, run->server_name);
	}
	return PQgetResult(pg);
}

/* Appends text that needs no quoting in a literal and is ASCII. */
static void
append_plain(StringInfo out, const char *text)
{
	for (; *text; text++)
	{
		bool plain =
			isalnum((unsigned char) *text) || strchr("_-.$@+", *text) != NULL;

		appendStringInfoChar(out,
							 plain && !IS_HIGHBIT_SET(*text) ? *text : '?');
	}
}

/* The SET of the proof.  The nonce comes first, since names are cut. */
static char *
compose_set(char *nonce)
{
	unsigned char random[NONCE_BYTES];
	StringInfoData sql;

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random number")));
	hex_encode((char *) random, sizeof(random), nonce);
	nonce[NONCE_LEN] = '\0';

	initStringInfo(&sql);
	appendStringInfo(&sql, "SET application_name = '%s pool ", nonce);
	append_plain(&sql, get_database_name(MyDatabaseId));
	appendStringInfoChar(&sql, ' ');
	append_plain(&sql, GetUserNameFromId(GetUserId(), false));
	appendStringInfo(&sql, " %d'", MyProcPid);
	return sql.data;
}

static bool
send_in_pipeline(PGconn *pg, const char *sql)
{
	return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) &&
		   PQpipelineSync(pg);
}

static bool
send_statement(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;

	return PQsendQueryParams(run->link->pg, stmt->sql, stmt->nparams,
							 stmt->types, stmt->values, stmt->lengths,
							 stmt->formats, 0);
}

/*
 * Reads the answer to one statement of the proof and its Sync: one result
 * that is no error.
 */
static bool
proof_step_ok(PoolRun *run, int64 deadline, const char *tag)
{
	bool timed_out = false;
	PGresult *res = next_result(run, deadline, &timed_out);
	ExecStatusType status = PQresultStatus(res);
	bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
				status == PGRES_EMPTY_QUERY;

	if (tag != NULL)
		good = good && strcmp(PQcmdStatus(res), tag) == 0;
	PQclear(res);
	if (!good)
		return false;
	res = next_result(run, deadline, &timed_out);
	if (res != NULL || timed_out)
	{
		PQclear(res);
		return false;
	}
	res = next_result(run, deadline, &timed_out);
	good = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
	PQclear(res);
	return good;
}

/* Reads the answers to the proof. */
static bool
proof_ok(PoolRun *run, int64 deadline, const char *nonce)
{
	PoolLink *link = run->link;
	const char *reported;
	bool good;

	/* Notices of this time may be somebody else's. */
	link->notices.muted = true;
	good =
		(run->reset_query[0] == '\0' || proof_step_ok(run, deadline, NULL)) &&
		proof_step_ok(run, deadline, "SET");
	link->notices.muted = false;
	pool_notices_drop(&link->notices);
	if (!good || link->notices.protocol_doubt)
		return false;

	reported = PQparameterStatus(link->pg, "application_name");
	if (reported == NULL || strncmp(reported, nonce, NONCE_LEN) != 0)
		return false;
	link->fingerprint = pool_link_fingerprint(link);
	return true;
}

/* Sends the proof alone and waits for it. */
static bool
prove_alone(PoolRun *run)
{
	PGconn *pg = run->link->pg;
	char nonce[NONCE_LEN + 1];
	char *set = compose_set(nonce);
	int64 deadline = pool_clock_us() + INT64CONST(1000) * run->proof_timeout;

	run->link->busy = true;
	if (!PQenterPipelineMode(pg) ||
		(run->reset_query[0] && !send_in_pipeline(pg, run->reset_query)) ||
		!send_in_pipeline(pg, set) || !proof_ok(run, deadline, nonce) ||
		!PQexitPipelineMode(pg))
		return false;
	run->link->busy = false;
	return true;
}

/* Sends the proof and the statement, and reads the proof. */
static bool
send_with_proof(PoolRun *run)
{
	PGconn *pg = run->link->pg;
	char nonce[NONCE_LEN + 1];
	char *set = compose_set(nonce);

	run->link->busy = true;
	return PQenterPipelineMode(pg) &&
		   (run->reset_query[0] == '\0' ||
			send_in_pipeline(pg, run->reset_query)) &&
		   send_in_pipeline(pg, set) && send_statement(run) &&
		   PQpipelineSync(pg) && proof_ok(run, PG_INT64_MAX, nonce);
}

static void
refuse_copy(PoolRun *run)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg(
			 "COPY from or to the client cannot run over a pooled connection"),
		 errdetail("The connection to server \"%s\" is closed.",
				   run->server_name),
		 errhint("Use SELECT and INSERT, or COPY with a file or program on the "
				 "remote.")));
}

static void
note_tag(PoolRun *run, const char *tag)
{
	for (int i = 0; i < (int) lengthof(stateless_tags); i++)
	{
		size_t len = strlen(stateless_tags[i]);

		if (strncmp(tag, stateless_tags[i], len) == 0 &&
			(tag[len] == '\0' || tag[len] == ' '))
			return;
	}
	if (tag[0] != '\0')
		run->left_state = true;
}

/* Takes one result of the statement.  Returns false when the remote is gone. */
static bool
take_result(PoolRun *run, PGresult *res)
{
	switch (PQresultStatus(res))
	{
		case PGRES_SINGLE_TUPLE:
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
		case PGRES_EMPTY_QUERY:
			note_tag(run, PQcmdStatus(res));
			if (run->error == NULL)
				pool_result_take(run->result, res);
			return true;
		case PGRES_COPY_IN:
		case PGRES_COPY_OUT:
		case PGRES_COPY_BOTH:
			refuse_copy(run);
			return false;
		case PGRES_PIPELINE_ABORTED:
			return true;
		default:
			/* Of several errors the first one is the cause. */
			if (run->error == NULL)
				run->error = pool_report_error(res);
			return PQstatus(run->link->pg) == CONNECTION_OK;
	}
}

/* Takes one result and frees it; after an error pool_link_close() does. */
static bool
take_and_clear(PoolRun *run, PGresult *res)
{
	PoolLink *link = run->link;
	bool alive;

	link->result = res;
	alive = take_result(run, res);
	link->result = NULL;
	PQclear(res);
	return alive;
}

static void
query_timed_out(PoolRun *run)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_QUERY_CANCELED),
		 errmsg(
			 "canceling remote statement on server \"%s\" due to query_timeout",
			 run->server_name),
		 errdetail("It ran for longer than %d ms.", run->query_timeout)));
}

/*
 * Reads all results of the statement up to ReadyForQuery.  Rows are taken one
 * by one, so that memory does not grow with the result.  An error while a row
 * is taken leaves the link busy, and so the connection closed.
 */
static PoolRunOutcome
read_results(PoolRun *run, bool pipeline)
{
	PGconn *pg = run->link->pg;
	int64 deadline =
		run->query_timeout > 0
			? pool_clock_us() + INT64CONST(1000) * run->query_timeout
			: PG_INT64_MAX;
	bool timed_out = false;
	PGresult *res;

	PQsetSingleRowMode(pg);
	while ((res = next_result(run, deadline, &timed_out)) != NULL)
	{
		if (!take_and_clear(run, res))
			return POOL_RUN_LOST;
	}
	if (timed_out)
		query_timed_out(run);
	if (pipeline)
	{
		bool synced;

		res = next_result(run, deadline, &timed_out);
		synced = PQresultStatus(res) == PGRES_PIPELINE_SYNC;
		PQclear(res);
		if (timed_out)
			query_timed_out(run);
		if (!synced || !PQexitPipelineMode(pg))
		{
			if (run->error == NULL)
				lost(run, "connection to the remote was lost");
			return POOL_RUN_LOST;
		}
	}
	return POOL_RUN_DONE;
}

/* After ReadyForQuery: is the connection, and what was read, beyond doubt? */
static PoolRunOutcome
check_end(PoolRun *run)
{
	PoolLink *link = run->link;
	PGnotify *notify;

	/* Makes libpq look at what it has read besides. */
	(void) PQisBusy(link->pg);
	while ((notify = PQnotifies(link->pg)) != NULL)
		PQfreemem(notify);
	pool_notices_show(&link->notices, run->server_name);

	if (PQstatus(link->pg) != CONNECTION_OK || link->notices.protocol_doubt)
	{
		if (run->error == NULL)
			lost(run, "connection to the remote is out of step");
		return POOL_RUN_LOST;
	}
	link->busy = false;
	if (pool_link_fingerprint(link) != link->fingerprint)
		run->left_state = true;
	return POOL_RUN_DONE;
}

/*
 * Text is read by this database's rules: a remote session whose settings were
 * changed in a lease would give text that means something else here.
 */
static void
check_formats(PoolRun *run)
{
	PGconn *pg = run->link->pg;
	const char *encoding = PQparameterStatus(pg, "client_encoding");
	const char *dates = PQparameterStatus(pg, "DateStyle");
	const char *intervals = PQparameterStatus(pg, "IntervalStyle");
	const char *wrong = NULL;

	if (pool_result_rows(run->result) == 0)
		return;
	if (encoding && pg_char_to_encoding(encoding) != GetDatabaseEncoding())
		wrong = "client_encoding";
	else if (dates && strncmp(dates, "ISO", 3) != 0)
		wrong = "DateStyle";
	else if (intervals && strcmp(intervals, "postgres") != 0)
		wrong = "IntervalStyle";
	if (wrong)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("setting \"%s\" of the remote session was changed", wrong),
			 errdetail("Rows from server \"%s\" could not be read correctly.",
					   run->server_name),
			 errhint("RESET it in the lease, or release the lease.")));
}

/*
 * Runs the statement.  The link must be leased to this session.
 *
 * Raises local errors (a cancel, a value that does not fit, 57014 after
 * query_timeout); the link is then busy and must be given back as such.  The
 * remote's own error is in run->error, to be raised when the connection has
 * been given back.
 */
PoolRunOutcome
pool_remote_run(PoolRun *run)
{
	PoolLink *link = run->link;
	PoolSlot *slot = &pool_slots[link->slot];
	bool several = pool_statement_is_several(run->statement);
	bool pipeline = run->prove && !several && !run->validate;
	PoolRunOutcome outcome;

	if (!pool_link_is_quiet(link))
		return POOL_RUN_NOT_SENT;

	slot->last_holder = pool_session_self()->serial;
	slot->used = true;
	if (several)
		pool_result_expect_several(run->result);

	if (pipeline)
	{
		if (!send_with_proof(run))
			return POOL_RUN_NOT_PROVEN;
	}
	else
	{
		if ((run->prove || run->validate) && !prove_alone(run))
			return POOL_RUN_NOT_SENT;
		link->busy = true;
		if (!(several ? PQsendQuery(link->pg, run->statement->sql)
					  : send_statement(run)))
		{
			lost(run, "could not send the statement to the remote");
			return POOL_RUN_LOST;
		}
	}

	outcome = read_results(run, pipeline);
	if (outcome == POOL_RUN_DONE)
		outcome = check_end(run);
	if (outcome == POOL_RUN_DONE && run->error == NULL)
		check_formats(run);
	return outcome;
}
