/*
 * acquire.c
 *		From a server's name, or a connection string, to a leased slot.
 *
 * Finds the pool (locate.c), and acquires an idle slot or joins its queue.  The
 * name is resolved again only after something has told that it may mean another
 * pool or other options by now.
 *
 * It goes by steps, none of which waits for a slot, so that a session can wait for
 * several at once:
 *
 *		pool_acquire_begin		once
 *		pool_acquire_step		until it says GRANTED or FAILED; while it says
 *								WAITING again whenever the latch was set or the
 *								time has come that it gives
 *		pool_acquire_leave		whenever the session is to wait no more; a later
 *								step goes on
 *
 * Each acquire that stands in a queue is in the list here, so that the exit of the
 * session finds it.  Whoever steps several has to see to it that all of them leave
 * their queues when an error is raised.
 *
 * No lock is held while this session waits or raises an error.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "session/acquire.h"
#include "session/acquire_error.h"
#include "session/conn_cache.h"
#include "session/locate.h"
#include "session/socket_wait.h"
#include "shared/limit.h"
#include "shared/shmem.h"
#include "shared/stats.h"

/* The acquires of this session that stand in a queue. */
static dlist_head queued = DLIST_STATIC_INIT(queued);

/*
 * Until when a session may acquire that began at "started"; timeout_ms -1 means
 * the setting pool.acquire_timeout, or else the server's option.
 */
int64
pool_acquire_deadline(const PoolTarget *target, int64 timeout_ms, int64 started)
{
	if (timeout_ms < 0)
		timeout_ms = pool_guc_acquire_timeout >= 0
						 ? pool_guc_acquire_timeout
						 : target->options.acquire_timeout;
	return started + pool_clock_from_ms(timeout_ms);
}

/*
 * Resolves the name and finds the pool.  Raises what pool_target_resolve() does,
 * and 53400 when there is no place for one more pool.
 */
void
pool_acquire_begin(PoolAcquire *acquire)
{
	PoolAcquireRequest *request = acquire->request;

	pool_locate_pool(&acquire->wanted, acquire->target, false, request);
	acquire->deadline =
		pool_acquire_deadline(acquire->target, acquire->timeout_ms,
							  acquire->started);
	acquire->queued = acquire->last_attempt = false;
	request->role = GetUserId(); /* whose rights were looked at */
	request->started = acquire->started;
	request->find_copy = pool_conn_cache_find;
	request->limit = POOL_LIMIT_NONE;
	if (request->waiter == NULL)
		request->waiter = &pool_shmem_waiters[pool_self()->procno];
}

/*
 * Takes the acquire out of its queue, if it stands in one.  A slot that was granted
 * in the last moment is in its request then, and the next step says so.  Raises
 * nothing.
 */
void
pool_acquire_leave(PoolAcquire *acquire)
{
	if (!acquire->queued)
		return;
	POOL_FAULT_POINT(acquire_abandon);
	(void) pool_queue_leave(acquire->request);
	dlist_delete(&acquire->node);
	acquire->queued = false;
}

/* Takes all acquires of this session out of their queues.  Raises nothing. */
void
pool_acquire_abandon(void)
{
	while (!dlist_is_empty(&queued))
		pool_acquire_leave(dlist_head_element(PoolAcquire, node, &queued));
}

/* The acquire has failed; returns the verdict for that. */
static PoolVerdict
fail(PoolAcquire *acquire, PoolAcquireResult failure)
{
	pool_stats_add(&acquire->request->pool->stats,
				   failure == POOL_ACQUIRE_WAIT ? POOL_COUNT_ACQUIRE_TIMEOUTS
												: POOL_COUNT_ACQUIRE_FAILURES,
				   1);
	acquire->failure = failure;
	return POOL_VERDICT_FAILED;
}

/*
 * What has come of it in the queue; NONE: it stays there.  *look_again is brought
 * forward to when to look again.
 */
static PoolVerdict
look(PoolAcquire *acquire, int64 *look_again)
{
	PoolAcquireRequest *request = acquire->request;
	PoolVerdict verdict;
	int64 rested;
	bool late = false;

	POOL_FAULT_POINT(acquire_joined);
	verdict = pool_queue_verdict(request, &rested);
	if (verdict == POOL_VERDICT_NONE)
	{
		if (pool_clock_left_ms(acquire->deadline) > 0)
		{
			*look_again = Min(*look_again, rested);
			return POOL_VERDICT_NONE;
		}
		POOL_FAULT_POINT(acquire_timed_out);
		verdict = pool_queue_leave(request);
		late = (verdict == POOL_VERDICT_NONE);
	}
	dlist_delete(&acquire->node);
	acquire->queued = false;
	POOL_FAULT_POINT(acquire_granted);
	if (late)
		return fail(acquire, POOL_ACQUIRE_WAIT);
	if (verdict == POOL_VERDICT_FAILED)
		return fail(acquire, POOL_ACQUIRE_FAILED);
	return verdict;
}

/*
 * Asks for a slot, and joins the queue if there is none: NONE, and *look_again is
 * now.  After RETRY *changed tells whether the name has to be resolved again.
 */
static PoolVerdict
join(PoolAcquire *acquire, int64 *look_again, bool *changed)
{
	PoolAcquireRequest *request = acquire->request;
	PoolTarget *target = acquire->target;
	PoolAcquireResult result;

	POOL_FAULT_POINT(acquire_try);
	request->stamp = target->stamp;
	request->priority = Min(target->options.priority, pool_guc_priority);
	result = pool_queue_acquire(request);
	switch (result)
	{
		case POOL_ACQUIRE_GRANTED:
			return POOL_VERDICT_GRANTED;
		case POOL_ACQUIRE_WAIT:
			dlist_push_tail(&queued, &acquire->node);
			acquire->queued = true;
			*look_again = 0;
			return POOL_VERDICT_NONE;
		case POOL_ACQUIRE_UNCONFIGURED:
			*changed =
				!pool_locate_configure(&acquire->wanted, target, request->pool,
									   request->pool_id, acquire->deadline);
			break;
		case POOL_ACQUIRE_STALE:
			break;
		case POOL_ACQUIRE_QUEUE_FULL:
		case POOL_ACQUIRE_PAUSED:
		case POOL_ACQUIRE_FAILED:
			return fail(acquire, result);
	}
	return POOL_VERDICT_RETRY;
}

/* The work of pool_acquire_step(), while no slot is granted. */
static PoolVerdict
advance(PoolAcquire *acquire, int64 *look_again)
{
	for (;;)
	{
		bool changed = true;
		PoolVerdict verdict = acquire->queued
								  ? look(acquire, look_again)
								  : join(acquire, look_again, &changed);

		if (verdict != POOL_VERDICT_RETRY)
			return verdict;
		CHECK_FOR_INTERRUPTS();

		/* One more attempt: telling the worker may have needed all the time. */
		if (pool_clock_us() > acquire->deadline)
		{
			acquire->request->limit = POOL_LIMIT_NONE;
			if (acquire->last_attempt)
				return fail(acquire, POOL_ACQUIRE_WAIT);
			acquire->last_attempt = true;
		}
		if (changed)
			pool_locate_pool(&acquire->wanted, acquire->target, true,
							 acquire->request);
	}
}

/*
 * Goes on with the acquire as far as it can without waiting for a slot.  As soon as
 * request->slot is set, be it that an error follows, the slot is the session's and
 * has to be released.
 *
 * WAITING: it is in the queue.  The caller steps again when its latch is set, and
 * at *look_again, pool_clock_us(), at the latest.  That is at once when it has just
 * joined, since whoever waits looks before it sleeps.
 *
 * The current user is that of pool_acquire_begin(), whose rights are looked at again
 * when the pool has changed.  Raises what that does then; 08001 if the worker does not
 * answer; and takes interrupts.  Then the acquire may stand in its queue still.
 */
PoolAcquireStep
pool_acquire_step(PoolAcquire *acquire, int64 *look_again)
{
	PoolVerdict verdict;

	Assert(acquire->request->role == GetUserId());
	*look_again = acquire->deadline;
	if (acquire->request->slot != POOL_NONE)
		verdict = POOL_VERDICT_GRANTED; /* when it left the queue */
	else
		verdict = advance(acquire, look_again);
	if (verdict == POOL_VERDICT_NONE)
		return POOL_ACQUIRE_STEP_WAITING;
	if (verdict == POOL_VERDICT_FAILED)
		return POOL_ACQUIRE_STEP_FAILED;
	POOL_FAULT_POINT(acquire_done);
	return POOL_ACQUIRE_STEP_GRANTED;
}

/*
 * Raises what has kept the acquire from a slot: 53300 when the time is over and all
 * connections are leased, or max_waiters wait already; 55000 when the pool is paused
 * and to fail; else the remote's SQLSTATE or 08001.  It tells what is so now; so it
 * is to be called soon after the step.
 */
void
pool_acquire_raise(const PoolAcquire *acquire)
{
	const PoolAcquireRequest *request = acquire->request;
	const PoolTarget *target = acquire->target;

	if (acquire->failure == POOL_ACQUIRE_PAUSED)
		pool_acquire_error_paused(target);
	if (acquire->failure == POOL_ACQUIRE_QUEUE_FULL)
		pool_acquire_error_queue_full(request->pool, request->pool_id, target);
	if (acquire->failure == POOL_ACQUIRE_FAILED)
		pool_acquire_error_connect(request->pool, request->pool_id, target);
	if (request->limit != POOL_LIMIT_NONE)
		pool_acquire_error_limit(request, target);
	pool_acquire_error_timeout(request->pool, request->pool_id, target,
							   acquire->started);
}

/* Waits for a slot, in the queue. */
static PoolAcquireStep
wait_for_slot(PoolAcquire *acquire)
{
	volatile PoolAcquireStep step = POOL_ACQUIRE_STEP_WAITING;
	int64 look_again;

	PG_TRY();
	{
		while ((step = pool_acquire_step(acquire, &look_again)) ==
			   POOL_ACQUIRE_STEP_WAITING)
		{
			pool_socket_wait_latch(look_again, POOL_WAIT_ACQUIRE);
			POOL_FAULT_POINT(acquire_woken);
		}
	}
	PG_CATCH();
	{
		pool_acquire_leave(acquire);
		PG_RE_THROW();
	}
	PG_END_TRY();
	return step;
}

/*
 * Leases a slot of the pool that is wanted to this session, and waits for one if need be:
 * request->slot and ->generation.  As soon as request->slot is set, be it that an
 * error follows, the slot is the session's and has to be released.
 *
 * timeout_ms is as in pool_acquire_deadline(), "started" when the caller began
 * to wait.  Returns the deadline, in pool_clock_us().
 *
 * Raises what pool_acquire_step() and pool_acquire_raise() do.
 */
int64
pool_acquire_slot(const PoolWanted *wanted, PoolTarget *target,
				  int64 timeout_ms, int64 started, PoolAcquireRequest *request)
{
	/* There is one at a time, as there is one place for it in all queues. */
	static PoolAcquire acquire;
	PoolAcquireStep step;
	int64 look_again;

	Assert(!acquire.queued);
	acquire = (PoolAcquire){.wanted = *wanted,
							.target = target,
							.timeout_ms = timeout_ms,
							.started = started,
							.request = request};
	pool_acquire_begin(&acquire);
	step = pool_acquire_step(&acquire, &look_again);
	if (step == POOL_ACQUIRE_STEP_WAITING)
		step = wait_for_slot(&acquire);
	if (step == POOL_ACQUIRE_STEP_FAILED)
		pool_acquire_raise(&acquire);
	return acquire.deadline;
}

/*
 * The pool of that server, with the worker knowing how to connect; for
 * functions that need no lease.  The deadline is in pool_clock_us(), and
 * *pool_id gets the pool's id.  Raises what pool_target_resolve() does, and
 * 08001 when the worker has not noted the options by the deadline.
 */
Pool *
pool_acquire_configured(const char *server_name, PoolTarget *target,
						int64 deadline, uint64 *pool_id)
{
	const PoolWanted wanted = {.server_name = server_name};
	int64 started = pool_clock_us();
	bool changed = true;

	for (;;)
	{
		Pool *pool;
		bool ready;

		if (changed)
			pool_target_resolve(server_name, target);
		pool = pool_locate_look_up(&wanted, target, pool_id);

		LWLockAcquire(&pool->lock, LW_SHARED);
		ready = pool->id == *pool_id && pool->configured &&
				pool_target_stamp_equal(&pool->stamp, &target->stamp);
		LWLockRelease(&pool->lock);
		if (ready)
			return pool;
		if (pool_clock_us() > deadline)
			pool_acquire_error_timeout(pool, *pool_id, target, started);
		changed =
			!pool_locate_configure(&wanted, target, pool, *pool_id, deadline);
		CHECK_FOR_INTERRUPTS();
	}
}
