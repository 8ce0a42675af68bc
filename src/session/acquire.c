/*
 * acquire.c
 *		From a server's name to a leased slot.
 *
 * Resolves the name with the rights of the current user, finds the pool, tells
 * the worker how to connect if it does not know these options yet, and acquires
 * an idle slot or waits for one.  The name is resolved again only after
 * something has told that it may mean another pool or other options by now.
 *
 * Every wait is on this session's latch, takes interrupts, and has a deadline.
 * No lock is held while this session waits or raises an error.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/wait_event.h"
#include "options/conninfo.h"
#include "session/acquire.h"
#include "session/acquire_error.h"
#include "session/conn_cache.h"
#include "session/handover.h"
#include "session/pending_drop.h"
#include "shared/limit.h"
#include "shared/registry.h"
#include "shared/stats.h"

/* How long the worker may take to note options; it takes no time, if it runs. */
#define CONFIGURE_TIMEOUT_MS 2000

/* The wait under way, for the exit of the session. */
static PoolAcquireRequest *waiting = NULL;

/* The pool that this session asked for last; NULL: look it up. */
static struct
{
	PoolKey key;
	Pool *pool;
	uint64 pool_id;
} recent;

/*
 * Waits in the queue.  NONE means that the deadline came first.  After an
 * error the request tells whether a slot had been granted.
 */
static PoolVerdict
wait_in_queue(PoolAcquireRequest *request, int64 deadline)
{
	volatile PoolVerdict verdict = POOL_VERDICT_NONE;
	int64 look_again;

	waiting = request;
	PG_TRY();
	{
		POOL_FAULT_POINT(acquire_joined);
		while ((verdict = pool_queue_verdict(request, &look_again)) ==
			   POOL_VERDICT_NONE)
		{
			if (pool_clock_left_ms(deadline) == 0)
			{
				POOL_FAULT_POINT(acquire_timed_out);
				verdict = pool_queue_leave(request);
				break;
			}
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 pool_clock_left_ms(Min(deadline, look_again)),
							 pool_wait_event(POOL_WAIT_ACQUIRE));
			ResetLatch(MyLatch);
			POOL_FAULT_POINT(acquire_woken);
			CHECK_FOR_INTERRUPTS();
		}
		POOL_FAULT_POINT(acquire_granted);
	}
	PG_CATCH();
	{
		pool_acquire_abandon();
		PG_RE_THROW();
	}
	PG_END_TRY();
	waiting = NULL;
	return verdict;
}

/*
 * Ends the wait under way, if there is one.  A slot that was granted in the
 * last moment is in its request then.  Raises nothing.
 */
void
pool_acquire_abandon(void)
{
	POOL_FAULT_POINT(acquire_abandon);
	if (waiting != NULL)
		(void) pool_queue_leave(waiting);
	waiting = NULL;
}

/* Does the worker know how to connect for this pool, by whichever options? */
static bool
is_configured(Pool *pool, uint64 pool_id)
{
	bool configured;

	LWLockAcquire(&pool->lock, LW_SHARED);
	configured = pool->id == pool_id && pool->configured;
	LWLockRelease(&pool->lock);
	return configured;
}

/*
 * Sends the target's options to the worker.  True: it has noted them.  With other
 * options or another role the mapping may have had a pool of the other key.
 */
static bool
send_options(const PoolTarget *target, Pool *pool, uint64 pool_id,
			 int64 deadline)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool conninfo",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	PoolConninfo conninfo = {0};
	volatile bool noted = false;

	pool_conn_cache_make_room();
	PG_TRY();
	{
		pool_conninfo_build(target, &conninfo);
		POOL_FAULT_POINT(acquire_configure);
		noted =
			pool_handover_configure(pool, pool_id, target, &conninfo,
									Max(deadline, pool_clock_after_ms(
													  CONFIGURE_TIMEOUT_MS)));
		POOL_FAULT_POINT(acquire_configured);
	}
	PG_FINALLY();
	{
		for (int i = 0; i < conninfo.count; i++) /* one is the password */
			explicit_bzero(unconstify(char *, conninfo.values[i]),
						   strlen(conninfo.values[i]));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (noted && target->only_key)
		pool_registry_drop_twin(&target->key);
	return noted;
}

/*
 * Tells the worker the options of the target, which it does not have: it has
 * none, or others.  Others may be newer than the target's, so the name is
 * resolved again then, and the target brought up to date.
 *
 * Returns true if the worker has noted them; otherwise the caller resolves the
 * name and looks its pool up again.
 */
static bool
configure(const char *server_name, PoolTarget *target, Pool *pool,
		  uint64 pool_id, int64 deadline)
{
	if (is_configured(pool, pool_id))
	{
		PoolKey key = target->key;

		pool_target_resolve(server_name, target);
		if (!pool_target_key_equal(&target->key, &key))
			return false;
	}
	return send_options(target, pool, pool_id, deadline);
}

/*
 * The pool that the target names; made if there is none.  *pool_id gets its id.
 *
 * A pool that is made here is made from what this session knew a moment ago.  A
 * drop that was committed meanwhile has closed the pools that there were, and
 * will not come back for this one.  So the name is resolved again when the pool
 * is there to be seen: either that meets the drop's message, which was sent
 * before the pools were closed, or the drop meets the pool.
 */
static Pool *
look_up_pool(const char *server_name, PoolTarget *target, uint64 *pool_id)
{
	for (;;)
	{
		PoolKey key = target->key;
		Pool *pool;
		bool made;

		if (target->uncommitted)
			pool_pending_drop_at_abort(key.mapping);
		pool = pool_registry_get(target, pool_id, &made);
		if (!made)
			return pool;
		PG_TRY();
		{
			POOL_FAULT_POINT(acquire_pool_made);
			pool_target_resolve(server_name, target);
		}
		PG_CATCH();
		{
			pool_registry_discard(pool, *pool_id);
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (pool_target_key_equal(&target->key, &key))
			return pool;
		pool_registry_discard(pool, *pool_id);
	}
}

/*
 * Resolves the name, and looks up the pool that it means.  Mostly that is the
 * same again; pool_queue_acquire() finds out if it is gone.
 */
static void
find_pool(const char *server_name, PoolTarget *target,
		  PoolAcquireRequest *request)
{
	pool_target_resolve(server_name, target);
	POOL_FAULT_POINT(acquire_resolved);
	if (recent.pool == NULL || target->uncommitted ||
		!pool_target_key_equal(&recent.key, &target->key))
	{
		recent.pool = NULL; /* in case the next line fails */
		recent.pool = look_up_pool(server_name, target, &recent.pool_id);
		recent.key = target->key;
	}
	request->pool = recent.pool;
	request->pool_id = recent.pool_id;
}

/*
 * Waits in the queue, which this session has joined.  Returns true with a slot
 * leased, false if the pool has changed; raises what keeps it from a slot.
 */
static bool
wait_for_slot(PoolAcquireRequest *request, const PoolTarget *target,
			  int64 deadline)
{
	Pool *pool = request->pool;

	switch (wait_in_queue(request, deadline))
	{
		case POOL_VERDICT_GRANTED:
			return true;
		case POOL_VERDICT_FAILED:
			pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
			pool_acquire_error_connect(pool, request->pool_id, target);
			break;
		case POOL_VERDICT_NONE:
			pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_TIMEOUTS, 1);
			if (request->limit != POOL_LIMIT_NONE)
				pool_acquire_error_limit(request, target);
			pool_acquire_error_timeout(pool, request->pool_id, target,
									   request->started);
			break;
		case POOL_VERDICT_RETRY:
			break;
	}
	return false;
}

/*
 * One attempt to acquire a slot.  Returns true with a slot leased.  Otherwise
 * *changed tells whether the name has to be resolved again before the next
 * attempt.  Raises what keeps this session from a slot.
 */
static bool
try_to_acquire(const char *server_name, PoolTarget *target, int64 deadline,
			   PoolAcquireRequest *request, bool *changed)
{
	Pool *pool = request->pool;

	*changed = true;
	POOL_FAULT_POINT(acquire_try);
	request->stamp = target->stamp;
	request->priority = Min(target->options.priority, pool_guc_priority);
	switch (pool_queue_acquire(request))
	{
		case POOL_ACQUIRE_GRANTED:
			return true;
		case POOL_ACQUIRE_WAIT:
			return wait_for_slot(request, target, deadline);
		case POOL_ACQUIRE_UNCONFIGURED:
			*changed = !configure(server_name, target, pool, request->pool_id,
								  deadline);
			break;
		case POOL_ACQUIRE_STALE:
			break;
		case POOL_ACQUIRE_QUEUE_FULL:
			pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
			pool_acquire_error_queue_full(pool, request->pool_id, target);
			break;
		case POOL_ACQUIRE_PAUSED:
			pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
			pool_acquire_error_paused(target);
			break;
		case POOL_ACQUIRE_FAILED:
			pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
			pool_acquire_error_connect(pool, request->pool_id, target);
			break;
	}
	return false;
}

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
 * Leases a slot of the server's pool to this session: request->slot and
 * ->generation.  As soon as request->slot is set, be it that an error follows,
 * the slot is the session's and has to be released.
 *
 * timeout_ms is as in pool_acquire_deadline(), "started" when the caller began
 * to wait.  Returns the deadline, in pool_clock_us().
 *
 * Raises: what pool_target_resolve() does; when the time is over 53300 if all
 * connections are leased, else 08001 or the remote's SQLSTATE; 53300 when
 * max_waiters wait already; 55000 when the pool is paused and to fail; the
 * remote's SQLSTATE or 08001 when no connection can be made.
 */
int64
pool_acquire_slot(const char *server_name, PoolTarget *target, int64 timeout_ms,
				  int64 started, PoolAcquireRequest *request)
{
	int64 deadline;
	bool last_attempt = false;
	bool changed;

	find_pool(server_name, target, request);
	deadline = pool_acquire_deadline(target, timeout_ms, started);

	request->role = GetUserId(); /* whose rights find_pool() has looked at */
	request->started = started;
	request->find_copy = pool_conn_cache_find;
	while (!try_to_acquire(server_name, target, deadline, request, &changed))
	{
		CHECK_FOR_INTERRUPTS();

		/* One more attempt: telling the worker may have needed all the time. */
		if (pool_clock_us() > deadline)
		{
			if (last_attempt)
			{
				pool_stats_add(&request->pool->stats,
							   POOL_COUNT_ACQUIRE_TIMEOUTS, 1);
				pool_acquire_error_timeout(request->pool, request->pool_id,
										   target, started);
			}
			last_attempt = true;
		}
		if (changed)
		{
			recent.pool = NULL;
			find_pool(server_name, target, request);
		}
	}
	POOL_FAULT_POINT(acquire_done);
	return deadline;
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
	int64 started = pool_clock_us();
	bool changed = true;

	for (;;)
	{
		Pool *pool;
		bool ready;

		if (changed)
			pool_target_resolve(server_name, target);
		pool = look_up_pool(server_name, target, pool_id);

		LWLockAcquire(&pool->lock, LW_SHARED);
		ready = pool->id == *pool_id && pool->configured &&
				pool_target_stamp_equal(&pool->stamp, &target->stamp);
		LWLockRelease(&pool->lock);
		if (ready)
			return pool;
		if (pool_clock_us() > deadline)
			pool_acquire_error_timeout(pool, *pool_id, target, started);
		changed = !configure(server_name, target, pool, *pool_id, deadline);
		CHECK_FOR_INTERRUPTS();
	}
}
