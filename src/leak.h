/*
 * leak.h
 *		A lease that is held for too long, in the worker.
 */
#ifndef POOL_LEAK_H
#define POOL_LEAK_H

#include "shmem.h"

extern void pool_leak_report(Pool *pool, PoolSlot *slot, bool reclaim);

#endif /* POOL_LEAK_H */
