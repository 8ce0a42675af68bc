/*
 * histogram.c
 *		How long something took: counts by time, and percentiles of them.
 */
#include "postgres.h"

#include <math.h>

#include "shared/histogram.h"

/* Once, when shared memory is made. */
void
pool_histogram_init(PoolHistogram *histogram)
{
	for (size_t i = 0; i < lengthof(histogram->parts); i++)
		pg_atomic_init_u64(&histogram->parts[i], 0);
	pg_atomic_init_u64(&histogram->sum_us, 0);
	pg_atomic_init_u64(&histogram->max_us, 0);
}

/* Begins to count anew.  Needs no lock; see the races in histogram.h. */
void
pool_histogram_zero(PoolHistogram *histogram)
{
	for (size_t i = 0; i < lengthof(histogram->parts); i++)
		pg_atomic_write_u64(&histogram->parts[i], 0);
	pg_atomic_write_u64(&histogram->sum_us, 0);
	pg_atomic_write_u64(&histogram->max_us, 0);
}

/*
 * Copies a histogram; its count is the sum of its buckets.  Each part is read
 * once, so that the counts up to the edges are of the same times.
 */
void
pool_histogram_read(const PoolHistogram *histogram, PoolTimes *times)
{
	PoolHistogram *from = unconstify(PoolHistogram *, histogram);
	int edge = 0;

	times->count = 0;
	for (int i = 0; i < POOL_NBUCKETS; i++)
	{
		uint64 before = times->count;

		times->count += pg_atomic_read_u64(&from->parts[i + edge]);
		while (edge < POOL_NEDGES &&
			   pool_histogram_bucket(pool_histogram_edges[edge]) == i)
		{
			times->up_to[edge++] = times->count;
			times->count += pg_atomic_read_u64(&from->parts[i + edge]);
		}
		times->buckets[i] = times->count - before;
	}
	times->sum_us = pg_atomic_read_u64(&from->sum_us);
	times->max_us = pg_atomic_read_u64(&from->max_us);
}

/*
 * Leaves what was added after an earlier copy was made, except that the maximum
 * stays that of all.  If there are fewer times than then, there was a reset in
 * between, and everything is left.
 */
void
pool_histogram_subtract(PoolTimes *times, const PoolTimes *before)
{
	if (times->count < before->count)
		return;
	for (int i = 0; i < POOL_NBUCKETS; i++)
		times->buckets[i] -= Min(before->buckets[i], times->buckets[i]);
	for (int i = 0; i < POOL_NEDGES; i++)
		times->up_to[i] -= Min(before->up_to[i], times->up_to[i]);
	times->count -= before->count;
	times->sum_us -= Min(before->sum_us, times->sum_us);
}

/*
 * The upper bound of a bucket, exclusive, in microseconds.  The last bucket has
 * none.
 */
uint64
pool_histogram_bound(int bucket)
{
	int next = bucket + 1;
	int power = Max(next / POOL_HISTOGRAM_WIDTH - 1, 0);

	return (uint64) (next - power * POOL_HISTOGRAM_WIDTH) << power;
}

/*
 * The time, in microseconds, that this fraction (0 to 1) of all did not exceed:
 * the middle of its bucket.  In the last bucket, which has no bound, and without
 * any times, it is the maximum.
 */
double
pool_histogram_percentile(const PoolTimes *times, double fraction)
{
	uint64 rank = (uint64) Max(ceil(fraction * (double) times->count), 1);
	uint64 before = 0;

	for (int i = 0; i < POOL_NBUCKETS - 1; i++)
	{
		uint64 low = i > 0 ? pool_histogram_bound(i - 1) : 0;

		before += times->buckets[i];
		if (before >= rank)
			return Min((double) (low + pool_histogram_bound(i) - 1) / 2,
					   (double) times->max_us);
	}
	return (double) times->max_us;
}
