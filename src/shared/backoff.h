/*
 * backoff.h
 *		When the next attempt to connect may begin, after one that failed.
 */
#ifndef POOL_BACKOFF_H
#define POOL_BACKOFF_H

#include "shared/pool.h"

extern bool pool_backoff_failed(Pool *pool, const PoolConnectError *error,
								bool *trips);
extern void pool_backoff_succeeded(Pool *pool);

#endif /* POOL_BACKOFF_H */
