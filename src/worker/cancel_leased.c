/*
 * cancel_leased.c
 *		Cancelling what runs on a connection that stays leased, in the worker.
 *
 * The session has ordered it (shared/cancel_order.c), and reads the answer itself: an
 * error or, if the request came too late, the result.  The janitor finds the order.
 * One request is sent; until one is out, what fails is tried again, as cancel.c does
 * it.  When the remote has closed the request's connection it has acted on it, and
 * the session is told, so that it hits none of its later statements.
 *
 * The task of the connection is WATCH all the time, with a deadline while a request is
 * under way.  The closer takes over at any time, since the slot may leave LEASED at
 * any time; the slot is not free before the closer is done, and retired until then.
 */
#include "postgres.h"

#include "base/fault.h"
#include "shared/cancel_order.h"
#include "worker/cancel_leased.h"
#include "worker/loop.h"

/* How long it may take in all, in milliseconds. */
#define TIMEOUT_MS 2000

/* Is a request of this file under way? */
static bool
is_under_way(const PoolConn *conn)
{
	return conn->task == POOL_TASK_WATCH && conn->deadline != PG_INT64_MAX;
}

/* Can the worker send a request now, or say that it never will? */
bool
pool_cancel_leased_may_begin(const PoolConn *conn)
{
	return !is_under_way(conn);
}

/* Ends the request, and tells the session. */
static void
finish(PoolConn *conn, bool sent)
{
	pool_cancel_leased_stop(conn);
	pool_cancel_order_finish(conn->pool, conn->slot, sent);
	if (!sent)
		ereport(LOG,
				(errmsg("could not send a cancel request for remote process %d "
						"of pool for server \"%s\"",
						conn->slot->remote_pid,
						NameStr(conn->pool->server_name))));
	pool_loop_wake_now(); /* there may be another order */
}

/* Begins to cancel what runs on the slot, whose order was taken. */
void
pool_cancel_leased_begin(Pool *pool, PoolSlot *slot)
{
	PoolConn *conn = pool_conn_of(slot);

	if (conn->task == POOL_TASK_NONE)
	{
		/* An earlier worker had the connection, which ended with it. */
		pool_cancel_order_finish(pool, slot, false);
		return;
	}
	POOL_FAULT_POINT(cancel_taken);
	pool_conn_begin_task(conn, POOL_TASK_WATCH, TIMEOUT_MS);
	pool_cancel_leased_continue(conn);
}

/* Goes on with the request, if one is under way: on its events and in each round. */
void
pool_cancel_leased_continue(PoolConn *conn)
{
	if (!is_under_way(conn))
		return;
	if (conn->eof || conn->cancel_key.len == 0)
	{
		finish(conn, conn->cancel.requests > 0);
		return;
	}
	if (pool_conn_continue_cancel(conn))
	{
		conn->cancel.next = PG_INT64_MAX; /* no other follows */
		POOL_FAULT_POINT(cancel_sent);
	}
	if (conn->cancel.requests > 0 && conn->cancel.sock == PGINVALID_SOCKET)
		finish(conn, true);
}

/* The request was not sent in time, or the remote has not closed its connection. */
void
pool_cancel_leased_on_timeout(PoolConn *conn)
{
	finish(conn, conn->cancel.requests > 0);
}

/* Ends the request that is under way, if there is one. */
void
pool_cancel_leased_stop(PoolConn *conn)
{
	if (!is_under_way(conn))
		return;
	pool_conn_end_cancel(conn);
	pool_conn_begin_task(conn, POOL_TASK_WATCH, 0);
}
