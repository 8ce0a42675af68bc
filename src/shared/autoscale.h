/*
 * autoscale.h
 *		The limit of a pool's size, which autoscale moves.
 */
#ifndef POOL_AUTOSCALE_H
#define POOL_AUTOSCALE_H

#include "shared/pool.h"

/* A move of the limit, and when to look again, in pool_clock_us(). */
typedef struct PoolAutoscaleMove
{
	int64 next;
	int from;
	int to;
	int utilization; /* the cause, in per cent of "from" */
} PoolAutoscaleMove;

extern void pool_autoscale_begin(Pool *pool);
extern bool pool_autoscale_look(Pool *pool, int64 now, PoolAutoscaleMove *move);

#endif /* POOL_AUTOSCALE_H */
