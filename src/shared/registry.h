/*
 * registry.h
 *		Which pools exist.
 */
#ifndef POOL_REGISTRY_H
#define POOL_REGISTRY_H

#include "options/target.h"
#include "shared/pool.h"

extern Pool *pool_registry_get(const PoolTarget *target, uint64 *id, bool *made);
extern void pool_registry_drop(Oid catalog, Oid object);
extern void pool_registry_drop_twin(const PoolKey *key);
extern void pool_registry_confirm(Pool *pool, uint64 id, int64 when);
extern void pool_registry_discard(Pool *pool, uint64 id);
extern bool pool_registry_clear(Pool *pool);

#endif /* POOL_REGISTRY_H */
