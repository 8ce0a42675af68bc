/*
 * autoscale.c
 *		The limit of a pool's size, which autoscale moves.
 *
 * Pool.limit is how many connections the pool may have now.  Without autoscale
 * that is max_size.  With it the limit begins at min_size, and at the end of
 * each scale_interval moves by scale_step: up if connections were in use for
 * more than scale_up_threshold of the time, down if for less than
 * scale_down_threshold, never beyond min_size and max_size.
 *
 * What counts is the average over the interval: Pool.busy_us, which
 * pool_slot_move() keeps, is the time that connections were in use, summed up
 * over all connections, so nothing is sampled.
 *
 * The worker alone moves the limit, but for new options and pool_resize().
 */
#include "postgres.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/autoscale.h"
#include "shared/slot.h"
#include "shared/stats.h"

static int
lowest_limit(const Pool *pool)
{
	return Max(pool->options.min_size, 1);
}

static void
begin_interval(Pool *pool, int64 now)
{
	pool->scale_since = now;
	pool->scale_busy_us = pool_slot_busy_us(pool, now);
}

/*
 * The pool is new, or its sizes are others than before: a limit that is within
 * the new sizes stays.  Needs the lock.
 */
void
pool_autoscale_begin(Pool *pool)
{
	const PoolOptions *options = &pool->options;

	POOL_ASSERT_LOCKED(pool);
	if (!options->autoscale)
		pool->limit = options->max_size;
	else
		pool->limit =
			Min(Max(pool->limit, lowest_limit(pool)), options->max_size);
	begin_interval(pool, pool_clock_us());
}

/* Where the limit belongs, after an interval of that utilization. */
static int
next_limit(const Pool *pool, double utilization)
{
	const PoolOptions *options = &pool->options;
	int step = Max(pool->limit * options->scale_step / 100, 1);
	int lower = Max(pool->limit - step, lowest_limit(pool));

	if (utilization >= options->scale_up_threshold)
		return Min(pool->limit + step, options->max_size);

	/*
	 * Not to where it would have to come up from at once, and not because the
	 * pool could not be used.
	 */
	if (utilization <= options->scale_down_threshold && pool->nwaiting == 0 &&
		pool->failures == 0 && pool->pause == POOL_PAUSE_NONE &&
		utilization * pool->limit < (double) options->scale_up_threshold * lower)
		return lower;
	return pool->limit;
}

/*
 * Moves the limit if it is time to; returns whether it did.  To be called by
 * the worker each time it looks at the pool.  Needs the lock; the worker closes
 * what is over the limit.
 */
bool
pool_autoscale_look(Pool *pool, int64 now, PoolAutoscaleMove *move)
{
	const PoolOptions *options = &pool->options;
	int64 elapsed = now - pool->scale_since;
	int64 interval = pool_clock_from_ms(options->scale_interval);
	double utilization;

	POOL_ASSERT_LOCKED(pool);
	move->next = PG_INT64_MAX;
	if (!options->autoscale || !pool->configured)
		return false;
	if (elapsed < interval)
	{
		/* With the lowest limit and nothing open there is nothing to see. */
		if (pool->limit > lowest_limit(pool) || pool_slot_count_all(pool) > 0)
			move->next = pool->scale_since + interval;
		return false;
	}
	utilization =
		100.0 * (double) (pool_slot_busy_us(pool, now) - pool->scale_busy_us) /
		((double) elapsed * pool->limit);
	move->from = pool->limit;
	move->to = next_limit(pool, utilization);
	move->utilization = (int) (utilization + 0.5);
	pool->limit = move->to;
	begin_interval(pool, now);
	move->next = now + interval;
	if (move->to == move->from)
		return false;
	pool_stats_add(&pool->stats,
				   move->to > move->from ? POOL_COUNT_SCALE_UPS
										 : POOL_COUNT_SCALE_DOWNS,
				   1);
	pool_slot_close_surplus(pool);
	return true;
}
