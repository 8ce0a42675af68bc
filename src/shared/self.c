/*
 * self.c
 *		Which session this is, and whether another one still exists.
 *
 * Each backend has an entry in shared memory, found by its procno.  It writes
 * its own reference there when it first uses the pool, and takes it out when
 * it exits.  Others read the entry without a lock: a reference that is only
 * half there compares unequal, as that of an ended session does.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"

/* This backend's reference, made at the first call. */
const PoolSessionRef *
pool_self(void)
{
	static PoolSessionRef self;

	if (self.serial == 0)
	{
		self.pid = MyProcPid;
		self.procno = pool_my_procno();
		self.serial = pg_atomic_add_fetch_u64(&pool_shmem->last_session, 1);
		pool_shmem_waiters[self.procno].session = self;
	}
	return &self;
}

/* This backend exits: from now on it does not exist for the others. */
void
pool_self_forget(void)
{
	memset(&pool_shmem_waiters[pool_self()->procno].session, 0,
		   sizeof(PoolSessionRef));
}

/* Does that session exist still?  The reference may come from anywhere. */
bool
pool_self_exists(const PoolSessionRef *session)
{
	const PoolSessionRef *entry;

	if (session->procno < 0 || session->procno >= pool_shmem->nwaiters)
		return false;
	entry = &pool_shmem_waiters[session->procno].session;
	return entry->serial == session->serial && entry->pid == session->pid;
}
