/*
 * staging.h
 *		Rows of a remote result as they came, to be read later.
 */
#ifndef POOL_STAGING_H
#define POOL_STAGING_H

#include "statement/columns.h"

typedef struct PoolStaging PoolStaging;

extern PoolStaging *pool_staging_create(int max_kb, bool lasting);
extern void pool_staging_clear(PoolStaging *staging);
extern void pool_staging_put(PoolStaging *staging, const PoolField *fields,
							 int count);
extern void pool_staging_finish(PoolStaging *staging);
extern int64 pool_staging_bytes(const PoolStaging *staging);
extern void pool_staging_rewind(PoolStaging *staging);
extern bool pool_staging_get(PoolStaging *staging, PoolField *fields, int count);
extern void pool_staging_destroy(PoolStaging *staging);

#endif /* POOL_STAGING_H */
