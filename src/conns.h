/*
 * conns.h
 *		The connections as the worker holds them, and what it waits for.
 *
 * Everything here is memory of the worker alone.
 */
#ifndef POOL_CONNS_H
#define POOL_CONNS_H

#include "addresses.h"
#include "cancel.h"
#include "libpq-fe.h"
#include "relay.h"
#include "shmem.h"
#include "storage/latch.h"

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

/* The sockets that belong to a connection. */
typedef enum PoolSocket
{
	POOL_SOCKET_REMOTE,
	POOL_SOCKET_CANCEL, /* of a cancel request */
	POOL_SOCKET_SESSION /* of a relay */
} PoolSocket;

#define POOL_NSOCKETS (POOL_SOCKET_SESSION + 1)

struct PoolConn;

/* What is waited for on one of them. */
typedef struct PoolWatch
{
	struct PoolConn *conn;
	pgsocket sock; /* PGINVALID_SOCKET, or events 0: nothing */
	uint32 events;
	int position; /* in the wait set, -1: not there */
} PoolWatch;

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
	PoolTrace trace;		  /* while connecting */
	PoolCancelKey key;		  /* how to cancel a statement on it */
	PoolCancel cancel;		  /* one under way, while closing */
	uint32 watched_cancel;	  /* its serial */
	bool cancels;			  /* closing: a statement may be running */
	bool said_goodbye;		  /* closing: nothing more is sent */
	int syncs_left;			  /* while resetting */
	bool health_check;		  /* and that is what it is */
	PoolRelay relay;		  /* once connected, if encrypted */

	PoolWatch watches[POOL_NSOCKETS];
} PoolConn;

/* Something that happened. */
typedef struct PoolEvent
{
	PoolConn *conn;
	PoolSocket which;
	uint32 events;
} PoolEvent;

extern void pool_conns_init(pgsocket listener);
extern void pool_conns_stop_requests(void);
extern PoolConn *pool_conn_of(const PoolSlot *slot);
extern PoolConn *pool_conn_open(Pool *pool, PoolSlot *slot);
extern void pool_conn_disconnect(PoolConn *conn);
extern void pool_conn_watch(PoolConn *conn, PoolSocket which, pgsocket sock,
							uint32 events);
extern void pool_conn_watch_remote(PoolConn *conn, uint32 events);
extern void pool_conn_watch_relay(PoolConn *conn);
extern void pool_conn_rest(PoolConn *conn);
extern void pool_conn_forget(PoolConn *conn);
extern void pool_conn_task(PoolConn *conn, PoolTask task, int64 timeout_ms);
extern int pool_conns_wait(bool *request, PoolEvent *ready, int nready);
extern void pool_wake_later(int64 when);
extern bool pool_wake_due(void);

#endif /* POOL_CONNS_H */
