/*
 * remote_io.c
 *		Sending a statement to the remote and receiving what comes back.
 *
 * libpq is used without blocking, and nothing here waits.
 */
#include "postgres.h"

#include <poll.h>

#include "base/clock.h"
#include "base/fault.h"
#include "session/by_name.h"
#include "session/conn_cache.h"
#include "session/describe.h"
#include "session/remote_io.h"
#include "statement/remote_report.h"
#include "statement/statement.h"

#define READ_ONLY \
	"SELECT pg_catalog.set_config('transaction_read_only', 'on', true)"

/*
 * Does the statement go by the simple protocol?  What may be several statements in one
 * string has to.  Of what dblink's functions are given the text is mostly another one
 * each time, and then that takes less than Parse, Bind and Execute.
 */
static bool
is_simple(const PoolRun *run)
{
	return pool_statement_is_several(run->statement) ||
		   (run->statement->verbatim &&
			PQpipelineStatus(run->copy->pg) == PQ_PIPELINE_OFF);
}

/* Gives the statement itself to libpq.  False as below. */
static bool
send_statement(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;
	PGconn *pg = run->copy->pg;

	if (run->how != POOL_HOW_PLAIN)
		return pool_by_name_send(run);
	run->simple = is_simple(run);
	if (run->simple)
		return PQsendQuery(pg, stmt->sql);
	return PQsendQueryParams(pg, stmt->sql, stmt->nparams, stmt->types,
							 stmt->values, stmt->lengths, stmt->formats, 0);
}

/*
 * Has the statement's transaction be READ ONLY: both go in one pipeline, before its
 * Sync, and so in one transaction.  False as below.
 */
static bool
send_read_only(PoolRun *run)
{
	PGconn *pg = run->copy->pg;
	bool alone = PQpipelineStatus(pg) == PQ_PIPELINE_OFF;

	run->preparations++;
	if ((alone && !PQenterPipelineMode(pg)) ||
		!PQsendQueryParams(pg, READ_ONLY, 0, NULL, NULL, NULL, NULL, 0) ||
		!send_statement(run))
		return false;
	run->pipeline = true;
	return !alone || PQpipelineSync(pg);
}

/*
 * Gives the statement to libpq, which sends as much of it as can be sent
 * without waiting.  What may be several statements in one string goes by the
 * simple protocol, which knows no parameters; a large one has its columns described
 * first.  Returns false if libpq refuses, or that fails.
 */
bool
pool_remote_io_send(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;

	pool_conn_cache_note_size(run->copy, pool_statement_size(stmt));
	run->sent = true;
	run->sent_at = pool_clock_us();
	if (stmt->only_describe)
		return pool_describe_send_alone(run);
	if (run->describe)
		return pool_describe_send(run);
	return stmt->read_only ? send_read_only(run) : send_statement(run);
}

/*
 * The next result, if it has come; NULL ends those of one statement.  Returns false
 * if it has not.
 */
bool
pool_remote_io_next(PoolRun *run, PGresult **res)
{
	PoolCopy *copy = run->copy;

	if (!run->deaf && PQisBusy(copy->pg))
		return false;
	*res = PQgetResult(copy->pg);
	pool_conn_cache_note_size(copy, Max(PQresultMemorySize(*res),
										copy->notices.largest));
	return true;
}

/*
 * What to wait for before the next result, as events of poll(): also that the rest
 * of the statement can be sent.  0: there is nothing to wait for any more.
 */
int
pool_remote_io_events(PoolRun *run)
{
	PGconn *pg = run->copy->pg;
	int unsent = PQflush(pg);

	run->deaf = run->deaf || unsent < 0 || PQsocket(pg) < 0;
	if (run->deaf)
		return 0;
	return unsent > 0 ? POLLIN | POLLOUT : POLLIN;
}

/* Shows the notices that have come, unless the statement has none shown. */
void
pool_remote_io_show_notices(PoolRun *run)
{
	PoolNotices *notices = &run->copy->notices;

	if (run->statement->verbatim && !notices->held)
		pool_remote_report_discard_notices(notices);
	else
		pool_remote_report_show_notices(notices, run->server_name);
}

/* Reads what has come, without waiting. */
void
pool_remote_io_receive(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	POOL_FAULT_POINT(run_woken);
	if (!run->deaf && !PQconsumeInput(copy->pg))
		run->deaf = true;
	else
		pool_remote_io_show_notices(run);
}
