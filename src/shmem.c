/*
 * shmem.c
 *		Reserves and lays out the shared memory; wakes its users.
 *
 * The layout is fixed when the server starts: pool.max_pools pools,
 * pool.max_connections slots, one waiter for each backend.  A crash of any
 * backend makes the server start again with everything FREE and zero.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "guc.h"
#include "shmem.h"

PoolShared *pool_shared = NULL;
Pool *pool_pools = NULL;
PoolSlot *pool_slots = NULL;
PoolWaiter *pool_waiters = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
shmem_size(void)
{
	Size size = MAXALIGN(sizeof(PoolShared));

	size = add_size(size, MAXALIGN(mul_size(pool_guc_max_pools, sizeof(Pool))));
	size = add_size(size, MAXALIGN(mul_size(pool_guc_max_connections,
											sizeof(PoolSlot))));
	return add_size(size, MAXALIGN(mul_size(MaxBackends, sizeof(PoolWaiter))));
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
	LWLockInitialize(&pool_shared->registry_lock, registry_tranche);
	for (int i = 0; i < pool_shared->npools; i++)
	{
		Pool *pool = &pool_pools[i];

		memset(pool, 0, sizeof(Pool));
		LWLockInitialize(&pool->lock, pool_tranche);
		ConditionVariableInit(&pool->changed);
		pool_stats_init(&pool->stats);
		pool->idle_head = pool->idle_tail = POOL_NONE;
		pool->waiter_head = pool->waiter_tail = POOL_NONE;
	}
}

static void
init_slots(void)
{
	pool_shared->free_head = 0;
	for (int i = 0; i < pool_shared->nslots; i++)
	{
		PoolSlot *slot = &pool_slots[i];

		memset(slot, 0, sizeof(PoolSlot));
		pg_atomic_init_u64(&slot->generation, 0);
		slot->pool = slot->prev = POOL_NONE;
		slot->next = (i + 1 < pool_shared->nslots) ? i + 1 : POOL_NONE;
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
	pool_shared->last_pool_id = 0;
	pg_atomic_init_u64(&pool_shared->last_session, 0);
	pg_atomic_init_u64(&pool_shared->last_lease, 0);
	pg_atomic_init_u64(&pool_shared->last_generation, 0);
	pg_atomic_init_u32(&pool_shared->starved, 0);
	pg_atomic_init_u32(&pool_shared->was_started, 0);
	for (int i = 0; i < POOL_MAX_WORKERS; i++)
		pg_atomic_init_u32(&pool_shared->worker_procno[i], (uint32) POOL_NONE);

	ConditionVariableInit(&pool_shared->worker_started);
	pool_shared->nworkers = count_workers();
	pool_shared->npools = pool_guc_max_pools;
	pool_shared->nslots = pool_guc_max_connections;
	pool_shared->nwaiters = MaxBackends;
}

static void
shmem_startup(void)
{
	bool found;
	char *base;
	static int registry_tranche;
	static int pool_tranche;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	base = ShmemInitStruct("pool", shmem_size(), &found);
	pool_shared = (PoolShared *) base;
	base += MAXALIGN(sizeof(PoolShared));
	pool_pools = (Pool *) base;
	base += MAXALIGN(mul_size(pool_guc_max_pools, sizeof(Pool)));
	pool_slots = (PoolSlot *) base;
	base += MAXALIGN(mul_size(pool_guc_max_connections, sizeof(PoolSlot)));
	pool_waiters = (PoolWaiter *) base;

	if (!found)
	{
		registry_tranche = LWLockNewTrancheId();
		pool_tranche = LWLockNewTrancheId();
		init_shared();
		init_pools(registry_tranche, pool_tranche);
		init_slots();
		for (int i = 0; i < pool_shared->nwaiters; i++)
		{
			memset(&pool_waiters[i], 0, sizeof(PoolWaiter));
			pool_waiters[i].pool = POOL_NONE;
			pool_waiters[i].prev = pool_waiters[i].next = POOL_NONE;
		}
	}
	LWLockRegisterTranche(registry_tranche, "PoolRegistry");
	LWLockRegisterTranche(pool_tranche, "Pool");
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

/*
 * Wakes a session.  A latch outlives its process, and a spurious wake-up does
 * no harm, so the session may have ended meanwhile.
 */
void
pool_wake_backend(const PoolSessionRef *session)
{
	SetLatch(&ProcGlobal->allProcs[session->procno].procLatch);
}

static void
wake_worker(int worker)
{
	int procno = (int) pg_atomic_read_u32(&pool_shared->worker_procno[worker]);

	if (procno != POOL_NONE)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/* Wakes the pool's worker, if it runs. */
void
pool_wake_worker(const Pool *pool)
{
	wake_worker(pool_worker_of(pool));
}

/*
 * The pool wants a slot, and there is none for it: its worker is to be woken
 * when one is free.  Needs the registry's lock.
 */
void
pool_mark_starved(const Pool *pool)
{
	pg_atomic_fetch_or_u32(&pool_shared->starved,
						   (uint32) 1 << pool_worker_of(pool));
}

/*
 * A slot has become free: wakes the workers that want one.  To be called
 * without the registry's lock, under which they said so.
 */
void
pool_wake_starved(void)
{
	uint32 starved = pg_atomic_exchange_u32(&pool_shared->starved, 0);

	for (int i = 0; i < pool_shared->nworkers; i++)
	{
		if (starved & ((uint32) 1 << i))
			wake_worker(i);
	}
}
