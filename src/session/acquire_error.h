/*
 * acquire_error.h
 *		What an acquire that failed says.
 */
#ifndef POOL_ACQUIRE_ERROR_H
#define POOL_ACQUIRE_ERROR_H

#include "base/compat.h"
#include "options/target.h"
#include "shared/pool.h"
#include "shared/queue.h"

pg_noreturn extern void pool_acquire_error_timeout(Pool *pool, uint64 pool_id,
												   const PoolTarget *target,
												   int64 started);
pg_noreturn extern void
pool_acquire_error_limit(const PoolAcquireRequest *request,
						 const PoolTarget *target);
pg_noreturn extern void pool_acquire_error_connect(Pool *pool, uint64 pool_id,
												   const PoolTarget *target);
pg_noreturn extern void pool_acquire_error_paused(const PoolTarget *target);
pg_noreturn extern void pool_acquire_error_queue_full(Pool *pool, uint64 pool_id,
													  const PoolTarget *target);
extern bool pool_acquire_error_is_of_connecting(const ErrorData *error);

#endif /* POOL_ACQUIRE_ERROR_H */
