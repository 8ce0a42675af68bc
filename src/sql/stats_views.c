/*
 * stats_views.c
 *		What pool_stats_all() and pool_histogram() show.
 *
 * Each pool is copied under its lock, and made into rows outside it; so a row
 * is of one moment, but for the races in shared/stats.h.
 *
 * Columns are put in the order of pool_stats_all() in sql/pool--1.0--1.1.sql, which
 * has the counters in the order of PoolCounter, the reasons for closing in that
 * of PoolCloseReason and the times in that of PoolTimed.  Whoever adds one to
 * an enum adds a column there in the same place; pool_view_row_store() notices
 * a wrong number of columns, not a wrong order.  In a database that has version 1.0
 * of the extension still, those are left out that it does not know.
 */
#include "postgres.h"

#include <math.h>

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/float.h"

#include "base/clock.h"
#include "shared/breaker.h"
#include "shared/histogram.h"
#include "shared/limit.h"
#include "shared/pool.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "sql/args.h"
#include "sql/view_row.h"

PG_FUNCTION_INFO_V1(pool_sql_stats_all);
PG_FUNCTION_INFO_V1(pool_sql_histogram);

/* How many columns pool_stats_all() had in version 1.0. */
#define COLUMNS_1_0 95

/* Column state: the first that holds. */
static const char *
pool_state_name(const Pool *pool)
{
	if (pool->dropped)
		return "dropped";
	if (pool->pause != POOL_PAUSE_NONE)
		return "paused";
	if (!pool->configured)
		return "unconfigured";
	return pool->failures > 0 ? "failing" : "ready";
}

/* From min_size to breaker_opened_at. */
static void
put_sizes(PoolViewRow *row, const Pool *pool)
{
	const int *n = pool->nslots;

	pool_view_row_put(row, Int32GetDatum(pool->options.min_size));
	pool_view_row_put(row, Int32GetDatum(pool->options.max_size));
	pool_view_row_put(row, Int32GetDatum(pool->limit));
	pool_view_row_put_text(row, pool_limit_name(pool_limit_of(pool)));
	pool_view_row_put(row, Int32GetDatum(pool_slot_count_open(pool)));
	pool_view_row_put(row, Int32GetDatum(n[POOL_SLOT_LEASED]));
	pool_view_row_put(row, Int32GetDatum(n[POOL_SLOT_IDLE]));
	pool_view_row_put(row, Int32GetDatum(n[POOL_SLOT_CHECKING] +
										 n[POOL_SLOT_RETURNED] +
										 n[POOL_SLOT_RESETTING]));
	pool_view_row_put(row, Int32GetDatum(n[POOL_SLOT_CONNECTING]));
	pool_view_row_put(row, Int32GetDatum(n[POOL_SLOT_CLOSING]));
	pool_view_row_put(row, Int32GetDatum(pool->nwaiting));
	pool_view_row_put(row, Int32GetDatum(pool->peak_active));
	pool_view_row_put(row, Float8GetDatum(rint(1000.0 * n[POOL_SLOT_LEASED] /
											   Max(pool->limit, 1)) /
										  10));
	pool_view_row_put_text(row, pool_breaker_name(pool->breaker));
	pool_view_row_put_time(row, pool->breaker_opened_at);
}

/* Is that counter newer than version 1.0? */
static bool
is_new(int counter)
{
	return counter == POOL_COUNT_REQUESTS || counter == POOL_COUNT_HEDGES ||
		   counter == POOL_COUNT_HEDGES_WON;
}

/*
 * From acquires to closed, then a column for each reason for closing.  Of those that
 * version 1.0 does not know, unattended is one way to be reclaimed.
 */
static void
put_counters(PoolViewRow *row, PoolStats *stats, bool is_1_0)
{
	uint64 unattended =
		pg_atomic_read_u64(&stats->closed[POOL_CLOSE_UNATTENDED]);

	for (int i = 0; i < POOL_NCOUNTERS; i++)
	{
		if (!is_1_0 || !is_new(i))
			pool_view_row_put(row, UInt64GetDatum(
									   pg_atomic_read_u64(&stats->counters[i])));
	}

	/*
	 * Without CONNECT_FAILED, since what never was usable is not closed: it
	 * is counted in connect_errors.
	 */
	for (int i = POOL_CLOSE_CONNECT_FAILED + 1; i < POOL_NCLOSE_REASONS; i++)
	{
		uint64 closed = pg_atomic_read_u64(&stats->closed[i]);

		if (is_1_0 && i == POOL_CLOSE_RECLAIMED)
			closed += unattended;
		if (!is_1_0 || i != POOL_CLOSE_UNATTENDED)
			pool_view_row_put(row, UInt64GetDatum(closed));
	}
}

/* A time given in microseconds, as milliseconds. */
static void
put_ms(PoolViewRow *row, double us)
{
	pool_view_row_put(row, Float8GetDatum(us / (double) POOL_CLOCK_US_PER_MS));
}

/* The six columns of one PoolTimed: count, average, percentiles, maximum. */
static void
put_times(PoolViewRow *row, const PoolHistogram *histogram)
{
	static const double fractions[] = {0.5, 0.95, 0.99};
	PoolTimes times;

	pool_histogram_read(histogram, &times);
	pool_view_row_put(row, UInt64GetDatum(times.count));
	if (times.count == 0)
	{
		/* There is no average, percentile or maximum of nothing. */
		for (size_t i = 0; i < lengthof(fractions) + 2; i++)
			pool_view_row_put_null(row);
		return;
	}
	put_ms(row, (double) times.sum_us / (double) times.count);
	for (size_t i = 0; i < lengthof(fractions); i++)
		put_ms(row, pool_histogram_percentile(&times, fractions[i]));
	put_ms(row, (double) times.max_us);
}

/* Copies a pool; false if the place is not in use or the caller may not see it. */
static bool
copy_pool(const Pool *pool, Pool *copy)
{
	LWLockAcquire(unconstify(LWLock *, &pool->lock), LW_SHARED);
	memcpy(copy, pool, sizeof(Pool));
	LWLockRelease(unconstify(LWLock *, &pool->lock));
	return copy->id != 0 && pool_view_row_is_visible(copy);
}

/* A row for each pool that the caller may see. */
Datum
pool_sql_stats_all(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Pool *copy = palloc(sizeof(Pool));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		PoolViewRow row = {.n = 0};

		if (!copy_pool(&pool_shmem_pools[i], copy))
			continue;
		pool_view_row_put_identity(&row, copy);
		pool_view_row_put_text(&row, pool_state_name(copy));
		put_sizes(&row, copy);
		put_counters(&row, &copy->stats, rsinfo->setDesc->natts == COLUMNS_1_0);
		for (int what = 0; what < POOL_NTIMED; what++)
			put_times(&row, &copy->stats.times[what]);
		pool_view_row_put_text(&row, copy->last_error.message);
		pool_view_row_put_time(&row, copy->last_error.at);
		pool_view_row_put_time(&row, copy->stats_reset);
		pool_view_row_store(&row, rsinfo);
	}
	return (Datum) 0;
}

/* The rows of one histogram: one for "step" buckets, and one for the last. */
static void
put_histogram(const Pool *pool, PoolTimed what, int step, ReturnSetInfo *rsinfo)
{
	PoolTimes times;
	uint64 count = 0;

	pool_histogram_read(&pool->stats.times[what], &times);
	for (int i = 0; i < POOL_NBUCKETS; i++)
	{
		bool last = i == POOL_NBUCKETS - 1;
		PoolViewRow row = {.n = 0};

		count += times.buckets[i];
		if ((i + 1) % step != 0 && !last)
			continue;
		pool_view_row_put_identity(&row, pool);
		pool_view_row_put_text(&row, pool_stats_timed_name(what));
		put_ms(&row,
			   last ? get_float8_infinity() : (double) pool_histogram_bound(i));
		pool_view_row_put(&row, UInt64GetDatum(count));
		put_ms(&row, (double) times.sum_us);
		pool_view_row_store(&row, rsinfo);
	}
}

/*
 * The histograms as cumulative counts, of the pools of a server in this database
 * or, if it is NULL, of all that the caller may see.  The second argument is how
 * many buckets there are for each doubling of the time: 1, 2, 4 or 8.  Raises
 * 22023 for another number, 42704 if there is no such server.
 */
Datum
pool_sql_histogram(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid server = InvalidOid;
	Pool *copy = palloc(sizeof(Pool));
	int buckets;

	pool_args_refuse_null(fcinfo, 1, "number of buckets");
	buckets = PG_GETARG_INT32(1);
	if (buckets < 1 || POOL_HISTOGRAM_WIDTH % buckets != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid number of buckets for each doubling of the time: %d",
						buckets),
				 errdetail("It must be 1, 2, 4 or 8.")));
	if (!PG_ARGISNULL(0))
		server = get_foreign_server_oid(pool_args_server(fcinfo), false);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		if (!copy_pool(&pool_shmem_pools[i], copy))
			continue;
		if (OidIsValid(server) &&
			(copy->key.server != server || copy->key.database != MyDatabaseId))
			continue;
		for (int what = 0; what < POOL_NTIMED; what++)
			put_histogram(copy, (PoolTimed) what,
						  POOL_HISTOGRAM_WIDTH / buckets, rsinfo);
	}
	return (Datum) 0;
}
