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
 *
 * Each request acquires for itself, as the user who sent it, and at most
 * pool.max_parallel hold a connection or wait for one.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "session/event_set.h"
#include "session/lease_settle.h"
#include "session/request_run.h"
#include "session/run_error.h"
#include "session/run_log.h"
#include "session/session.h"
#include "shared/holder.h"
#include "shared/shmem.h"
#include "shared/stats.h"

/* Sockets that are told of at a time. */
#define MAX_READY 64

/* The number by which the event set knows the caller's socket. */
#define CALLERS_SOCKET 0

/* When this was left, pool_clock_us(). */
static int64 left_at = 0;

/* A request has waited for the worker, and so taken the latch of all of them. */
static bool look_again = false;

static void begin(PoolRequest *request);
static void start(PoolRequest *request);

/* How many have a lease of their own, or are about to. */
static int
count_begun(void)
{
	int n = 0;
	dlist_iter iter;

	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->own && request->lease != NULL)
			n++;
	}
	return n;
}

static void
raise_acquire(PoolRequest *request)
{
	pool_acquire_raise(&request->acquire);
}

static void
raise_run(PoolRequest *request)
{
	pool_run_error_raise(request->lease, &request->run.run);
}

static void
raise_unattended(PoolRequest *request)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("request " UINT64_FORMAT
					" has lost its connection to server \"%s\"",
					request->id, request->server_name),
			 errdetail("Its session was in no function of pool for longer than "
					   "pool.request_timeout."),
			 errhint(POOL_HINT_CHECK_EXECUTION)));
}

static void
raise_too_large(PoolRequest *request)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("result of request " UINT64_FORMAT
					" from server \"%s\" is too large",
					request->id, request->server_name),
			 errdetail("It has more than %d kB.", pool_guc_max_result_size),
			 errhint("Raise pool.max_result_size, or ask for less.")));
}

static void
raise_timeout(PoolRequest *request)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("canceling remote statement on server \"%s\" due to timeout",
					request->server_name),
			 request->state == POOL_REQUEST_RUNNING
				 ? errdetail("It was running.")
				 : errdetail("It was waiting for a connection.")));
}

/* Ends what is under way, and has the request fail as the function says. */
static void
stop(PoolRequest *request, void (*raise)(PoolRequest *))
{
	if (request->state == POOL_REQUEST_RUNNING)
	{
		pool_request_unwatch(request);
		pool_lease_settle_failed(&request->run, ERRCODE_QUERY_CANCELED);
	}
	else
		pool_request_stop_acquiring(request);
	pool_request_fail(request, raise);
}

/* The statement has come to its end. */
static void
finish_run(PoolRequest *request)
{
	PoolRun *run = &request->run.run;

	pool_request_unwatch(request);
	pool_lease_settle(&request->run);
	POOL_FAULT_POINT(request_settled);
	pool_run_log(request->lease, run, pool_run_error_sqlstate(run));
	if (run->outcome == POOL_RUN_DONE)
		pool_request_finish(request, POOL_REQUEST_READY);
	else if (run->outcome == POOL_RUN_RECLAIMED && request->unattended)
		pool_request_fail(request, raise_unattended);
	else
		pool_request_fail(request, raise_run);
}

/* Takes what has come. */
static void
take(PoolRequest *request)
{
	bool ready = request->ready;

	request->ready = false;
	switch (pool_lease_run_step(&request->run, ready))
	{
		case POOL_LEASE_RUN_WAIT:
			if (pool_guc_max_result_size > 0 &&
				pool_result_bytes(request->result) / 1024 >
					pool_guc_max_result_size)
				stop(request, raise_too_large);
			else
				pool_request_watch(request);
			break;
		case POOL_LEASE_RUN_OPEN:
			request->watched = false; /* closed */
			pool_request_note(request, POOL_REQUEST_WAITING);
			begin(request);
			start(request);
			break;
		case POOL_LEASE_RUN_OVER:
			finish_run(request);
			break;
	}
}

/* Goes on with acquiring.  True: the lease has a connection. */
static bool
acquire(PoolRequest *request)
{
	PoolLease *lease = request->lease;

	while (lease->copy == NULL)
	{
		/* A slot may have come in the moment when the queue was left. */
		PoolAcquireStep step =
			lease->request.slot != POOL_NONE
				? POOL_ACQUIRE_STEP_GRANTED
				: pool_acquire_step(&request->acquire, &request->look_again);

		if (step == POOL_ACQUIRE_STEP_WAITING)
			return false;
		if (step == POOL_ACQUIRE_STEP_FAILED)
		{
			pool_request_fail(request, raise_acquire);
			return false;
		}
		look_again = true;
		if (!pool_lease_adopt(lease, request->acquire.deadline))
			pool_acquire_begin(&request->acquire);
	}
	return true;
}

/* Sends the statement as soon as the lease has a connection. */
static void
start(PoolRequest *request)
{
	if (!acquire(request))
		return;
	pool_lease_run_begin(&request->run, request->lease, request->statement,
						 request->result);
	pool_request_note(request, POOL_REQUEST_RUNNING);
	POOL_FAULT_POINT(request_start);
	pool_lease_run_start(&request->run);
	pool_request_watch(request);
}

/* Begins to acquire, with the lease that the request has. */
static void
begin(PoolRequest *request)
{
	PoolLease *lease = request->lease;

	memset(&request->acquire, 0, sizeof(request->acquire));
	request->acquire.server_name = lease->name;
	request->acquire.target = &lease->target;
	request->acquire.timeout_ms = lease->timeout_ms;
	request->acquire.started = lease->started;
	request->acquire.request = &lease->request;
	lease->request.waiter = pool_request_entry_waiter(request->entry);
	pool_acquire_begin(&request->acquire);
	request->acquire.deadline =
		Min(request->acquire.deadline, request->deadline);
}

/* Makes the lease that the request runs on, and begins to acquire. */
static void
open_lease(PoolRequest *request)
{
	POOL_FAULT_POINT(request_open);
	request->lease =
		pool_session_list_lease(request->server_name, POOL_LEASE_STATEMENT, -1);
	request->lease->subid = request->subid;
	begin(request);
	request->pool = request->lease->request.pool;
	pool_stats_add(&request->pool->stats, POOL_COUNT_REQUESTS, 1);
	start(request);
}

/* Moves a request on as far as it goes without waiting. */
static void
move(PoolRequest *request, bool woken)
{
	int64 now = pool_clock_us();
	PoolRun *run = &request->run.run;

	if (now >= request->deadline)
		stop(request, raise_timeout);
	else if (request->state == POOL_REQUEST_RUNNING)
	{
		if (!request->ready && now >= run->wait_until)
			pool_run_time_out(run);
		else if (!request->ready)
			return;
		take(request);
	}
	else if (request->lease == NULL)
	{
		if (count_begun() < pool_guc_max_parallel)
			open_lease(request);
	}
	else if (woken || now >= request->look_again)
		start(request);
}

/*
 * Moves a request on, as the user who sent it.  If this session raises an error
 * meanwhile, the request is cancelled.
 */
static void
move_as_sender(PoolRequest *request, bool woken)
{
	Oid userid;
	int sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	PG_TRY();
	{
		if (request->userid != userid)
			SetUserIdAndSecContext(request->userid,
								   sec_context | SECURITY_LOCAL_USERID_CHANGE);
		POOL_FAULT_POINT(request_move);
		move(request, woken);
	}
	PG_CATCH();
	{
		SetUserIdAndSecContext(userid, sec_context);
		if (!pool_request_is_done(request))
			pool_request_abandon(request);
		PG_RE_THROW();
	}
	PG_END_TRY();
	SetUserIdAndSecContext(userid, sec_context);
}

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
 * woken: the latch was set.  Returns whether it may have been since.
 */
static bool
move_all(bool woken)
{
	bool taken = false;
	uint64 finished;
	dlist_iter iter;

	do
	{
		finished = pool_request_finished;
		look_again = false;
		dlist_foreach (iter, &pool_request_list)
		{
			PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

			if (!pool_request_is_done(request))
				move_as_sender(request, woken || look_again);
			attend(request);
		}
		taken = woken = taken || look_again;
	} while (look_again || pool_request_finished != finished);
	return taken;
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

/* The time to acquire stood still while nothing could be acquired. */
static void
enter(void)
{
	int64 away = left_at == 0 ? 0 : pool_clock_us() - left_at;
	dlist_iter iter;

	dlist_foreach (iter, &pool_request_list)
	{
		PoolRequest *request = dlist_container(PoolRequest, node, iter.cur);

		if (request->state == POOL_REQUEST_WAITING && request->lease != NULL)
			request->acquire.deadline =
				Min(request->acquire.deadline + away, request->deadline);
		if (request->state == POOL_REQUEST_RUNNING && request->own)
			request->unattended =
				pool_guc_request_timeout > 0 &&
				away > pool_clock_from_ms(pool_guc_request_timeout);
	}
}

/*
 * Takes the requests out of the queues: nobody moves them on from here.  Raises
 * nothing.
 */
void
pool_request_run_leave(void)
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
}

/*
 * Moves the requests on until the caller has enough.  Returns false if the deadline,
 * in pool_clock_us(), comes before; what has come by then was taken.  Raises errors of
 * this session; a request in which they happen is cancelled.
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
		(void) move_all(woken);
		if (enough(arg) || over)
			break;
		over = pool_clock_us() >= deadline;
		wait_for_events(over ? 0 : Min(deadline, next_look()),
						POOL_WAIT_REQUEST, &callers, &woken);
	}
	pool_request_run_leave();
	return enough(arg);
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
	if (sock >= 0)
		pool_event_set_add(CALLERS_SOCKET, sock, events);
	PG_TRY();
	{
		do
		{
			bool taken = move_all(woken);

			over = pool_clock_us() >= deadline;
			wait_for_events(over || taken ? 0 : Min(deadline, next_look()),
							wait, &callers, &woken);
			woken = woken || taken;
		} while (!over && !callers && !(sock < 0 && woken));
	}
	PG_FINALLY();
	{
		pool_event_set_remove(sock);
	}
	PG_END_TRY();
	pool_request_run_leave();
	return callers || (sock < 0 && woken) || !over;
}
