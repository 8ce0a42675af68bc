/*
 * conns.c
 *		The connections as the worker holds them, and what it waits for.
 *
 * One PoolConn for each slot, in an array of the worker's own memory.  One
 * WaitEventSet holds the latch, the socket for requests, and for each
 * connection its socket.  A connection that is idle or leased is watched only
 * for its end (WL_SOCKET_CLOSED), which does not fire on data, so the worker
 * sleeps while sessions talk to the remote.
 *
 * Members of a WaitEventSet cannot be taken out, so the set is made anew when
 * a socket goes, and only modified when what is waited for changes.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "compat.h"
#include "conns.h"

static PoolConn *conns;
static pgsocket listener;
static WaitEventSet *wait_set = NULL;
static bool wait_set_stale = true;
static int64 next_wake = PG_INT64_MAX;

/* Once, when the worker starts. */
void
pool_conns_init(pgsocket request_socket)
{
	listener = request_socket;
	conns = MemoryContextAllocZero(TopMemoryContext,
								   sizeof(PoolConn) * pool_shared->nslots);
}

/* The socket for requests is closed. */
void
pool_conns_stop_requests(void)
{
	listener = PGINVALID_SOCKET;
	wait_set_stale = true;
}

/* The worker's side of a slot; its pg is NULL if there is no connection. */
PoolConn *
pool_conn_of(const PoolSlot *slot)
{
	return &conns[pool_slot_index(slot)];
}

/*
 * A connection begins in that slot.  The caller has acquired an external
 * descriptor for it.
 */
PoolConn *
pool_conn_open(Pool *pool, PoolSlot *slot, PGconn *pg)
{
	PoolConn *conn = pool_conn_of(slot);

	Assert(conn->pg == NULL);
	memset(conn, 0, sizeof(PoolConn));
	conn->pg = pg;
	conn->pool = pool;
	conn->slot = slot;
	conn->generation = pg_atomic_read_u64(&slot->generation);
	conn->watched_sock = PGINVALID_SOCKET;
	conn->cancel.sock = PGINVALID_SOCKET;
	conn->deadline = PG_INT64_MAX;
	return conn;
}

/* Waits for these events on the connection's socket; 0: for none. */
void
pool_conn_watch(PoolConn *conn, uint32 events)
{
	/*
	 * While connecting libpq may replace its socket by another of the same
	 * number, which is not in the set.
	 */
	conn->events = events;
	if (conn->watched_sock == PQsocket(conn->pg) && events != 0 &&
		conn->task != POOL_TASK_CONNECT && !wait_set_stale)
	{
		ModifyWaitEvent(wait_set, conn->position, events, NULL);
		conn->watched_events = events;
	}
	else
		wait_set_stale = true;
}

/* The connection is over: lets go of all that belongs to it. */
void
pool_conn_forget(PoolConn *conn)
{
	PQuntrace(conn->pg);
	pool_trace_end(&conn->trace, NULL, 0);
	pool_cancel_end(&conn->cancel);
	PQfinish(conn->pg);
	ReleaseExternalFD();
	explicit_bzero(&conn->key, sizeof(conn->key));
	conn->pg = NULL;
	wait_set_stale = true;
}

/* Begins another task, which has this long (0: for ever). */
void
pool_conn_task(PoolConn *conn, PoolTask task, int64 timeout_ms)
{
	conn->task = task;
	conn->deadline =
		timeout_ms > 0 ? pool_clock_us() + timeout_ms * 1000 : PG_INT64_MAX;
	pool_wake_later(conn->deadline);
}

/* The worker is to look again at that time, in pool_clock_us(). */
void
pool_wake_later(int64 when)
{
	next_wake = Min(next_wake, when);
}

/* The earliest of those times; forgets them. */
int64
pool_next_wake(void)
{
	int64 when = next_wake;

	next_wake = PG_INT64_MAX;
	return when;
}

static void
build_wait_set(void)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL; /* making the new one can fail */
	wait_set = pool_create_wait_set(3 + 2 * pool_shared->nslots);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	if (listener != PGINVALID_SOCKET)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, listener, NULL, NULL);

	for (int i = 0; i < pool_shared->nslots; i++)
	{
		PoolConn *conn = &conns[i];

		conn->watched_events = 0;
		conn->watched_sock = PGINVALID_SOCKET;
		if (conn->pg == NULL)
			continue;
		if (conn->events != 0 && PQsocket(conn->pg) != PGINVALID_SOCKET)
		{
			conn->watched_sock = PQsocket(conn->pg);
			conn->watched_events = conn->events;
			conn->position = AddWaitEventToSet(wait_set, conn->events,
											   conn->watched_sock, NULL, conn);
		}
		conn->watched_cancel = conn->cancel.serial;
		if (conn->cancel.sock != PGINVALID_SOCKET)
			AddWaitEventToSet(wait_set, conn->cancel.events, conn->cancel.sock,
							  NULL, conn);
	}
	wait_set_stale = false;
}

/*
 * Waits until something happens.  Returns how many connections are ready, at
 * most nready of them in ready[] (one may stand there twice).
 */
int
pool_conns_wait(int64 timeout_ms, bool *request, PoolConn **ready, int nready)
{
	WaitEvent events[64];
	int n;
	int found = 0;

	for (int i = 0; i < pool_shared->nslots && !wait_set_stale; i++)
	{
		if (conns[i].pg && conns[i].cancel.serial != conns[i].watched_cancel)
			wait_set_stale = true;
	}
	if (wait_set_stale)
		build_wait_set();

	*request = false;
	n = WaitEventSetWait(wait_set, timeout_ms, events,
						 Min(nready, (int) lengthof(events)), PG_WAIT_EXTENSION);
	for (int i = 0; i < n; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		else if (events[i].user_data == NULL)
			*request = true;
		else
			ready[found++] = events[i].user_data;
	}
	return found;
}
