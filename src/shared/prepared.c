/*
 * prepared.c
 *		Which statements of ours a connection has prepared.
 *
 * Data flow: a session copies the slot's list into its lease when that gets the
 * slot, changes the copy as it prepares, evicts and doubts, and stores it before
 * the lease ends.
 *
 * Locking: the list belongs to the owner of the socket.  The owner may read it
 * without a lock.  A session stores it under the pool's lock, when it has seen
 * there that the lease is still its own: one that was reclaimed must not write
 * into the slot's next connection.  The worker, which nothing takes a connection
 * from, writes without the lock.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/pool.h"
#include "shared/prepared.h"
#include "shared/self.h"
#include "shared/slot.h"

/*
 * Times of use are kept no finer than this, so that a connection that is always
 * used for the same statements has nothing to store.
 */
#define USE_GRAIN_US (POOL_CLOCK_US_PER_MS * 1000)

/* Copies the list, as far as it is filled. */
static void
copy_list(PoolPrepared *to, const PoolPrepared *from)
{
	/* Read once: after a reclaim the slot may be another connection's. */
	int count =
		Min(*(volatile const int *) &from->count, POOL_MAX_STATEMENT_CACHE);

	to->role = from->role;
	to->parts = from->parts;
	to->count = count;
	memcpy(to->entries, from->entries, sizeof(PoolPreparedEntry) * count);
}

/* Before a slot's list is loaded, there is nothing to be stored either. */
void
pool_prepared_init(PoolPreparedCopy *copy)
{
	copy->list.role = InvalidOid;
	copy->list.parts = false;
	copy->list.count = 0;
	copy->generation = 0;
	copy->known = copy->changed = copy->doubt = false;
}

/* Nothing is known to be prepared. */
void
pool_prepared_clear(PoolPreparedCopy *copy)
{
	if (copy->list.parts || copy->list.count > 0)
		copy->changed = true;
	copy->list.parts = copy->doubt = false;
	copy->list.count = 0;
}

/* The parts of the reset, and the proof's SELECT, are prepared now. */
void
pool_prepared_note_parts(PoolPreparedCopy *copy)
{
	copy->changed = copy->changed || !copy->list.parts;
	copy->list.parts = true;
}

/*
 * Copies the list of a slot of which that generation is leased to this session, in
 * that role.  The copy is empty if the list is another role's, or nothing is to be
 * prepared.
 */
void
pool_prepared_load(const PoolSlot *slot, uint64 generation, Oid role,
				   bool enabled, PoolPreparedCopy *copy)
{
	copy_list(&copy->list, &slot->prepared);
	copy->generation = generation;
	copy->changed = copy->doubt = false;
	copy->known = enabled && copy->list.role == role;
	if (!copy->known)
		pool_prepared_clear(copy);
	if (copy->list.role != role)
		copy->changed = true;
	copy->list.role = role;
}

/*
 * Puts the copy into the slot, if something has changed, the slot has the
 * connection still of which it is, and that is leased to this session.  Raises
 * nothing.  Takes the lock.
 */
void
pool_prepared_store(int slot_index, PoolPreparedCopy *copy)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	int pool_place = slot->pool;
	Pool *pool;

	if (copy->doubt)
		pool_prepared_clear(copy);
	if (!copy->changed || pool_place == POOL_NONE)
		return;
	pool = &pool_shmem_pools[pool_place];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool_slot_is(slot, pool, copy->generation, POOL_SLOT_LEASED) &&
		slot->owner.serial == pool_self()->serial)
	{
		copy_list(&slot->prepared, &copy->list);
		POOL_FAULT_POINT(prepared_stored_locked);
	}
	LWLockRelease(&pool->lock);
	copy->changed = false;
}

/*
 * Nothing is prepared, and nobody has had the connection: it is new, or the
 * worker resets it.  Called by the owner of the socket.
 */
void
pool_prepared_forget(PoolSlot *slot)
{
	slot->prepared.role = InvalidOid;
	slot->prepared.parts = false;
	slot->prepared.count = 0;
}

/* Can the reset and the proof go by name? */
bool
pool_prepared_has_parts(const PoolPreparedCopy *copy)
{
	return copy->list.parts && !copy->doubt;
}

/* So they can, and is there a statement that DISCARD ALL would throw away? */
bool
pool_prepared_is_worth_sparing(const PoolPreparedCopy *copy)
{
	return pool_prepared_has_parts(copy) && copy->list.count > 0;
}

/* Is that statement prepared?  If so it counts as used now. */
bool
pool_prepared_use(PoolPreparedCopy *copy, const PoolPreparedHash *hash)
{
	for (int i = 0; i < copy->list.count && !copy->doubt; i++)
	{
		PoolPreparedEntry *entry = &copy->list.entries[i];

		if (entry->hash.half[0] == hash->half[0] &&
			entry->hash.half[1] == hash->half[1])
		{
			int64 now = pool_clock_us();

			if (now - entry->used >= USE_GRAIN_US)
			{
				entry->used = now;
				copy->changed = true;
			}
			return true;
		}
	}
	return false;
}

/* The statement is prepared now.  There has to be room for it. */
void
pool_prepared_add(PoolPreparedCopy *copy, const PoolPreparedHash *hash)
{
	PoolPreparedEntry *entry = &copy->list.entries[copy->list.count];

	Assert(copy->list.count < POOL_MAX_STATEMENT_CACHE);
	entry->hash = *hash;
	entry->used = pool_clock_us();
	copy->list.count++;
	copy->changed = true;
}

/*
 * Takes out the statement that was not used for the longest time; the caller
 * deallocates it.
 */
PoolPreparedHash
pool_prepared_evict(PoolPreparedCopy *copy)
{
	PoolPrepared *list = &copy->list;
	int oldest = 0;
	PoolPreparedHash hash;

	Assert(list->count > 0);
	for (int i = 1; i < list->count; i++)
	{
		if (list->entries[i].used < list->entries[oldest].used)
			oldest = i;
	}
	hash = list->entries[oldest].hash;
	list->entries[oldest] = list->entries[--list->count];
	copy->changed = true;
	return hash;
}
