/*
 * free_list.h
 *		The slots that are FREE, for any pool.
 *
 * A slot in the list belongs to no pool, and its generation is 0.  One that leaves it
 * gets a generation that none ever had, and knows nothing of the connection before.
 */
#ifndef POOL_FREE_LIST_H
#define POOL_FREE_LIST_H

#include "shared/pool.h"
#include "shared/slot.h"

extern PoolSlot *pool_free_list_claim(Pool *pool);
extern void pool_free_list_add(Pool *pool, PoolSlot *slot);

#endif /* POOL_FREE_LIST_H */
