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
#include "worker/answer.h"
#include "worker/cancel.h"
#include "worker/feed.h"
#include "worker/loop.h"
#include "worker/marker.h"
#include "worker/parameters.h"
#include "worker/relay.h"

/* What the worker is doing with a connection. */
typedef enum PoolTask
{
	POOL_TASK_NONE,	   /* there is no connection in this slot */
	POOL_TASK_WATCH,   /* watches for its end, or relays */
	POOL_TASK_LOOK_UP, /* looks up its hosts; no PGconn yet */
	POOL_TASK_CONNECT,
	POOL_TASK_DRAIN, /* RESETTING: reads what nobody wants, before the reset */
	POOL_TASK_RESET, /* RESETTING, or CHECKING: resets or health check */
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

/* How many bytes pool_conn_recv() reads at most. */
#define POOL_CONN_READ POOL_RELAY_RECORD

typedef struct PoolConn
{
	PGconn *pg;
	Pool *pool;
	PoolSlot *slot;
	PoolTask task;
	int64 deadline; /* of the task, pool_clock_us() */
	bool eof;		/* the remote's end was seen; not watched any more */

	/* Connecting. */
	int64 give_up; /* an attempt beside another one: when it ends at the latest,
					* pool_clock_us(); 0: it has connect_timeout for each address */
	PoolAddresses *addresses;
	int address;					/* index of the one tried, -1: not known */
	PoolConnectError skipped_error; /* why earlier hosts or addresses of this
									 * attempt were left out; message "": none */
	char message_head[POOL_ERROR_LEN]; /* with which libpq's message begins,
									   * from before it was non-blocking */
	PoolFeed feed;

	/* Connected. */
	PoolCancelKey cancel_key;  /* how to cancel a statement on it */
	PoolParameters parameters; /* what the remote has reported */
	PoolRelay relay;		   /* if encrypted */

	/* Draining. */
	PoolMarker marker; /* the end of what nobody wants */
	int64 drained;	   /* bytes so far */

	/* Resetting. */
	PoolAnswer answer;	  /* to what was sent for that */
	bool broken;		  /* the connection ended meanwhile */
	bool is_health_check; /* it is a health check, not a reset */

	/* Closing. */
	bool cancel_needed; /* a statement may be running */
	bool sending_shut;	/* nothing more is sent */

	/* Cancelling; while closing, or for a session (cancel_leased.c). */
	PoolCancel cancel;			  /* the request under way */
	uint32 watched_cancel_serial; /* its serial when it was last watched */

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
extern bool pool_conn_send(PoolConn *conn, const StringInfoData *request);
extern ssize_t pool_conn_recv(PoolConn *conn, char *data);
extern bool pool_conn_continue_cancel(PoolConn *conn);
extern void pool_conn_end_cancel(PoolConn *conn);
extern void pool_conn_stand_by(PoolConn *conn);
extern void pool_conn_free(PoolConn *conn);
extern void pool_conn_begin_task(PoolConn *conn, PoolTask task,
								 int64 timeout_ms);

#endif /* POOL_CONN_H */
