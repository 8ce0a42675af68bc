/*
 * affinity.h
 *		Which idle connection a session takes.
 */
#ifndef POOL_AFFINITY_H
#define POOL_AFFINITY_H

#include "shared/queue.h"

extern int pool_affinity_own(const PoolAcquireRequest *request);
extern PoolSlot *pool_affinity_choose(const PoolAcquireRequest *request);
extern bool pool_affinity_ask_for_another(const PoolAcquireRequest *request,
										  const PoolSlot *slot, int64 now);

#endif /* POOL_AFFINITY_H */
