/*
 * closer.h
 *		Closing connections, in the worker.
 */
#ifndef POOL_CLOSER_H
#define POOL_CLOSER_H

#include "shared/slot.h"
#include "worker/conn.h"

extern void pool_closer_begin(PoolSlot *slot);
extern void pool_closer_continue(PoolConn *conn);
extern void pool_closer_on_timeout(PoolConn *conn);
extern void pool_closer_all(const bool *leased);
extern void pool_closer_cut_all(void);

#endif /* POOL_CLOSER_H */
