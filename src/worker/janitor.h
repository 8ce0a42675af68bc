/*
 * janitor.h
 *		What becomes of connections that nobody asks about, in the worker.
 */
#ifndef POOL_JANITOR_H
#define POOL_JANITOR_H

#include "shared/pool.h"
#include "worker/conn.h"

extern void pool_janitor_on_round(Pool *pool);
extern void pool_janitor_remote_closed(PoolConn *conn);

#endif /* POOL_JANITOR_H */
