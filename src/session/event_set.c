/*
 * event_set.c
 *		Waiting for the sockets of several connections, and the latch.
 *
 * One WaitEventSet for the session's life holds the latch and an epoll instance, in
 * which the sockets are: from a WaitEventSet nothing can be taken out.  A socket is
 * in it only while its holder waits for an answer, since whatever is in a socket's
 * wait queue is called at each byte (socket_wait.c).
 *
 * A socket that was closed before it was taken out stays in it for as long as the
 * worker has its descriptor, and would be told of for ever.  So sockets are known by
 * numbers that do not come again; when one is told of that the caller does not know
 * any more, it makes the set anew (pool_event_set_renew).
 */
#include "postgres.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "session/event_set.h"

/* Descriptors that it takes: its own, and one in the WaitEventSet. */
#define NDESCRIPTORS 2

/* Told of at a time. */
#define MAX_EVENTS 64

static WaitEventSet *wait_set = NULL;
static int sockets = -1; /* the epoll instance */

/* Raises 53000 if this session cannot open so many descriptors more. */
static void
require_descriptors(void)
{
	int n = 0;

	while (n < NDESCRIPTORS && AcquireExternalFD())
		n++;
	for (int i = 0; i < n; i++)
		ReleaseExternalFD();
	if (n < NDESCRIPTORS)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not wait for requests: too many open files"),
				 errhint("Release a lease, or raise max_files_per_process.")));
}

/*
 * Makes the set, once.  Raises 53000 for want of descriptors, and what the system's
 * error stands for.
 */
void
pool_event_set_prepare(void)
{
	WaitEventSet *set;

	if (wait_set != NULL)
		return;
	if (sockets < 0)
	{
		require_descriptors();
		sockets = epoll_create1(EPOLL_CLOEXEC);
		if (sockets < 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not create an epoll instance: %m")));
		ReserveExternalFD();
	}
	set = pool_create_wait_set(3);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, sockets, NULL, NULL);
	wait_set = set;
}

/* Is there a set?  After an error in pool_event_set_renew() there is none. */
bool
pool_event_set_is_made(void)
{
	return wait_set != NULL;
}

/* Makes the set anew, empty: the caller adds its sockets again.  Raises as above. */
void
pool_event_set_renew(void)
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
	pool_event_set_prepare();
}

/* What epoll calls these events of poll(). */
static uint32
epoll_events(int events)
{
	return ((events & POLLIN) ? EPOLLIN : 0) |
		   ((events & POLLOUT) ? EPOLLOUT : 0);
}

static void
control(int operation, uint64 id, int sock, int events)
{
	struct epoll_event event = {.events = epoll_events(events), .data.u64 = id};

	if (epoll_ctl(sockets, operation, sock, &event) < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not wait for a socket: %m")));
}

/* Adds a socket, to be told of as that number; 53000 if the system refuses. */
void
pool_event_set_add(uint64 id, int sock, int events)
{
	control(EPOLL_CTL_ADD, id, sock, events);
}

/* Changes for what a socket is in it. */
void
pool_event_set_change(uint64 id, int sock, int events)
{
	control(EPOLL_CTL_MOD, id, sock, events);
}

/* Takes a socket out, if it is in it and open.  Raises nothing. */
void
pool_event_set_remove(int sock)
{
	if (sock >= 0 && sockets >= 0)
		(void) epoll_ctl(sockets, EPOLL_CTL_DEL, sock, NULL);
}

/*
 * Waits until a socket is ready, the latch is set (*woken), or the time has come, in
 * pool_clock_us().  Returns how many sockets are ready, and puts their numbers into
 * the array.  Interrupts are taken here, and the session ends with the postmaster.
 */
int
pool_event_set_wait(int64 until, PoolWaitEvent wait, uint64 *ready, int size,
					bool *woken)
{
	struct epoll_event events[MAX_EVENTS];
	WaitEvent occurred[3];
	long timeout = until == PG_INT64_MAX ? -1 : pool_clock_left_ms(until);
	int noccurred = WaitEventSetWait(wait_set, timeout, occurred,
									 lengthof(occurred), pool_wait_event(wait));
	int n = 0;

	*woken = false;
	for (int i = 0; i < noccurred; i++)
	{
		if (occurred[i].events & WL_LATCH_SET)
			*woken = true;
		else if (occurred[i].events & WL_SOCKET_READABLE)
			n = epoll_wait(sockets, events, Min(size, MAX_EVENTS), 0);
	}
	if (*woken)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	for (int i = 0; i < n; i++)
		ready[i] = events[i].data.u64;
	return Max(n, 0);
}
