/*
 * queue.c
 *		Acquiring a slot, waiting for one in order, releasing it.
 *
 * Each operation is one critical section under the pool's lock.  What keeps
 * the queue fair and free of lost wake-ups:
 *
 *	1. Whoever makes a slot available gives it, in the same critical section,
 *	   to the first waiter (pool_queue_offer); it becomes IDLE only if nobody
 *	   waits.
 *	2. So an IDLE slot and a waiter never exist at once, unless the pool is
 *	   paused, and a newcomer cannot overtake anyone.
 *	3. A waiter's verdict is written under the lock before its latch is set,
 *	   and read under the lock; setting the latch once too often is harmless.
 *	4. A waiter that leaves for any reason takes itself out under the lock
 *	   and then knows whether it had been granted a slot.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/breaker.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/wake.h"

/* How many sessions pool_queue_tell() takes out of the queue at a time. */
#define WAKE_BATCH 32

/*
 * Does a come before b?  By priority, then in the order of arrival; a session
 * that comes back after a retry keeps its place.
 */
static bool
precedes(const PoolWaiter *a, const PoolWaiter *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->since < b->since;
}

/* Puts a waiter into the queue, at its place.  Needs the lock. */
static void
enqueue(Pool *pool, PoolWaiter *waiter)
{
	int index = (int) (waiter - pool_shmem_waiters);
	int after = pool->waiter_tail;

	POOL_ASSERT_LOCKED(pool);
	Assert(waiter->pool == POOL_NONE);
	while (after != POOL_NONE && precedes(waiter, &pool_shmem_waiters[after]))
		after = pool_shmem_waiters[after].prev;

	waiter->pool = pool_index(pool);
	waiter->prev = after;
	waiter->next = (after == POOL_NONE) ? pool->waiter_head
										: pool_shmem_waiters[after].next;
	if (after == POOL_NONE)
		pool->waiter_head = index;
	else
		pool_shmem_waiters[after].next = index;
	if (waiter->next == POOL_NONE)
		pool->waiter_tail = index;
	else
		pool_shmem_waiters[waiter->next].prev = index;
	pool->nwaiting++;
}

/* Takes a waiter out of the queue.  Needs the lock. */
static void
dequeue(Pool *pool, PoolWaiter *waiter)
{
	POOL_ASSERT_LOCKED(pool);
	Assert(waiter->pool == pool_index(pool));

	if (waiter->prev != POOL_NONE)
		pool_shmem_waiters[waiter->prev].next = waiter->next;
	else
		pool->waiter_head = waiter->next;
	if (waiter->next != POOL_NONE)
		pool_shmem_waiters[waiter->next].prev = waiter->prev;
	else
		pool->waiter_tail = waiter->prev;
	waiter->prev = waiter->next = waiter->pool = POOL_NONE;
	pool->nwaiting--;
}

/*
 * The idle slot that suits best: one that this session was the last to use, in
 * the same role, which needs no handover; else one of which it has a copy; else
 * any.  Of several the most recently used, so that the surplus grows old.  The
 * search is bounded by the length of the idle list.
 */
static PoolSlot *
choose_idle(const PoolAcquireRequest *request)
{
	uint64 me = pool_self()->serial;
	int index = request->pool->idle_head;
	PoolSlot *copied = NULL;

	while (index != POOL_NONE)
	{
		PoolSlot *slot = &pool_shmem_slots[index];

		if (pool_slot_was_used_by(slot, me, request->role))
			return slot;
		if (copied == NULL &&
			request->has_copy(index, pg_atomic_read_u64(&slot->generation)))
			copied = slot;
		index = slot->next;
	}
	return copied ? copied : &pool_shmem_slots[request->pool->idle_head];
}

/* The work of pool_queue_acquire(); sets *wake if the worker is to be woken. */
static PoolAcquireResult
acquire_locked(PoolAcquireRequest *request, bool *wake)
{
	Pool *pool = request->pool;
	PoolWaiter *me = &pool_shmem_waiters[pool_self()->procno];

	if (pool->id != request->pool_id || pool->dropped)
		return POOL_ACQUIRE_STALE;

	/* Since it began, this session has found the rows. */
	pool->confirmed = Max(pool->confirmed, request->started);
	if (!pool->configured ||
		!pool_target_stamp_equal(&pool->stamp, &request->stamp))
		return POOL_ACQUIRE_UNCONFIGURED;
	pool->asked_at = request->started;
	if (pool->pause == POOL_PAUSE_FAIL)
		return POOL_ACQUIRE_PAUSED;
	while (pool->idle_head != POOL_NONE && pool->pause == POOL_PAUSE_NONE)
	{
		PoolSlot *slot = choose_idle(request);
		int64 now = pool_clock_us();

		if (pool_lifetime_phase(pool, slot, now) == POOL_LIFETIME_OVER)
		{
			pool_lifetime_close(pool, slot);
			*wake = true;
			continue;
		}
		pool_stats_time(&pool->stats, POOL_TIMED_WAIT, now - request->started);
		pool_slot_lease(pool, slot, pool_self(), request->role);
		POOL_FAULT_POINT(acquire_leased_locked);
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
	enqueue(pool, me);
	POOL_FAULT_POINT(acquire_joined_locked);

	/* While as many are being opened as may be, the worker looks by itself. */
	if (pool_slot_count_limited(pool) < pool->limit &&
		pool->nslots[POOL_SLOT_CONNECTING] < pool->options.connect_parallel)
		*wake = true;
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
	bool wake = false;

	LWLockAcquire(&request->pool->lock, LW_EXCLUSIVE);
	result = acquire_locked(request, &wake);
	LWLockRelease(&request->pool->lock);
	if (wake)
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
		request->generation =
			pg_atomic_read_u64(&pool_shmem_slots[me->slot].generation);
	}
	return me->verdict;
}

/* What came of the wait so far; NONE: go on waiting.  Takes the lock. */
PoolVerdict
pool_queue_verdict(PoolAcquireRequest *request)
{
	PoolWaiter *me = &pool_shmem_waiters[pool_self()->procno];
	PoolVerdict verdict;

	LWLockAcquire(&request->pool->lock, LW_SHARED);
	verdict = read_verdict(request, me);
	LWLockRelease(&request->pool->lock);
	return verdict;
}

/*
 * Ends the wait now.  GRANTED means that a slot came in the last moment: it is
 * leased to this session, which has to use or release it.  Takes the lock.
 */
PoolVerdict
pool_queue_leave(PoolAcquireRequest *request)
{
	PoolWaiter *me = &pool_shmem_waiters[pool_self()->procno];
	PoolVerdict verdict;

	LWLockAcquire(&request->pool->lock, LW_EXCLUSIVE);
	verdict = read_verdict(request, me);
	request->limit = pool_limit_of(request->pool);
	POOL_FAULT_POINT(acquire_leave_locked);
	if (verdict == POOL_VERDICT_NONE && me->pool == pool_index(request->pool))
		dequeue(request->pool, me);
	LWLockRelease(&request->pool->lock);
	return verdict;
}

/* The first waiter gets the slot.  Needs the pool's lock. */
static void
grant_to_first(Pool *pool, PoolSlot *slot, PoolSessionRef *wake)
{
	PoolWaiter *first = &pool_shmem_waiters[pool->waiter_head];
	int64 now = pool_clock_us();

	pool_stats_time(&pool->stats, POOL_TIMED_WAIT, now - first->since);
	dequeue(pool, first);
	pool_slot_lease(pool, slot, &first->session, first->role);
	POOL_FAULT_POINT(grant_locked);
	first->slot = pool_slot_index(slot);
	first->verdict = POOL_VERDICT_GRANTED;
	*wake = first->session;
}

/*
 * Makes a usable slot available: to the first waiter, else to anyone; or has
 * it closed, if it is retired, over the limit or too old.  Returns true with
 * the session in *wake if one is to be woken.  Needs the pool's lock.
 */
bool
pool_queue_offer(Pool *pool, PoolSlot *slot, PoolSessionRef *wake)
{
	int live = pool_slot_count_live(pool) +
			   (slot->state == POOL_SLOT_CONNECTING ? 1 : 0);

	POOL_ASSERT_LOCKED(pool);
	if (live > pool->limit)
		pool_slot_retire(pool, slot, POOL_CLOSE_SURPLUS);
	if (slot->close_reason != POOL_CLOSE_NONE)
	{
		pool_slot_close(pool, slot, slot->close_reason, false);
		return false;
	}
	if (slot->opened != 0 &&
		pool_lifetime_phase(pool, slot, pool_clock_us()) == POOL_LIFETIME_OVER)
	{
		pool_lifetime_close(pool, slot);
		return false;
	}
	if (pool->waiter_head == POOL_NONE || pool->pause != POOL_PAUSE_NONE)
	{
		pool_slot_move(pool, slot, POOL_SLOT_IDLE);
		return false;
	}
	grant_to_first(pool, slot, wake);
	return true;
}

/*
 * Grants what is idle to the sessions that wait, at the end of a pause.  Takes
 * the lock, anew for each.
 */
void
pool_queue_serve(Pool *pool)
{
	PoolSessionRef wake;
	bool served;

	do
	{
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		served = pool->pause == POOL_PAUSE_NONE &&
				 pool->idle_head != POOL_NONE && pool->waiter_head != POOL_NONE;
		if (served)
			grant_to_first(pool, &pool_shmem_slots[pool->idle_head], &wake);
		LWLockRelease(&pool->lock);
		if (served)
			pool_wake_session(&wake);
	} while (served);
}

/*
 * The work of pool_queue_release(); returns true with the session in *wake if
 * one was granted the slot.
 */
static bool
release_locked(Pool *pool, PoolSlot *slot, PoolCondition condition,
			   PoolCloseReason reason, PoolSessionRef *wake)
{
	if (condition == POOL_CONDITION_SILENT)
		pool_slot_give_up(pool, slot, reason);
	else if (slot->close_reason != POOL_CLOSE_NONE ||
			 pool_queue_closes(condition))
		pool_slot_close(pool, slot, reason, condition == POOL_CONDITION_BUSY);
	else if (condition == POOL_CONDITION_IN_TRANSACTION ||
			 (condition == POOL_CONDITION_USED && pool->options.reset_query[0]))
	{
		slot->in_transaction = (condition == POOL_CONDITION_IN_TRANSACTION);
		pool_slot_move(pool, slot, POOL_SLOT_RETURNED);
	}
	else
		return pool_queue_offer(pool, slot, wake);
	return false;
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
	PoolSessionRef wake;
	bool granted = false;
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
		granted = release_locked(pool, slot, condition, reason, &wake);
		work = slot->state == POOL_SLOT_RETURNED ||
			   slot->state == POOL_SLOT_CLOSING;
		POOL_FAULT_POINT(released_locked);
	}
	LWLockRelease(&pool->lock);

	POOL_FAULT_POINT(release_wake);
	if (granted)
		pool_wake_session(&wake);
	else if (work)
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

			dequeue(pool, waiter);
			waiter->verdict = verdict;
			wake[n++] = waiter->session;
		}
		LWLockRelease(&pool->lock);
		for (int i = 0; i < n; i++)
			pool_wake_session(&wake[i]);
	} while (n == WAKE_BATCH);
}
