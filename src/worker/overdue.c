/*
 * overdue.c
 *		Leases that last too long, in the worker.
 *
 *	- One that was not used for longer than leak_threshold is leaked: that is
 *	  logged, once, and the lease is reclaimed if leak_action says so.
 *	- One on which a request runs whose session has not been back in time
 *	  (pool.request_timeout) is reclaimed.
 *
 * The janitor asks under the pool's lock what a lease is.  What is done about it
 * is decided anew, since the session may use or release it at any time.
 */
#include "postgres.h"

#include "utils/backend_status.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/holder.h"
#include "shared/stats.h"
#include "worker/closer.h"
#include "worker/overdue.h"

/* What is a lease that lasts too long, and is not dealt with?  Needs the lock. */
PoolOverdue
pool_overdue_decide(const Pool *pool, const PoolSlot *slot, int64 now)
{
	int threshold = pool->options.leak_threshold;
	int64 until;

	POOL_ASSERT_LOCKED(pool);
	if (slot->state != POOL_SLOT_LEASED)
		return POOL_OVERDUE_NONE;
	until = pool_holder_attended_until(slot);
	if (until != 0 && now >= until)
		return POOL_OVERDUE_UNATTENDED;
	if (threshold > 0 && !slot->leaked &&
		pool_holder_unused_us(slot, now) >= pool_clock_from_ms(threshold))
		return POOL_OVERDUE_LEAKED;
	return POOL_OVERDUE_NONE;
}

/*
 * Logs which session holds a connection and does not use it.  "lease" is the slot
 * as it was under the lock, at that time.
 */
static void
log_leak(const Pool *pool, int slot, const PoolSlot *lease, int64 now)
{
	int leased = (int) ((now - lease->since) / POOL_CLOCK_US_PER_S);
	int unused = (int) (pool_holder_unused_us(lease, now) / POOL_CLOCK_US_PER_S);
	const PoolHolder *holder = &lease->holder;
	const char *query =
		pgstat_get_backend_current_activity(lease->owner.pid, false);

	ereport(LOG,
			(errmsg("connection %d of pool for server \"%s\" has been leased "
					"for %d %s and unused for %d %s by process %d",
					slot, NameStr(pool->server_name), leased,
					leased == 1 ? "second" : "seconds", unused,
					unused == 1 ? "second" : "seconds", lease->owner.pid),
			 OidIsValid(holder->userid)
				 ? errdetail("The session has role \"%s\" and application name "
							 "\"%s\"; its last query was: %s",
							 NameStr(holder->user),
							 NameStr(holder->application), query)
				 : errdetail("The last query of the session was: %s", query),
			 holder->context[0] ? errcontext("%s", holder->context) : 0));
}

/* Logs that a lease was reclaimed, by which setting, and hands it to the closer. */
static void
close_reclaimed(const Pool *pool, PoolSlot *slot, int pid, const char *setting)
{
	ereport(LOG, (errmsg("connection %d of pool for server \"%s\" was reclaimed "
						 "from process %d by %s",
						 pool_slot_index(slot), NameStr(pool->server_name), pid,
						 setting)));
	pool_closer_begin(slot);
}

/*
 * Notes that a lease is leaked, and reclaims it if it is to be, unless it was
 * released or used meanwhile; then logs that.
 */
void
pool_overdue_handle(Pool *pool, PoolSlot *slot, bool reclaim_leaks)
{
	int64 now = pool_clock_us();
	PoolSlot lease;
	PoolOverdue overdue = POOL_OVERDUE_NONE;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (slot->pool == pool_index(pool))
		overdue = pool_overdue_decide(pool, slot, now);
	if (overdue == POOL_OVERDUE_LEAKED && reclaim_leaks &&
		!pool_holder_bar_statements(slot))
		overdue = POOL_OVERDUE_NONE;
	lease = *slot;
	if (overdue == POOL_OVERDUE_UNATTENDED)
		pool_slot_reclaim(pool, slot, POOL_CLOSE_UNATTENDED);
	else if (overdue == POOL_OVERDUE_LEAKED)
	{
		pool_slot_note_leaked(pool, slot);
		if (reclaim_leaks)
		{
			pool_slot_reclaim(pool, slot, POOL_CLOSE_RECLAIMED);
			pool_stats_add(&pool->stats, POOL_COUNT_LEAKS_RECLAIMED, 1);
		}
	}
	LWLockRelease(&pool->lock);
	if (overdue == POOL_OVERDUE_NONE)
		return;

	POOL_FAULT_POINT(janitor_reclaimed);
	if (overdue == POOL_OVERDUE_LEAKED)
		log_leak(pool, pool_slot_index(slot), &lease, now);
	if (overdue == POOL_OVERDUE_UNATTENDED)
		close_reclaimed(pool, slot, lease.owner.pid, "pool.request_timeout");
	else if (reclaim_leaks)
		close_reclaimed(pool, slot, lease.owner.pid, "leak_action");
}
