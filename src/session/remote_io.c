/*
 * remote_io.c
 *		Sending a statement and waiting for what comes back.
 *
 * libpq is used without blocking: every wait is on the socket and this
 * session's latch at once.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/wait_event.h"
#include "session/remote_io.h"

/* Puts the statement into libpq's hands. */
bool
pool_remote_io_send(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;

	run->sent = true;
	run->sent_at = pool_clock_us();
	return PQsendQueryParams(run->copy->pg, stmt->sql, stmt->nparams,
							 stmt->types, stmt->values, stmt->lengths,
							 stmt->formats, 0);
}

/* Raises 57014: query_timeout is over. */
void
pool_remote_io_raise_timeout(const PoolRun *run)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling remote statement on server \"%s\" due to query_timeout",
					run->server_name),
			 errdetail("It ran for longer than %d ms.", run->query_timeout)));
}

/*
 * The next result, waiting for it.  *timed_out is set when the deadline comes
 * first.  Interrupts are taken while waiting.
 */
PGresult *
pool_remote_io_next(PoolRun *run, int64 deadline, bool *timed_out)
{
	PGconn *pg = run->copy->pg;

	while (PQisBusy(pg))
	{
		int unsent = PQflush(pg);

		if (unsent < 0)
			break; /* PQgetResult() tells why */
		if (!pool_conn_cache_wait(run->copy,
								  unsent > 0
									  ? WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE
									  : WL_SOCKET_READABLE,
								  deadline,
								  pool_result_rows(run->result) > 0
									  ? POOL_WAIT_FETCH
									  : POOL_WAIT_QUERY))
		{
			*timed_out = true;
			return NULL;
		}
		if (!PQconsumeInput(pg))
			break;
		pool_remote_report_show_notices(&run->copy->notices, run->server_name);
	}
	return PQgetResult(pg);
}
