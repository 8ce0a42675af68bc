/*
 * conns.h
 *		The connections as the worker holds them, and what it waits for.
 *
 * Everything here is memory of the worker alone.
 */
#ifndef POOL_CONNS_H
#define POOL_CONNS_H

#include "cancel.h"
#include "libpq-fe.h"
#include "shmem.h"
#include "storage/latch.h"

/* What the worker is doing with a connection. */
typedef enum PoolTask
{
	POOL_TASK_WATCH, /* nothing: only watch for its end */
	POOL_TASK_CONNECT,
	POOL_TASK_RESET, /* RESETTING and CHECKING */
	POOL_TASK_CLOSE
} PoolTask;

typedef struct PoolConn
{
	PGconn *pg; /* NULL: no connection in this slot */
	Pool *pool;
	PoolSlot *slot;
	uint64 generation;
	PoolTask task;
	int64 deadline; /* of the task, pool_clock_us() */
	bool eof;		/* seen its end; not watched any more */

	PoolTrace trace;   /* while connecting */
	PoolCancelKey key; /* how to cancel a statement on it */
	PoolCancel cancel; /* one under way, while closing */
	bool cancels;	   /* closing: a statement may be running */
	int syncs_left;	   /* while resetting */

	/* What is waited for: on the remote's socket and on the cancel's. */
	uint32 events;
	uint32 watched_events;
	pgsocket watched_sock;
	int position;
	uint32 watched_cancel; /* its serial */
} PoolConn;

extern void pool_conns_init(pgsocket listener);
extern void pool_conns_stop_requests(void);
extern PoolConn *pool_conn_of(const PoolSlot *slot);
extern PoolConn *pool_conn_open(Pool *pool, PoolSlot *slot, PGconn *pg);
extern void pool_conn_watch(PoolConn *conn, uint32 events);
extern void pool_conn_forget(PoolConn *conn);
extern void pool_conn_task(PoolConn *conn, PoolTask task, int64 timeout_ms);
extern int pool_conns_wait(int64 timeout_ms, bool *request, PoolConn **ready,
						   int nready);
extern void pool_wake_later(int64 when);
extern int64 pool_next_wake(void);

#endif /* POOL_CONNS_H */
