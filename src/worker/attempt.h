/*
 * attempt.h
 *		One attempt to connect, in the worker.
 */
#ifndef POOL_ATTEMPT_H
#define POOL_ATTEMPT_H

#include "shared/pool.h"
#include "shared/slot.h"
#include "worker/conn.h"

extern void pool_attempt_begin(Pool *pool, PoolSlot *slot, bool beside);
extern void pool_attempt_on_event(PoolConn *conn);
extern void pool_attempt_on_round(PoolConn *conn);
extern void pool_attempt_on_timeout(PoolConn *conn);

#endif /* POOL_ATTEMPT_H */
