/*
 * demand.h
 *		How many of its connections a pool needs.
 */
#ifndef POOL_DEMAND_H
#define POOL_DEMAND_H

#include "shared/pool.h"

extern void pool_demand_note(Pool *pool);
extern void pool_demand_close_idle(Pool *pool, int64 now);

#endif /* POOL_DEMAND_H */
