/*
 * histogram.h
 *		How long something took: counts by time, and percentiles of them.
 *
 * Log-linear buckets: each power of two of microseconds is divided into eight
 * of the same width.  So a percentile is off by at most 1/16 of the time, and
 * times of less than 16 us are exact, as far as the clock's microseconds are.
 * What takes longer than POOL_HISTOGRAM_LIMIT_US is in the last bucket.
 *
 * Metrics have edges of their own, pool_histogram_edges, at which counts must be
 * exact.  So each edge divides the bucket that it lies in: into times up to the
 * edge, with it, and longer ones.  pool_histogram_read() puts the two together
 * again, and counts what is up to each edge.
 *
 * All are atomics, so any process can add at any time, without a lock.  For that
 * the following races are accepted:
 *
 *	- Who reads meanwhile may see a time in its bucket and not yet in the sum or
 *	  the maximum.  The count has no such race: it is the sum of the buckets.
 *	- A reset meanwhile may clear the bucket of a time, and leave what is added
 *	  after it: the sum has a time more than the buckets, or the maximum is one of
 *	  before the reset.
 *	- The maximum of before the reset may also keep out a smaller one: a session
 *	  that has read it just then does not write its own.  Then the maximum, and
 *	  percentiles, which are no greater, are too small until the next time that is
 *	  longer.
 */
#ifndef POOL_HISTOGRAM_H
#define POOL_HISTOGRAM_H

#include "port/atomics.h"
#include "port/pg_bitutils.h"

#define POOL_HISTOGRAM_BITS 3 /* 8 buckets for each power of two */
#define POOL_HISTOGRAM_WIDTH (1 << POOL_HISTOGRAM_BITS)
#define POOL_HISTOGRAM_LIMIT_BITS 30
#define POOL_HISTOGRAM_LIMIT_US (INT64CONST(1) << POOL_HISTOGRAM_LIMIT_BITS)
#define POOL_NBUCKETS                                        \
	((POOL_HISTOGRAM_LIMIT_BITS - POOL_HISTOGRAM_BITS + 1) * \
		 POOL_HISTOGRAM_WIDTH +                              \
	 1)

#define POOL_NEDGES 16

/* In microseconds, ascending. */
static const uint32 pool_histogram_edges[POOL_NEDGES] =
	{100,	250,	500,	1000,	2500,	 5000,	  10000,   25000,
	 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

typedef struct PoolHistogram
{
	pg_atomic_uint64 parts[POOL_NBUCKETS + POOL_NEDGES];
	pg_atomic_uint64 sum_us;
	pg_atomic_uint64 max_us;
} PoolHistogram;

/* A copy to compute with, in this process's memory. */
typedef struct PoolTimes
{
	uint64 buckets[POOL_NBUCKETS];
	uint64 up_to[POOL_NEDGES]; /* no longer than that edge */
	uint64 count;
	uint64 sum_us;
	uint64 max_us;
} PoolTimes;

/* The bucket that counts a time. */
static inline int
pool_histogram_bucket(uint64 us)
{
	int power;

	if (us < POOL_HISTOGRAM_WIDTH)
		return (int) us;
	if (us >= POOL_HISTOGRAM_LIMIT_US)
		return POOL_NBUCKETS - 1;
	power = pg_leftmost_one_pos64(us) - POOL_HISTOGRAM_BITS;
	return power * POOL_HISTOGRAM_WIDTH + (int) (us >> power);
}

/*
 * The part of a bucket that counts a time: the parts before it are those of the
 * buckets before, and one more for each edge that the time is beyond.
 */
static inline int
pool_histogram_part(uint64 us)
{
	int beyond = 0;

	while (beyond < POOL_NEDGES && us > pool_histogram_edges[beyond])
		beyond++;
	return pool_histogram_bucket(us) + beyond;
}

/* Notes that something took so many microseconds. */
static inline void
pool_histogram_add(PoolHistogram *histogram, int64 time_us)
{
	uint64 us = (uint64) Max(time_us, 0);
	uint64 max = pg_atomic_read_u64(&histogram->max_us);

	pg_atomic_fetch_add_u64(&histogram->parts[pool_histogram_part(us)], 1);
	pg_atomic_fetch_add_u64(&histogram->sum_us, us);
	while (us > max &&
		   !pg_atomic_compare_exchange_u64(&histogram->max_us, &max, us))
		;
}

extern void pool_histogram_init(PoolHistogram *histogram);
extern void pool_histogram_zero(PoolHistogram *histogram);
extern void pool_histogram_read(const PoolHistogram *histogram,
								PoolTimes *times);
extern void pool_histogram_subtract(PoolTimes *times, const PoolTimes *before);
extern uint64 pool_histogram_bound(int bucket);
extern double pool_histogram_percentile(const PoolTimes *times, double fraction);

#endif /* POOL_HISTOGRAM_H */
