/*
 * loop.h
 *		What the worker waits for: sockets, its latch, and times.
 *
 * Everything here is memory of the worker alone.
 */
#ifndef POOL_LOOP_H
#define POOL_LOOP_H

#include "lib/ilist.h"

struct PoolConn;

/*
 * What is waited for on one socket of a connection.  Zero, but for "conn", it
 * waits for nothing.
 */
typedef struct PoolWatch
{
	struct PoolConn *conn;
	dlist_node node; /* in the list of watches, while events is not 0 */
	pgsocket sock;	 /* PGINVALID_SOCKET: nothing */
	uint32 events;	 /* 0: nothing */
	int position;	 /* in the wait set, -1: not there */
} PoolWatch;

/* Something that happened. */
typedef struct PoolEvent
{
	PoolWatch *watch;
	uint32 events;
} PoolEvent;

extern void pool_loop_init(pgsocket requests);
extern void pool_loop_stop_requests(void);
extern void pool_loop_watch(PoolWatch *watch, pgsocket sock, uint32 events,
							bool may_be_another);
extern void pool_loop_wake_at(int64 when);
extern bool pool_loop_is_due(void);
extern int pool_loop_wait(bool *requests_ready, PoolEvent *ready, int nready);

#endif /* POOL_LOOP_H */
