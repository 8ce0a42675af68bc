/*
 * affinity.c
 *		Which idle connection a session takes.
 *
 * A connection that goes to another session needs a handover, and its session
 * one on another connection, whose session the next, and so on.  So a session
 * takes
 *
 *	1. the one that it was the last to use, in the same role;
 *	2. else one that nobody will come back for: of the most recently used ones
 *	   one whose last user has ended, or that had none;
 *	3. else the one that was not used for the longest time.
 *
 * If even that one was in use a moment ago, and the session had had another one
 * before, then the pool has fewer connections than its sessions would keep busy.
 * It takes it all the same, so nobody ever waits beside an idle connection, but
 * asks for another one to be opened, if there is room: that costs once what the
 * handovers cost again and again.
 *
 * No search is longer than the session's cache of copies.  All here needs the
 * pool's lock.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/affinity.h"
#include "shared/shmem.h"

/* How many of the most recently used ones are looked at for the second rule. */
#define LOOK_AT 4

/* Whose user comes back within that time gets another connection in its place. */
#define RECENT_US (10 * POOL_CLOCK_US_PER_MS)

/* Is that copy one of an idle connection that needs no handover? */
static bool
is_own(const PoolAcquireRequest *request, int slot, uint64 generation)
{
	return pool_slot_is(&pool_shmem_slots[slot], request->pool, generation,
						POOL_SLOT_IDLE) &&
		   pool_slot_was_used_by(&pool_shmem_slots[slot], pool_self()->serial,
								 request->role);
}

/* Is that copy one of a connection of this pool? */
static bool
is_of_pool(const PoolAcquireRequest *request, int slot, uint64 generation)
{
	return pool_shmem_slots[slot].pool == pool_index(request->pool) &&
		   pg_atomic_read_u64(&pool_shmem_slots[slot].generation) == generation;
}

/* The idle slot that this session was the last to use, in its role; or POOL_NONE. */
int
pool_affinity_own(const PoolAcquireRequest *request)
{
	POOL_ASSERT_LOCKED(request->pool);
	return request->find_copy(is_own, request);
}

/* May the last user come back for its connection? */
static bool
has_living_user(const PoolSlot *slot)
{
	PoolUser user = slot->last_user;

	return user.session != 0 &&
		   pool_shmem_waiters[user.procno].session.serial == user.session;
}

/* The idle slot that suits best; there must be one. */
PoolSlot *
pool_affinity_choose(const PoolAcquireRequest *request)
{
	const Pool *pool = request->pool;
	int own = pool_affinity_own(request);
	int index = pool->idle_head;

	if (own != POOL_NONE)
		return &pool_shmem_slots[own];
	for (int n = 0; n < LOOK_AT && index != POOL_NONE; n++)
	{
		PoolSlot *slot = &pool_shmem_slots[index];

		if (!has_living_user(slot))
			return slot;
		index = slot->next;
	}
	return &pool_shmem_slots[pool->idle_tail];
}

/*
 * The session is about to take that slot.  Asks for another connection if that
 * pays; returns true if the worker is to be woken for it.
 */
bool
pool_affinity_ask_for_another(const PoolAcquireRequest *request,
							  const PoolSlot *slot, int64 now)
{
	Pool *pool = request->pool;

	POOL_ASSERT_LOCKED(pool);
	if (now - slot->returned >= RECENT_US || !has_living_user(slot) ||
		slot->last_user.session == pool_self()->serial || pool->prewarm > 0 ||
		pool->nslots[POOL_SLOT_CONNECTING] > 0 || pool->failures > 0 ||
		pool->limited_by != POOL_LIMIT_NONE ||
		pool_slot_count_limited(pool) >= pool->limit ||
		request->find_copy(is_of_pool, request) == POOL_NONE)
		return false;
	pool->prewarm = pool_slot_count_live(pool) + 1;
	return true;
}
