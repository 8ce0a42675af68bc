/*
 * conn.h
 *		The connections as the worker holds them.
 *
 * Everything here is memory of the worker alone.
 */
#ifndef POOL_CONN_H
#define POOL_CONN_H

#include "libpq-fe.h"
#include "storage/latch.h"

#include "shared/pool.h"
#include "shared/slot.h"
#include "worker/addresses.h"
#include "worker/cancel.h"
#include "worker/libpq_trace.h"
#include "worker/loop.h"
#include "worker/relay.h"

/* What the worker is doing with a connection. */
typedef enum PoolTask
{
	POOL_TASK_NONE,	   /* there is none in this slot */
	POOL_TASK_WATCH,   /* nothing: only watch for its end */
	POOL_TASK_LOOK_UP, /* the addresses of its hosts; no PGconn yet */
	POOL_TASK_CONNECT,
	POOL_TASK_RESET, /* RESETTING and CHECKING */
	POOL_TASK_CLOSE
} PoolTask;

#define POOL_NTASKS (POOL_TASK_CLOSE + 1)

/* The sockets that belong to a connection. */
typedef enum PoolSocket
{
	POOL_SOCKET_REMOTE,
	POOL_SOCKET_CANCEL, /* of a cancel request */
	POOL_SOCKET_SESSION /* of a relay */
} PoolSocket;

#define POOL_NSOCKETS (POOL_SOCKET_SESSION + 1)

typedef struct PoolConn
{
	PGconn *pg;
	Pool *pool;
	PoolSlot *slot;
	uint64 generation;
	PoolTask task;
	int64 deadline; /* of the task, pool_clock_us() */
	bool eof;		/* seen its end; not watched any more */

	PoolAddresses *addresses; /* while connecting */
	int address;			  /* the one being tried, -1: not known */
	PoolConnectError silence; /* of those that did not answer */
	PoolLibpqTrace trace;	  /* while connecting */
	PoolCancelKey key;		  /* how to cancel a statement on it */
	PoolCancel cancel;		  /* one under way, while closing */
	uint32 watched_cancel;	  /* its serial */
	bool cancels;			  /* closing: a statement may be running */
	bool terminated;		  /* closing: nothing more is sent */
	int syncs_left;			  /* while resetting */
	bool health_check;		  /* and that is what it is */
	PoolRelay relay;		  /* once connected, if encrypted */

	PoolWatch watches[POOL_NSOCKETS];
} PoolConn;

extern void pool_conn_init(void);
extern void pool_conn_ignore_notice(void *arg, const PGresult *res);
extern PoolConn *pool_conn_of(const PoolSlot *slot);
extern PoolConn *pool_conn_open(Pool *pool, PoolSlot *slot);
extern void pool_conn_disconnect(PoolConn *conn);
extern void pool_conn_watch(PoolConn *conn, PoolSocket which, pgsocket sock,
							uint32 events);
extern void pool_conn_watch_remote(PoolConn *conn, uint32 events);
extern void pool_conn_watch_relay(PoolConn *conn);
extern void pool_conn_stand_by(PoolConn *conn);
extern void pool_conn_free(PoolConn *conn);
extern void pool_conn_begin(PoolConn *conn, PoolTask task, int64 timeout_ms);

#endif /* POOL_CONN_H */
