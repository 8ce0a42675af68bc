/*
 * wake.c
 *		Setting the latches of sessions and workers.
 *
 * A wake-up only says "look again": what there is to see is in shared memory,
 * under the pool's lock.  One too many does no harm.  Nothing here needs a
 * lock; latches are set after locks were released where that can be.
 */
#include "postgres.h"

#include "storage/latch.h"
#include "storage/proc.h"

#include "shared/shmem.h"
#include "shared/wake.h"

/*
 * Wakes a session.  A latch outlives its process, and a spurious wake-up does
 * no harm, so the session may have ended meanwhile.
 */
void
pool_wake_session(const PoolSessionRef *session)
{
	SetLatch(&ProcGlobal->allProcs[session->procno].procLatch);
}

/* Notes a session that is to be woken; to be called under a lock. */
void
pool_wake_add(PoolWakes *wakes, const PoolSessionRef *session)
{
	Assert(wakes->n < POOL_MAX_WAKES);
	wakes->sessions[wakes->n++] = *session;
}

/* Wakes them; to be called without the lock. */
void
pool_wake_sessions(const PoolWakes *wakes)
{
	for (int i = 0; i < wakes->n; i++)
		pool_wake_session(&wakes->sessions[i]);
}

static void
wake_worker(int worker)
{
	int procno = (int) pg_atomic_read_u32(&pool_shmem->worker_procno[worker]);

	if (procno != POOL_NONE)
		SetLatch(&ProcGlobal->allProcs[procno].procLatch);
}

/* Wakes the pool's worker, if it runs. */
void
pool_wake_worker(const Pool *pool)
{
	wake_worker(pool_worker_number(pool));
}

/*
 * The pool wants a slot, and there is none for it: its worker is to be woken
 * when one is free.  Needs the registry's lock.
 */
void
pool_wake_mark_starved(const Pool *pool)
{
	pg_atomic_fetch_or_u32(&pool_shmem->starved,
						   (uint32) 1 << pool_worker_number(pool));
}

/*
 * A slot has become free: wakes the workers that want one.  To be called
 * without the registry's lock, under which they said so.
 */
void
pool_wake_starved(void)
{
	uint32 starved = pg_atomic_exchange_u32(&pool_shmem->starved, 0);

	for (int i = 0; i < pool_shmem->nworkers; i++)
	{
		if (starved & ((uint32) 1 << i))
			wake_worker(i);
	}
}
