/*
 * waiters.h
 *		The sessions that wait for a pool's connections.
 */
#ifndef POOL_WAITERS_H
#define POOL_WAITERS_H

#include "shared/pool.h"
#include "shared/self.h"

typedef enum PoolVerdict
{
	POOL_VERDICT_NONE,	  /* not waiting, or still waiting */
	POOL_VERDICT_GRANTED, /* the slot is leased to this session */
	POOL_VERDICT_FAILED,  /* no connection can be had: last_error */
	POOL_VERDICT_RETRY	  /* the pool changed: look again */
} PoolVerdict;

/*
 * A place in a queue: one for each backend, by procno, and then one for each
 * request (request_entry.h), so that a session can wait for several connections
 * at once.  "session" is written by the backend alone that the place is of: in its
 * own when it first uses the pool and when it exits, in a request's when it takes
 * and frees it, and never in a queue.  The rest is under the lock of the pool that
 * is waited for.
 */
typedef struct PoolWaiter
{
	PoolSessionRef session;
	int pool; /* POOL_NONE: in no queue */
	int prev;
	int next;
	Oid role; /* the session's, for which it waits */
	int64 since;
	int priority;	   /* the higher, the sooner */
	bool armed;		   /* will look by itself when a rest is over; tenure.c */
	uint64 rests_seen; /* Pool.rests when it looked last */
	PoolVerdict verdict;
	int slot;		   /* GRANTED */
	uint64 generation; /* of its connection then; the lease may be reclaimed */
} PoolWaiter;

extern void pool_waiters_add(Pool *pool, PoolWaiter *waiter);
extern void pool_waiters_remove(Pool *pool, PoolWaiter *waiter);
extern PoolWaiter *pool_waiters_first(const Pool *pool);

#endif /* POOL_WAITERS_H */
