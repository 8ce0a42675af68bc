/*
 * age.h
 *		How old a connection is, by max_lifetime, and its replacement.
 */
#ifndef POOL_AGE_H
#define POOL_AGE_H

#include "shmem.h"

typedef enum PoolAge
{
	POOL_AGE_GOOD,
	POOL_AGE_DUE, /* to be replaced, and usable until then */
	POOL_AGE_OVER
} PoolAge;

extern PoolAge pool_age_of(const Pool *pool, const PoolSlot *slot, int64 now);
extern bool pool_age_is_due(const Pool *pool, const PoolSlot *slot, int64 now);
extern void pool_age_expire(Pool *pool, PoolSlot *slot);
extern void pool_age_renewed(Pool *pool);

#endif /* POOL_AGE_H */
