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
#include "shared/waiters.h"
#include "shared/wake.h"

struct PoolAcquireRequest;

/* Does the copy suit that this session has of the connection in that slot? */
typedef bool (*PoolCopySuits)(const struct PoolAcquireRequest *request,
							  int slot, uint64 generation);

/* What a session wants, and what it got. */
typedef struct PoolAcquireRequest
{
	Pool *pool;
	uint64 pool_id;
	Oid role; /* the session's local role, for which it acquires */
	int priority;
	PoolStamp stamp;
	PoolWaiter *waiter; /* its place in the queue, if it has to wait */
	int64 started;		/* pool_clock_us() when the wait began */

	/*
	 * Finds the first copy of a connection, of those that this session has, that
	 * suits; returns its slot, or POOL_NONE.  Called under the pool's lock: no
	 * palloc, no error.
	 */
	int (*find_copy)(PoolCopySuits suits,
					 const struct PoolAcquireRequest *request);

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

/*
 * In which condition a lease leaves its connection.
 *
 * UNREAD may be said of a connection only if
 *
 *	1. what runs changes nothing: nobody will know whether it came to its end;
 *	2. a Sync or a simple Query is the last that was sent, and all of it is out;
 *	3. no cancel request is on its way;
 *	4. the reset query is DISCARD ALL, which sets back what a statement may have set:
 *	   what the remote reports of that, nobody reads.
 *
 * How much of the answer the session has read does not matter: drain.c looks for the
 * end of the rest, wherever that begins.  Who sets PoolLease.unwanted sees to the
 * first three; that all is out, and to the fourth, lease.c looks itself.
 */
typedef enum PoolCondition
{
	POOL_CONDITION_UNTOUCHED,	   /* nothing was sent in the lease */
	POOL_CONDITION_CLEAN,		   /* as good as new, or safe with a proof */
	POOL_CONDITION_USED,		   /* session state may be left in it */
	POOL_CONDITION_IN_TRANSACTION, /* a transaction is open in it */
	POOL_CONDITION_UNREAD,		   /* nobody wants what runs in it */
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

/* Is the copy that the session has of such a connection of no use any more? */
static inline bool
pool_queue_spoils(PoolCondition condition)
{
	return pool_queue_closes(condition) || condition == POOL_CONDITION_UNREAD;
}

extern PoolAcquireResult pool_queue_acquire(PoolAcquireRequest *request);
extern PoolVerdict pool_queue_verdict(PoolAcquireRequest *request,
									  int64 *look_again);
extern PoolVerdict pool_queue_leave(PoolAcquireRequest *request);
extern void pool_queue_offer(Pool *pool, PoolSlot *slot, PoolWakes *wakes);
extern void pool_queue_release(int slot, uint64 generation,
							   PoolCondition condition, PoolCloseReason reason,
							   const PoolUser *user);
extern void pool_queue_doubt(Pool *pool, uint64 pool_id, int64 since);
extern void pool_queue_serve(Pool *pool);
extern void pool_queue_tell(Pool *pool, PoolVerdict verdict);

#endif /* POOL_QUEUE_H */
