/*
 * cancel_order.h
 *		A session's order to cancel what runs on its lease, which it keeps.
 */
#ifndef POOL_CANCEL_ORDER_H
#define POOL_CANCEL_ORDER_H

#include "shared/pool.h"
#include "shared/slot.h"

extern bool pool_cancel_order_place(int slot, uint64 generation);
extern PoolCancelOrder pool_cancel_order_look(int slot, uint64 generation);
extern bool pool_cancel_order_take(Pool *pool, PoolSlot *slot);
extern void pool_cancel_order_finish(Pool *pool, PoolSlot *slot, bool sent);

#endif /* POOL_CANCEL_ORDER_H */
