/*
 * free_list.c
 *		The slots that are FREE, for any pool.
 *
 * The list begins at PoolShmem.free_head, in no order, and is the registry lock's; a
 * slot is also under its pool's lock from when it is claimed.
 */
#include "postgres.h"

#include "shared/free_list.h"
#include "shared/shmem.h"

/*
 * Takes a FREE slot for a new connection of the pool; NULL if all are in use.
 * Needs both locks.
 */
PoolSlot *
pool_free_list_claim(Pool *pool)
{
	PoolSlot *slot;

	POOL_ASSERT_REGISTRY_LOCKED();

	if (pool_shmem->free_head == POOL_NONE)
		return NULL;
	slot = &pool_shmem_slots[pool_shmem->free_head];
	pool_shmem->free_head = slot->next;
	slot->prev = slot->next = POOL_NONE;
	slot->pool = pool_index(pool);
	pg_atomic_write_u64(&slot->generation,
						pg_atomic_add_fetch_u64(&pool_shmem->last_generation, 1));
	slot->last_user.session = 0;
	pool_prepared_forget(slot);
	slot->uses = 0;
	slot->opened = slot->returned = slot->heard = 0;
	slot->tenure_end = slot->rest_end = 0;
	slot->jitter = 0;
	slot->retry = pool->failures > 0;
	if (slot->retry)
		pool_stats_add(&pool->stats, POOL_COUNT_RETRIES, 1);
	slot->used = slot->in_transaction = slot->unread = false;
	slot->remote_closed = false;
	slot->cancel = slot->reclaimed = slot->silent = false;
	slot->cancel_order = POOL_CANCEL_ORDER_NONE;
	slot->close_reason = POOL_CLOSE_NONE;
	slot->remote_pid = 0;
	slot->remote_address[0] = '\0';
	slot->tls_version[0] = slot->tls_cipher[0] = '\0';
	pool_slot_move(pool, slot, POOL_SLOT_CONNECTING);
	return slot;
}

/*
 * The connection is closed: the place is free for any pool.  Needs both locks;
 * call pool_wake_starved() after releasing them.
 */
void
pool_free_list_add(Pool *pool, PoolSlot *slot)
{
	POOL_ASSERT_REGISTRY_LOCKED();

	pool_slot_move(pool, slot, POOL_SLOT_FREE);
	pg_atomic_write_u64(&slot->generation, 0);
	slot->pool = POOL_NONE;
	slot->next = pool_shmem->free_head;
	pool_shmem->free_head = pool_slot_index(slot);
}
