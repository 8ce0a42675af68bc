/*
 * queue.c
 *		Acquiring a slot, waiting for one in order, releasing it.
 *
 * Each operation is one critical section under the pool's lock.  What keeps
 * the queue fair and free of lost wake-ups:
 *
 *	1. Whoever makes a slot available gives it, in the same critical section,
 *	   to the first waiter (pool_queue_offer); it becomes IDLE only if nobody
 *	   waits, or if it rests for the session that had it (tenure.c).
 *	2. So an IDLE slot that does not rest and a waiter never exist at once,
 *	   unless the pool is paused, and a newcomer cannot overtake anyone.
 *	3. A waiter's verdict is written under the lock before its latch is set,
 *	   and read under the lock; setting the latch once too often is harmless.
 *	4. A waiter that leaves for any reason takes itself out under the lock
 *	   and then knows whether it had been granted a slot.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/affinity.h"
#include "shared/breaker.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/tenure.h"
#include "shared/waiters.h"
#include "shared/wake.h"

/* How many sessions pool_queue_tell() takes out of the queue at a time. */
#define WAKE_BATCH 32

/*
 * The idle slot that this session takes; NULL: there is none for it.  While
 * others wait that can only be one that rests for it.  Needs the lock.
 */
static PoolSlot *
find_idle(const PoolAcquireRequest *request)
{
	const Pool *pool = request->pool;
	int own;

	if (pool->idle_head == POOL_NONE || pool->pause != POOL_PAUSE_NONE)
		return NULL;
	if (pool->waiter_head == POOL_NONE)
		return pool_affinity_choose(request);
	own = pool_affinity_own(request);
	if (own == POOL_NONE || !pool_tenure_goes_on(pool, &pool_shmem_slots[own]))
		return NULL;
	return &pool_shmem_slots[own];
}

/* The first waiter gets the slot.  Needs the pool's lock. */
static void
grant_to_first(Pool *pool, PoolSlot *slot, PoolWakes *wakes)
{
	PoolWaiter *first = pool_waiters_first(pool);
	int64 now = pool_clock_us();

	pool_stats_time(&pool->stats, POOL_TIMED_WAIT, now - first->since);
	pool_waiters_remove(pool, first);
	pool_slot_lease(pool, slot, &first->session, first->role);
	POOL_FAULT_POINT(grant_locked);
	pool_tenure_begin(pool, slot);
	slot->priority = first->priority;
	first->slot = pool_slot_index(slot);
	first->generation = pg_atomic_read_u64(&slot->generation);
	first->verdict = POOL_VERDICT_GRANTED;
	pool_wake_add(wakes, &first->session);
	pool_tenure_arm(pool, wakes);
}

/* Ends a rest that is over, if there is one.  Needs the pool's lock. */
static void
grant_rested(Pool *pool, PoolWakes *wakes)
{
	PoolSlot *slot = pool_tenure_rested(pool);

	if (slot != NULL)
		grant_to_first(pool, slot, wakes);
}

/*
 * The work of pool_queue_acquire(); sets *work if the worker is to be woken.
 */
static PoolAcquireResult
acquire_locked(PoolAcquireRequest *request, PoolWakes *wakes, bool *work)
{
	Pool *pool = request->pool;
	PoolWaiter *me = request->waiter;
	PoolSlot *slot;

	if (pool->id != request->pool_id || pool->dropped)
		return POOL_ACQUIRE_STALE;

	/* Since it began, this session has found the rows. */
	pool->confirmed = Max(pool->confirmed, request->started);
	if (!pool->configured ||
		!pool_target_stamp_equal(&pool->stamp, &request->stamp))
		return POOL_ACQUIRE_UNCONFIGURED;
	pool->asked_at = Max(pool->asked_at, request->started);
	if (pool->pause == POOL_PAUSE_FAIL)
		return POOL_ACQUIRE_PAUSED;
	pool_tenure_note_acquire(pool, request->started);
	while ((slot = find_idle(request)) != NULL)
	{
		int64 now = pool_clock_us();

		if (pool_lifetime_phase(pool, slot, now) == POOL_LIFETIME_OVER)
		{
			pool_lifetime_close(pool, slot);
			*work = true;
			continue;
		}
		if (pool_affinity_ask_for_another(request, slot, now))
			*work = true;
		pool_stats_time(&pool->stats, POOL_TIMED_WAIT, now - request->started);
		pool_slot_lease(pool, slot, pool_self(), request->role);
		POOL_FAULT_POINT(acquire_leased_locked);
		if (!pool_slot_was_used_by(slot, pool_self()->serial, request->role))
			pool_tenure_begin(pool, slot);
		slot->priority = request->priority;
		request->slot = pool_slot_index(slot);
		request->generation = pg_atomic_read_u64(&slot->generation);
		return POOL_ACQUIRE_GRANTED;
	}
	if (pool_breaker_refuses(pool))
		return POOL_ACQUIRE_FAILED;
	if (pool->options.max_waiters > 0 &&
		pool->nwaiting >= pool->options.max_waiters)
		return POOL_ACQUIRE_QUEUE_FULL;

	me->role = request->role;
	me->since = request->started;
	me->priority = request->priority;
	me->verdict = POOL_VERDICT_NONE;
	me->slot = POOL_NONE;
	me->armed = true; /* it looks before it sleeps */
	pool_waiters_add(pool, me);
	POOL_FAULT_POINT(acquire_joined_locked);
	grant_rested(pool, wakes);

	/* While as many are being opened as may be, the worker looks by itself. */
	if (pool_slot_count_limited(pool) < pool->limit &&
		pool->nslots[POOL_SLOT_CONNECTING] < pool->options.connect_parallel)
		*work = true;
	return POOL_ACQUIRE_WAIT;
}

/*
 * Leases an idle slot, or joins the queue.  After POOL_ACQUIRE_WAIT the session
 * waits on its latch and asks pool_queue_verdict(), and must end the wait by
 * pool_queue_leave() if it does not see it through.  Takes the lock.
 */
PoolAcquireResult
pool_queue_acquire(PoolAcquireRequest *request)
{
	PoolAcquireResult result;
	PoolWakes wakes = {0};
	bool work = false;

	LWLockAcquire(&request->pool->lock, LW_EXCLUSIVE);
	result = acquire_locked(request, &wakes, &work);
	LWLockRelease(&request->pool->lock);
	pool_wake_sessions(&wakes);
	if (work)
		pool_wake_worker(request->pool);
	return result;
}

/* Reads this session's verdict into the request.  Needs the pool's lock. */
static PoolVerdict
read_verdict(PoolAcquireRequest *request, PoolWaiter *me)
{
	POOL_ASSERT_LOCKED_SHARED(request->pool);
	if (me->verdict == POOL_VERDICT_GRANTED)
	{
		request->slot = me->slot;
		request->generation = me->generation;
	}
	return me->verdict;
}

/*
 * What came of the wait so far; NONE: go on waiting, and ask again when the latch
 * is set, or at *look_again, pool_clock_us().  Takes the lock.
 */
PoolVerdict
pool_queue_verdict(PoolAcquireRequest *request, int64 *look_again)
{
	Pool *pool = request->pool;
	PoolWaiter *me = request->waiter;
	PoolWakes wakes = {0};
	PoolVerdict verdict;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (me->verdict == POOL_VERDICT_NONE)
		grant_rested(pool, &wakes);
	verdict = read_verdict(request, me);
	if (verdict == POOL_VERDICT_NONE)
		*look_again = pool_tenure_watch(pool, me);
	LWLockRelease(&pool->lock);
	pool_wake_sessions(&wakes);
	return verdict;
}

/*
 * Ends the wait now.  GRANTED means that a slot came in the last moment: it is
 * leased to this session, which has to use or release it.  Takes the lock.
 */
PoolVerdict
pool_queue_leave(PoolAcquireRequest *request)
{
	PoolWaiter *me = request->waiter;
	PoolWakes wakes = {0};
	PoolVerdict verdict;

	LWLockAcquire(&request->pool->lock, LW_EXCLUSIVE);
	verdict = read_verdict(request, me);
	request->limit = pool_limit_of(request->pool);
	POOL_FAULT_POINT(acquire_leave_locked);
	if (verdict == POOL_VERDICT_NONE && me->pool == pool_index(request->pool))
	{
		pool_waiters_remove(request->pool, me);
		pool_tenure_arm(request->pool, &wakes);
	}
	LWLockRelease(&request->pool->lock);
	pool_wake_sessions(&wakes);
	return verdict;
}

/*
 * Is the slot not to be leased again?  Has it closed then: it is retired, over
 * the limit or too old.  Needs the pool's lock.
 */
static bool
close_instead(Pool *pool, PoolSlot *slot)
{
	int live = pool_slot_count_live(pool) +
			   (slot->state == POOL_SLOT_CONNECTING ? 1 : 0);

	POOL_ASSERT_LOCKED(pool);
	if (live > pool->limit)
		pool_slot_retire(pool, slot, POOL_CLOSE_SURPLUS);
	if (slot->close_reason != POOL_CLOSE_NONE)
	{
		pool_slot_close(pool, slot, slot->close_reason, false);
		return true;
	}
	if (slot->opened != 0 &&
		pool_lifetime_phase(pool, slot, pool_clock_us()) == POOL_LIFETIME_OVER)
	{
		pool_lifetime_close(pool, slot);
		return true;
	}
	return false;
}

/* Does a session wait that may have a slot now?  Needs the pool's lock. */
static bool
is_wanted(const Pool *pool)
{
	return pool->waiter_head != POOL_NONE && pool->pause == POOL_PAUSE_NONE;
}

/*
 * Makes a usable slot available: to the first waiter, else to anyone; or has it
 * closed.  *wakes gets who is to be woken.  Needs the pool's lock.
 */
void
pool_queue_offer(Pool *pool, PoolSlot *slot, PoolWakes *wakes)
{
	if (close_instead(pool, slot))
		return;
	if (is_wanted(pool))
		grant_to_first(pool, slot, wakes);
	else
		pool_slot_move(pool, slot, POOL_SLOT_IDLE);
}

/*
 * This session leaves a connection that is as good as new: it rests if the
 * session may go on and is likely to, else it is anyone's.
 */
static void
leave_clean(Pool *pool, PoolSlot *slot, PoolWakes *wakes)
{
	pool_tenure_note_release(pool);
	if (!is_wanted(pool) || !pool_tenure_may_rest(pool, slot))
		pool_queue_offer(pool, slot, wakes);
	else if (!close_instead(pool, slot))
	{
		pool_tenure_rest(pool, slot);
		pool_tenure_arm(pool, wakes);
	}
}

/*
 * Grants what is idle to the sessions that wait, at the end of a pause.  Takes
 * the lock, anew for each.
 */
void
pool_queue_serve(Pool *pool)
{
	bool served;

	do
	{
		PoolWakes wakes = {0};

		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		served = pool->pause == POOL_PAUSE_NONE &&
				 pool->idle_head != POOL_NONE && pool->waiter_head != POOL_NONE;
		if (served)
			grant_to_first(pool, &pool_shmem_slots[pool->idle_head], &wakes);
		LWLockRelease(&pool->lock);
		pool_wake_sessions(&wakes);
	} while (served);
}

/* The work of pool_queue_release(); *wakes gets who is to be woken. */
static void
release_locked(Pool *pool, PoolSlot *slot, PoolCondition condition,
			   PoolCloseReason reason, PoolWakes *wakes)
{
	if (condition == POOL_CONDITION_SILENT)
		pool_slot_give_up(pool, slot, reason);
	else if (slot->close_reason != POOL_CLOSE_NONE ||
			 pool_queue_closes(condition))
		pool_slot_close(pool, slot, reason,
						condition == POOL_CONDITION_BUSY ||
							condition == POOL_CONDITION_UNREAD);
	else if (condition == POOL_CONDITION_IN_TRANSACTION ||
			 condition == POOL_CONDITION_UNREAD ||
			 (condition == POOL_CONDITION_USED && pool->options.reset_query[0]))
	{
		slot->in_transaction = (condition == POOL_CONDITION_IN_TRANSACTION);
		slot->unread = (condition == POOL_CONDITION_UNREAD);
		pool_slot_move(pool, slot, POOL_SLOT_RETURNED);
	}
	else if (condition == POOL_CONDITION_CLEAN)
		leave_clean(pool, slot, wakes);
	else
		pool_queue_offer(pool, slot, wakes);
	grant_rested(pool, wakes);
}

/*
 * Ends this session's lease of a slot, whose connection it leaves in that
 * condition; "reason" is for one that is closed and was not retired before.
 * Does nothing if the lease ended otherwise meanwhile (it was reclaimed, or the
 * worker was restarted).  Raises nothing, so that it can be called while an
 * error or an exit is under way.  Takes the lock.
 *
 * "user" is who may go on without a proof from now on; NULL: who could do so
 * before the lease, since it was not used.
 */
void
pool_queue_release(int slot_index, uint64 generation, PoolCondition condition,
				   PoolCloseReason reason, const PoolUser *user)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	int pool_place = slot->pool;
	Pool *pool;
	PoolWakes wakes = {0};
	bool work = false;

	if (pool_place == POOL_NONE)
		return;
	pool = &pool_shmem_pools[pool_place];

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool_slot_is(slot, pool, generation, POOL_SLOT_LEASED) &&
		slot->owner.serial == pool_self()->serial)
	{
		POOL_FAULT_POINT(release_locked);
		if (user != NULL)
			slot->last_user = *user;
		if (condition == POOL_CONDITION_CLEAN)
			pool_breaker_succeeded(pool);
		release_locked(pool, slot, condition, reason, &wakes);
		work = slot->state == POOL_SLOT_RETURNED ||
			   slot->state == POOL_SLOT_CLOSING;
		POOL_FAULT_POINT(released_locked);
	}
	LWLockRelease(&pool->lock);

	POOL_FAULT_POINT(release_wake);
	pool_wake_sessions(&wakes);
	if (work)
		pool_wake_worker(pool);
}

/*
 * A session has found a connection dead that was idle.  The cause may be one for
 * all (a firewall has forgotten them, the remote's machine is gone), so none
 * that was not heard from since then is leased unchecked: the worker checks
 * them, all at once.  "since" is when the session began to ask, pool_clock_us().
 * Takes the lock.
 */
void
pool_queue_doubt(Pool *pool, uint64 pool_id, int64 since)
{
	bool work = false;
	int index;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	index = pool->id == pool_id ? pool->idle_head : POOL_NONE;
	while (index != POOL_NONE)
	{
		PoolSlot *slot = &pool_shmem_slots[index];

		index = slot->next;
		if (slot->heard >= since)
			continue;
		pool_slot_move(pool, slot, POOL_SLOT_CHECKING);
		work = true;
	}
	LWLockRelease(&pool->lock);
	if (work)
		pool_wake_worker(pool);
}

/*
 * Ends the waits of all sessions in the queue with that verdict, and wakes them,
 * without the lock and a few at a time.  Takes the lock, anew for each batch.
 */
void
pool_queue_tell(Pool *pool, PoolVerdict verdict)
{
	PoolSessionRef wake[WAKE_BATCH];
	int n;

	do
	{
		n = 0;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		while (n < WAKE_BATCH && pool->waiter_head != POOL_NONE)
		{
			PoolWaiter *waiter = &pool_shmem_waiters[pool->waiter_head];

			pool_waiters_remove(pool, waiter);
			waiter->verdict = verdict;
			wake[n++] = waiter->session;
		}
		LWLockRelease(&pool->lock);
		for (int i = 0; i < n; i++)
			pool_wake_session(&wake[i]);
	} while (n == WAKE_BATCH);
}
