/*
 * proof.c
 *		The proof that a connection is this session's alone.
 *
 * When another process was the last to use the socket, what its libpq had read
 * is lost to this one, so that an empty socket proves nothing.  The session
 * therefore sends the following in one pipeline.  So does one that used the
 * socket last, but in another local role, for the sake of the reset:
 *
 *		1. the reset query (DISCARD ALL, or its parts: reset_parts.c)
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
 * (run->reset_undone).  For BEGIN, SET and the like there is a Sync before 3.
 *
 * The proof goes alone and is waited for when
 *
 *	- the connection must be seen alive first (idle for longer than
 *	  validate_after_idle);
 *	- the statement is a string of several, for which there is only the simple
 *	  protocol, which libpq does not mix with a pipeline;
 *	- the statement is any other.  What comes after a Sync is executed also when
 *	  the reset before it has failed, and that can be brought about, by a
 *	  statement_timeout for instance, for the sake of what it would have removed;
 *	- the reset query is one that somebody wrote, which may wait, fail or begin
 *	  a transaction.  The remote keeps its answer back until the Sync, so that
 *	  behind a statement nobody could tell which of the two takes so long.  Nor may
 *	  RESET ALL share the statement's transaction: that would have the isolation
 *	  that was set before.
 *
 * What a failed proof means for a statement that was sent with it is argued in
 * src/README.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/fault.h"
#include "session/proof.h"
#include "session/remote_io.h"
#include "session/reset_parts.h"
#include "statement/remote_report.h"
#include "statement/statement.h"

/* Statements that can run in a transaction with others. */
static const char *const plain_statements[] = {"SELECT", "INSERT", "UPDATE",
											   "DELETE", "WITH",   "VALUES",
											   "TABLE",	 "MERGE"};

/*
 * Statements that cannot, but change nothing that outlives the connection, and
 * run nobody's code.
 */
static const char *const passing_statements[] = {"BEGIN",	 "START",  "SET",
												 "RESET",	 "SHOW",   "LISTEN",
												 "UNLISTEN", "DISCARD"};

/*
 * Resets that take no time, wait for nothing, leave no transaction open, and change
 * nothing that is read at the begin of one.
 */
static const char *const quick_resets[] = {"DISCARD"};

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
	snprintf(nonce, POOL_NONCE_LEN + 1, "%016llx", (unsigned long long) ++last);
}

/* What the SELECT sets.  The nonce comes first, since names are cut. */
static char *
compose_name(char *nonce)
{
	StringInfoData name;

	make_nonce(nonce);
	initStringInfo(&name);
	appendStringInfo(&name, "%s pool ", nonce);
	append_plain(&name, get_database_name(MyDatabaseId));
	appendStringInfoChar(&name, ' ');
	append_plain(&name, GetUserNameFromId(GetUserId(), false));
	appendStringInfo(&name, " %d", MyProcPid);
	return name.data;
}

/*
 * Begins the pipeline with the reset and the SELECT, which the caller has followed
 * by a Sync or not.  The reset is the first after a Sync, as DISCARD ALL has to be.
 */
static bool
send_proof(PoolRun *run, bool sync)
{
	PoolProofState *state = &run->proof_state;
	PGconn *pg = run->copy->pg;
	char *name = compose_name(state->nonce);

	POOL_FAULT_POINT(proof_begin);
	run->copy->busy = true;
	state->step = state->rows = 0;
	state->sync = sync;
	run->copy->notices.held = true;
	return PQenterPipelineMode(pg) &&
		   (state->steps = pool_reset_parts_send(run)) >= 0 &&
		   pool_reset_parts_send_select(run, name);
}

/*
 * Has the reset failed for the form that it had: a part of it is not there any
 * more, or the remote does not have such a command?
 */
static bool
is_reset_lost(const PoolRun *run, int sqlstate)
{
	if (run->reset != POOL_RESET_PARTS && run->reset != POOL_RESET_PREPARING)
		return false;
	return sqlstate == ERRCODE_UNDEFINED_PSTATEMENT ||
		   sqlstate == ERRCODE_DUPLICATE_PSTATEMENT ||
		   sqlstate == ERRCODE_SYNTAX_ERROR ||
		   sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED;
}

/* Notes an error that came instead of an answer, and tells what it means. */
static PoolProof
note_error(PoolRun *run, const PGresult *res)
{
	bool ended;

	if (run->proof_error == NULL)
		run->proof_error = pool_remote_report_error(res);
	run->reset_lost = is_reset_lost(run, run->proof_error->sqlstate);
	if (!pool_remote_report_is_backends(res, &ended))
		return POOL_PROOF_BAD;
	return ended ? POOL_PROOF_ENDED : POOL_PROOF_REFUSED;
}

/* Is that the end of a command with another tag than the one it should have? */
static bool
has_wrong_tag(const PGresult *res, const char *tag)
{
	return tag != NULL && PQresultStatus(res) != PGRES_SINGLE_TUPLE &&
		   strcmp(PQcmdStatus(unconstify(PGresult *, res)), tag) != 0;
}

/* Does the row that came carry the nonce, and is it the only one? */
static bool
has_nonce(const PoolRun *run, const PGresult *res)
{
	return PQntuples(res) == 1 && PQnfields(res) == 1 &&
		   strncmp(PQgetvalue(res, 0, 0), run->proof_state.nonce,
				   POOL_NONCE_LEN) == 0;
}

/*
 * Looks at one result of the reset's steps or the SELECT: there must be no error,
 * the tag if one is due, and for the SELECT one row that carries the nonce.  libpq
 * may still be in single-row mode from an earlier statement, so the row can come in
 * a result of its own.
 */
static PoolProof
check_result(PoolRun *run, const PGresult *res)
{
	PoolProofState *state = &run->proof_state;
	ExecStatusType status = PQresultStatus(res);
	bool is_select = state->step == state->steps;

	if (status == PGRES_FATAL_ERROR)
		return note_error(run, res);
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
		status != PGRES_SINGLE_TUPLE && status != PGRES_EMPTY_QUERY)
		return POOL_PROOF_BAD;
	if (!is_select)
		return has_wrong_tag(res, pool_reset_parts_tag(run, state->step))
				   ? POOL_PROOF_BAD
				   : POOL_PROOF_PENDING;
	if (PQntuples(res) > 0)
	{
		if (!has_nonce(run, res))
			return POOL_PROOF_BAD;
		state->rows++;

		/* What came before may be somebody else's. */
		pool_remote_report_drop_notices(&run->copy->notices);
		pool_notifications_take(NULL, run->copy->pg);
	}
	return POOL_PROOF_PENDING;
}

/* One step is answered in full. */
static PoolProof
end_step(PoolRun *run)
{
	PoolProofState *state = &run->proof_state;

	if (state->step++ < state->steps)
	{
		POOL_FAULT_POINT(proof_reset_read);
		return POOL_PROOF_PENDING;
	}
	POOL_FAULT_POINT(proof_read);
	if (state->rows != 1)
		return POOL_PROOF_BAD;
	run->copy->notices.held = false;
	if (run->reset == POOL_RESET_PREPARING)
		pool_prepared_note_parts(run->prepared);
	return state->sync ? POOL_PROOF_PENDING : POOL_PROOF_GOOD;
}

/* Looks at what comes in the place of the Sync. */
static PoolProof
check_sync(PoolRun *run, const PGresult *res)
{
	if (res != NULL && PQresultStatus(res) == PGRES_PIPELINE_SYNC)
		return POOL_PROOF_GOOD;
	if (res != NULL && PQresultStatus(res) == PGRES_FATAL_ERROR)
		return note_error(run, res);
	return POOL_PROOF_BAD;
}

/*
 * Takes the next result of the answers to the proof, of which NULL ends one, and
 * frees it.  Returns PENDING while more of them is to come.
 *
 * Notices that came before the proof was seen may be somebody else's and are
 * dropped, here or with the copy if the proof is not good; those after are shown.
 */
PoolProof
pool_proof_take(PoolRun *run, PGresult *res)
{
	PoolProof answer;

	if (run->proof_state.step > run->proof_state.steps)
		answer = check_sync(run, res);
	else if (res == NULL)
		answer = end_step(run);
	else
		answer = check_result(run, res);
	PQclear(res);
	return answer;
}

/*
 * Sends the proof alone, with a Sync.  False: libpq has refused, or the
 * connection is lost.
 */
bool
pool_proof_send_alone(PoolRun *run)
{
	return send_proof(run, true) && PQpipelineSync(run->copy->pg);
}

/* Is the first word of the SQL text in that list? */
static bool
begins_with(const char *sql, const char *const *words, int nwords)
{
	while (isspace((unsigned char) *sql) || *sql == '(')
		sql++;
	for (int i = 0; i < nwords; i++)
	{
		size_t len = strlen(words[i]);

		if (pg_strncasecmp(sql, words[i], len) == 0 &&
			!isalnum((unsigned char) sql[len]) && sql[len] != '_')
			return true;
	}
	return false;
}

/* May the statement share a transaction with the proof? */
bool
pool_proof_is_plain(const char *sql)
{
	return begins_with(sql, plain_statements, lengthof(plain_statements));
}

/* May the statement be sent before the proof is answered? */
bool
pool_proof_may_lead(const PoolRun *run)
{
	const char *sql = run->statement->sql;

	return !run->validate && !pool_statement_is_several(run->statement) &&
		   (pool_proof_is_plain(sql) ||
			begins_with(sql, passing_statements, lengthof(passing_statements))) &&
		   (run->reset_query[0] == '\0' ||
			begins_with(run->reset_query, quick_resets, lengthof(quick_resets)));
}

/*
 * Sends the proof and the statement behind it.  The answers to the proof are next,
 * then the results of the statement.  False: libpq has refused, or the connection
 * is lost.
 */
bool
pool_proof_send_with_statement(PoolRun *run)
{
	PGconn *pg = run->copy->pg;
	bool together = pool_proof_is_plain(run->statement->sql);

	run->reset_undone = together; /* unless the statement succeeds */
	return send_proof(run, !together) &&
		   (together || pool_pipeline_sync_unflushed(pg)) &&
		   pool_remote_io_send(run) && PQpipelineSync(pg);
}
