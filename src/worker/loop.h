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
 * What is waited for on one socket of a connection.  All zero, but for "conn",
 * it waits for nothing.
 */
typedef struct PoolWatch
{
	struct PoolConn *conn;
	dlist_node node; /* in the list of watches, while events is not 0 */
	pgsocket sock;	 /* PGINVALID_SOCKET: nothing */
	uint32 events;	 /* 0: nothing */
	int position;	 /* in the wait set, -1: not there */
} PoolWatch;

/* What happened on one socket of a connection. */
typedef struct PoolEvent
{
	PoolWatch *watch;
	uint32 events;
} PoolEvent;

/* How many events one call of pool_loop_wait() can return. */
#define POOL_LOOP_MAX_EVENTS 64

extern void pool_loop_init(pgsocket listener_socket);
extern void pool_loop_stop_listening(void);
extern void pool_loop_watch(PoolWatch *watch, pgsocket sock, uint32 events,
							bool may_be_another);
extern void pool_loop_wake_at(int64 when);
extern void pool_loop_wake_now(void);
extern bool pool_loop_begin_round(void);
extern int pool_loop_wait(bool *messages_ready, PoolEvent *ready);

#endif /* POOL_LOOP_H */
