/*
 * drain.c
 *		Answers that nobody wants, in the worker.
 *
 * A session may leave a connection on which a statement runs that changes nothing,
 * since it has had the same answer from another remote (POOL_CONDITION_UNREAD).  To
 * cancel that and connect again would cost more than the little that is mostly left
 * of it.  So the slot becomes RESETTING; the worker sends its marker behind the
 * statement (marker.c), reads and throws away what comes up to that, and then has
 * the connection reset like any other (reset.c).
 *
 * What takes longer than health_check_timeout, or than WANTED_MS while somebody waits
 * for a connection, or has more than MAX_WASTE bytes, is cancelled, and the connection
 * closed.  So it is with all that is not as expected.
 *
 * Only the worker touches the connection meanwhile.  The pool's lock is taken to
 * see who waits, and to give up.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/pool.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "worker/closer.h"
#include "worker/drain.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/reset.h"

/*
 * How long it may take if somebody waits for a connection, in milliseconds: about as
 * long as it would take to open another one.
 */
#define WANTED_MS 200

/* The most that is read of it, in bytes. */
#define MAX_WASTE (1024 * 1024)

/* How many buffers are read before others get a turn. */
#define READ_ROUNDS 16

/* Cancels what runs, and closes the connection. */
static void
give_up(PoolConn *conn, PoolCloseReason reason)
{
	Pool *pool = conn->pool;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool_slot_close(pool, conn->slot, reason, true);
	POOL_FAULT_POINT(drain_given_up_locked);
	LWLockRelease(&pool->lock);
	POOL_FAULT_POINT(drain_given_up);
	pool_closer_begin(conn->slot);
}

/*
 * The worker itself uses the connection from now on, so nothing is relayed.
 * Returns false if the statement did not go out in full.
 */
static bool
take_over(PoolConn *conn)
{
	if (conn->relay.ssl == NULL)
		return true;
	pool_conn_watch(conn, POOL_SOCKET_SESSION, conn->relay.worker_end,
					WL_SOCKET_CLOSED);
	return pool_relay_take_over(&conn->relay);
}

/* Sends the request for the marker; returns whether all of it went out. */
static bool
send_marker(PoolConn *conn)
{
	StringInfoData request;
	bool sent;

	initStringInfo(&request);
	sent = pool_marker_request(&conn->marker, &request) &&
		   pool_conn_send(conn, &request);
	pfree(request.data);
	return sent;
}

/*
 * Starts to drain the connection of a slot that is RESETTING.  The remote has that
 * many milliseconds.
 */
void
pool_drain_begin(PoolConn *conn, int timeout_ms)
{
	POOL_FAULT_POINT(drain_begin);
	pool_conn_begin_task(conn, POOL_TASK_DRAIN, timeout_ms);
	conn->drained = 0;
	if (!take_over(conn) || !send_marker(conn))
	{
		give_up(conn, POOL_CLOSE_CANCELED);
		return;
	}
	POOL_FAULT_POINT(drain_sent);
	pool_conn_watch_remote(conn, WL_SOCKET_READABLE);
}

/* All that nobody wants was read: has the connection reset. */
static void
finish(PoolConn *conn)
{
	const PoolOptions *options = &conn->pool->options;

	POOL_FAULT_POINT(drain_done);
	pool_reset_begin(conn, conn->marker.transaction != 'I',
					 options->reset_query[0] != '\0' ? options->reset_query
													 : NULL,
					 options->health_check_timeout);
}

/* Throws away what has come. */
void
pool_drain_on_event(PoolConn *conn)
{
	static char waste[POOL_CONN_READ];

	for (int i = 0; i < READ_ROUNDS; i++)
	{
		ssize_t got = pool_conn_recv(conn, waste);

		if (got < 0)
		{
			conn->broken = true;
			give_up(conn, POOL_CLOSE_REMOTE_CLOSED);
		}
		if (got <= 0)
			return;
		POOL_FAULT_POINT(drain_read);
		switch (pool_marker_seek(&conn->marker, waste, got))
		{
			case POOL_ANSWER_MORE:
				break;
			case POOL_ANSWER_GOOD:
				finish(conn);
				return;
			case POOL_ANSWER_BAD:
				give_up(conn, POOL_CLOSE_UNCLEAN);
				return;
		}
		conn->drained += got;
		if (conn->drained > MAX_WASTE)
		{
			give_up(conn, POOL_CLOSE_CANCELED);
			return;
		}
	}
	pool_loop_wake_now();
}

/* Has it taken so long that somebody should not wait for it? */
static bool
is_in_the_way(const PoolConn *conn)
{
	Pool *pool = conn->pool;
	int64 wanted_at = conn->slot->since + pool_clock_from_ms(WANTED_MS);
	bool wanted;

	if (pool_clock_us() < wanted_at)
	{
		pool_loop_wake_at(wanted_at);
		return false;
	}
	LWLockAcquire(&pool->lock, LW_SHARED);
	wanted = pool->nwaiting > 0;
	LWLockRelease(&pool->lock);
	pool_loop_wake_at(pool_clock_after_ms(WANTED_MS));
	return wanted;
}

/*
 * Throws away what has come since the last event: what TLS had read before that
 * shows on no socket.
 */
void
pool_drain_on_round(PoolConn *conn)
{
	if (is_in_the_way(conn))
		give_up(conn, POOL_CLOSE_CANCELED);
	else
		pool_drain_on_event(conn);
}

/* The answer did not come to its end in time. */
void
pool_drain_on_timeout(PoolConn *conn)
{
	give_up(conn, POOL_CLOSE_CANCELED);
}
