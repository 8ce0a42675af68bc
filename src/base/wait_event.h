/*
 * wait_event.h
 *		What pg_stat_activity shows while a process waits here.
 */
#ifndef POOL_WAIT_EVENT_H
#define POOL_WAIT_EVENT_H

typedef enum PoolWaitEvent
{
	POOL_WAIT_ACQUIRE, /* for a connection */
	POOL_WAIT_CONNECT, /* for the worker to hand one over */
	POOL_WAIT_QUERY,   /* for the first answer to a statement */
	POOL_WAIT_FETCH,   /* for more rows of a result */
	POOL_WAIT_REQUEST, /* for any of several requests */
	POOL_WAIT_PREWARM, /* for the connections that pool_prewarm() opens */
	POOL_WAIT_DRAIN,   /* for those that pool_drain() closes */
	POOL_WAIT_WORKER   /* the worker, for something to do */
} PoolWaitEvent;

#define POOL_NWAIT_EVENTS (POOL_WAIT_WORKER + 1)

extern uint32 pool_wait_event(PoolWaitEvent wait);

#endif /* POOL_WAIT_EVENT_H */
