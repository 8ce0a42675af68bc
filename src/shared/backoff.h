/*
 * backoff.h
 *		When the next attempt to connect may begin, after one that failed.
 */
#ifndef POOL_BACKOFF_H
#define POOL_BACKOFF_H

#include "shared/pool.h"
#include "shared/slot.h"

extern bool pool_backoff_failed(Pool *pool, const PoolConnectError *error,
								bool *trips);
extern void pool_backoff_no_answer(Pool *pool, const PoolConnectError *error);
extern int pool_backoff_hangs_after_ms(const Pool *pool);
extern int64 pool_backoff_beside_at(const Pool *pool);
extern void pool_backoff_begin(Pool *pool);
extern void pool_backoff_lost(Pool *pool);
extern void pool_backoff_overtake(Pool *pool, const PoolSlot *slot);
extern void pool_backoff_succeeded(Pool *pool);

#endif /* POOL_BACKOFF_H */
