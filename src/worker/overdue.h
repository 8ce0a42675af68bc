/*
 * overdue.h
 *		Leases that last too long, in the worker.
 */
#ifndef POOL_OVERDUE_H
#define POOL_OVERDUE_H

#include "shared/pool.h"
#include "shared/slot.h"

typedef enum PoolOverdue
{
	POOL_OVERDUE_NONE,
	POOL_OVERDUE_LEAKED,	/* not used for longer than leak_threshold */
	POOL_OVERDUE_UNATTENDED /* a request that its session does not look after */
} PoolOverdue;

extern PoolOverdue pool_overdue_decide(const Pool *pool, const PoolSlot *slot,
									   int64 now);
extern void pool_overdue_handle(Pool *pool, PoolSlot *slot, bool reclaim_leaks);

#endif /* POOL_OVERDUE_H */
