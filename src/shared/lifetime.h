/*
 * lifetime.h
 *		How old a connection is, by max_lifetime, and its replacement.
 */
#ifndef POOL_LIFETIME_H
#define POOL_LIFETIME_H

#include "shared/pool.h"
#include "shared/slot.h"

typedef enum PoolLifetime
{
	POOL_LIFETIME_GOOD,
	POOL_LIFETIME_DUE, /* to be replaced, and usable until then */
	POOL_LIFETIME_OVER
} PoolLifetime;

extern PoolLifetime pool_lifetime_phase(const Pool *pool, const PoolSlot *slot,
										int64 now);
extern bool pool_lifetime_is_due(const Pool *pool, const PoolSlot *slot,
								 int64 now);
extern void pool_lifetime_close(Pool *pool, PoolSlot *slot);
extern void pool_lifetime_renewed(Pool *pool);

#endif /* POOL_LIFETIME_H */
