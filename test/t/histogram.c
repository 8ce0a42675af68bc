/*
 * histogram.c
 *		For 026_times.pl: percentiles of known series, computed by src/shared/histogram.c
 *		and exactly.
 *
 * Prints a line for each: name, fraction, exact, computed.  And times beside the
 * edges of metrics, with how many are up to each edge.
 */
#include "../../src/shared/histogram.c"

/* Those of the C library, since the server's are not linked. */
#undef printf
#undef qsort

#define N 20000

static int64 series[N];
static uint64 state = 42;

/* Uniform in [0, 1). */
static double
next_random(void)
{
	state = state * UINT64CONST(6364136223846793005) +
			UINT64CONST(1442695040888963407);
	return (double) (state >> 11) / (double) (UINT64CONST(1) << 53);
}

static int
compare(const void *a, const void *b)
{
	int64 x = *(const int64 *) a;
	int64 y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static void
report(const char *name, int n)
{
	static const double fractions[] = {0.001, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	static PoolHistogram histogram;
	PoolTimes times;
	int64 sum = 0;

	pool_histogram_zero(&histogram);
	for (int i = 0; i < n; i++)
	{
		pool_histogram_add(&histogram, series[i]);
		sum += series[i];
	}
	qsort(series, n, sizeof(series[0]), compare);
	pool_histogram_read(&histogram, &times);
	for (size_t i = 0; i < lengthof(fractions); i++)
		printf("%s %g " INT64_FORMAT " %g\n", name, fractions[i],
			   series[(int) ceil(fractions[i] * n) - 1],
			   pool_histogram_percentile(&times, fractions[i]));
	printf("%s count %d " UINT64_FORMAT "\n", name, n, times.count);
	printf("%s sum " INT64_FORMAT " " UINT64_FORMAT "\n", name, sum,
		   times.sum_us);
	printf("%s max " INT64_FORMAT " " UINT64_FORMAT "\n", name, series[n - 1],
		   times.max_us);
}

/* Times before, at and after each edge are counted up to it exactly. */
static void
check_edges(void)
{
	static PoolHistogram histogram;
	PoolTimes times;

	for (int i = 0; i < POOL_NEDGES; i++)
	{
		for (int us = -1; us <= 1; us++)
			pool_histogram_add(&histogram, (int64) pool_histogram_edges[i] + us);
	}
	pool_histogram_add(&histogram, 0);
	pool_histogram_add(&histogram, INT64CONST(1) << 40);
	pool_histogram_read(&histogram, &times);
	for (int i = 0; i < POOL_NEDGES; i++)
		printf("edge %g %d " UINT64_FORMAT "\n",
			   pool_histogram_edges[i] / 1e6, 3 * i + 3, times.up_to[i]);
	printf("edges count %d " UINT64_FORMAT "\n", 3 * POOL_NEDGES + 2,
		   times.count);
}

int
main(void)
{
	uint64 last = 0;

	/* Each microsecond up to 10 minutes is in the bucket that bounds it. */
	for (uint64 us = 0; us <= UINT64CONST(600000000); us += us / 1000 + 1)
	{
		int bucket = pool_histogram_bucket(us);
		uint64 low = bucket > 0 ? pool_histogram_bound(bucket - 1) : 0;
		uint64 high = pool_histogram_bound(bucket);

		if (us < low || us >= high || low < last || (high - 1 - low) * 8 > low)
			printf("wrong bucket %d for " UINT64_FORMAT "\n", bucket, us);
		last = low;
	}

	check_edges();
	for (int i = 0; i < N; i++)
		series[i] = i + 1;
	report("linear", N);
	for (int i = 0; i < N; i++)
		series[i] = (int64) exp(next_random() * log(600e6));
	report("exponential", N);
	for (int i = 0; i < N; i++)
		series[i] = (int64) (1000 / (1 - next_random() * 0.999));
	report("long-tailed", N);
	for (int i = 0; i < N; i++)
		series[i] = i % 100 == 0 ? 600000000 : 100;
	report("two-values", N);
	series[0] = 123456;
	report("one-value", 1);
	return 0;
}
