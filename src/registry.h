/*
 * registry.h
 *		Which pools exist.
 */
#ifndef POOL_REGISTRY_H
#define POOL_REGISTRY_H

#include "shmem.h"

extern bool pool_key_equal(const PoolKey *a, const PoolKey *b);
extern Pool *pool_registry_get(const PoolTarget *target, uint64 *id);
extern void pool_registry_drop(Oid catalog, Oid object);
extern bool pool_registry_clear(Pool *pool);

#endif /* POOL_REGISTRY_H */
