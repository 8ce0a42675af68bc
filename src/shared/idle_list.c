/*
 * idle_list.c
 *		The idle slots of a pool, in the order of their last release: the newest
 *		at Pool.idle_head, the one that was not used for the longest time at
 *		Pool.idle_tail.
 *
 * pool_slot_move() alone puts slots in and takes them out, under the pool's
 * lock.  A slot that was just released or opened is the newest, and goes to the
 * head without a search.  A check is no use, so a slot that comes back from one
 * goes where it was; it is searched for from the tail, since what is checked was
 * idle for long.  Only where many are checked at once, each 30 seconds by
 * default, is that search a long one.
 */
#include "postgres.h"

#include "shared/idle_list.h"
#include "shared/shmem.h"

/* Whether a was released later than b. */
static bool
is_newer(int a, const PoolSlot *b)
{
	return pool_shmem_slots[a].returned > b->returned;
}

/* Puts the slot behind "before"; POOL_NONE: at the head. */
static void
insert_after(Pool *pool, PoolSlot *slot, int before)
{
	int index = pool_slot_index(slot);
	int after =
		before == POOL_NONE ? pool->idle_head : pool_shmem_slots[before].next;

	slot->prev = before;
	slot->next = after;
	if (before == POOL_NONE)
		pool->idle_head = index;
	else
		pool_shmem_slots[before].next = index;
	if (after == POOL_NONE)
		pool->idle_tail = index;
	else
		pool_shmem_slots[after].prev = index;
}

/*
 * Adds a slot at its place; "checked" says where to begin the search.  Needs the
 * lock.
 */
void
pool_idle_list_add(Pool *pool, PoolSlot *slot, bool checked)
{
	int before = POOL_NONE;

	POOL_ASSERT_LOCKED(pool);
	if (checked)
	{
		before = pool->idle_tail;
		while (before != POOL_NONE && !is_newer(before, slot))
			before = pool_shmem_slots[before].prev;
	}
	else
	{
		int after = pool->idle_head;

		for (; after != POOL_NONE && is_newer(after, slot);
			 after = pool_shmem_slots[after].next)
			before = after;
	}
	insert_after(pool, slot, before);
}

/* Takes a slot out.  Needs the lock. */
void
pool_idle_list_remove(Pool *pool, PoolSlot *slot)
{
	POOL_ASSERT_LOCKED(pool);
	if (slot->prev != POOL_NONE)
		pool_shmem_slots[slot->prev].next = slot->next;
	else
		pool->idle_head = slot->next;
	if (slot->next != POOL_NONE)
		pool_shmem_slots[slot->next].prev = slot->prev;
	else
		pool->idle_tail = slot->prev;
	slot->prev = slot->next = POOL_NONE;
}
