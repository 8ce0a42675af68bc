/*
 * waits.h
 *		What pg_stat_activity shows while a process waits here.
 */
#ifndef POOL_WAITS_H
#define POOL_WAITS_H

typedef enum PoolWait
{
	POOL_WAIT_ACQUIRE, /* for a connection */
	POOL_WAIT_CONNECT, /* for the worker to hand one over */
	POOL_WAIT_QUERY,   /* for the first answer to a statement */
	POOL_WAIT_FETCH,   /* for more rows of a result */
	POOL_WAIT_PREWARM,
	POOL_WAIT_DRAIN,
	POOL_WAIT_WORKER /* the worker, for something to do */
} PoolWait;

#define POOL_NWAITS (POOL_WAIT_WORKER + 1)

extern uint32 pool_wait_event(PoolWait wait);

#endif /* POOL_WAITS_H */
