/*
 * waiters.h
 *		Taking a slot, waiting for one in order, giving it back.
 */
#ifndef POOL_WAITERS_H
#define POOL_WAITERS_H

#include "shmem.h"

/* What a session wants, and what it got. */
typedef struct PoolRequest
{
	Pool *pool;
	uint64 pool_id;
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
	int64 idle_us;	   /* out: how long it had lain idle */
} PoolRequest;

typedef enum PoolTake
{
	POOL_TAKE_GRANTED,
	POOL_TAKE_WAIT,			/* in the queue now; the latch tells more */
	POOL_TAKE_UNCONFIGURED, /* the worker needs these options first */
	POOL_TAKE_PAUSED,		/* and whoever wants a connection gets an error */
	POOL_TAKE_GONE,			/* another pool has that place: look it up */
	POOL_TAKE_FULL,			/* max_waiters wait already */
	POOL_TAKE_FAILED		/* no connection can be had: last_error */
} PoolTake;

typedef enum PoolReturn
{
	POOL_RETURN_CLEAN,	  /* as good as new, or safe with a proof */
	POOL_RETURN_RESET,	  /* session state may be left in it */
	POOL_RETURN_ROLLBACK, /* a transaction is open in it */
	POOL_RETURN_BROKEN,	  /* to be closed */
	POOL_RETURN_BUSY	  /* the same, and a statement is running */
} PoolReturn;

extern PoolTake pool_take(PoolRequest *request);
extern PoolVerdict pool_wait_verdict(PoolRequest *request);
extern PoolVerdict pool_wait_leave(PoolRequest *request);
extern bool pool_offer(Pool *pool, PoolSlot *slot, PoolSessionRef *wake);
extern void pool_give_back(int slot, uint64 generation, PoolReturn how,
						   PoolCloseReason reason);
extern void pool_waiters_serve(Pool *pool);
extern void pool_waiters_tell(Pool *pool, PoolVerdict verdict);

extern const PoolSessionRef *pool_session_self(void);

#endif /* POOL_WAITERS_H */
