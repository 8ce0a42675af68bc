/*
 * janitor.h
 *		Resetting, checking and ageing of connections, in the worker.
 */
#ifndef POOL_JANITOR_H
#define POOL_JANITOR_H

#include "conns.h"

extern void pool_janitor_look(Pool *pool);
extern void pool_janitor_step(PoolConn *conn);
extern void pool_janitor_timeout(PoolConn *conn);
extern void pool_janitor_eof(PoolConn *conn);

#endif /* POOL_JANITOR_H */
