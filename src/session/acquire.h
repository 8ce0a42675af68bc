/*
 * acquire.h
 *		From a server's name, or a connection string, to a leased slot.
 */
#ifndef POOL_ACQUIRE_H
#define POOL_ACQUIRE_H

#include "lib/ilist.h"

#include "base/compat.h"
#include "options/target.h"
#include "session/locate.h"
#include "shared/pool.h"
#include "shared/queue.h"

typedef enum PoolAcquireStep
{
	POOL_ACQUIRE_STEP_GRANTED, /* request->slot is leased to this session */
	POOL_ACQUIRE_STEP_WAITING, /* in the queue */
	POOL_ACQUIRE_STEP_FAILED   /* pool_acquire_raise() says why */
} PoolAcquireStep;

/*
 * An acquire under way; a session may have several.  The caller fills in the first
 * five fields, and keeps all of it where it is until the acquire is over.
 * request->slot is POOL_NONE; request->waiter is a place of its own, or NULL, which
 * is the session's: for one acquire at a time.
 */
typedef struct PoolAcquire
{
	PoolWanted wanted;
	PoolTarget *target;
	int64 timeout_ms; /* as in pool_acquire_deadline() */
	int64 started;	  /* when the caller began to wait, pool_clock_us() */
	PoolAcquireRequest *request;

	/* Its state. */
	int64 deadline;			   /* pool_clock_us() */
	bool queued;			   /* stands in the queue, and is in the list, by */
	dlist_node node;		   /* this */
	bool last_attempt;		   /* the deadline is over */
	PoolAcquireResult failure; /* FAILED: why; WAIT is that time is over */
} PoolAcquire;

extern int64 pool_acquire_deadline(const PoolTarget *target, int64 timeout_ms,
								   int64 started);
extern void pool_acquire_begin(PoolAcquire *acquire);
extern PoolAcquireStep pool_acquire_step(PoolAcquire *acquire,
										 int64 *look_again);
extern void pool_acquire_leave(PoolAcquire *acquire);
pg_noreturn extern void pool_acquire_raise(const PoolAcquire *acquire);
extern void pool_acquire_abandon(void);
extern int64 pool_acquire_slot(const PoolWanted *wanted, PoolTarget *target,
							   int64 timeout_ms, int64 started,
							   PoolAcquireRequest *request);
extern Pool *pool_acquire_configured(const char *server_name, PoolTarget *target,
									 int64 deadline, uint64 *pool_id);

#endif /* POOL_ACQUIRE_H */
