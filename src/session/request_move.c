/*
 * request_move.c
 *		Moving one request on as far as it goes without waiting.
 *
 * A request acquires a connection (acquire.c), runs its statement (lease_run.c), and
 * is done: each in steps, of which this takes those that can be taken now.  It does so
 * as the user who sent it.  At most pool.max_parallel requests hold a connection or
 * wait for one.
 *
 * An error that is the request's own is kept in it.  One of this session is raised,
 * and the request has failed with it.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "session/as_user.h"
#include "session/lease_settle.h"
#include "session/request_move.h"
#include "session/run_error.h"
#include "session/run_log.h"
#include "session/session.h"
#include "shared/shmem.h"
#include "shared/stats.h"

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
raise_acquire(void *arg)
{
	const PoolRequest *request = arg;

	pool_acquire_raise(&request->acquire);
}

static void
raise_run(void *arg)
{
	const PoolRequest *request = arg;

	pool_run_error_raise(request->lease, &request->run.run);
}

static void
raise_unattended(void *arg)
{
	const PoolRequest *request = arg;

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
raise_too_large(void *arg)
{
	const PoolRequest *request = arg;

	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("result of request " UINT64_FORMAT
					" from server \"%s\" is too large",
					request->id, request->server_name),
			 errdetail("It has more than %d kB.", pool_guc_max_result_size),
			 errhint("Raise pool.max_result_size, or ask for less.")));
}

static void
raise_timeout(void *arg)
{
	const PoolRequest *request = arg;

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
stop(PoolRequest *request, void (*raise)(void *))
{
	pool_request_stop(request);
	pool_request_fail(request, raise);
}

static bool
is_too_large(const PoolRequest *request)
{
	return pool_guc_max_result_size > 0 &&
		   pool_result_bytes(request->result) / 1024 > pool_guc_max_result_size;
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
	if (run->outcome == POOL_RUN_DONE && is_too_large(request))
		pool_request_fail(request, raise_too_large);
	else if (run->outcome == POOL_RUN_DONE)
		pool_request_finish(request, POOL_REQUEST_READY);
	else if (run->outcome == POOL_RUN_RECLAIMED && request->unattended)
		pool_request_fail(request, raise_unattended);
	else
		pool_request_fail(request, raise_run);
}

/* Begins to acquire; the time that was spent elsewhere does not count. */
static void
begin_acquire(PoolRequest *request)
{
	PoolAcquire *acquire = &request->acquire;

	pool_acquire_begin(acquire);
	acquire->deadline =
		Min(acquire->deadline + request->away, request->deadline);
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
		if (!pool_lease_adopt(lease, request->acquire.deadline))
			begin_acquire(request);
	}
	return true;
}

/* Sends the statement as soon as the lease has a connection. */
static void
start(PoolRequest *request)
{
	if (!acquire(request))
		return;
	if (request->run.lease == NULL) /* not on another connection before */
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
	request->acquire.wanted.server_name = lease->name;
	request->acquire.wanted.string = lease->string;
	request->acquire.target = &lease->target;
	request->acquire.timeout_ms = lease->timeout_ms;
	request->acquire.started = lease->started;
	request->acquire.request = &lease->request;
	lease->request.waiter = pool_request_entry_waiter(request->entry);
	begin_acquire(request);
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
			if (is_too_large(request))
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
	if (request->hedge)
		pool_stats_add(&request->pool->stats, POOL_COUNT_HEDGES, 1);
	start(request);
}

/* Moves a request on as far as it goes without waiting. */
static void
move(PoolRequest *request, bool woken)
{
	int64 now = pool_clock_us();
	PoolRun *run = &request->run.run;

	/* That it cannot have a connection says more than that time is over. */
	if (now >= request->deadline && request->state == POOL_REQUEST_WAITING &&
		request->lease != NULL)
		(void) acquire(request);
	if (pool_request_is_done(request))
		return;
	if (now >= request->deadline)
		stop(request, raise_timeout);
	else if (request->state == POOL_REQUEST_RUNNING)
	{
		bool late = now >= run->wait_until;

		/* What has come while this session was elsewhere is not late. */
		if (!request->ready && !late)
			return;
		request->ready = true;
		take(request);
		if (late && request->state == POOL_REQUEST_RUNNING && !request->ready &&
			now >= run->wait_until)
		{
			pool_run_time_out(run);
			take(request);
		}
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
 * meanwhile, the request has failed with it.
 */
void
pool_request_move(PoolRequest *request, bool woken)
{
	MemoryContext context = CurrentMemoryContext;
	PoolAsUser before;

	/* What a step notes, an error say, is needed in later calls. */
	MemoryContextSwitchTo(request->context);
	pool_as_user_begin(request->userid, &before);
	PG_TRY();
	{
		POOL_FAULT_POINT(request_move);
		move(request, woken);
	}
	PG_CATCH();
	{
		if (!pool_request_is_done(request))
			pool_request_break(request);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pool_as_user_end(&before);
	MemoryContextSwitchTo(context);
}
