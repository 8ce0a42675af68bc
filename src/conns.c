/*
 * conns.c
 *		The connections as the worker holds them, and what it waits for.
 *
 * One PoolConn for each slot, in an array of the worker's own memory.  One
 * WaitEventSet holds the latch, the socket for requests, and the sockets of
 * each connection.  One that is idle or leased is watched only for its end
 * (WL_SOCKET_CLOSED), which does not fire on data, so the worker sleeps while
 * sessions talk to the remote; but what is encrypted is relayed (relay.c).
 *
 * A look-up of host names that is done rings a descriptor of its own.
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
#include "lookup.h"
#include "waits.h"

static PoolConn *conns;
static pgsocket listener;
static pgsocket lookups;
static WaitEventSet *wait_set = NULL;
static bool wait_set_stale = true;
static int64 next_wake = 0;

/* Once, when the worker starts. */
void
pool_conns_init(pgsocket request_socket)
{
	listener = request_socket;
	lookups = pool_lookup_init();
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

/* The worker's side of a slot; its task is NONE if there is no connection. */
PoolConn *
pool_conn_of(const PoolSlot *slot)
{
	return &conns[pool_slot_index(slot)];
}

/*
 * A connection begins in that slot.  The caller has acquired an external
 * descriptor for it, and gives it a task.
 */
PoolConn *
pool_conn_open(Pool *pool, PoolSlot *slot)
{
	PoolConn *conn = pool_conn_of(slot);

	Assert(conn->task == POOL_TASK_NONE);
	memset(conn, 0, sizeof(PoolConn));
	conn->pool = pool;
	conn->slot = slot;
	conn->generation = pg_atomic_read_u64(&slot->generation);
	for (int i = 0; i < POOL_NSOCKETS; i++)
	{
		conn->watches[i].conn = conn;
		conn->watches[i].sock = PGINVALID_SOCKET;
		conn->watches[i].position = -1;
	}
	conn->cancel.sock = PGINVALID_SOCKET;
	conn->deadline = PG_INT64_MAX;
	return conn;
}

/*
 * From now on waits for these events on one of the connection's sockets; 0:
 * for none.
 */
void
pool_conn_watch(PoolConn *conn, PoolSocket which, pgsocket sock, uint32 events)
{
	PoolWatch *watch = &conn->watches[which];

	/*
	 * While connecting libpq may replace its socket by another of the same
	 * number, which is not in the set.  So may a cancel request.
	 */
	bool may_be_another =
		conn->task == POOL_TASK_CONNECT || which == POOL_SOCKET_CANCEL;

	if (watch->events == 0 && events == 0)
		return;
	if (watch->position < 0 || watch->sock != sock || events == 0 ||
		may_be_another)
		wait_set_stale = true;
	else if (!wait_set_stale && watch->events != events)
		ModifyWaitEvent(wait_set, watch->position, events, NULL);
	watch->sock = sock;
	watch->events = events;
}

/* The same for the remote's. */
void
pool_conn_watch_remote(PoolConn *conn, uint32 events)
{
	pool_conn_watch(conn, POOL_SOCKET_REMOTE, PQsocket(conn->pg), events);
}

/* Ends libpq's connection, which may be only half made, if there is one. */
void
pool_conn_disconnect(PoolConn *conn)
{
	PQuntrace(conn->pg);
	pool_trace_end(&conn->trace, NULL, 0);
	PQfinish(conn->pg);
	conn->pg = NULL;
	wait_set_stale = true;
}

/* The connection is over: lets go of all that belongs to it. */
void
pool_conn_forget(PoolConn *conn)
{
	pool_relay_end(&conn->relay);
	pool_cancel_end(&conn->cancel);
	pool_conn_disconnect(conn);
	if (conn->addresses != NULL)
		pool_addresses_free(conn->addresses);
	conn->addresses = NULL;
	ReleaseExternalFD();
	explicit_bzero(&conn->key, sizeof(conn->key));
	conn->task = POOL_TASK_NONE;
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

/* Waits for what the relay wants. */
void
pool_conn_watch_relay(PoolConn *conn)
{
	pool_conn_watch_remote(conn, conn->relay.remote_events);
	pool_conn_watch(conn, POOL_SOCKET_SESSION, conn->relay.mine,
					conn->relay.session_events);
}

/*
 * The worker has nothing more to do with the connection: from now on it
 * relays, if the connection is encrypted, or else watches for its end.
 */
void
pool_conn_rest(PoolConn *conn)
{
	pool_conn_task(conn, POOL_TASK_WATCH, 0);
	if (conn->relay.ssl != NULL)
	{
		pool_relay_resume(&conn->relay);
		pool_conn_watch_relay(conn);
	}
	else
		pool_conn_watch_remote(conn, WL_SOCKET_CLOSED);
}

/* The worker is to look again at that time, in pool_clock_us(). */
void
pool_wake_later(int64 when)
{
	next_wake = Min(next_wake, when);
}

/*
 * Is it time to look?  If so those times are forgotten, and whoever looks
 * names his again.
 */
bool
pool_wake_due(void)
{
	if (pool_clock_us() < next_wake)
		return false;
	next_wake = PG_INT64_MAX;
	return true;
}

static void
add_watch(PoolWatch *watch)
{
	watch->position = -1;
	if (watch->conn->pg != NULL && watch->events != 0 &&
		watch->sock != PGINVALID_SOCKET)
		watch->position = AddWaitEventToSet(wait_set, watch->events,
											watch->sock, NULL, watch);
}

static void
build_wait_set(void)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL; /* making the new one can fail */
	wait_set = pool_create_wait_set(4 + POOL_NSOCKETS * pool_shared->nslots);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, lookups, NULL, NULL);
	if (listener != PGINVALID_SOCKET)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, listener, NULL, NULL);

	for (int i = 0; i < pool_shared->nslots; i++)
	{
		for (int which = 0; conns[i].pg != NULL && which < POOL_NSOCKETS;
			 which++)
			add_watch(&conns[i].watches[which]);
	}
	wait_set_stale = false;
}

/* How long to sleep, in milliseconds rounded up; -1 for ever. */
static long
sleep_time(void)
{
	if (next_wake == PG_INT64_MAX)
		return -1;
	return (long) Min(Max(0, (next_wake - pool_clock_us() + 999) / 1000),
					  INT_MAX);
}

/*
 * Waits until something happens, or until it is time to look.  Returns how
 * many sockets of connections are ready, at most nready.  A set latch makes it
 * time to look, and so does the end of a look-up.
 */
int
pool_conns_wait(bool *request, PoolEvent *ready, int nready)
{
	WaitEvent events[64];
	int n;
	int found = 0;

	if (wait_set_stale)
		build_wait_set();

	*request = false;
	n = WaitEventSetWait(wait_set, sleep_time(), events,
						 Min(nready, (int) lengthof(events)),
						 pool_wait_event(POOL_WAIT_WORKER));
	for (int i = 0; i < n; i++)
	{
		PoolWatch *watch = events[i].user_data;

		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			next_wake = 0;
		}
		else if (events[i].fd == lookups)
		{
			pool_lookup_heed();
			next_wake = 0;
		}
		else if (watch == NULL)
			*request = true;
		else
		{
			ready[found].conn = watch->conn;
			ready[found].which = (PoolSocket) (watch - watch->conn->watches);
			ready[found++].events = events[i].events;
		}
	}
	return found;
}
