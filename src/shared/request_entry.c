/*
 * request_entry.c
 *		The requests of all sessions, as others see them, and their places in
 *		queues.
 *
 * A session takes an entry when it sends a request, notes each change of its state,
 * and frees it with the request; the view copies all of them.  That is under
 * request_lock, which is held for nothing else.
 *
 * Nothing here raises an error, so an entry can be freed on any way out.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "shared/request_entry.h"
#include "shared/shmem.h"

/* The name that views and functions use. */
const char *
pool_request_entry_state_name(PoolRequestState state)
{
	static const char *const names[] = {
		[POOL_REQUEST_WAITING] = "waiting",
		[POOL_REQUEST_RUNNING] = "running",
		[POOL_REQUEST_READY] = "ready",
		[POOL_REQUEST_FAILED] = "failed",
		[POOL_REQUEST_CANCELLED] = "cancelled",
	};

	Assert((size_t) state < lengthof(names));
	return names[state];
}

/* The entry's place in queues. */
PoolWaiter *
pool_request_entry_waiter(const PoolRequestEntry *entry)
{
	return &pool_shmem_waiters[pool_shmem->nsessions +
							   (entry - pool_shmem_requests)];
}

/*
 * An entry for a new request of this session, which is waiting; NULL: none is free.
 * The id comes from PoolShmem.last_request.  Takes the lock.
 */
PoolRequestEntry *
pool_request_entry_take(uint64 id, const char *server, Oid userid)
{
	const PoolSessionRef *self = pool_self();
	PoolRequestEntry *entry = NULL;
	NameData name = {0};

	Assert(id != 0);
	memcpy(NameStr(name), server,
		   pg_mbcliplen(server, (int) strlen(server), NAMEDATALEN - 1));
	LWLockAcquire(&pool_shmem->request_lock, LW_EXCLUSIVE);
	if (pool_shmem->free_request != POOL_NONE)
	{
		entry = &pool_shmem_requests[pool_shmem->free_request];
		Assert(entry->id == 0);
		pool_shmem->free_request = entry->next;
		entry->next = POOL_NONE;
		entry->state = POOL_REQUEST_WAITING;
		entry->since = pool_clock_us();
		entry->session = *self;
		entry->database = MyDatabaseId;
		entry->userid = userid;
		entry->encoding = GetDatabaseEncoding();
		entry->server = name;
		pool_request_entry_waiter(entry)->session = *self;
		entry->id = id;
	}
	LWLockRelease(&pool_shmem->request_lock);
	return entry;
}

/* The request is in that state from now on.  Takes the lock. */
void
pool_request_entry_note(PoolRequestEntry *entry, PoolRequestState state)
{
	LWLockAcquire(&pool_shmem->request_lock, LW_EXCLUSIVE);
	Assert(entry->id != 0 && entry->session.serial == pool_self()->serial);
	entry->state = state;
	entry->since = pool_clock_us();
	LWLockRelease(&pool_shmem->request_lock);
}

/*
 * The request is no more.  Its acquire, if there was one, has left the queue
 * (pool_acquire_leave), so that a slot which came in the last moment is known.  Takes
 * the lock.
 */
void
pool_request_entry_free(PoolRequestEntry *entry)
{
	PoolWaiter *waiter = pool_request_entry_waiter(entry);

	Assert(waiter->pool == POOL_NONE);
	LWLockAcquire(&pool_shmem->request_lock, LW_EXCLUSIVE);
	Assert(entry->id != 0 && entry->session.serial == pool_self()->serial);
	memset(&waiter->session, 0, sizeof(waiter->session));
	entry->id = 0;
	entry->next = pool_shmem->free_request;
	pool_shmem->free_request = (int) (entry - pool_shmem_requests);
	LWLockRelease(&pool_shmem->request_lock);
}

/*
 * Copies all requests that there are, of all sessions and databases, and returns
 * how many; there must be room for PoolShmem.nrequests.  Takes the lock.
 */
int
pool_request_entry_copy(PoolRequestEntry *copies)
{
	int n = 0;

	LWLockAcquire(&pool_shmem->request_lock, LW_SHARED);
	for (int i = 0; i < pool_shmem->nrequests; i++)
	{
		if (pool_shmem_requests[i].id != 0)
			copies[n++] = pool_shmem_requests[i];
	}
	LWLockRelease(&pool_shmem->request_lock);
	return n;
}
