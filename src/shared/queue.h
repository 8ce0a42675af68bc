/*
 * queue.h
 *		Acquiring a slot, waiting for one in order, releasing it.
 */
#ifndef POOL_QUEUE_H
#define POOL_QUEUE_H

#include "options/target.h"
#include "shared/limit.h"
#include "shared/pool.h"
#include "shared/self.h"
#include "shared/slot.h"
#include "shared/stats.h"

typedef enum PoolVerdict
{
	POOL_VERDICT_NONE,	  /* not waiting, or still waiting */
	POOL_VERDICT_GRANTED, /* the slot is leased to this session */
	POOL_VERDICT_FAILED,  /* no connection can be had: last_error */
	POOL_VERDICT_RETRY	  /* the pool changed: look again */
} PoolVerdict;

/*
 * A backend's place in a queue; one for each backend, by procno.  "session"
 * is written by that backend alone, when it first uses the pool and when it
 * exits.  The rest is under the lock of the pool that is waited for.
 */
typedef struct PoolWaiter
{
	PoolSessionRef session;
	int pool; /* POOL_NONE: in no queue */
	int prev;
	int next;
	Oid role; /* the session's, for which it waits */
	int64 since;
	int priority; /* the higher, the sooner */
	PoolVerdict verdict;
	int slot; /* GRANTED */
} PoolWaiter;

/* What a session wants, and what it got. */
typedef struct PoolAcquireRequest
{
	Pool *pool;
	uint64 pool_id;
	Oid role; /* the session's local role, for which it acquires */
	int priority;
	PoolStamp stamp;
	int64 started; /* pool_clock_us() when the wait began */

	/*
	 * Asks whether this session still has an open copy of the connection in
	 * that slot.  Called under the pool's lock: no palloc, no error.
	 */
	bool (*has_copy)(int slot, uint64 generation);

	int slot;		   /* out */
	uint64 generation; /* out */
	PoolLimit limit;   /* out, of a wait that was left: what it waited for */
} PoolAcquireRequest;

typedef enum PoolAcquireResult
{
	POOL_ACQUIRE_GRANTED,
	POOL_ACQUIRE_WAIT,		   /* in the queue now; the latch tells more */
	POOL_ACQUIRE_UNCONFIGURED, /* the worker needs these options first */
	POOL_ACQUIRE_PAUSED,	 /* and whoever wants a connection gets an error */
	POOL_ACQUIRE_STALE,		 /* another pool has that place: look it up */
	POOL_ACQUIRE_QUEUE_FULL, /* max_waiters wait already */
	POOL_ACQUIRE_FAILED		 /* no connection can be had: last_error */
} PoolAcquireResult;

/* In which condition a lease leaves its connection. */
typedef enum PoolCondition
{
	POOL_CONDITION_UNTOUCHED,	   /* nothing was sent in the lease */
	POOL_CONDITION_CLEAN,		   /* as good as new, or safe with a proof */
	POOL_CONDITION_USED,		   /* session state may be left in it */
	POOL_CONDITION_IN_TRANSACTION, /* a transaction is open in it */
	POOL_CONDITION_BROKEN,		   /* not to be used again */
	POOL_CONDITION_BUSY,		   /* the same, and a statement is running */
	POOL_CONDITION_SILENT		   /* the same, and the remote did not answer
									* within the time it has */
} PoolCondition;

/* Must a connection in that condition be closed? */
static inline bool
pool_queue_closes(PoolCondition condition)
{
	return condition == POOL_CONDITION_BROKEN ||
		   condition == POOL_CONDITION_BUSY ||
		   condition == POOL_CONDITION_SILENT;
}

extern PoolAcquireResult pool_queue_acquire(PoolAcquireRequest *request);
extern PoolVerdict pool_queue_verdict(PoolAcquireRequest *request);
extern PoolVerdict pool_queue_leave(PoolAcquireRequest *request);
extern bool pool_queue_offer(Pool *pool, PoolSlot *slot, PoolSessionRef *wake);
extern void pool_queue_release(int slot, uint64 generation,
							   PoolCondition condition, PoolCloseReason reason,
							   const PoolUser *user);
extern void pool_queue_doubt(Pool *pool, uint64 pool_id, int64 since);
extern void pool_queue_serve(Pool *pool);
extern void pool_queue_tell(Pool *pool, PoolVerdict verdict);

#endif /* POOL_QUEUE_H */
