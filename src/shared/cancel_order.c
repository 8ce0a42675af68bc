/*
 * cancel_order.c
 *		A session's order to cancel what runs on its lease, which it keeps.
 *
 * The session places it and waits on its latch; the worker, which has the key,
 * takes it, sends a cancel request (worker/cancel_leased.c), and finishes it.
 *
 *		NONE, SENT, FAILED -> PLACED -> TAKEN -> SENT or FAILED
 *
 * An order that is placed while an earlier one is TAKEN, whose session was
 * interrupted in its wait, is one more: what comes of the earlier one is nothing to it.
 *
 * Nobody can tell when the remote acts on a cancel request.  So the connection is
 * retired in the same step as the order is placed: from then on it serves this lease
 * alone, whatever becomes of the order, its session or the worker.
 *
 * All of it is done under the pool's lock.
 */
#include "postgres.h"

#include "base/fault.h"
#include "shared/cancel_order.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/wake.h"

/* Is that this session's lease?  Needs the pool's lock. */
static bool
is_mine(const PoolSlot *slot, const Pool *pool, uint64 generation)
{
	return pool_slot_is(slot, pool, generation, POOL_SLOT_LEASED) &&
		   slot->owner.serial == pool_self()->serial;
}

/*
 * Places an order for this session's lease of the slot, and wakes the worker.  Returns
 * false if the lease has ended.  Takes the lock.
 */
bool
pool_cancel_order_place(int slot_index, uint64 generation)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	int place = slot->pool;
	Pool *pool;
	bool mine;

	if (place == POOL_NONE)
		return false;
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	mine = is_mine(slot, pool, generation);
	if (mine)
	{
		pool_slot_retire(pool, slot, POOL_CLOSE_CANCELED);
		POOL_FAULT_POINT(cancel_placed_locked);
		slot->cancel_order = POOL_CANCEL_ORDER_PLACED;
	}
	LWLockRelease(&pool->lock);
	if (mine)
		pool_wake_worker(pool);
	return mine;
}

/*
 * What has become of the order for this session's lease?  FAILED if the lease or its
 * connection has ended meanwhile, by the end of the worker, too.  Takes the lock.
 */
PoolCancelOrder
pool_cancel_order_look(int slot_index, uint64 generation)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	int place = slot->pool;
	PoolCancelOrder order = POOL_CANCEL_ORDER_FAILED;
	Pool *pool;

	if (place == POOL_NONE)
		return order;
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_SHARED);
	if (is_mine(slot, pool, generation) &&
		(slot->cancel_order == POOL_CANCEL_ORDER_SENT || !slot->remote_closed))
		order = slot->cancel_order;
	LWLockRelease(&pool->lock);
	return order;
}

/* The worker takes the order, if there is one.  Needs the pool's lock. */
bool
pool_cancel_order_take(Pool *pool, PoolSlot *slot)
{
	POOL_ASSERT_LOCKED(pool);
	if (slot->state != POOL_SLOT_LEASED ||
		slot->cancel_order != POOL_CANCEL_ORDER_PLACED)
		return false;
	slot->cancel_order = POOL_CANCEL_ORDER_TAKEN;
	return true;
}

/*
 * The worker is done with the order that it has taken: tells the session.  Takes the
 * lock.
 */
void
pool_cancel_order_finish(Pool *pool, PoolSlot *slot, bool sent)
{
	PoolWakes wakes = {0};

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (slot->state == POOL_SLOT_LEASED &&
		slot->cancel_order == POOL_CANCEL_ORDER_TAKEN)
	{
		slot->cancel_order =
			sent ? POOL_CANCEL_ORDER_SENT : POOL_CANCEL_ORDER_FAILED;
		POOL_FAULT_POINT(cancel_told_locked);
		pool_wake_add(&wakes, &slot->owner);
	}
	LWLockRelease(&pool->lock);
	pool_wake_sessions(&wakes);
}
