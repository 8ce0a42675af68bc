/*
 * hedge.h
 *		How many statements may go to a second server since the first is slow.
 */
#ifndef POOL_HEDGE_H
#define POOL_HEDGE_H

#include "shared/pool.h"

extern void pool_hedge_init(Pool *pool);
extern void pool_hedge_note_call(Pool *pool);
extern bool pool_hedge_may(Pool *pool);
extern int64 pool_hedge_after_us(const Pool *pool);

#endif /* POOL_HEDGE_H */
