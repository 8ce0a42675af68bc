/*
 * closer.c
 *		Closing connections, in the worker.
 *
 * A slot in CLOSING still counts against the pool's size, because the session
 * on the remote still exists.  So the worker says Terminate, or, if a statement
 * may be running, sends cancel requests; shuts its sending half; reads and
 * throws away what still comes (a remote that is blocked in sending would not
 * notice a cancel); and frees the slot when the remote has closed.  After
 * CLOSE_TIMEOUT_MS it cuts the connection instead.
 *
 * Other sessions may have copies of the descriptor.  shutdown() reaches all
 * of them, close() would not.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"

#include "base/clock.h"
#include "base/guc.h"
#include "shared/pool.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/cancel.h"
#include "worker/closer.h"
#include "worker/loop.h"
#include "worker/relay.h"

/*
 * How long the remote may take to go, in milliseconds: long enough for a
 * statement to be cancelled on a busy machine, short enough that a dead host
 * does not hold a place for long.
 */
#define CLOSE_TIMEOUT_MS 5000

/* The same when the worker itself stops and everything waits for it. */
#define EXIT_TIMEOUT_MS 3000

/* How many cancel requests are sent where the remote's end cannot be seen. */
#define BLIND_CANCELS 3

/* How much of an unread result is thrown away before others get a turn. */
#define DRAIN_ROUNDS 16

static void
free_slot(Pool *pool, PoolSlot *slot)
{
	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool_slot_free(pool, slot);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	pool_wake_starved();
	pool_loop_wake_at(0);
	ConditionVariableBroadcast(&pool->changed);
}

static void
finish(PoolConn *conn)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;

	(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	if (pool_guc_log_connections)
		ereport(LOG,
				(errmsg("disconnected pool for server \"%s\" from %s, remote process %d: %s",
						NameStr(pool->server_name), slot->remote_address,
						slot->remote_pid,
						pool_stats_close_reason_name(slot->close_reason))));
	pool_conn_free(conn);
	free_slot(pool, slot);
}

/* Tells the remote to end the session, and half closes. */
static void
terminate(PoolConn *conn)
{
	static const char terminate[5] = {'X', 0, 0, 0, 4};
	int sock = PQsocket(conn->pg);

	if (conn->terminated)
		return;
	conn->terminated = true;

	/* After a message that was cut short it would be taken for its rest. */
	if (conn->relay.ssl != NULL)
		pool_relay_send_last(&conn->relay, conn->pg, terminate,
							 conn->cancels ? 0 : sizeof(terminate));
	else if (!conn->cancels)
		(void) send(sock, terminate, sizeof(terminate),
					MSG_DONTWAIT | MSG_NOSIGNAL);
	(void) shutdown(sock, SHUT_WR);
}

/*
 * Cancels, and says goodbye when that is done or cannot be done: something
 * between here and the remote may take a half closed connection for a closed
 * one, and then there would be no telling whether the statement goes on.
 */
static void
cancel_step(PoolConn *conn)
{
	if (!conn->cancels)
		return;
	if (pool_cancel_step(&conn->cancel, &conn->key, conn->pg))
		pool_stats_add(&conn->pool->stats, POOL_COUNT_CANCELS, 1);
	pool_loop_wake_at(conn->cancel.next);
	if (conn->cancel.serial != conn->watched_cancel)
	{
		pool_conn_watch(conn, POOL_SOCKET_CANCEL, conn->cancel.sock,
						conn->cancel.events);
		conn->watched_cancel = conn->cancel.serial;
	}
	if (conn->cancel.sent || conn->cancel.sock == PGINVALID_SOCKET)
		terminate(conn);
}

/* Where the remote's end cannot be seen: has enough been done? */
static bool
cancel_is_over(const PoolConn *conn)
{
	return !conn->cancels || !conn->key.known ||
		   conn->cancel.requests >= BLIND_CANCELS ||
		   (conn->cancel.attempts >= BLIND_CANCELS &&
			conn->cancel.sock == PGINVALID_SOCKET);
}

/*
 * Is there no way to see the remote's end?  That is so when libpq has found the
 * connection broken and closed it, and after a lease was reclaimed: the session
 * may be at the socket just now, so it is cut.
 */
static bool
is_blind(const PoolConn *conn)
{
	return PQsocket(conn->pg) == PGINVALID_SOCKET ||
		   (conn->slot->reclaimed && conn->relay.ssl == NULL);
}

static void
begin_close(PoolConn *conn, bool cancels)
{
	conn->cancels = cancels;
	pool_conn_watch(conn, POOL_SOCKET_SESSION, PGINVALID_SOCKET, 0);
	pool_relay_hang_up(&conn->relay);
	if (cancels)
		cancel_step(conn);
	else
		terminate(conn);
}

/* Starts to close a slot that is CLOSING. */
void
pool_closer_begin(PoolSlot *slot)
{
	PoolConn *conn = pool_conn_of(slot);

	if (conn->task == POOL_TASK_NONE)
	{
		/* An earlier worker had the connection; it ended with it. */
		free_slot(&pool_shmem_pools[slot->pool], slot);
		return;
	}
	if (conn->task == POOL_TASK_CLOSE)
		return;
	pool_conn_begin(conn, POOL_TASK_CLOSE, CLOSE_TIMEOUT_MS);
	if (is_blind(conn))
		(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	pool_conn_watch_remote(conn, is_blind(conn) ? 0 : WL_SOCKET_READABLE);
	begin_close(conn, slot->cancel);
	pool_loop_wake_at(0);
}

/* Something happened on one of its sockets, or it is time to cancel again. */
void
pool_closer_step(PoolConn *conn)
{
	static char waste[65536];

	if (is_blind(conn))
	{
		cancel_step(conn);
		if (cancel_is_over(conn))
			finish(conn);
		return;
	}
	for (int i = 0; i < DRAIN_ROUNDS; i++)
	{
		ssize_t got =
			recv(PQsocket(conn->pg), waste, sizeof(waste), MSG_DONTWAIT);

		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		{
			finish(conn);
			return;
		}
		if (got < 0)
			break;
	}
	cancel_step(conn);
}

/* The remote did not go in time. */
void
pool_closer_timeout(PoolConn *conn)
{
	ereport(LOG,
			(errmsg("pool for server \"%s\" gave up waiting for remote process %d to end",
					NameStr(conn->pool->server_name), conn->slot->remote_pid)));
	finish(conn);
}

/* One round of the end of a connection at exit; true when it is over. */
static bool
exit_step(PoolConn *conn, bool leased)
{
	char waste[8192];
	ssize_t got;

	cancel_step(conn);
	if (leased)
		return cancel_is_over(conn);
	do
	{
		got = recv(PQsocket(conn->pg), waste, sizeof(waste), MSG_DONTWAIT);
	} while (got > 0);
	return got == 0 || (errno != EAGAIN && errno != EINTR);
}

/*
 * The worker stops: ends every remote session, those in use too, within
 * EXIT_TIMEOUT_MS.  leased[] tells which slots are a session's: their sockets
 * are not the worker's to read or write, so they are cut, and what runs on
 * them is cancelled.
 */
void
pool_closer_all(const bool *leased)
{
	int64 deadline = pool_clock_us() + INT64CONST(1000) * EXIT_TIMEOUT_MS;
	bool busy;

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

		if (conn->pg == NULL)
			continue;
		if (leased[i])
			(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
		if (conn->task != POOL_TASK_CONNECT)
			begin_close(conn, leased[i] || conn->slot->cancel);
		pool_conn_watch_remote(conn, leased[i] ? 0 : WL_SOCKET_READABLE);
	}
	do
	{
		bool request;
		PoolEvent ready[64];

		busy = false;
		for (int i = 0; i < pool_shmem->nslots; i++)
		{
			PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

			if (conn->pg == NULL || conn->eof || conn->task == POOL_TASK_CONNECT)
				continue;
			if (exit_step(conn, leased[i]))
			{
				(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
				conn->eof = true;
				pool_conn_watch_remote(conn, 0);
			}
			else
				busy = true;
		}
		pool_loop_wake_at(pool_clock_us() + 10000);
		if (busy)
			(void) pool_loop_wait(&request, ready, lengthof(ready));
		(void) pool_loop_is_due();
	} while (busy && pool_clock_us() < deadline);

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);

		if (conn->pg != NULL)
			(void) shutdown(PQsocket(conn->pg), SHUT_RDWR);
	}
}
