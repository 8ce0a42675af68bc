/*
 * wait_event.c
 *		What pg_stat_activity shows while a process waits here.
 *
 * Servers before version 17 know one wait event, "Extension", for all
 * extensions.
 */
#include "postgres.h"

#include "utils/wait_event.h"

#include "base/compat.h"
#include "base/wait_event.h"

/*
 * Makes a wait event of that name; where other extensions have left no room
 * for one more, the event of all extensions is used.
 */
static uint32
make_event(const char *name)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 event = PG_WAIT_EXTENSION;

	PG_TRY();
	{
		event = pool_new_wait_event(name);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return event;
}

/*
 * The wait event for WaitLatch() and its like.  Not to be called under a lock:
 * the first call in a process may take one of the server's.  Raises nothing.
 */
uint32
pool_wait_event(PoolWaitEvent wait)
{
	static const char *const names[POOL_NWAIT_EVENTS] = {
		[POOL_WAIT_ACQUIRE] = "PoolAcquire",
		[POOL_WAIT_CONNECT] = "PoolConnect",
		[POOL_WAIT_QUERY] = "PoolQuery",
		[POOL_WAIT_FETCH] = "PoolFetch",
		[POOL_WAIT_REQUEST] = "PoolRequest",
		[POOL_WAIT_PREWARM] = "PoolPrewarm",
		[POOL_WAIT_DRAIN] = "PoolDrain",
		[POOL_WAIT_WORKER] = "PoolWorkerMain",
	};
	static uint32 events[POOL_NWAIT_EVENTS];

	if (events[wait] == 0)
		events[wait] = make_event(names[wait]);
	return events[wait];
}
