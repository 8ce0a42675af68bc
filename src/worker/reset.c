/*
 * reset.c
 *		Resets and health checks of connections, in the worker.
 *
 * The janitor decides which slots are due, and makes them RESETTING or
 * CHECKING.  Such a connection is sent a rollback, if a transaction is open in
 * it, and a query: reset_query or health_check_query.  Each has a Sync of its
 * own, in libpq's pipeline mode, so that nothing blocks.  The remote must answer
 * exactly as expected within health_check_timeout, or the connection is closed.
 * A slot that was reset is offered to waiters, or becomes idle.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/closer.h"
#include "worker/relay.h"
#include "worker/reset.h"

/* How many records of TLS are read before others get a turn. */
#define READ_ROUNDS 16

/* "silent": the remote did not answer in time. */
static void
reset_failed(PoolConn *conn, PoolCloseReason reason, bool silent)
{
	Pool *pool = conn->pool;

	if (conn->is_health_check)
		pool_stats_add(&pool->stats, POOL_COUNT_HEALTH_CHECK_FAILURES, 1);
	if (conn->is_health_check && reason == POOL_CLOSE_RESET_FAILED)
		reason = POOL_CLOSE_CHECK_FAILED;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (silent)
		pool_slot_give_up(pool, conn->slot, reason);
	else
		pool_slot_close(pool, conn->slot, reason, true);
	LWLockRelease(&pool->lock);
	pool_closer_begin(conn->slot);
}

static void
reset_done(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	PoolSessionRef wake;
	bool granted;

	pool_conn_stand_by(conn);
	slot->heard = pool_clock_us();
	pool_stats_add(&conn->pool->stats,
				   conn->is_health_check ? POOL_COUNT_HEALTH_CHECKS
										 : POOL_COUNT_RESETS,
				   1);

	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	if (!conn->is_health_check)
		slot->used = slot->in_transaction = false;
	granted = pool_queue_offer(conn->pool, slot, &wake);
	LWLockRelease(&conn->pool->lock);
	if (granted)
		pool_wake_session(&wake);
}

/* Sends one statement of the reset, with a Sync of its own. */
static bool
send_reset(PoolConn *conn, const char *sql)
{
	conn->syncs_left++;
	return PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0) &&
		   PQpipelineSync(conn->pg);
}

/*
 * The worker itself uses the connection from now on, so nothing is relayed.
 * Returns false if something is on its way already.
 */
static bool
suspend_relay(PoolConn *conn)
{
	if (conn->relay.ssl == NULL)
		return true;
	pool_conn_watch(conn, POOL_SOCKET_SESSION, conn->relay.worker_end,
					WL_SOCKET_CLOSED);
	return pool_relay_suspend(&conn->relay);
}

/*
 * Starts the reset or the health check of a slot that is RESETTING or CHECKING;
 * conn->is_health_check tells which.  "query" NULL: none.  The remote has that
 * many milliseconds; 0: no deadline.
 */
void
pool_reset_begin(PoolConn *conn, bool rollback, const char *query,
				 int timeout_ms)
{
	bool sent;

	conn->slot->last_user.session = 0;
	conn->syncs_left = 0;
	pool_conn_begin_task(conn, POOL_TASK_RESET, timeout_ms);
	if (!suspend_relay(conn))
	{
		reset_failed(conn, POOL_CLOSE_UNCLEAN, false);
		return;
	}
	sent = PQenterPipelineMode(conn->pg) &&
		   (!rollback || send_reset(conn, "ROLLBACK")) &&
		   (query == NULL || send_reset(conn, query)) && PQflush(conn->pg) == 0;
	if (sent)
		pool_conn_watch_remote(conn, WL_SOCKET_READABLE);
	else
		reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
}

/* Reads what the remote answers to the reset, as far as it has come. */
void
pool_reset_on_event(PoolConn *conn)
{
	PGresult *res;
	int ends = 0;

	for (int i = 0;
		 i == 0 || (i < READ_ROUNDS && pool_relay_has_pending(&conn->relay));
		 i++)
	{
		if (!PQconsumeInput(conn->pg))
		{
			reset_failed(conn, POOL_CLOSE_REMOTE_CLOSED, false);
			return;
		}
	}
	while (conn->syncs_left > 0 && !PQisBusy(conn->pg))
	{
		ExecStatusType status;

		res = PQgetResult(conn->pg);
		/* A NULL ends each statement; a second one means that libpq is lost. */
		if (res == NULL && ++ends < 2)
			continue;
		ends = 0;
		status = PQresultStatus(res);
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC)
			conn->syncs_left--;
		else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
				 status != PGRES_EMPTY_QUERY)
		{
			reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
			return;
		}
	}
	if (conn->syncs_left > 0)
		return;
	if (PQexitPipelineMode(conn->pg) &&
		PQtransactionStatus(conn->pg) == PQTRANS_IDLE)
		reset_done(conn);
	else
		reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
}

/* The remote has not answered to the reset in time: closes the connection. */
void
pool_reset_on_timeout(PoolConn *conn)
{
	reset_failed(conn, POOL_CLOSE_RESET_FAILED, true);
}
