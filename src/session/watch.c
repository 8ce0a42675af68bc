/*
 * watch.c
 *		Waiting for the socket of a leased connection.
 *
 * The descriptors that sessions have of one connection are one open file.  Each
 * byte that comes or goes wakes whatever waits for that file, and an epoll set
 * waits as long as the file is in it, also while its session is idle.  So a
 * socket is watched from the first wait of a lease to the lease's end and no
 * longer, or a query would cost more with each session that ever used its
 * connection.
 *
 * Nothing can be taken out of a WaitEventSet.  So the session has one, for its
 * latch, the postmaster's death, and an epoll instance of ours, which has at
 * most one socket: that of the connection that was waited for last.
 *
 * The kernel forgets a member of an epoll set when the open file is closed, not
 * the descriptor; other processes have that file open.  Therefore the socket is
 * taken out before its descriptor goes, and where libpq has closed that by
 * itself, the whole epoll instance goes.
 */
#include "postgres.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/fault.h"
#include "session/watch.h"

static WaitEventSet *wait_set = NULL;
static int sockets = -1; /* the epoll instance inside wait_set */

static PGconn *watched = NULL; /* whose socket is in it */
static int watched_socket;
static uint32 watched_events;

/* Frees what pool_watch_prepare() has made, be it half of it.  Raises nothing. */
static void
close_sets(void)
{
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
	if (sockets >= 0)
	{
		close(sockets);
		ReleaseExternalFD();
	}
	sockets = -1;
	watched = NULL;
}

/*
 * Makes what a wait needs, two descriptors, unless it is there.  Raises 53000,
 * and what CreateWaitEventSet() does.
 */
void
pool_watch_prepare(void)
{
	if (wait_set != NULL)
		return;
	PG_TRY();
	{
		sockets = epoll_create1(EPOLL_CLOEXEC);
		if (sockets < 0)
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
							errmsg("could not create an epoll instance: %m")));
		ReserveExternalFD();
		POOL_FAULT_POINT(watch_begin);
		wait_set = pool_create_wait_set(3);
		AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch,
						  NULL);
		AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
						  NULL);
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, sockets, NULL, NULL);
		POOL_FAULT_POINT(watch_made);
	}
	PG_CATCH();
	{
		close_sets();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Has the kernel do that with the socket in the epoll instance. */
static bool
control(int operation, int sock, uint32 events)
{
	struct epoll_event event = {
		.events = ((events & WL_SOCKET_READABLE) ? EPOLLIN : 0) |
				  ((events & WL_SOCKET_WRITEABLE) ? EPOLLOUT : 0)};

	return epoll_ctl(sockets, operation, sock, &event) == 0;
}

/* From here on the connection's socket, and no other, is watched for these events. */
static void
watch(PGconn *conn, uint32 events)
{
	int sock = PQsocket(conn);

	if (watched != NULL && (watched != conn || watched_socket != sock))
		pool_watch_end(watched);
	pool_watch_prepare();
	if (watched != NULL && watched_events == events)
		return;
	if (!control(watched == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, sock, events))
		ereport(ERROR, (errcode_for_socket_access(),
						errmsg("could not wait for a pooled connection: %m")));
	watched = conn;
	watched_socket = sock;
	watched_events = events;
}

/*
 * Waits until the connection's socket is ready for the events or the latch is
 * set; the caller looks at what it waits for, and waits again.  Interrupts are
 * taken here.  The connection must be leased to this session.  Returns false
 * when the deadline, in pool_clock_us(), had come before.
 */
bool
pool_watch_wait(PGconn *conn, uint32 events, int64 deadline, PoolWaitEvent wait)
{
	WaitEvent event;
	long timeout = pool_clock_left_ms(deadline);

	if (timeout == 0)
		return false;
	watch(conn, events);
	if (WaitEventSetWait(wait_set, timeout, &event, 1, pool_wait_event(wait)) ==
			1 &&
		(event.events & WL_LATCH_SET))
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/*
 * The connection is not waited for any more: its lease ends, or it is about to
 * be closed.  Raises nothing.
 */
void
pool_watch_end(PGconn *conn)
{
	if (watched == NULL || watched != conn)
		return;
	if (PQsocket(conn) == watched_socket &&
		control(EPOLL_CTL_DEL, watched_socket, 0))
		watched = NULL;
	else
		close_sets(); /* libpq has closed the descriptor */
}
