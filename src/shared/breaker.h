/*
 * breaker.h
 *		The circuit breaker of a pool.
 */
#ifndef POOL_BREAKER_H
#define POOL_BREAKER_H

#include "shared/pool.h"

extern const char *pool_breaker_name(PoolBreakerState state);
extern bool pool_breaker_failed(Pool *pool);
extern void pool_breaker_half_open(Pool *pool);
extern bool pool_breaker_probes(const Pool *pool, int64 now);
extern void pool_breaker_succeeded(Pool *pool);
extern bool pool_breaker_close_if_recovered(Pool *pool);
extern void pool_breaker_reset(Pool *pool);
extern bool pool_breaker_refuses(const Pool *pool);

#endif /* POOL_BREAKER_H */
