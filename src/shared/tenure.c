/*
 * tenure.c
 *		For how long a session goes on with a connection while others wait.
 *
 * A handover costs a sleep, a wake-up and a reset.  So a session that is granted a
 * slot has a tenure: until that is over it may lease the slot again though others
 * wait.  Between two leases the slot rests: it is IDLE, and kept for its last user,
 * in the same role, who needs neither reset nor proof.  It rests only if that
 * session has used to come back within a fraction of a millisecond; any other
 * release gives the slot to the first waiter at once.
 *
 * What bounds the wait of the first waiter:
 *
 *	- A tenure is between MIN_TENURE_US and MAX_TENURE_US; the more wait for each
 *	  connection, the shorter, so that all had their turn after fairness_round.
 *	  The first release after it, if not the end of a rest, is a handover.  A
 *	  lease under way is not cut.
 *	- A rest is REST_US at most, and does not begin if the tenure ends before.
 *	  When it is over the slot goes to the first waiter: by whoever comes by
 *	  under the lock, or at the latest by the first waiter itself, which looks
 *	  each WATCH_US.
 *	- The tenant is never preferred to a waiter of higher priority.
 *
 * For no wake-up to be lost:
 *
 *	1. While a session waits, each IDLE slot of the pool rests, unless the pool is
 *	   paused.  Nobody joins the queue beside a slot that it might take, and what
 *	   becomes available is granted or rests.
 *	2. While a slot rests, the first waiter is armed: it is awake, or its latch is
 *	   about to be set, or it sleeps for WATCH_US at most.  Whoever has a slot
 *	   rest, or makes another waiter the first one, arms it in the same critical
 *	   section (pool_tenure_arm).
 *
 * A rest needs no end for the sake of its session: whether that waits, ends, or
 * never comes back, it is over soon.  Nor for any other: a slot that rests is
 * IDLE for whoever closes, checks or retires such slots, and for a pool that was
 * paused.  When nobody waits any more it is as good as any idle slot.
 *
 * Whether a session comes back soon is what it did before: the moving average of
 * the times between its releases and the begin of its next acquires, which is
 * this process's own.  All else here is under the pool's lock.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/shmem.h"
#include "shared/tenure.h"

#define MIN_TENURE_US (1 * POOL_CLOCK_US_PER_MS)
#define MAX_TENURE_US (10 * POOL_CLOCK_US_PER_MS)

/*
 * About what a handover takes on a machine that is at work.  A slot rests for a
 * session that comes back sooner on average, since to have the connection stand
 * still for longer does not pay; and for up to twice as long, since one that does
 * so may be late.
 */
#define SOON_US INT64CONST(500)
#define REST_US (2 * SOON_US)

/* How often the first waiter looks while slots rest; a latch knows no less. */
#define WATCH_US (1 * POOL_CLOCK_US_PER_MS)

/*
 * How soon this session comes back to the pool that it used last.  What counts
 * for more than FAR_US might hide for long that it has begun to come back sooner.
 */
#define FAR_US REST_US

static struct
{
	uint64 pool_id;
	int64 released; /* pool_clock_us(), 0: it has come back since */
	int64 gap;		/* the moving average, in microseconds */
} habit;

/*
 * The slot was just leased to a session that waited for it, or that did not have
 * it before: its turn begins.  Needs the lock.
 */
void
pool_tenure_begin(const Pool *pool, PoolSlot *slot)
{
	int connections = Max(pool_slot_count_live(pool), 1);
	int rounds = Max((pool->nwaiting + connections - 1) / connections, 1);
	int64 tenure = pool_clock_from_ms(pool->options.fairness_round) / rounds;

	POOL_ASSERT_LOCKED(pool);
	slot->tenure_end =
		slot->since + Min(Max(tenure, MIN_TENURE_US), MAX_TENURE_US);
}

/* This session acquires from the pool, for the first time at "started". */
void
pool_tenure_note_acquire(const Pool *pool, int64 started)
{
	int64 gap;

	if (habit.pool_id != pool->id || habit.released == 0)
		return;
	gap = Min(Max(started - habit.released, 0), FAR_US);
	habit.gap += (gap - habit.gap) / 4;
	habit.released = 0;
}

/* This session releases a slot of the pool.  Needs the lock. */
void
pool_tenure_note_release(const Pool *pool)
{
	if (habit.pool_id != pool->id)
	{
		habit.pool_id = pool->id;
		habit.gap = FAR_US;
	}
	habit.released = pool_clock_us();
}

/*
 * May the slot's last user lease it again, although others wait?  Needs the
 * lock.
 */
bool
pool_tenure_goes_on(const Pool *pool, const PoolSlot *slot)
{
	POOL_ASSERT_LOCKED(pool);
	return pool->options.fairness_round > 0 &&
		   pool_clock_us() < slot->tenure_end &&
		   pool_waiters_first(pool)->priority <= slot->priority;
}

/*
 * This session releases the slot, others wait, and it may go to any of them as it
 * is: is it to rest instead?  It does if this session is likely to be back soon,
 * and in its tenure; not if it is itself the one that waits first, with another
 * request.  Needs the lock.
 */
bool
pool_tenure_may_rest(const Pool *pool, const PoolSlot *slot)
{
	uint64 self = pool_self()->serial;

	return slot->last_user.session == self &&
		   pool_waiters_first(pool)->session.serial != self &&
		   habit.gap <= SOON_US &&
		   pool_clock_us() + REST_US < slot->tenure_end &&
		   pool_tenure_goes_on(pool, slot);
}

/* Has the slot rest, which is this session's.  Needs the lock. */
void
pool_tenure_rest(Pool *pool, PoolSlot *slot)
{
	pool_slot_move(pool, slot, POOL_SLOT_IDLE);
	slot->rest_end = slot->since + REST_US;
	pool->rests++;
	POOL_FAULT_POINT(rest_locked);
}

/*
 * The slot that has rested for longest, if that is over, for the first waiter;
 * else NULL.  Rests are equally long, so none is over before.  Needs the lock.
 */
PoolSlot *
pool_tenure_rested(const Pool *pool)
{
	PoolSlot *slot;

	POOL_ASSERT_LOCKED(pool);
	if (pool->waiter_head == POOL_NONE || pool->idle_tail == POOL_NONE ||
		pool->pause != POOL_PAUSE_NONE)
		return NULL;
	slot = &pool_shmem_slots[pool->idle_tail];
	if (pool_clock_us() < slot->rest_end &&
		pool_waiters_first(pool)->priority <= slot->priority)
		return NULL;
	return slot;
}

/* How long a slot that is IDLE has rested: that was use, for autoscale. */
int64
pool_tenure_rested_us(const PoolSlot *slot, int64 now)
{
	return slot->rest_end == 0 ? 0 : Min(now, slot->rest_end) - slot->since;
}

/*
 * While slots rest the first waiter must be armed: has it look again, unless it
 * does so by itself.  Needs the lock; wake who is in *wakes after releasing it.
 */
void
pool_tenure_arm(const Pool *pool, PoolWakes *wakes)
{
	PoolWaiter *first = pool_waiters_first(pool);

	POOL_ASSERT_LOCKED(pool);
	if (first == NULL || first->armed || pool->idle_tail == POOL_NONE ||
		pool->pause != POOL_PAUSE_NONE)
		return;
	first->armed = true;
	pool_wake_add(wakes, &first->session);
}

/*
 * This session waits, and is about to sleep: returns until when at most, in
 * pool_clock_us().  The first waiter stays armed where slots rest again and
 * again, or it would be woken for each rest.  Needs the lock.
 */
int64
pool_tenure_watch(const Pool *pool, PoolWaiter *me)
{
	bool resting = pool->idle_tail != POOL_NONE || pool->rests != me->rests_seen;

	POOL_ASSERT_LOCKED(pool);
	me->rests_seen = pool->rests;
	me->armed = resting && pool_waiters_first(pool) == me &&
				pool->pause == POOL_PAUSE_NONE;
	return me->armed ? pool_clock_us() + WATCH_US : PG_INT64_MAX;
}
