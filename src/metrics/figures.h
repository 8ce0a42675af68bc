/*
 * figures.h
 *		The figures of all pools, as metrics want them.
 */
#ifndef POOL_FIGURES_H
#define POOL_FIGURES_H

#include "shared/histogram.h"
#include "shared/stats.h"

/* What goes up and down.  Names in exposition.c, in this order. */
typedef enum PoolGauge
{
	POOL_GAUGE_ACTIVE, /* connections by state; together all that it has */
	POOL_GAUGE_IDLE,
	POOL_GAUGE_RESETTING,
	POOL_GAUGE_CONNECTING,
	POOL_GAUGE_CLOSING,
	POOL_GAUGE_LIMIT,
	POOL_GAUGE_MAX,
	POOL_GAUGE_MIN,
	POOL_GAUGE_PEAK,
	POOL_GAUGE_WAITING,
	POOL_GAUGE_LEAKED,

	/* Of these the greatest is taken where pools are put together. */
	POOL_GAUGE_OLDEST_WAIT, /* in microseconds */
	POOL_GAUGE_BREAKER,
	POOL_GAUGE_BREAKER_OPEN, /* in microseconds */
	POOL_GAUGE_CHECK_FAILURES,
	POOL_GAUGE_PAUSED
} PoolGauge;

#define POOL_NGAUGES (POOL_GAUGE_PAUSED + 1)

typedef struct PoolFigureTimes
{
	uint64 up_to[POOL_NEDGES];
	uint64 count;
	uint64 sum_us;
} PoolFigureTimes;

/* Of all pools that have the same labels. */
typedef struct PoolFigures
{
	char *labels; /* database="...",server="...",user="..." */
	int64 gauges[POOL_NGAUGES];
	uint64 counters[POOL_NCOUNTERS];
	uint64 closed[POOL_NCLOSE_REASONS];
	PoolFigureTimes times[POOL_NTIMED];
} PoolFigures;

/* All pools: those that can be leased from, in the order of their labels. */
typedef struct PoolFiguresOfAll
{
	int n;
	PoolFigures *list;
	int pools;		 /* places in use, those of dropped pools included */
	int connections; /* likewise */
} PoolFiguresOfAll;

extern void pool_figures_read(PoolFiguresOfAll *all, bool utf8);

#endif /* POOL_FIGURES_H */
