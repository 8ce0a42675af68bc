/*
 * reset.c
 *		Resets and health checks of connections, in the worker.
 *
 * The janitor decides which slots are due, and makes them RESETTING or
 * CHECKING.  Such a connection is sent a rollback, if a transaction is open in
 * it, and a query: reset_query or health_check_query.  Each has a Sync of its
 * own (answer.c).  The remote must answer exactly as expected within
 * health_check_timeout, and with no more than MAX_ANSWER bytes, or the connection
 * is closed.  A slot that was reset is offered to waiters, or becomes idle.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/pool.h"
#include "shared/prepared.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/answer.h"
#include "worker/closer.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/reset.h"
#include "worker/worker_log.h"

/* How many buffers are read before others get a turn. */
#define READ_ROUNDS 16

/*
 * The longest answer, in bytes.  What is asked for has a short one; the rest is
 * notices, notifications, and queries that should not be a check.
 */
#define MAX_ANSWER (1024 * 1024)

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
	if (conn->is_health_check)
		pool->check_failures++;
	if (silent)
		pool_slot_give_up(pool, conn->slot, reason);
	else
		pool_slot_close(pool, conn->slot, reason, true);
	POOL_FAULT_POINT(reset_failed_locked);
	LWLockRelease(&pool->lock);
	POOL_FAULT_POINT(reset_failed);
	pool_closer_begin(conn->slot);
}

static void
reset_done(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	PoolWakes wakes = {0};

	POOL_FAULT_POINT(reset_done);
	pool_conn_stand_by(conn);
	slot->heard = pool_clock_us();
	pool_stats_add(&conn->pool->stats,
				   conn->is_health_check ? POOL_COUNT_HEALTH_CHECKS
										 : POOL_COUNT_RESETS,
				   1);

	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	if (conn->is_health_check)
		conn->pool->check_failures = 0;
	else
		slot->used = slot->in_transaction = slot->unread = false;
	pool_queue_offer(conn->pool, slot, &wakes);
	POOL_FAULT_POINT(reset_offered_locked);
	LWLockRelease(&conn->pool->lock);
	if (wakes.n > 0)
		pool_wake_sessions(&wakes);
	else
		pool_loop_wake_now(); /* it may have to be closed */
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

/* Is it the query that only asks whether somebody answers? */
static bool
is_nothing(const char *query)
{
	return query != NULL && query[0] == '\0';
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
	StringInfoData request;

	POOL_FAULT_POINT(reset_begin);
	conn->slot->last_user.session = 0;
	if (rollback || !is_nothing(query))
		pool_prepared_forget(conn->slot);
	pool_conn_begin_task(conn, POOL_TASK_RESET, timeout_ms);
	if (!suspend_relay(conn))
	{
		reset_failed(conn, POOL_CLOSE_UNCLEAN, false);
		return;
	}
	POOL_FAULT_POINT(reset_suspended);
	initStringInfo(&request);
	pool_answer_begin(&conn->answer);
	if (rollback)
		pool_answer_expect(&conn->answer, "ROLLBACK", &request);
	if (query != NULL)
		pool_answer_expect(&conn->answer, query, &request);
	if (conn->answer.statements == 0)
		reset_done(conn); /* reset_query was there, and is no more */
	else if (pool_conn_send(conn, &request))
		pool_conn_watch_remote(conn, WL_SOCKET_READABLE);
	else
		reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
	POOL_FAULT_POINT(reset_sent);
	pfree(request.data);
}

/* Reads what the remote answers to the reset, as far as it has come. */
void
pool_reset_on_event(PoolConn *conn)
{
	static char data[POOL_CONN_READ];

	for (int i = 0; i < READ_ROUNDS; i++)
	{
		ssize_t got = pool_conn_recv(conn, data);

		if (got < 0)
		{
			conn->broken = true;
			reset_failed(conn, POOL_CLOSE_REMOTE_CLOSED, false);
		}
		if (got <= 0)
			return;
		POOL_FAULT_POINT(reset_answer);
		switch (pool_answer_read(&conn->answer, data, got, &conn->parameters))
		{
			case POOL_ANSWER_MORE:
				break;
			case POOL_ANSWER_GOOD:
				reset_done(conn);
				return;
			case POOL_ANSWER_BAD:
				reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
				return;
		}
		if (conn->answer.bytes > MAX_ANSWER)
		{
			pool_worker_log_answer_too_long(conn->pool, conn->slot,
											conn->is_health_check,
											MAX_ANSWER / 1024);
			reset_failed(conn, POOL_CLOSE_RESET_FAILED, false);
			return;
		}
	}
}

/* The remote has not answered to the reset in time: closes the connection. */
void
pool_reset_on_timeout(PoolConn *conn)
{
	reset_failed(conn, POOL_CLOSE_RESET_FAILED, true);
}
