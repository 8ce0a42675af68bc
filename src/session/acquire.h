/*
 * acquire.h
 *		From a server's name to a leased slot.
 */
#ifndef POOL_ACQUIRE_H
#define POOL_ACQUIRE_H

#include "options/target.h"
#include "shared/pool.h"
#include "shared/queue.h"

extern int64 pool_acquire_deadline(const PoolTarget *target, int64 timeout_ms,
								   int64 started);
extern int64 pool_acquire_slot(const char *server_name, PoolTarget *target,
							   int64 timeout_ms, int64 started,
							   PoolAcquireRequest *request);
extern void pool_acquire_abandon(void);
extern Pool *pool_acquire_configured(const char *server_name, PoolTarget *target,
									 int64 deadline, uint64 *pool_id);

#endif /* POOL_ACQUIRE_H */
