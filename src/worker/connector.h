/*
 * connector.h
 *		Opening connections, in the worker.
 */
#ifndef POOL_CONNECTOR_H
#define POOL_CONNECTOR_H

#include "shared/pool.h"
#include "worker/conn.h"

extern void pool_connector_demand(Pool *pool);
extern void pool_connector_tick(PoolConn *conn);
extern void pool_connector_step(PoolConn *conn);
extern void pool_connector_timeout(PoolConn *conn);

#endif /* POOL_CONNECTOR_H */
