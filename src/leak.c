/*
 * leak.c
 *		A lease that is held for too long, in the worker.
 *
 * The janitor finds it and marks the slot.  Who has it, and where he took it,
 * was noted when the lease began (pool_lease_sign).
 */
#include "postgres.h"

#include "utils/backend_status.h"

#include "closer.h"
#include "compat.h"
#include "leak.h"
#include "slot.h"

/*
 * Says who holds a connection for too long, and takes it away from him if it
 * is still his and not in use.
 */
void
pool_leak_report(Pool *pool, PoolSlot *slot, bool reclaim)
{
	PoolSlot copy;
	const char *activity;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	copy = *slot;
	reclaim = reclaim && slot->state == POOL_SLOT_LEASED && slot->leaked &&
			  !slot->running;
	if (reclaim)
	{
		pool_slot_revoke(pool, slot, POOL_CLOSE_RECLAIMED);
		pool_stats_add(&pool->stats, POOL_COUNT_LEAKS_RECLAIMED, 1);
	}
	LWLockRelease(&pool->lock);
	if (!copy.leaked)
		return; /* it was returned this very moment */

	activity = pgstat_get_backend_current_activity(copy.owner.pid, false);
	ereport(LOG,
			(errmsg("connection %d of pool for server \"%s\" is leased for %d seconds by process %d",
					pool_slot_index(slot), NameStr(pool->server_name),
					(int) ((pool_clock_us() - copy.since) / 1000000),
					copy.owner.pid),
			 OidIsValid(copy.holder.userid)
				 ? errdetail("Role \"%s\", application \"%s\", last query: %s",
							 NameStr(copy.holder.user),
							 NameStr(copy.holder.application), activity)
				 : errdetail("Last query: %s", activity),
			 reclaim ? errhint("It is taken away (leak_action).") : 0,
			 copy.holder.context[0] ? errcontext("%s", copy.holder.context) : 0));
	if (reclaim)
		pool_closer_begin(slot);
}
