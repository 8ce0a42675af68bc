/*
 * drain.h
 *		Answers that nobody wants, in the worker.
 */
#ifndef POOL_DRAIN_H
#define POOL_DRAIN_H

#include "worker/conn.h"

extern void pool_drain_begin(PoolConn *conn, int timeout_ms);
extern void pool_drain_on_event(PoolConn *conn);
extern void pool_drain_on_round(PoolConn *conn);
extern void pool_drain_on_timeout(PoolConn *conn);

#endif /* POOL_DRAIN_H */
