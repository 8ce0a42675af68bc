/*
 * cancel_leased.h
 *		Cancelling what runs on a connection that stays leased, in the worker.
 */
#ifndef POOL_CANCEL_LEASED_H
#define POOL_CANCEL_LEASED_H

#include "worker/conn.h"

extern bool pool_cancel_leased_may_begin(const PoolConn *conn);
extern void pool_cancel_leased_begin(Pool *pool, PoolSlot *slot);
extern void pool_cancel_leased_continue(PoolConn *conn);
extern void pool_cancel_leased_on_timeout(PoolConn *conn);
extern void pool_cancel_leased_stop(PoolConn *conn);

#endif /* POOL_CANCEL_LEASED_H */
