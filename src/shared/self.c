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
#include "storage/ipc.h"

#include "base/compat.h"
#include "base/fault.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"

static PoolSessionRef self; /* serial 0: not made yet */

/*
 * This backend exits: from now on it does not exist for the others.  A callback
 * of its own, so that it is called even if another one fails: the worker takes
 * back what is leased to a session that does not exist.
 */
static void
forget_self(int code, Datum arg)
{
	POOL_FAULT_POINT(exit_forget);
	memset(&pool_shmem_waiters[self.procno].session, 0, sizeof(PoolSessionRef));
}

/*
 * This backend's reference, made at the first call.  What the caller does at the
 * exit of the backend is done before it is gone for the others.
 */
const PoolSessionRef *
pool_self(void)
{
	if (self.serial == 0)
	{
		self.pid = MyProcPid;
		self.procno = pool_my_procno();
		self.serial = pg_atomic_add_fetch_u64(&pool_shmem->last_session, 1);
		before_shmem_exit(forget_self, (Datum) 0);
		pool_shmem_waiters[self.procno].session = self;
	}
	return &self;
}

/* Does that session exist still?  The reference may come from anywhere. */
bool
pool_self_exists(const PoolSessionRef *session)
{
	const PoolSessionRef *entry;

	if (session->procno < 0 || session->procno >= pool_shmem->nsessions)
		return false;
	entry = &pool_shmem_waiters[session->procno].session;
	return entry->serial == session->serial && entry->pid == session->pid;
}
