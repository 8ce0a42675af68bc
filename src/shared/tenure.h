/*
 * tenure.h
 *		For how long a session goes on with a connection while others wait.
 */
#ifndef POOL_TENURE_H
#define POOL_TENURE_H

#include "shared/pool.h"
#include "shared/slot.h"
#include "shared/waiters.h"
#include "shared/wake.h"

extern void pool_tenure_begin(const Pool *pool, PoolSlot *slot);
extern void pool_tenure_note_acquire(const Pool *pool, int64 started);
extern void pool_tenure_note_release(const Pool *pool);
extern bool pool_tenure_goes_on(const Pool *pool, const PoolSlot *slot);
extern bool pool_tenure_may_rest(const Pool *pool, const PoolSlot *slot);
extern void pool_tenure_rest(Pool *pool, PoolSlot *slot);
extern PoolSlot *pool_tenure_rested(const Pool *pool);
extern int64 pool_tenure_rested_us(const PoolSlot *slot, int64 now);
extern void pool_tenure_arm(const Pool *pool, PoolWakes *wakes);
extern int64 pool_tenure_watch(const Pool *pool, PoolWaiter *me);

#endif /* POOL_TENURE_H */
