/*
 * evict.h
 *		Evicting, when a limit over several pools is reached.
 */
#ifndef POOL_EVICT_H
#define POOL_EVICT_H

#include "shared/pool.h"

extern bool pool_evict_is_closing_one(int64 at_most_us);
extern void pool_evict_idle_for(Pool *pool, int keep);

#endif /* POOL_EVICT_H */
