/*
 * scale.h
 *		The limit of a pool's size, which autoscale moves.
 */
#ifndef POOL_SCALE_H
#define POOL_SCALE_H

#include "shmem.h"

/* A move of the limit, and when to look again, in pool_clock_us(). */
typedef struct PoolScaling
{
	int64 next;
	int from;
	int to;
	int utilization; /* the cause, in per cent of "from" */
} PoolScaling;

extern void pool_scale_begin(Pool *pool);
extern bool pool_scale_look(Pool *pool, int64 now, PoolScaling *scaling);

#endif /* POOL_SCALE_H */
