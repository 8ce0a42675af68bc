/*
 * loop.c
 *		What the worker waits for: sockets, its latch, and times.
 *
 * One WaitEventSet holds the latch, the listener's socket, the descriptor that
 * tells of finished look-ups of host names, and the sockets of each
 * connection.  Members of a WaitEventSet cannot be taken out, so the set is
 * made anew when a socket goes, and only modified when what is waited for
 * changes.
 *
 * What happens on a socket is handled at once.  All else waits for the next
 * round, in which the worker looks at every pool and every connection
 * (worker.c).  One number says when that is: whatever a round finds to be too
 * early names its time (pool_loop_wake_at), and names it again in the next
 * round.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/wait_event.h"
#include "worker/lookup.h"
#include "worker/loop.h"

/* The latch, the postmaster's end, the look-ups, the listener. */
#define NOWN_EVENTS 4

static dlist_head watches = DLIST_STATIC_INIT(watches);
static int nwatches = 0;
static pgsocket listener;
static pgsocket lookups;
static WaitEventSet *wait_set = NULL;
static bool wait_set_stale = true;
static int64 next_round = 0; /* pool_clock_us() */

/* Called once, when the worker starts. */
void
pool_loop_init(pgsocket listener_socket)
{
	listener = listener_socket;
	lookups = pool_lookup_init();
}

/* The listener's socket is closed, and not waited for any more. */
void
pool_loop_stop_listening(void)
{
	listener = PGINVALID_SOCKET;
	wait_set_stale = true;
}

/*
 * Waits for these events on that socket from now on; 0: for none.
 * "may_be_another": it may be another socket than before, of the same number,
 * which is not in the wait set.
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

/* Has a round at that time, in pool_clock_us(), or before. */
void
pool_loop_wake_at(int64 when)
{
	next_round = Min(next_round, when);
}

/* Has a round before anything is waited for. */
void
pool_loop_wake_now(void)
{
	next_round = 0;
}

/*
 * Returns whether it is time for a round.  If so all times that were named are
 * forgotten: the round names them again.
 */
bool
pool_loop_begin_round(void)
{
	if (pool_clock_us() < next_round)
		return false;
	next_round = PG_INT64_MAX;
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
	if (listener != PGINVALID_SOCKET)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, listener, NULL, NULL);

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
 * Waits until something happens or it is time for a round.  A set latch makes
 * it time for one, and so does the end of a look-up.  Returns how many events
 * of connections are in ready[], which has POOL_LOOP_MAX_EVENTS places, and in
 * *messages_ready whether the listener has messages.
 */
int
pool_loop_wait(bool *messages_ready, PoolEvent *ready)
{
	WaitEvent events[POOL_LOOP_MAX_EVENTS];
	int n;
	int found = 0;

	if (wait_set_stale)
		build_wait_set();

	*messages_ready = false;
	n = WaitEventSetWait(wait_set, pool_clock_left_ms(next_round), events,
						 POOL_LOOP_MAX_EVENTS,
						 pool_wait_event(POOL_WAIT_WORKER));
	for (int i = 0; i < n; i++)
	{
		PoolWatch *watch = events[i].user_data;

		if (events[i].events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			pool_loop_wake_now();
		}
		else if (events[i].fd == lookups)
		{
			pool_lookup_clear_event();
			pool_loop_wake_now();
		}
		else if (watch == NULL)
			*messages_ready = true;
		else
		{
			ready[found].watch = watch;
			ready[found++].events = events[i].events;
		}
	}
	return found;
}
