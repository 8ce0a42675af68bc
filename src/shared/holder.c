/*
 * holder.c
 *		What the session that has a lease tells of it: who it is, when it uses
 *		the connection, and for how long a request may go on by itself.
 *
 * The worker asks, to find leases that last too long (worker/overdue.c).
 *
 * Statements are many, so they are told without the pool's lock.  The lease may
 * be reclaimed at any time, and the slot have another connection and another
 * holder soon; so PoolSlot.statement changes by compare-and-exchange, from what
 * it must be while the lease lasts:
 *
 *		2 * generation		no statement is running
 *		2 * generation + 1	one is running
 *		0					none may begin: the lease is reclaimed
 *
 * A reclaim ends the connection's generation.  A session that has lost its lease
 * therefore changes nothing; and of a statement that begins and a reclaim
 * because none is running only one comes about.
 *
 * PoolSlot.attended changes in the same way: it has the generation's last bits, so
 * that whoever has lost the lease does not bound another's, and a time in ms.
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/holder.h"
#include "shared/pool.h"
#include "shared/self.h"
#include "shared/shmem.h"

/* The parts of PoolSlot.attended; so many ms are 34 years. */
#define TIME_BITS 40
#define TIME_MASK ((UINT64CONST(1) << TIME_BITS) - 1)

/*
 * Notes who has this session's lease of the slot, unless that has ended.  Takes
 * the lock.
 */
void
pool_holder_note(int slot_index, uint64 generation, const PoolHolder *holder)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	int place = slot->pool;
	Pool *pool;

	if (place == POOL_NONE)
		return;
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool_slot_is(slot, pool, generation, POOL_SLOT_LEASED) &&
		slot->owner.serial == pool_self()->serial)
		slot->holder = *holder;
	LWLockRelease(&pool->lock);
}

/*
 * The session begins a statement on the slot that is leased to it.  Returns
 * false if the lease was reclaimed: then it must not.
 */
bool
pool_holder_begin_statement(int slot, uint64 generation)
{
	uint64 idle = 2 * generation;

	return pg_atomic_compare_exchange_u64(&pool_shmem_slots[slot].statement,
										  &idle, 2 * generation + 1);
}

/* No statement is running on the slot any more; so its lease is unused now. */
void
pool_holder_end_statement(int slot_index, uint64 generation)
{
	PoolSlot *slot = &pool_shmem_slots[slot_index];
	uint64 running = 2 * generation + 1;

	/* First, since the worker must not see an old time without a statement. */
	if (pg_atomic_read_u64(&slot->statement) == running)
		pg_atomic_write_u64(&slot->last_use, (uint64) pool_clock_us());
	(void) pg_atomic_compare_exchange_u64(&slot->statement, &running,
										  2 * generation);
}

/*
 * No statement begins on the leased slot any more.  Returns false if one is
 * running.  Needs the pool's lock.
 */
bool
pool_holder_bar_statements(PoolSlot *slot)
{
	uint64 idle = 2 * pg_atomic_read_u64(&slot->generation);

	return pg_atomic_compare_exchange_u64(&slot->statement, &idle, 0);
}

/*
 * For how long the leased slot was not used, in microseconds: since the end of
 * the lease's last statement, or its beginning.  0 while a statement is running.
 * Needs the pool's lock, or a copy of the slot that was made under it.
 */
int64
pool_holder_unused_us(const PoolSlot *slot, int64 now)
{
	PoolSlot *unlocked = unconstify(PoolSlot *, slot);
	uint64 running = 2 * pg_atomic_read_u64(&unlocked->generation) + 1;

	if (pg_atomic_read_u64(&unlocked->statement) == running)
		return 0;
	pg_read_barrier(); /* the time after the state, as they are written */
	return now -
		   Max((int64) pg_atomic_read_u64(&unlocked->last_use), slot->since);
}

/* A lease of the slot begins, without a bound.  Needs the pool's lock. */
void
pool_holder_begin_lease(PoolSlot *slot)
{
	pg_atomic_write_u64(&slot->attended, pg_atomic_read_u64(&slot->generation)
											 << TIME_BITS);
}

/*
 * The session looks after the request that runs on its lease (until is 0), or will
 * not do so from now on: if it is not back by then, pool_clock_us(), the worker
 * reclaims the lease.  Returns false if the connection is gone already.
 */
bool
pool_holder_attend(int slot, uint64 generation, int64 until)
{
	pg_atomic_uint64 *attended = &pool_shmem_slots[slot].attended;
	uint64 lease = generation << TIME_BITS;
	uint64 ms = (uint64) (until / POOL_CLOCK_US_PER_MS) & TIME_MASK;
	uint64 before = pg_atomic_read_u64(attended);

	return (before & ~TIME_MASK) == lease &&
		   pg_atomic_compare_exchange_u64(attended, &before, lease | ms);
}

/*
 * Until when the request on the leased slot may go on by itself, pool_clock_us(); 0:
 * there is no bound.  Needs the pool's lock.
 */
int64
pool_holder_attended_until(const PoolSlot *slot)
{
	PoolSlot *unlocked = unconstify(PoolSlot *, slot);

	return (int64) (pg_atomic_read_u64(&unlocked->attended) & TIME_MASK) *
		   POOL_CLOCK_US_PER_MS;
}
