/*
 * evict.h
 *		Limits over several pools, and who gives way when they are reached.
 */
#ifndef POOL_EVICT_H
#define POOL_EVICT_H

#include "shared/pool.h"

extern bool pool_evict_server_is_full(const Pool *pool);
extern void pool_evict_one_for(Pool *pool);

#endif /* POOL_EVICT_H */
