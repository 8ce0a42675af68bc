/*
 * reset.h
 *		Resets and health checks of connections, in the worker.
 */
#ifndef POOL_RESET_H
#define POOL_RESET_H

#include "worker/conn.h"

extern void pool_reset_begin(PoolConn *conn, bool rollback, const char *query,
							 int timeout_ms);
extern void pool_reset_on_event(PoolConn *conn);
extern void pool_reset_on_timeout(PoolConn *conn);

#endif /* POOL_RESET_H */
