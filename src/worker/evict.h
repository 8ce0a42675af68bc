/*
 * evict.h
 *		Limits over several pools, and evicting when they are reached.
 */
#ifndef POOL_EVICT_H
#define POOL_EVICT_H

#include "shared/pool.h"

extern bool pool_evict_server_at_limit(const Pool *pool);
extern void pool_evict_idle_for(Pool *pool);

#endif /* POOL_EVICT_H */
