/*
 * registry.h
 *		Which pools exist.
 */
#ifndef POOL_REGISTRY_H
#define POOL_REGISTRY_H

#include "shmem.h"

extern Pool *pool_registry_find(const PoolKey *key, uint64 *id);
extern Pool *pool_registry_get(const PoolTarget *target, uint64 *id);

#endif /* POOL_REGISTRY_H */
