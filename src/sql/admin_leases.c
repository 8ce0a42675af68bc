/*
 * admin_leases.c
 *		The SQL functions by which an administrator ends what sessions do with
 *		their leases: pool_cancel() and pool_reclaim().
 *
 * They name a session or a slot, of any pool and database.  The install script
 * revokes them from PUBLIC.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "shared/pool.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "sql/args.h"
#include "sql/encoding.h"

PG_FUNCTION_INFO_V1(pool_sql_cancel);
PG_FUNCTION_INFO_V1(pool_sql_reclaim);

/*
 * The pool of a slot, with its lock held exclusively; NULL, and no lock, if the
 * slot is not in use.
 */
static Pool *
lock_pool_of(const PoolSlot *slot)
{
	int place = slot->pool;
	Pool *pool;

	if (place == POOL_NONE)
		return NULL;
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (slot->pool == place)
		return pool;
	LWLockRelease(&pool->lock);
	return NULL;
}

/*
 * Reclaims the lease of a slot, in any database; the number is that of view
 * pool_connections.  Returns whether it was leased.  Raises 22023 if there is no
 * slot of that number.
 */
Datum
pool_sql_reclaim(PG_FUNCTION_ARGS)
{
	PoolSlot *slot;
	Pool *pool;
	NameData server_name;
	int encoding;
	bool leased;
	int pid;
	int number;

	pool_args_refuse_null(fcinfo, 0, "slot");
	number = PG_GETARG_INT32(0);
	if (number < 0 || number >= pool_shmem->nslots)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("slot %d does not exist", number),
				 errdetail("Slots are numbered from 0 to %d.",
						   pool_shmem->nslots - 1),
				 errhint(
					 "Look up the number in column \"slot\" of view \"pool_connections\".")));
	slot = &pool_shmem_slots[number];
	pool = lock_pool_of(slot);
	if (pool == NULL)
		PG_RETURN_BOOL(false);
	leased = slot->state == POOL_SLOT_LEASED;
	pid = slot->owner.pid;
	server_name = pool->server_name;
	encoding = pool->encoding;
	if (leased)
		pool_slot_reclaim(pool, slot, POOL_CLOSE_RECLAIMED);
	LWLockRelease(&pool->lock);
	if (leased)
	{
		pool_wake_worker(pool);
		ereport(LOG,
				(errmsg("connection %d of pool for server \"%s\" was reclaimed from process %d "
						"by pool_reclaim()",
						number,
						pool_encoding_here(NameStr(server_name), encoding),
						pid)));
	}
	PG_RETURN_BOOL(leased);
}

/* Whether that process holds a lease, of any pool. */
static bool
holds_lease(int pid)
{
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];
		Pool *pool = lock_pool_of(slot);
		bool found;

		if (pool == NULL)
			continue;
		found = slot->state == POOL_SLOT_LEASED && slot->owner.pid == pid;
		LWLockRelease(&pool->lock);
		if (found)
			return true;
	}
	return false;
}

/*
 * Cancels the statement of a session that holds a lease, here and on the remote;
 * returns false if it holds none.  The lease may end before the cancel arrives,
 * as a statement may with pg_cancel_backend(), whose privileges it asks for and
 * whose errors it raises.
 */
Datum
pool_sql_cancel(PG_FUNCTION_ARGS)
{
	pool_args_refuse_null(fcinfo, 0, "pid");
	if (!holds_lease(PG_GETARG_INT32(0)))
		PG_RETURN_BOOL(false);
	PG_RETURN_DATUM(DirectFunctionCall1(pg_cancel_backend, PG_GETARG_DATUM(0)));
}
