/*
 * request_run.c
 *		Moving the session's requests on, and waiting for them.
 *
 * Nothing runs on behalf of a session between its statements, so requests are moved
 * on only inside the functions of pool: in those about requests, and in any other
 * while it waits (pool_request_run_beside).  So two sessions of which each waits for
 * what a request of the other one holds both go on.
 *
 * What happens to a request that a session forgets:
 *
 *		WAITING		it stands in its pool's queue only in here; before this is left,
 *					by an error, too (requests.c), it is taken out, and its time to
 *					acquire stands still.  When it comes back it has its place again,
 *					which goes by when it began.
 *		RUNNING		it holds a connection, on which data may wait.  The session tells
 *					the worker, as long as it is in here, until when that may be so;
 *					after pool.request_timeout the worker takes the connection back.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "session/event_set.h"
#include "session/request_move.h"
#include "session/request_run.h"
#include "shared/holder.h"
#include "shared/shmem.h"

/* Sockets that are told of at a time. */
#define MAX_READY 64

/* The number by which the event set knows the caller's socket. */
#define CALLERS_SOCKET 0

/* Is this session in here, or was it until an error came?  Else since when not. */
static bool inside = false;
static int64 left_at = 0; /* pool_clock_us() */

/* The socket that the caller waits for, or -1, and for what. */
static int callers_socket = -1;
static int callers_events = 0;

/* Tells the worker that somebody looks after the request's connection. */
static void
attend(const PoolRequest *request)
{
	int64 until = pool_guc_request_timeout > 0
					  ? pool_clock_after_ms(pool_guc_request_timeout)
					  : 0;

	if (request->own && request->lease != NULL &&
		request->lease->request.slot != POOL_NONE)
		pool_holder_attend(request->lease->request.slot,
						   request->lease->request.generation, until);
}

/*
 * Moves all on as far as they go, which one that is done may allow another one to.
 * woken: the latch was set.
 */
static void
move_all(bool woken)
{
	uint64 finished;
	dlist_iter iter;

	do
	{
		finished = pool_request_finished;
		dlist_foreach (iter, &pool_request_list)
		{
			PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

			if (!pool_request_is_done(request))
				pool_request_move(request, woken);
			attend(request);
		}
	} while (pool_request_finished != finished);
}

/* When a request has to be looked at though nothing happens, pool_clock_us(). */
static int64
next_look(void)
{
	int64 next = PG_INT64_MAX;
	bool holds = false;
	dlist_iter iter;

	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (pool_request_is_done(request))
			continue;
		next = Min(next, request->deadline);
		if (request->ready)
			next = 0;
		else if (request->state == POOL_REQUEST_RUNNING)
		{
			next = Min(next, request->run.run.wait_until);
			holds = true;
		}
		else if (request->lease != NULL)
			next = Min(next, request->look_again);
	}
	if (holds && pool_guc_request_timeout > 0)
		next = Min(next, pool_clock_after_ms(pool_guc_request_timeout / 2 + 1));
	return next;
}

/* Adds what is watched to an event set that was made anew. */
static void
watch_again(void)
{
	dlist_iter iter;

	pool_event_set_renew();
	if (callers_socket >= 0)
		pool_event_set_add(CALLERS_SOCKET, callers_socket, callers_events);
	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->watched)
			pool_event_set_add(request->id, PQsocket(request->run.run.copy->pg),
							   request->events);
	}
}

/* Notes that the socket of that number is ready.  False: nobody watches it. */
static bool
note_ready(uint64 id)
{
	dlist_iter iter;

	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->id == id && request->watched)
		{
			request->ready = true;
			return true;
		}
	}
	return false;
}

/*
 * Waits until something happens, or the time has come.  *callers tells whether the
 * caller's socket was ready, *woken that the latch was set.
 */
static void
wait_for_events(int64 until, PoolWaitEvent wait, bool *callers, bool *woken)
{
	uint64 ready[MAX_READY];
	bool stale = false;
	int n = pool_event_set_wait(until, wait, ready, lengthof(ready), woken);

	POOL_FAULT_POINT(request_woken);
	for (int i = 0; i < n; i++)
	{
		if (ready[i] == CALLERS_SOCKET)
			*callers = true;
		else if (!note_ready(ready[i]))
			stale = true;
	}
	if (stale)
		watch_again();
}

/*
 * This session was elsewhere for so many microseconds: time stood still for what could
 * not go on without it, to acquire or to prove a handover.
 */
static void
be_back(PoolRequest *request, int64 away)
{
	PoolRun *run = &request->run.run;

	request->away += away;
	if (request->state == POOL_REQUEST_WAITING && request->lease != NULL)
		request->acquire.deadline =
			Min(request->acquire.deadline + away, request->deadline);
	if (request->state != POOL_REQUEST_RUNNING)
		return;
	if (!run->sent && run->wait_until != PG_INT64_MAX)
		run->wait_until += away;
	if (!run->sent && run->deadline != PG_INT64_MAX)
		run->deadline += away;
	if (request->own && pool_guc_request_timeout > 0 &&
		away > pool_clock_from_ms(pool_guc_request_timeout))
		request->unattended = true;
}

/* Begins to move requests on. */
static void
enter(void)
{
	int64 away = left_at == 0 ? 0 : pool_clock_us() - left_at;
	dlist_iter iter;

	inside = true;
	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (!pool_request_is_done(request))
			be_back(request, away);
	}
	if (!pool_event_set_is_made())
		watch_again(); /* it could not be made anew the last time */
}

/*
 * Takes the requests out of the queues: nobody moves them on from here.  Raises
 * nothing.
 */
static void
leave(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->state == POOL_REQUEST_WAITING && request->lease != NULL)
		{
			pool_acquire_leave(&request->acquire);
			attend(request); /* a slot may have come in the last moment */
		}
	}
	left_at = pool_clock_us();
	inside = false;
}

/* An error ends what is done here.  Raises nothing. */
void
pool_request_run_stop(void)
{
	if (inside)
		leave();
}

/*
 * Moves the requests on until the caller has enough.  Returns false if the deadline,
 * in pool_clock_us(), comes before; what has come by then was taken.  Raises errors of
 * this session; a request in which they happen has failed with it.
 */
bool
pool_request_run_until(PoolRequestEnough enough, void *arg, int64 deadline)
{
	bool over = false;
	bool woken = true; /* by what happened while nobody waited */
	bool callers = false;

	enter();
	for (;;)
	{
		move_all(woken);
		if (enough(arg) || over)
			break;
		over = pool_clock_us() >= deadline;
		wait_for_events(over ? 0 : Min(deadline, next_look()),
						POOL_WAIT_REQUEST, &callers, &woken);
	}
	leave();
	return enough(arg);
}

static bool
is_done(void *arg)
{
	return pool_request_is_done(arg);
}

/* Moves the requests on until that one is done.  Raises as above. */
void
pool_request_run_to_end(PoolRequest *request)
{
	(void) pool_request_run_until(is_done, request, PG_INT64_MAX);
}

static bool
nothing(void *arg)
{
	return false;
}

/* Moves the requests on as far as they go without waiting.  Raises as above. */
void
pool_request_run_poll(void)
{
	if (!dlist_is_empty(&pool_request_list))
		(void) pool_request_run_until(nothing, NULL, 0);
}

/*
 * Waits for a socket, of which the event set knows nothing, or for the latch if that
 * is -1, while the requests are moved on.  Returns false when the deadline came
 * first; as pool_socket_wait(), which calls it, this may return true early.
 */
bool
pool_request_run_beside(int sock, int events, int64 deadline, PoolWaitEvent wait)
{
	volatile bool over = false;
	bool callers = false;
	bool woken = true;

	enter();
	PG_TRY();
	{
		if (sock >= 0)
			pool_event_set_add(CALLERS_SOCKET, sock, events);
		callers_socket = sock;
		callers_events = events;
		do
		{
			move_all(woken);
			over = pool_clock_us() >= deadline;
			wait_for_events(over ? 0 : Min(deadline, next_look()), wait,
							&callers, &woken);
		} while (!over && !callers && !(sock < 0 && woken));
	}
	PG_FINALLY();
	{
		callers_socket = -1;
		pool_event_set_remove(sock);
	}
	PG_END_TRY();
	leave();
	return callers || (sock < 0 && woken) || !over;
}
