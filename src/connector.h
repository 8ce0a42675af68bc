/*
 * connector.h
 *		Opening connections, in the worker.
 */
#ifndef POOL_CONNECTOR_H
#define POOL_CONNECTOR_H

#include "conns.h"

extern void pool_connector_demand(Pool *pool);
extern bool pool_connector_give_up(PoolConn *conn);
extern void pool_connector_look(PoolConn *conn);
extern void pool_connector_step(PoolConn *conn);
extern void pool_connector_timeout(PoolConn *conn);

#endif /* POOL_CONNECTOR_H */
