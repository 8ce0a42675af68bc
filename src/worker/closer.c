/*
 * closer.c
 *		Closing connections, in the worker.
 *
 * A slot in CLOSING still counts against the limit of the pool, because the
 * session on the remote still exists.  So the worker sends a Terminate message,
 * or cancel requests if a statement may be running; shuts its sending half;
 * reads and throws away what still comes (a remote that is blocked in sending
 * would not notice a cancel); and frees the slot when the remote has closed.
 * After CLOSE_TIMEOUT_MS it cuts the connection instead.
 *
 * A remote that did not answer a check, a reset or a validation (slot->silent)
 * has had its time: its process is stopped, its machine is gone, or something on
 * the way has forgotten the connection.  There is no use in waiting for its end,
 * so the place is free as soon as one cancel request is out, for a process that
 * may go on later, and after SILENT_TIMEOUT_MS in any case.  If there is such a
 * process, the remote has one session more than the limit until it sees that it
 * has lost its client.
 *
 * Sessions may have copies of the connection.  shutdown() reaches all of them,
 * close() would not.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "shared/free_list.h"
#include "shared/pool.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/cancel.h"
#include "worker/cancel_leased.h"
#include "worker/closer.h"
#include "worker/loop.h"
#include "worker/relay.h"

/*
 * How long the remote may take to go, in milliseconds: long enough for a
 * statement to be cancelled on a busy machine, short enough that a dead host
 * does not hold a place for long.
 */
#define CLOSE_TIMEOUT_MS 5000

/* The same for a remote that did not answer in time. */
#define SILENT_TIMEOUT_MS 1000

/*
 * How long all remotes together may take to go when the worker stops, in
 * milliseconds: the server's shutdown waits for that.
 */
#define EXIT_TIMEOUT_MS 3000

/* How often to look, at exit, whether they have gone, in milliseconds. */
#define EXIT_POLL_MS 10

/*
 * How many cancel requests are sent for a connection that is cut, of which it
 * cannot be seen whether one has helped.
 */
#define CANCELS_AFTER_CUT 3

/*
 * How many buffers of an unread result are thrown away before other connections
 * get a turn, and the bytes of each.
 */
#define DRAIN_READS 16
#define DRAIN_SIZE (64 * 1024)

/* Frees the slot of a connection that is closed. */
static void
free_slot(Pool *pool, PoolSlot *slot)
{
	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool_free_list_add(pool, slot);
	POOL_FAULT_POINT(close_freed_locked);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	pool_wake_starved();
	pool_loop_wake_now();
	ConditionVariableBroadcast(&pool->changed);
}

/* Ends a connection that the remote has closed, or that is given up. */
static void
finish(PoolConn *conn)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;

	POOL_FAULT_POINT(close_finish);
	(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	if (pool_guc_log_connections)
		ereport(LOG,
				(errmsg("disconnected pool for server \"%s\" from %s, remote process %d: %s",
						NameStr(pool->server_name), slot->remote_address,
						slot->remote_pid,
						pool_stats_close_reason_name(slot->close_reason))));
	pool_conn_free(conn);
	POOL_FAULT_POINT(close_closed);
	free_slot(pool, slot);
}

/*
 * Asks the remote to end its session: a Terminate message, then the end of what
 * is sent.
 */
static void
shut_sending(PoolConn *conn)
{
	static const char terminate[5] = {'X', 0, 0, 0, 4};
	int sock = PQsocket(conn->pg);

	if (conn->sending_shut)
		return;
	conn->sending_shut = true;

	/*
	 * A statement that is to be cancelled may have been sent in part; then the
	 * remote would take the message for the rest of it.
	 */
	if (conn->relay.ssl != NULL)
		pool_relay_shutdown(&conn->relay, conn->pg, terminate,
							conn->cancel_needed ? 0 : sizeof(terminate));
	else if (!conn->cancel_needed)
		(void) send(sock, terminate, sizeof(terminate),
					MSG_DONTWAIT | MSG_NOSIGNAL);
	(void) shutdown(sock, SHUT_WR);
}

/*
 * Goes on with the cancel requests, if a statement may be running.  The sending
 * half is shut only when the first request is out or cannot be sent: something
 * between here and the remote may take a half closed connection for a closed
 * one, and then there would be no telling whether the statement goes on.
 */
static void
continue_cancel(PoolConn *conn)
{
	if (!conn->cancel_needed)
		return;
	POOL_FAULT_POINT(close_cancel);
	(void) pool_conn_continue_cancel(conn);
	if (conn->cancel.sent || conn->cancel.sock == PGINVALID_SOCKET)
		shut_sending(conn);
}

/* Have cancel requests enough been sent for a connection that is cut? */
static bool
enough_cancels(const PoolConn *conn)
{
	return !conn->cancel_needed || conn->cancel_key.len == 0 ||
		   conn->cancel.requests >= CANCELS_AFTER_CUT ||
		   (conn->cancel.attempts >= CANCELS_AFTER_CUT &&
			conn->cancel.sock == PGINVALID_SOCKET);
}

/*
 * Is the connection cut, so that the remote's end cannot be seen?  That is so
 * when it broke in a reset or check, which may go on at the remote, and after its
 * lease was reclaimed: the session may be at the socket just now, and must not
 * find it usable.
 */
static bool
is_cut(const PoolConn *conn)
{
	return conn->broken || (conn->slot->reclaimed && conn->relay.ssl == NULL);
}

/* Sends what is to be sent at once, and lets sessions see the end. */
static void
begin_close(PoolConn *conn, bool cancel_needed)
{
	conn->cancel_needed = cancel_needed;
	pool_conn_watch(conn, POOL_SOCKET_SESSION, PGINVALID_SOCKET, 0);
	pool_relay_disconnect_sessions(&conn->relay);
	if (cancel_needed)
		continue_cancel(conn);
	else
		shut_sending(conn);
}

/* Starts to close the connection of a slot that is CLOSING. */
void
pool_closer_begin(PoolSlot *slot)
{
	PoolConn *conn = pool_conn_of(slot);

	if (conn->task == POOL_TASK_NONE)
	{
		/* An earlier worker had the connection, which ended with it. */
		free_slot(&pool_shmem_pools[slot->pool], slot);
		return;
	}
	if (conn->task == POOL_TASK_CLOSE)
		return;
	pool_cancel_leased_stop(conn);
	pool_conn_begin_task(conn, POOL_TASK_CLOSE,
						 slot->silent ? SILENT_TIMEOUT_MS : CLOSE_TIMEOUT_MS);
	POOL_FAULT_POINT(close_begin);
	if (is_cut(conn))
		(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	pool_conn_watch_remote(conn, is_cut(conn) ? 0 : WL_SOCKET_READABLE);
	begin_close(conn, slot->cancel);
	pool_loop_wake_now();
}

/*
 * Reads and throws away what has come, at most DRAIN_READS buffers.  Returns
 * true if the remote has closed the connection.
 */
static bool
drain(PoolConn *conn)
{
	static char waste[DRAIN_SIZE];

	for (int i = 0; i < DRAIN_READS; i++)
	{
		ssize_t got =
			recv(PQsocket(conn->pg), waste, sizeof(waste), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			return true;
		if (got < 0)
			break;
	}
	return false;
}

/* Was all done for a remote that did not answer in time? */
static bool
is_given_up(const PoolConn *conn)
{
	return conn->slot->silent &&
		   (conn->cancel.requests > 0 || conn->cancel_key.len == 0);
}

/*
 * Goes on closing.  Called on each event of the connection and in each round,
 * since it may be time for the next cancel request.
 */
void
pool_closer_continue(PoolConn *conn)
{
	if (is_cut(conn))
	{
		continue_cancel(conn);
		if (enough_cancels(conn))
			finish(conn);
	}
	else if (drain(conn))
		finish(conn);
	else
	{
		continue_cancel(conn);
		if (is_given_up(conn))
			finish(conn);
	}
}

/* The remote has not closed the connection in time: gives it up. */
void
pool_closer_on_timeout(PoolConn *conn)
{
	ereport(LOG,
			(errmsg("pool for server \"%s\" gave up waiting for remote process %d to end",
					NameStr(conn->pool->server_name), conn->slot->remote_pid)));
	finish(conn);
}

/* The worker stops: begins to close a connection, or cuts a leased one. */
static void
begin_close_at_exit(PoolConn *conn, bool leased)
{
	pool_cancel_leased_stop(conn);
	if (leased)
		(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	if (conn->task != POOL_TASK_CONNECT)
		begin_close(conn, leased || conn->slot->cancel);
	pool_conn_watch_remote(conn, leased ? 0 : WL_SOCKET_READABLE);
}

/* Goes on closing a connection at exit.  Returns true when that is done. */
static bool
continue_at_exit(PoolConn *conn, bool leased)
{
	continue_cancel(conn);
	return leased ? enough_cancels(conn) : drain(conn);
}

/* Goes on closing all connections at exit.  Returns true when that is done. */
static bool
continue_all_at_exit(const bool *leased)
{
	bool done = true;

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

		if (conn->pg == NULL || conn->eof || conn->task == POOL_TASK_CONNECT)
			continue;
		if (continue_at_exit(conn, leased[i]))
		{
			(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
			conn->eof = true;
			pool_conn_watch_remote(conn, 0);
		}
		else
			done = false;
	}
	return done;
}

/*
 * The worker stops: ends every remote session, those in use too, within
 * EXIT_TIMEOUT_MS.  leased[] tells which slots are a session's: their sockets
 * are not the worker's to read or write, so they are cut, and what runs on
 * them is cancelled.  What is left then is for pool_closer_cut_all().
 */
void
pool_closer_all(const bool *leased)
{
	int64 deadline = pool_clock_after_ms(EXIT_TIMEOUT_MS);

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

		if (conn->pg != NULL)
			begin_close_at_exit(conn, leased[i]);
	}
	while (!continue_all_at_exit(leased) && pool_clock_us() < deadline)
	{
		bool messages_ready;
		PoolEvent ready[POOL_LOOP_MAX_EVENTS];

		pool_loop_wake_at(pool_clock_after_ms(EXIT_POLL_MS));
		(void) pool_loop_wait(&messages_ready, ready);
		(void) pool_loop_begin_round();
	}
}

/*
 * Cuts all connections, in whatever state they are: their sockets would stay
 * open in the sessions that have copies.  Raises nothing.
 */
void
pool_closer_cut_all(void)
{
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

		if (conn->pg != NULL)
			(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	}
}
