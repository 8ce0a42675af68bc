/*
 * loop.c
 *		What the worker waits for: sockets, its latch, and times.
 *
 * One WaitEventSet holds the latch, the socket for requests, the descriptor
 * that a finished look-up of a host name rings, and the sockets of each
 * connection.  Members of a WaitEventSet cannot be taken out, so the set is
 * made anew when a socket goes, and only modified when what is waited for
 * changes.
 *
 * The next time to look is one number for all: whoever looks at something and
 * finds that it is too early names the time (pool_loop_wake_at), and names it
 * again at the next look.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/wait_event.h"
#include "worker/lookup.h"
#include "worker/loop.h"

/* The latch, the postmaster's end, the look-ups, the requests. */
#define NOWN_EVENTS 4

/* Events that one call of WaitEventSetWait() can return. */
#define MAX_EVENTS 64

static dlist_head watches = DLIST_STATIC_INIT(watches);
static int nwatches = 0;
static pgsocket requests;
static pgsocket lookups;
static WaitEventSet *wait_set = NULL;
static bool wait_set_stale = true;
static int64 next_wake = 0; /* pool_clock_us() */

/* Once, when the worker starts. */
void
pool_loop_init(pgsocket request_socket)
{
	requests = request_socket;
	lookups = pool_lookup_init();
}

/* The socket for requests is closed. */
void
pool_loop_stop_requests(void)
{
	requests = PGINVALID_SOCKET;
	wait_set_stale = true;
}

/*
 * From now on waits for these events on that socket; 0: for none.
 * "may_be_another": it may be another socket of the same number, which is not
 * in the set.
 */
void
pool_loop_watch(PoolWatch *watch, pgsocket sock, uint32 events,
				bool may_be_another)
{
	if (watch->events == 0 && events == 0)
		return;
	if (watch->events == 0)
	{
		watch->position = -1;
		dlist_push_tail(&watches, &watch->node);
		nwatches++;
	}
	else if (events == 0)
	{
		dlist_delete(&watch->node);
		nwatches--;
	}
	if (watch->position < 0 || watch->sock != sock || events == 0 ||
		may_be_another)
		wait_set_stale = true;
	else if (!wait_set_stale && watch->events != events)
		ModifyWaitEvent(wait_set, watch->position, events, NULL);
	watch->sock = sock;
	watch->events = events;
}

/* The worker is to look again at that time, in pool_clock_us(). */
void
pool_loop_wake_at(int64 when)
{
	next_wake = Min(next_wake, when);
}

/*
 * Is it time to look?  If so those times are forgotten, and whoever looks
 * names its own again.
 */
bool
pool_loop_is_due(void)
{
	if (pool_clock_us() < next_wake)
		return false;
	next_wake = PG_INT64_MAX;
	return true;
}

static void
build_wait_set(void)
{
	dlist_iter iter;

	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = NULL; /* making the new one can fail */
	wait_set = pool_create_wait_set(NOWN_EVENTS + nwatches);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL,
					  NULL);
	AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, lookups, NULL, NULL);
	if (requests != PGINVALID_SOCKET)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, requests, NULL, NULL);

	dlist_foreach (iter, &watches)
	{
		PoolWatch *watch = dlist_container(PoolWatch, node, iter.cur);

		watch->position = -1;
		if (watch->sock != PGINVALID_SOCKET)
			watch->position = AddWaitEventToSet(wait_set, watch->events,
												watch->sock, NULL, watch);
	}
	wait_set_stale = false;
}

/*
 * Waits until something happens, or until it is time to look.  Returns how
 * many sockets of connections are ready, at most nready.  A set latch makes it
 * time to look, and so does the end of a look-up.
 */
int
pool_loop_wait(bool *requests_ready, PoolEvent *ready, int nready)
{
	WaitEvent events[MAX_EVENTS];
	int n;
	int found = 0;

	if (wait_set_stale)
		build_wait_set();

	*requests_ready = false;
	n = WaitEventSetWait(wait_set, pool_clock_left_ms(next_wake), events,
						 Min(nready, MAX_EVENTS),
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
			pool_lookup_clear_event();
			next_wake = 0;
		}
		else if (watch == NULL)
			*requests_ready = true;
		else
		{
			ready[found].watch = watch;
			ready[found++].events = events[i].events;
		}
	}
	return found;
}
