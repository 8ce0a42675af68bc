/*
 * conn.c
 *		The connections as the worker holds them.
 *
 * One PoolConn for each slot, in an array of the worker's own memory.  It has
 * one task at a time.  A connection that is idle or leased is watched only for
 * its end (WL_SOCKET_CLOSED), which does not fire on data, so the worker sleeps
 * while sessions talk to the remote; but what is encrypted is relayed
 * (relay.c).
 */
#include "postgres.h"

#include <sys/socket.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "worker/conn.h"

static PoolConn *conns;

/* Called once, when the worker starts. */
void
pool_conn_init(void)
{
	conns = MemoryContextAllocZero(TopMemoryContext,
								   sizeof(PoolConn) * pool_shmem->nslots);
}

/*
 * Returns the worker's side of a slot; its task is NONE if there is no
 * connection.
 */
PoolConn *
pool_conn_of(const PoolSlot *slot)
{
	return &conns[pool_slot_index(slot)];
}

/* There is no cancel request, and was none. */
static void
forget_cancels(PoolConn *conn)
{
	memset(&conn->cancel, 0, sizeof(conn->cancel));
	conn->cancel.sock = PGINVALID_SOCKET;
	conn->watched_cancel_serial = 0;
}

/*
 * Begins a connection in that slot.  The caller has called AcquireExternalFD()
 * for it, and gives it a task (pool_conn_begin_task).
 */
PoolConn *
pool_conn_open(Pool *pool, PoolSlot *slot)
{
	PoolConn *conn = pool_conn_of(slot);

	Assert(conn->task == POOL_TASK_NONE);
	memset(conn, 0, sizeof(PoolConn));
	conn->pool = pool;
	conn->slot = slot;
	for (int i = 0; i < POOL_NSOCKETS; i++)
	{
		conn->watches[i].conn = conn;
		conn->watches[i].sock = PGINVALID_SOCKET;
	}
	forget_cancels(conn);
	pool_feed_init(&conn->feed);
	conn->deadline = PG_INT64_MAX;
	return conn;
}

/*
 * Waits for these events on one of the connection's sockets from now on; 0: for
 * none.
 */
void
pool_conn_watch(PoolConn *conn, PoolSocket which, pgsocket sock, uint32 events)
{
	/*
	 * While connecting libpq may replace its socket by another of the same
	 * number.  So may the next cancel request.
	 */
	bool may_be_another =
		conn->task == POOL_TASK_CONNECT || which == POOL_SOCKET_CANCEL;

	pool_loop_watch(&conn->watches[which], sock, events, may_be_another);
}

/*
 * Waits for these events on the socket to the remote from now on; 0: for none.
 */
void
pool_conn_watch_remote(PoolConn *conn, uint32 events)
{
	pgsocket sock = conn->feed.remote != PGINVALID_SOCKET ? conn->feed.remote
														  : PQsocket(conn->pg);

	pool_conn_watch(conn, POOL_SOCKET_REMOTE, sock, events);
}

/*
 * Goes on with cancel requests, as pool_cancel_continue(), and waits for what they
 * wait for.  Returns true each time one was sent.
 */
bool
pool_conn_continue_cancel(PoolConn *conn)
{
	bool sent = pool_cancel_continue(&conn->cancel, &conn->cancel_key, conn->pg);

	if (sent)
		pool_stats_add(&conn->pool->stats, POOL_COUNT_CANCELS, 1);
	pool_loop_wake_at(conn->cancel.next);
	if (conn->cancel.serial != conn->watched_cancel_serial)
	{
		pool_conn_watch(conn, POOL_SOCKET_CANCEL, conn->cancel.sock,
						conn->cancel.events);
		conn->watched_cancel_serial = conn->cancel.serial;
	}
	return sent;
}

/* Ends the cancel request under way, and forgets those before it. */
void
pool_conn_end_cancel(PoolConn *conn)
{
	pool_conn_watch(conn, POOL_SOCKET_CANCEL, PGINVALID_SOCKET, 0);
	pool_cancel_end(&conn->cancel);
	forget_cancels(conn);
}

/*
 * Ends libpq's connection, if there is one; it may be only half made.
 */
void
pool_conn_disconnect(PoolConn *conn)
{
	pool_conn_watch(conn, POOL_SOCKET_REMOTE, PGINVALID_SOCKET, 0);
	pool_feed_end(&conn->feed, PGINVALID_SOCKET);
	PQfinish(conn->pg);
	conn->pg = NULL;
}

/*
 * Ends the connection and frees all that belongs to it.  The slot is the
 * caller's to move.
 */
void
pool_conn_free(PoolConn *conn)
{
	pool_conn_end_cancel(conn);
	pool_conn_watch(conn, POOL_SOCKET_SESSION, PGINVALID_SOCKET, 0);
	pool_relay_free(&conn->relay);
	pool_conn_disconnect(conn);
	if (conn->addresses != NULL)
		pool_addresses_free(conn->addresses);
	conn->addresses = NULL;
	ReleaseExternalFD();
	pool_parameters_free(&conn->parameters);
	explicit_bzero(&conn->cancel_key, sizeof(conn->cancel_key));
	conn->task = POOL_TASK_NONE;
}

/*
 * Gives the connection another task, with that many milliseconds for it; 0: no
 * deadline.
 */
void
pool_conn_begin_task(PoolConn *conn, PoolTask task, int64 timeout_ms)
{
	conn->task = task;
	conn->deadline =
		timeout_ms > 0 ? pool_clock_after_ms(timeout_ms) : PG_INT64_MAX;
	pool_loop_wake_at(conn->deadline);
}

/* Waits for what the relay wants on both of its sockets. */
void
pool_conn_watch_relay(PoolConn *conn)
{
	pool_conn_watch_remote(conn, conn->relay.remote_events);
	pool_conn_watch(conn, POOL_SOCKET_SESSION, conn->relay.worker_end,
					conn->relay.session_events);
}

/*
 * The worker itself has no more use for the connection: from now on it relays,
 * if the connection is encrypted, or else watches for its end.
 */
void
pool_conn_stand_by(PoolConn *conn)
{
	pool_conn_begin_task(conn, POOL_TASK_WATCH, 0);
	if (conn->relay.ssl != NULL)
	{
		pool_relay_resume(&conn->relay);
		pool_conn_watch_relay(conn);
	}
	else
		pool_conn_watch_remote(conn, WL_SOCKET_CLOSED);
}

/*
 * Sends a request of the worker itself; returns whether all of it went out.  It is
 * short, and nothing else is being sent.
 */
bool
pool_conn_send(PoolConn *conn, const StringInfoData *request)
{
	ssize_t sent =
		conn->relay.ssl != NULL
			? pool_relay_send(&conn->relay, request->data, request->len)
			: send(PQsocket(conn->pg), request->data, request->len,
				   MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent == request->len;
}

/*
 * Reads what has come for the worker itself, at most POOL_CONN_READ bytes.  Returns
 * 0 if there is nothing yet, -1 if nothing more will come.
 */
ssize_t
pool_conn_recv(PoolConn *conn, char *data)
{
	ssize_t got =
		conn->relay.ssl != NULL
			? pool_relay_recv(&conn->relay, data, POOL_CONN_READ)
			: recv(PQsocket(conn->pg), data, POOL_CONN_READ, MSG_DONTWAIT);

	if (got > 0)
		return got;
	return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/*
 * A notice receiver that does nothing.  Without one libpq would write the
 * remote's notices into the log of this server.
 */
void
pool_conn_ignore_notice(void *arg, const PGresult *res)
{
}
