/*
 * watch.h
 *		Waiting for the socket of a leased connection.
 */
#ifndef POOL_WATCH_H
#define POOL_WATCH_H

#include "libpq-fe.h"

#include "base/wait_event.h"

extern void pool_watch_prepare(void);
extern bool pool_watch_wait(PGconn *conn, uint32 events, int64 deadline,
							PoolWaitEvent wait);
extern void pool_watch_end(PGconn *conn);

#endif /* POOL_WATCH_H */
