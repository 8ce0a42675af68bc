/*
 * slot.c
 *		The states of a slot.
 *
 * Every move is made by pool_slot_move(), under the pool's lock.  It keeps
 * the number of slots in each state, the idle list and the counters of leases
 * in step, so that at any moment
 *
 *		acquires = releases + lost + slots LEASED
 *		connects = closed + slots that are usable
 */
#include "postgres.h"

#include "base/clock.h"
#include "shared/demand.h"
#include "shared/holder.h"
#include "shared/idle_list.h"
#include "shared/pool.h"
#include "shared/slot.h"
#include "shared/tenure.h"

#define TO(state) (1 << (state))

static const uint32 allowed_moves[POOL_NSLOT_STATES] = {
	[POOL_SLOT_FREE] = TO(POOL_SLOT_CONNECTING),
	[POOL_SLOT_CONNECTING] =
		TO(POOL_SLOT_IDLE) | TO(POOL_SLOT_LEASED) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_IDLE] =
		TO(POOL_SLOT_LEASED) | TO(POOL_SLOT_CHECKING) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_LEASED] = TO(POOL_SLOT_IDLE) | TO(POOL_SLOT_LEASED) |
						 TO(POOL_SLOT_RETURNED) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_CHECKING] =
		TO(POOL_SLOT_IDLE) | TO(POOL_SLOT_LEASED) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_RETURNED] = TO(POOL_SLOT_RESETTING) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_RESETTING] =
		TO(POOL_SLOT_IDLE) | TO(POOL_SLOT_LEASED) | TO(POOL_SLOT_CLOSING),
	[POOL_SLOT_CLOSING] = TO(POOL_SLOT_FREE),
};

static const char *const state_names[POOL_NSLOT_STATES] = {
	[POOL_SLOT_FREE] = "free",			 [POOL_SLOT_CONNECTING] = "connecting",
	[POOL_SLOT_IDLE] = "idle",			 [POOL_SLOT_LEASED] = "leased",
	[POOL_SLOT_CHECKING] = "checking",	 [POOL_SLOT_RETURNED] = "returned",
	[POOL_SLOT_RESETTING] = "resetting", [POOL_SLOT_CLOSING] = "closing",
};

/* The name that views and messages use. */
const char *
pool_slot_state_name(PoolSlotState state)
{
	Assert(state < POOL_NSLOT_STATES);
	return state_names[state];
}

/* Counts a move in the statistics. */
static void
count_move(Pool *pool, PoolSlot *slot, PoolSlotState to, int64 now)
{
	PoolSlotState from = slot->state;

	if (from == POOL_SLOT_CONNECTING && to != POOL_SLOT_CLOSING)
	{
		pool_stats_add(&pool->stats, POOL_COUNT_CONNECTS, 1);
		pool_stats_time(&pool->stats, POOL_TIMED_CONNECT, now - slot->since);
	}
	if (from == POOL_SLOT_CONNECTING && slot->retry)
		pool_stats_add(&pool->stats,
					   to == POOL_SLOT_CLOSING ? POOL_COUNT_RETRY_FAILURES
											   : POOL_COUNT_RETRY_SUCCESSES,
					   1);
	if (from == POOL_SLOT_LEASED)
	{
		pool_stats_add(&pool->stats,
					   to == POOL_SLOT_CLOSING ? POOL_COUNT_LOST
											   : POOL_COUNT_RELEASES,
					   1);
		pool_stats_time(&pool->stats, POOL_TIMED_LEASE, now - slot->since);
	}
	if (to == POOL_SLOT_LEASED)
		pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRES, 1);
	if (to == POOL_SLOT_CLOSING && from != POOL_SLOT_CONNECTING)
	{
		pool_stats_add(&pool->stats, POOL_COUNT_CLOSED, 1);
		pg_atomic_fetch_add_u64(&pool->stats.closed[slot->close_reason], 1);
	}
}

/* Connections that a session uses, or that are made ready for the next one. */
static int
busy_slots(const Pool *pool)
{
	return pool->nslots[POOL_SLOT_LEASED] + pool->nslots[POOL_SLOT_RETURNED] +
		   pool->nslots[POOL_SLOT_RESETTING];
}

/*
 * For how long connections were busy until now, all of them together, in
 * microseconds.  Needs the lock.
 */
int64
pool_slot_busy_us(const Pool *pool, int64 now)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return pool->busy_us + busy_slots(pool) * (now - pool->busy_until);
}

/*
 * Moves a slot to another state.  A move that the table does not have means
 * that shared memory is not what every process takes it for; then the server
 * starts again with fresh shared memory, as for any such damage, rather than
 * let two processes use one connection.
 *
 * Needs the pool's lock, and the registry's as well from and to FREE.
 */
void
pool_slot_move(Pool *pool, PoolSlot *slot, PoolSlotState to)
{
	PoolSlotState from = slot->state;
	int64 now = pool_clock_us();

	POOL_ASSERT_LOCKED(pool);
	if (from == POOL_SLOT_FREE || to == POOL_SLOT_FREE)
		POOL_ASSERT_REGISTRY_LOCKED();
	Assert(slot->pool == pool_index(pool));

	if ((allowed_moves[from] & TO(to)) == 0)
		ereport(PANIC, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("pool slot %d cannot go from state %s to %s",
							   pool_slot_index(slot), pool_slot_state_name(from),
							   pool_slot_state_name(to))));

	count_move(pool, slot, to, now);
	pool->busy_us = pool_slot_busy_us(pool, now);
	pool->busy_until = now;
	if (from == POOL_SLOT_IDLE)
	{
		pool->busy_us += pool_tenure_rested_us(slot, now);
		slot->rest_end = 0;
		pool_idle_list_remove(pool, slot);
	}
	if (from != POOL_SLOT_FREE)
		pool->nslots[from]--;
	else
		pool->nplaces++;
	slot->state = to;
	slot->since = now;
	if (to != POOL_SLOT_FREE)
		pool->nslots[to]++;
	else
		pool->nplaces--;
	if (from == POOL_SLOT_CONNECTING && to != POOL_SLOT_CLOSING)
		slot->opened = slot->returned = slot->heard = slot->since;
	if (from == POOL_SLOT_LEASED)
		slot->returned = slot->since;
	if (slot->remote_closed)
	{
		pool->nremote_closed--;
		slot->remote_closed = false;
	}
	if (slot->leaked)
	{
		pool->nleaked--;
		slot->leaked = false;
	}
	if (to == POOL_SLOT_IDLE)
		pool_idle_list_add(pool, slot, from == POOL_SLOT_CHECKING);
	if (to != POOL_SLOT_LEASED)
		memset(&slot->owner, 0, sizeof(slot->owner));
}

/* Was that session in that role the last to use it, with nobody in between? */
bool
pool_slot_was_used_by(const PoolSlot *slot, uint64 session, Oid role)
{
	return slot->last_user.session == session && slot->last_user.role == role;
}

/* Gives the slot to a session in that role.  Needs the pool's lock. */
void
pool_slot_lease(Pool *pool, PoolSlot *slot, const PoolSessionRef *session,
				Oid role)
{
	pool_slot_move(pool, slot, POOL_SLOT_LEASED);
	slot->owner = *session;
	pg_atomic_write_u64(&slot->statement,
						2 * pg_atomic_read_u64(&slot->generation));
	pool_holder_begin_lease(slot);
	slot->holder.userid = InvalidOid;
	slot->holder.context[0] = '\0';
	slot->uses++;
	if (pool_slot_was_used_by(slot, session->serial, role))
		pool_stats_add(&pool->stats, POOL_COUNT_REUSED, 1);
	pool->peak_active = Max(pool->peak_active, pool->nslots[POOL_SLOT_LEASED]);
	pool_demand_note(pool);
}

/*
 * The connection is not to be leased again, for that reason, or for the one
 * that was given before: it is closed when its lease or task ends.  Needs the
 * pool's lock.
 */
void
pool_slot_retire(Pool *pool, PoolSlot *slot, PoolCloseReason reason)
{
	POOL_ASSERT_LOCKED(pool);
	if (slot->close_reason == POOL_CLOSE_NONE)
		slot->close_reason = reason;
}

/*
 * The remote has closed a connection that is LEASED, or its worker has cut it.
 * Its session will notice when it uses it; until then the slot counts neither
 * against the limit nor as one that may be released.  May be noted again.  Needs
 * the pool's lock; call pool_wake_starved() after releasing it.
 */
void
pool_slot_note_remote_closed(Pool *pool, PoolSlot *slot)
{
	Assert(slot->state == POOL_SLOT_LEASED);
	pool_slot_retire(pool, slot, POOL_CLOSE_REMOTE_CLOSED);
	if (slot->remote_closed)
		return;
	slot->remote_closed = true;
	pool->nremote_closed++;
}

/* The lease is found to be leaked, until it ends.  Needs the pool's lock. */
void
pool_slot_note_leaked(Pool *pool, PoolSlot *slot)
{
	POOL_ASSERT_LOCKED(pool);
	Assert(slot->state == POOL_SLOT_LEASED && !slot->leaked);
	slot->leaked = true;
	pool->nleaked++;
	pool_stats_add(&pool->stats, POOL_COUNT_LEAKS, 1);
}

/*
 * Leaves the slot to the worker for closing.  "cancel": its remote session is
 * still busy with a statement.  Needs the pool's lock; wake the worker after
 * releasing it.
 */
void
pool_slot_close(Pool *pool, PoolSlot *slot, PoolCloseReason reason, bool cancel)
{
	pool_slot_retire(pool, slot, reason);
	slot->cancel = cancel;
	pool_slot_move(pool, slot, POOL_SLOT_CLOSING);
}

/*
 * No connection that the pool has now is leased again: closes the idle ones,
 * and retires the others.  Needs the pool's lock; wake the worker after
 * releasing it.
 */
void
pool_slot_retire_all(Pool *pool, PoolCloseReason reason)
{
	POOL_ASSERT_LOCKED(pool);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		if (slot->pool != pool_index(pool))
			continue;
		if (slot->state == POOL_SLOT_IDLE)
			pool_slot_close(pool, slot, reason, false);
		else
			pool_slot_retire(pool, slot, reason);
	}
}

/*
 * Ends the lease of a session that may be using the connection just now: no
 * statement begins on it any more (holder.c), and the worker cuts it before it
 * does anything else with it.  Needs the pool's lock;
 * wake the worker after releasing it.
 */
void
pool_slot_reclaim(Pool *pool, PoolSlot *slot, PoolCloseReason reason)
{
	pool_slot_retire(pool, slot, reason);
	pg_atomic_write_u64(&slot->statement, 0);
	slot->reclaimed = true;
	pool_slot_close(pool, slot, reason, true);
}

/*
 * Leaves a slot for closing whose remote did not answer in time, though it was
 * given as long as it may take.  The worker does not wait for the remote's end
 * as well.  Needs the pool's lock; wake the worker after releasing it.
 */
void
pool_slot_give_up(Pool *pool, PoolSlot *slot, PoolCloseReason reason)
{
	slot->silent = true;
	pool_slot_close(pool, slot, reason, true);
}

/*
 * Closes what is idle over the limit; what is leased over it goes when it comes
 * back.  Needs the lock; wake the worker after releasing it.
 */
void
pool_slot_close_surplus(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	while (pool_slot_count_live(pool) > pool->limit &&
		   pool->idle_tail != POOL_NONE)
		pool_slot_close(pool, &pool_shmem_slots[pool->idle_tail],
						POOL_CLOSE_SURPLUS, false);
}

/*
 * Is this still that connection of that pool, in that state?  Who looks at the
 * owner, too, need not be told that it is LEASED: otherwise there is none.  Needs
 * the pool's lock.
 */
bool
pool_slot_is(const PoolSlot *slot, const Pool *pool, uint64 generation,
			 PoolSlotState state)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	return slot->pool == pool_index(pool) &&
		   pg_atomic_read_u64(unconstify(pg_atomic_uint64 *,
										 &slot->generation)) == generation &&
		   slot->state == state;
}

/*
 * Resets the counters to what there is just now, so that the sums at the top of
 * this file hold.  Needs the lock.
 */
void
pool_slot_restart_counts(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	pool->leased_at_reset = pool->nslots[POOL_SLOT_LEASED];
	pool->open_at_reset = pool_slot_count_open(pool);
	pool_stats_zero(&pool->stats);
	pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRES, pool->leased_at_reset);
	pool_stats_add(&pool->stats, POOL_COUNT_CONNECTS, pool->open_at_reset);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		if (pool_shmem_slots[i].pool == pool_index(pool) &&
			pool_shmem_slots[i].state == POOL_SLOT_CONNECTING &&
			pool_shmem_slots[i].retry)
			pool_stats_add(&pool->stats, POOL_COUNT_RETRIES, 1);
	}
	pool->peak_active = pool->nslots[POOL_SLOT_LEASED];
	pool->stats_reset = GetCurrentTimestamp();
}

/*
 * The four functions that follow only read the pool: they need its lock, or a
 * copy of it that was made under the lock.
 */

/* Connections that are usable now or after a reset. */
int
pool_slot_count_open(const Pool *pool)
{
	return pool->nslots[POOL_SLOT_IDLE] + pool->nslots[POOL_SLOT_LEASED] +
		   pool->nslots[POOL_SLOT_CHECKING] + pool->nslots[POOL_SLOT_RETURNED] +
		   pool->nslots[POOL_SLOT_RESETTING];
}

/* Of these, those that can be leased again: not closed by the remote. */
int
pool_slot_count_live(const Pool *pool)
{
	return pool_slot_count_open(pool) - pool->nremote_closed;
}

/* What counts against the limit: each may be a session on the remote. */
int
pool_slot_count_limited(const Pool *pool)
{
	return pool_slot_count_all(pool) - pool->nremote_closed;
}

/* All slots of the pool, those being opened and closed included. */
int
pool_slot_count_all(const Pool *pool)
{
	return pool->nplaces;
}
