/*
 * shmem.c
 *		Reserves and lays out the shared memory; wakes its users.
 *
 * The layout is fixed when the server starts: pool.max_pools pools,
 * pool.max_connections slots, pool.max_requests requests, one waiter for each
 * backend and each request.  A crash of any backend makes the server start again
 * with everything FREE and zero.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "shared/hedge.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/request_entry.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

PoolShmem *pool_shmem = NULL;
Pool *pool_shmem_pools = NULL;
PoolSlot *pool_shmem_slots = NULL;
PoolWaiter *pool_shmem_waiters = NULL;
PoolRequestEntry *pool_shmem_requests = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static int
count_waiters(void)
{
	return MaxBackends + pool_guc_max_requests;
}

static Size
shmem_size(void)
{
	Size size = MAXALIGN(sizeof(PoolShmem));

	size = add_size(size, MAXALIGN(mul_size(pool_guc_max_pools, sizeof(Pool))));
	size = add_size(size, MAXALIGN(mul_size(pool_guc_max_connections,
											sizeof(PoolSlot))));
	size =
		add_size(size, MAXALIGN(mul_size(count_waiters(), sizeof(PoolWaiter))));
	return add_size(size, MAXALIGN(mul_size(pool_guc_max_requests,
											sizeof(PoolRequestEntry))));
}

static void
shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(shmem_size());
}

static void
init_pools(int registry_tranche, int pool_tranche)
{
	LWLockInitialize(&pool_shmem->registry_lock, registry_tranche);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		memset(pool, 0, sizeof(Pool));
		LWLockInitialize(&pool->lock, pool_tranche);
		ConditionVariableInit(&pool->changed);
		pool_stats_init(&pool->stats);
		pg_atomic_init_u32(&pool->statements_lost, 0);
		pg_atomic_init_u32(&pool->hedge_credit, 0);
		pool_hedge_init(pool);
		pool->idle_head = pool->idle_tail = POOL_NONE;
		pool->waiter_head = pool->waiter_tail = POOL_NONE;
	}
}

static void
init_slots(void)
{
	pool_shmem->free_head = 0;
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		memset(slot, 0, sizeof(PoolSlot));
		pg_atomic_init_u64(&slot->generation, 0);
		pg_atomic_init_u64(&slot->statement, 0);
		pg_atomic_init_u64(&slot->last_use, 0);
		pg_atomic_init_u64(&slot->attended, 0);
		slot->pool = slot->prev = POOL_NONE;
		slot->next = (i + 1 < pool_shmem->nslots) ? i + 1 : POOL_NONE;
	}
}

static void
init_waiters(void)
{
	for (int i = 0; i < pool_shmem->nwaiters; i++)
	{
		PoolWaiter *waiter = &pool_shmem_waiters[i];

		memset(waiter, 0, sizeof(PoolWaiter));
		waiter->pool = waiter->prev = waiter->next = POOL_NONE;
	}
}

static void
init_requests(int request_tranche)
{
	LWLockInitialize(&pool_shmem->request_lock, request_tranche);
	pool_shmem->free_request = POOL_NONE;
	for (int i = pool_shmem->nrequests - 1; i >= 0; i--)
	{
		memset(&pool_shmem_requests[i], 0, sizeof(PoolRequestEntry));
		pool_shmem_requests[i].next = pool_shmem->free_request;
		pool_shmem->free_request = i;
	}
}

/*
 * How many of our workers the postmaster will start; RegisterBackgroundWorker()
 * does not tell.
 */
static int
count_workers(void)
{
	PoolWorkerIter iter;
	int n = 0;

	pool_foreach_worker(iter)
	{
		if (strcmp(pool_worker_entry(iter)->rw_worker.bgw_function_name,
				   "pool_worker_main") == 0)
			n++;
	}
	if (n < pool_guc_workers)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("only %d of %d pool workers can run", n,
						pool_guc_workers),
				 errhint("Raise max_worker_processes, or lower pool.workers.")));
	return Max(n, 1);
}

static void
init_shared(void)
{
	pool_shmem->last_pool_id = 0;
	pg_atomic_init_u64(&pool_shmem->last_session, 0);
	pg_atomic_init_u64(&pool_shmem->last_lease, 0);
	pg_atomic_init_u64(&pool_shmem->last_request, 0);
	pg_atomic_init_u64(&pool_shmem->last_generation, 0);
	pg_atomic_init_u32(&pool_shmem->starved, 0);
	pg_atomic_init_u32(&pool_shmem->was_started, 0);
	pg_atomic_init_u32(&pool_shmem->check_failed, 0);
	for (int i = 0; i < POOL_MAX_WORKERS; i++)
		pg_atomic_init_u32(&pool_shmem->worker_procno[i], (uint32) POOL_NONE);

	ConditionVariableInit(&pool_shmem->worker_started);
	pool_shmem->nworkers = count_workers();
	pool_shmem->npools = pool_guc_max_pools;
	pool_shmem->nslots = pool_guc_max_connections;
	pool_shmem->nsessions = MaxBackends;
	pool_shmem->nrequests = pool_guc_max_requests;
	pool_shmem->nwaiters = count_waiters();
	if (!pg_strong_random(pool_shmem->statement_key, POOL_STATEMENT_KEY_LEN))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random number")));
}

static void
shmem_startup(void)
{
	bool found;
	char *base;
	static int registry_tranche;
	static int pool_tranche;
	static int request_tranche;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	base = ShmemInitStruct("pool", shmem_size(), &found);
	pool_shmem = (PoolShmem *) base;
	base += MAXALIGN(sizeof(PoolShmem));
	pool_shmem_pools = (Pool *) base;
	base += MAXALIGN(mul_size(pool_guc_max_pools, sizeof(Pool)));
	pool_shmem_slots = (PoolSlot *) base;
	base += MAXALIGN(mul_size(pool_guc_max_connections, sizeof(PoolSlot)));
	pool_shmem_waiters = (PoolWaiter *) base;
	base += MAXALIGN(mul_size(count_waiters(), sizeof(PoolWaiter)));
	pool_shmem_requests = (PoolRequestEntry *) base;

	if (!found)
	{
		registry_tranche = LWLockNewTrancheId();
		pool_tranche = LWLockNewTrancheId();
		request_tranche = LWLockNewTrancheId();
		init_shared();
		init_pools(registry_tranche, pool_tranche);
		init_slots();
		init_waiters();
		init_requests(request_tranche);
	}
	LWLockRegisterTranche(registry_tranche, "PoolRegistry");
	LWLockRegisterTranche(pool_tranche, "Pool");
	LWLockRegisterTranche(request_tranche, "PoolRequests");
	LWLockRelease(AddinShmemInitLock);
}

/* From _PG_init() in the postmaster. */
void
pool_shmem_install_hooks(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
}
