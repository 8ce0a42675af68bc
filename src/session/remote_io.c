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
	PGconn *pg = run->copy->pg;

	pool_conn_cache_note_size(run->copy, pool_statement_size(stmt));
	run->sent = true;
	run->sent_at = pool_clock_us();
	if (run->describe)
		return pool_describe_send(run);
	if (run->how != POOL_HOW_PLAIN)
		return pool_by_name_send(run);
	if (pool_statement_is_several(stmt))
		return PQsendQuery(pg, stmt->sql);
	return PQsendQueryParams(pg, stmt->sql, stmt->nparams, stmt->types,
							 stmt->values, stmt->lengths, stmt->formats, 0);
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

/* Reads what has come, without waiting. */
void
pool_remote_io_receive(PoolRun *run)
{
	PoolCopy *copy = run->copy;

	POOL_FAULT_POINT(run_woken);
	if (!run->deaf && !PQconsumeInput(copy->pg))
		run->deaf = true;
	else
		pool_remote_report_show_notices(&copy->notices, run->server_name);
}
