/*
 * idle_list.h
 *		The idle slots of a pool, in the order of their last release.
 */
#ifndef POOL_IDLE_LIST_H
#define POOL_IDLE_LIST_H

#include "shared/pool.h"
#include "shared/slot.h"

extern void pool_idle_list_add(Pool *pool, PoolSlot *slot, bool checked);
extern void pool_idle_list_remove(Pool *pool, PoolSlot *slot);

#endif /* POOL_IDLE_LIST_H */
