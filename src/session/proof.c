/*
 * proof.c
 *		The proof that a connection is this session's alone.
 *
 * When another process was the last to use the socket, what its libpq had read
 * is lost to this one, so that an empty socket proves nothing.  The session
 * therefore sends the following in one pipeline.  So does one that used the
 * socket last, but in another local role, for the sake of the reset:
 *
 *		1. the reset query (DISCARD ALL)
 *		2. SELECT set_config('application_name', '<nonce> pool ...', false)
 *		3. the statement
 *
 * and looks at the answers to 1 and 2 before it looks at the third.  Only the
 * answer to this very SELECT can carry the nonce; if it is there, what follows
 * is the answer to the statement.  If anything else comes, no row is shown to
 * anyone and the connection is closed.  The same value tells the remote's
 * administrator who is asking.
 *
 * One Sync after 3 is enough for a statement that may run in a transaction
 * with others, and spares the remote a flush and this session a wake-up, which
 * is most of what a handover costs.  If the statement fails, 1 and 2 may have
 * been rolled back with it, so the next statement proves again
 * (run->reset_undone).  For any other statement there is a Sync before 3.
 *
 * The proof goes alone and is waited for when the connection must be seen
 * alive first (idle for longer than validate_after_idle), or when the
 * statement is a string of several, for which there is only the simple
 * protocol, which libpq does not mix with a pipeline.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/compat.h"
#include "session/proof.h"
#include "session/remote_io.h"
#include "statement/remote_report.h"
#include "statement/statement.h"

#define NONCE_LEN 16 /* hexadecimal digits */

/* Statements that can run in a transaction with others. */
static const char *const plain_statements[] = {"SELECT", "INSERT", "UPDATE",
											   "DELETE", "WITH",   "VALUES",
											   "TABLE",	 "MERGE"};

/* Appends text that needs no quoting in a literal and is ASCII. */
static void
append_plain(StringInfo out, const char *text)
{
	for (; *text; text++)
	{
		bool plain =
			isalnum((unsigned char) *text) || strchr("_-.$@+", *text) != NULL;

		appendStringInfoChar(out, plain && !IS_HIGHBIT_SET(*text) ? *text : '?');
	}
}

/*
 * A number that no other statement of any session has: random for the session,
 * counted within it.
 */
static void
make_nonce(char *nonce)
{
	static uint64 last = 0;

	if (last == 0 && !pg_strong_random(&last, sizeof(last)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random number")));
	snprintf(nonce, NONCE_LEN + 1, "%016llx", (unsigned long long) ++last);
}

/* The SELECT of the proof.  The nonce comes first, since names are cut. */
static char *
compose_select(char *nonce)
{
	StringInfoData sql;

	make_nonce(nonce);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.set_config('application_name', '%s pool ",
					 nonce);
	append_plain(&sql, get_database_name(MyDatabaseId));
	appendStringInfoChar(&sql, ' ');
	append_plain(&sql, GetUserNameFromId(GetUserId(), false));
	appendStringInfo(&sql, " %d', false)", MyProcPid);
	return sql.data;
}

/*
 * Begins the pipeline with the reset and the SELECT.  The reset is the first
 * after a Sync, as DISCARD ALL has to be.
 */
static bool
send_proof(PoolRun *run, char *nonce)
{
	PGconn *pg = run->copy->pg;
	char *select = compose_select(nonce);

	run->copy->busy = true;
	return PQenterPipelineMode(pg) &&
		   (run->reset_query[0] == '\0' ||
			PQsendQueryParams(pg, run->reset_query, 0, NULL, NULL, NULL, NULL,
							  0)) &&
		   PQsendQueryParams(pg, select, 0, NULL, NULL, NULL, NULL, 0);
}

/*
 * Reads what a statement of the proof answers: no error, and with a nonce one
 * row that carries it.  libpq may still be in single-row mode from an earlier
 * statement, so the row can come in a result of its own.
 */
static bool
step_ok(PoolRun *run, int64 deadline, const char *nonce)
{
	bool timed_out = false;
	int proven = 0;
	PGresult *res;

	while ((res = pool_remote_io_next(run, deadline, &timed_out)) != NULL)
	{
		ExecStatusType status = PQresultStatus(res);
		bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
					status == PGRES_SINGLE_TUPLE || status == PGRES_EMPTY_QUERY;

		if (nonce != NULL && PQntuples(res) > 0)
		{
			good = good && PQntuples(res) == 1 && PQnfields(res) == 1 &&
				   strncmp(PQgetvalue(res, 0, 0), nonce, NONCE_LEN) == 0;
			proven++;
			pool_remote_report_drop_notices(&run->copy->notices);
		}
		if (status == PGRES_FATAL_ERROR && run->proof_error == NULL)
			run->proof_error = pool_remote_report_error(res);
		PQclear(res);
		if (!good)
			return false;
	}
	if (timed_out)
		run->silent = true;
	return !timed_out && (nonce == NULL || proven == 1);
}

static bool
sync_ok(PoolRun *run, int64 deadline)
{
	bool timed_out = false;
	PGresult *res = pool_remote_io_next(run, deadline, &timed_out);
	bool good = PQresultStatus(res) == PGRES_PIPELINE_SYNC;

	if (timed_out)
		run->silent = true;
	PQclear(res);
	return good;
}

/*
 * Reads the answers to the proof.  Notices that came before it was seen may be
 * somebody else's and are dropped (in step_ok); those after are shown.
 */
static bool
answers_ok(PoolRun *run, int64 deadline, const char *nonce)
{
	PoolNotices *notices = &run->copy->notices;
	bool good;

	notices->held = true;
	good = (run->reset_query[0] == '\0' || step_ok(run, deadline, NULL)) &&
		   step_ok(run, deadline, nonce);
	notices->held = false;
	if (!good)
		pool_remote_report_drop_notices(notices);
	return good && !notices->protocol_doubt;
}

/*
 * Sends the proof alone and waits for it, no longer than proof_timeout, nor
 * beyond the statement's deadline.
 */
bool
pool_proof_alone(PoolRun *run)
{
	PGconn *pg = run->copy->pg;
	char nonce[NONCE_LEN + 1];
	int64 deadline = Min(pool_clock_after_ms(run->proof_timeout), run->deadline);

	if (!send_proof(run, nonce) || !PQpipelineSync(pg) ||
		!answers_ok(run, deadline, nonce) || !sync_ok(run, deadline) ||
		!PQexitPipelineMode(pg))
		return false;
	run->copy->busy = false;
	return true;
}

/* May the statement share a transaction with the proof? */
static bool
is_plain(const PoolStatement *statement)
{
	const char *sql = statement->sql;

	while (isspace((unsigned char) *sql) || *sql == '(')
		sql++;
	for (int i = 0; i < (int) lengthof(plain_statements); i++)
	{
		size_t len = strlen(plain_statements[i]);

		if (pg_strncasecmp(sql, plain_statements[i], len) == 0 &&
			!isalnum((unsigned char) sql[len]) && sql[len] != '_')
			return true;
	}
	return false;
}

/*
 * Sends the proof and the statement, and reads the proof.  The results of the
 * statement are next, in pipeline mode.
 */
bool
pool_proof_with_statement(PoolRun *run)
{
	PGconn *pg = run->copy->pg;
	char nonce[NONCE_LEN + 1];
	bool together = is_plain(run->statement);

	run->reset_undone = together; /* unless the statement succeeds */
	return send_proof(run, nonce) &&
		   (together || pool_pipeline_sync_unflushed(pg)) &&
		   pool_remote_io_send(run) && PQpipelineSync(pg) &&
		   answers_ok(run, run->deadline, nonce) &&
		   (together || sync_ok(run, run->deadline));
}
