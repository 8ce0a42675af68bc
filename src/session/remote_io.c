/*
 * remote_io.c
 *		Sending a statement to the remote and receiving what comes back.
 *
 * libpq is used without blocking: every wait is on the socket, ends with a signal
 * (socket_wait.c), takes interrupts, and has a deadline.
 */
#include "postgres.h"

#include <poll.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/wait_event.h"
#include "session/by_name.h"
#include "session/conn_cache.h"
#include "session/describe.h"
#include "session/remote_io.h"
#include "session/socket_wait.h"
#include "statement/remote_report.h"
#include "statement/result.h"
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

/* Raises 57014: query_timeout is over. */
void
pool_remote_io_raise_timeout(const PoolRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling remote statement on server \"%s\" due to query_timeout",
					run->server_name),
			 run->sent
				 ? errdetail("The statement ran for longer than %d ms.",
							 run->query_timeout)
				 : errdetail("The remote did not answer the reset of the connection within %d ms.  "
							 "The statement was not sent.",
							 run->query_timeout)));
}

/*
 * The next result, waiting for it; NULL ends those of one statement.  When the
 * deadline, in pool_clock_us(), comes first, *timed_out is set and NULL
 * returned.  Interrupts are taken while waiting.
 */
PGresult *
pool_remote_io_next(PoolRun *run, int64 deadline, bool *timed_out)
{
	PoolCopy *copy = run->copy;
	PGconn *pg = copy->pg;
	PGresult *res;
	PoolWaitEvent wait =
		pool_result_rows(run->result) > 0 ? POOL_WAIT_FETCH : POOL_WAIT_QUERY;

	while (PQisBusy(pg))
	{
		int unsent = PQflush(pg);
		int events = unsent > 0 ? POLLIN | POLLOUT : POLLIN;

		if (unsent < 0 || PQsocket(pg) < 0)
			break; /* PQgetResult() tells why */
		if (!pool_socket_wait(PQsocket(pg), events, deadline, wait))
		{
			*timed_out = true;
			return NULL;
		}
		POOL_FAULT_POINT(run_woken);
		if (!PQconsumeInput(pg))
			break;
		pool_remote_report_show_notices(&copy->notices, run->server_name);
	}
	res = PQgetResult(pg);
	pool_conn_cache_note_size(copy, Max(PQresultMemorySize(res),
										copy->notices.largest));
	return res;
}
