/*
 * waiters.c
 *		The sessions that wait for a pool's connections, in the order in which
 *		they are served.
 *
 * A list through PoolWaiter from Pool.waiter_head to Pool.waiter_tail, under the
 * pool's lock; pool_queue_...() alone puts sessions in and takes them out.
 */
#include "postgres.h"

#include "shared/shmem.h"
#include "shared/waiters.h"

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
void
pool_waiters_add(Pool *pool, PoolWaiter *waiter)
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
void
pool_waiters_remove(Pool *pool, PoolWaiter *waiter)
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

/* The waiter that is served next; NULL: nobody waits.  Needs the lock. */
PoolWaiter *
pool_waiters_first(const Pool *pool)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return pool->waiter_head != POOL_NONE
			   ? &pool_shmem_waiters[pool->waiter_head]
			   : NULL;
}
