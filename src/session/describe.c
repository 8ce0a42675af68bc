/*
 * describe.c
 *		Having the remote describe a statement before it executes it.
 *
 * Rows come in binary format, which costs both sides less than text, only if
 * each column can be read from it (pool_result_takes_binary()).  That has to be
 * known before the statement is executed, and never by a guess: it could not be
 * executed again.  So the statement goes in two parts:
 *
 *		1. Parse, Describe, Flush		the remote answers with the columns
 *		2. Bind in the format that they allow, Execute, Sync
 *
 * There is no Sync between them, so both are one transaction of the remote, on
 * one server even behind a pooler, and the tables keep their columns for the time
 * between: what was parsed holds locks on them.  Nothing is executed in the first
 * part.  After an error in it the remote skips the second.
 *
 * That takes one round trip more, which pays for large results alone.  The session
 * remembers statements that have returned many rows by a hash of their texts, in a
 * table where one takes the place of another.  Two texts with one hash mean a
 * round trip more, or less, and nothing else.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/describe.h"
#include "session/remote_io.h"

/* From so many rows on the time that binary format saves is worth describing. */
#define MIN_ROWS 1000

/*
 * Binary format spares nearly as much time as the rows take in it.  So it does
 * not pay where the description has taken more than this part of a statement's
 * time, as often as that in a row; then it is tried again after so many runs, for
 * a machine that was busy.
 */
#define MAX_SHARE 3
#define MAX_SLOW 3
#define PAUSE 100

/* Before, times in binary could be floating-point numbers. */
#define MIN_VERSION 100000

/* Texts that are remembered. */
#define NTEXTS 256

typedef struct LargeText
{
	uint64 hash;
	int slow; /* descriptions in a row that took too long, and runs since */
} LargeText;

static LargeText large_texts[NTEXTS];

/* Where the statement's text is, or would be; the hash tells. */
static LargeText *
find_text(const PoolStatement *statement)
{
	return &large_texts[statement->hash % NTEXTS];
}

/* Is the statement to be described before it is executed? */
bool
pool_describe_pays(const PoolRun *run)
{
	const LargeText *text;

	if (!pool_result_wants_binary(run->result) ||
		pool_statement_is_several(run->statement) ||
		PQserverVersion(run->copy->pg) < MIN_VERSION)
		return false;
	text = find_text(run->statement);
	return text->hash == run->statement->hash && text->slow < MAX_SLOW;
}

/* How the text does after that run: what LargeText.slow becomes. */
static int
judge(const PoolRun *run, int slow)
{
	if (!run->describe)
	{
		if (slow < MAX_SLOW)
			return slow;
		return slow < MAX_SLOW + PAUSE ? slow + 1 : MAX_SLOW - 1;
	}
	if (!run->binary)
		return MAX_SLOW; /* all in vain */
	if (run->describe_us > (pool_clock_us() - run->sent_at) / MAX_SHARE)
		return slow + 1;
	return 0;
}

/* Notes, after a run that succeeded, what the next one of that text should do. */
void
pool_describe_note(const PoolRun *run)
{
	bool large = pool_result_rows(run->result) >= MIN_ROWS;
	uint64 hash = run->statement->hash;
	LargeText *text;

	if (!large && !run->describe)
		return;
	text = find_text(run->statement);
	if (!large)
		text->hash = 0; /* with other parameters, say */
	else if (text->hash != hash)
	{
		text->hash = hash;
		text->slow = 0;
	}
	else
		text->slow = judge(run, text->slow);
}

/* Can rows of the columns that are described so be read in binary format? */
static bool
takes_binary(const PoolRun *run, const PGresult *description)
{
	int count = PQnfields(description);
	Oid *types = palloc(count * sizeof(Oid));

	for (int i = 0; i < count; i++)
		types[i] = PQftype(description, i);
	return pool_result_takes_binary(run->result, count, types);
}

/*
 * Sends the first part; pool_remote_io_send() calls it.  Its two answers are next,
 * in pipeline mode.  False: libpq has refused, or the connection is lost.
 */
bool
pool_describe_send(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;
	PGconn *pg = run->copy->pg;

	POOL_FAULT_POINT(describe_begin);
	return PQenterPipelineMode(pg) &&
		   PQsendPrepare(pg, "", stmt->sql, stmt->nparams, stmt->types) &&
		   PQsendDescribePrepared(pg, "") && PQsendFlushRequest(pg);
}

/*
 * Takes one result of the first part.  False: it is none that can come here, and
 * nothing of the statement was executed.
 */
bool
pool_describe_take(PoolRun *run, PGresult *res)
{
	PoolCopy *copy = run->copy;
	ExecStatusType status = PQresultStatus(res);

	copy->result = res; /* freed with the copy after an error */
	if (status == PGRES_COMMAND_OK)
		run->binary = takes_binary(run, res);
	else if (status == PGRES_FATAL_ERROR && run->error == NULL)
		run->error = pool_remote_report_error(res);
	copy->result = NULL;
	PQclear(res);
	return (status == PGRES_COMMAND_OK || status == PGRES_FATAL_ERROR ||
			status == PGRES_PIPELINE_ABORTED) &&
		   PQstatus(copy->pg) == CONNECTION_OK;
}

/*
 * Sends the second part, also after an error in the first one: the remote skips
 * it then.  The results are next.  False as above.
 */
bool
pool_describe_execute(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;
	PGconn *pg = run->copy->pg;

	run->describe_us = pool_clock_us() - run->sent_at;
	POOL_FAULT_POINT(describe_read);
	return PQsendQueryPrepared(pg, "", stmt->nparams, stmt->values,
							   stmt->lengths, stmt->formats,
							   run->binary ? 1 : 0) &&
		   PQpipelineSync(pg);
}

/*
 * Sends Parse and Describe of a statement that is not to be executed, behind the
 * proof if that is in the pipeline already, which then ends it, too.  The answer to
 * Parse is a preparation's, that to Describe is the statement's.
 */
bool
pool_describe_send_alone(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;
	PGconn *pg = run->copy->pg;
	bool whole = PQpipelineStatus(pg) == PQ_PIPELINE_OFF;

	run->preparations = 1;
	run->pipeline = true;
	return (!whole || PQenterPipelineMode(pg)) &&
		   PQsendPrepare(pg, "", stmt->sql, stmt->nparams, stmt->types) &&
		   PQsendDescribePrepared(pg, "") && (!whole || PQpipelineSync(pg));
}
