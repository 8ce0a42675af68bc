/*
 * figures.c
 *		The figures of all pools, as metrics want them.
 *
 * Each pool is copied under its lock, and made into figures outside it.  Nothing
 * here needs a database or a catalog, so a process without either can read them.
 *
 * Two pools can have the same labels: superusers, and roles that need a password,
 * have one each for a mapping FOR PUBLIC; and a pool has the names that its server,
 * role and database had when a session last sent its options, which may be another
 * one's by now.  Who scrapes refuses all of a text that has a series twice.  So
 * pools with the same labels are put together.  A dropped pool is left out, since
 * nobody can lease from it: its series end.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "base/clock.h"
#include "metrics/figures.h"
#include "shared/pool.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/waiters.h"

/* Copies a pool, and since when its first session waits; 0: nobody does. */
static void
copy_pool(Pool *pool, Pool *copy, int64 *waiting_since)
{
	*waiting_since = 0;
	LWLockAcquire(&pool->lock, LW_SHARED);
	memcpy(copy, pool, sizeof(Pool));
	for (int at = pool->waiter_head; at != POOL_NONE;
		 at = pool_shmem_waiters[at].next)
	{
		if (*waiting_since == 0 || pool_shmem_waiters[at].since < *waiting_since)
			*waiting_since = pool_shmem_waiters[at].since;
	}
	LWLockRelease(&pool->lock);
}

/*
 * Adds a label.  A name that is not UTF-8, or is to be ASCII, shows each of its
 * bytes that is not ASCII as \xNN.
 */
static void
put_label(StringInfo labels, const char *label, const char *name, bool utf8)
{
	bool as_it_is = utf8 && pg_verify_mbstr(PG_UTF8, name, strlen(name), true);

	if (labels->len > 0)
		appendStringInfoChar(labels, ',');
	appendStringInfo(labels, "%s=\"", label);
	for (; *name != '\0'; name++)
	{
		if (*name == '\n')
			appendStringInfoString(labels, "\\n");
		else if (*name == '\\' || *name == '"')
			appendStringInfo(labels, "\\%c", *name);
		else if (IS_HIGHBIT_SET(*name) && !as_it_is)
			appendStringInfo(labels, "\\\\x%02x", (unsigned char) *name);
		else
			appendStringInfoChar(labels, *name);
	}
	appendStringInfoChar(labels, '"');
}

static char *
make_labels(const Pool *pool, bool utf8)
{
	StringInfoData labels;

	initStringInfo(&labels);
	put_label(&labels, "database", NameStr(pool->database_name), utf8);
	put_label(&labels, "server", NameStr(pool->server_name), utf8);
	put_label(&labels, "user", NameStr(pool->user_name), utf8);
	return labels.data;
}

static void
make_gauges(int64 *gauges, const Pool *pool, int64 waiting_since)
{
	const int *n = pool->nslots;
	bool closed = pool->breaker == POOL_BREAKER_CLOSED;

	gauges[POOL_GAUGE_ACTIVE] = n[POOL_SLOT_LEASED];
	gauges[POOL_GAUGE_IDLE] = n[POOL_SLOT_IDLE];
	gauges[POOL_GAUGE_RESETTING] =
		n[POOL_SLOT_CHECKING] + n[POOL_SLOT_RETURNED] + n[POOL_SLOT_RESETTING];
	gauges[POOL_GAUGE_CONNECTING] = n[POOL_SLOT_CONNECTING];
	gauges[POOL_GAUGE_CLOSING] = n[POOL_SLOT_CLOSING];
	gauges[POOL_GAUGE_LIMIT] = pool->limit;
	gauges[POOL_GAUGE_MAX] = pool->options.max_size;
	gauges[POOL_GAUGE_MIN] = pool->options.min_size;
	gauges[POOL_GAUGE_PEAK] = pool->peak_active;
	gauges[POOL_GAUGE_WAITING] = pool->nwaiting;
	gauges[POOL_GAUGE_LEAKED] = pool->nleaked;
	gauges[POOL_GAUGE_OLDEST_WAIT] =
		waiting_since != 0 ? Max(pool_clock_us() - waiting_since, 0) : 0;
	gauges[POOL_GAUGE_BREAKER] =
		closed ? 0 : (pool->breaker == POOL_BREAKER_HALF_OPEN ? 1 : 2);
	gauges[POOL_GAUGE_BREAKER_OPEN] =
		closed ? 0 : Max(GetCurrentTimestamp() - pool->breaker_opened_at, 0);
	gauges[POOL_GAUGE_CHECK_FAILURES] = pool->check_failures;
	gauges[POOL_GAUGE_PAUSED] = pool->pause != POOL_PAUSE_NONE;
}

static void
make_figures(PoolFigures *figures, Pool *pool, int64 waiting_since, bool utf8)
{
	PoolTimes times;

	figures->labels = make_labels(pool, utf8);
	make_gauges(figures->gauges, pool, waiting_since);
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		figures->counters[i] = pg_atomic_read_u64(&pool->stats.counters[i]);
	for (int i = 0; i < POOL_NCLOSE_REASONS; i++)
		figures->closed[i] = pg_atomic_read_u64(&pool->stats.closed[i]);
	for (int what = 0; what < POOL_NTIMED; what++)
	{
		pool_histogram_read(&pool->stats.times[what], &times);
		memcpy(figures->times[what].up_to, times.up_to, sizeof(times.up_to));
		figures->times[what].count = times.count;
		figures->times[what].sum_us = times.sum_us;
	}
}

/* Puts the figures of two pools with the same labels together. */
static void
add_figures(PoolFigures *sum, const PoolFigures *more)
{
	for (int i = 0; i < POOL_NGAUGES; i++)
		sum->gauges[i] = i < POOL_GAUGE_OLDEST_WAIT
							 ? sum->gauges[i] + more->gauges[i]
							 : Max(sum->gauges[i], more->gauges[i]);
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		sum->counters[i] += more->counters[i];
	for (int i = 0; i < POOL_NCLOSE_REASONS; i++)
		sum->closed[i] += more->closed[i];
	for (int what = 0; what < POOL_NTIMED; what++)
	{
		for (int i = 0; i < POOL_NEDGES; i++)
			sum->times[what].up_to[i] += more->times[what].up_to[i];
		sum->times[what].count += more->times[what].count;
		sum->times[what].sum_us += more->times[what].sum_us;
	}
}

static int
compare_labels(const void *a, const void *b)
{
	return strcmp(((const PoolFigures *) a)->labels,
				  ((const PoolFigures *) b)->labels);
}

/* Leaves one of those that have the same labels. */
static void
make_distinct(PoolFiguresOfAll *all)
{
	int last = 0;

	qsort(all->list, all->n, sizeof(PoolFigures), compare_labels);
	for (int i = 1; i < all->n; i++)
	{
		if (compare_labels(&all->list[last], &all->list[i]) == 0)
			add_figures(&all->list[last], &all->list[i]);
		else
			all->list[++last] = all->list[i];
	}
	all->n = Min(all->n, last + 1);
}

/*
 * Reads the figures of all pools into the current memory context.  Names have
 * nothing but ASCII if they are not to be "utf8".  Takes the pools' locks, one
 * after the other.  Raises nothing but that memory is exhausted.
 */
void
pool_figures_read(PoolFiguresOfAll *all, bool utf8)
{
	Pool *copy = palloc(sizeof(Pool));
	int size = 16;

	memset(all, 0, sizeof(*all));
	all->list = palloc(sizeof(PoolFigures) * size);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		int64 waiting_since;

		/* Without a lock: one that comes just now is seen the next time. */
		if (pool_shmem_pools[i].id == 0)
			continue;
		copy_pool(&pool_shmem_pools[i], copy, &waiting_since);
		if (copy->id == 0)
			continue;
		all->pools++;
		all->connections += copy->nplaces;
		if (copy->dropped)
			continue;
		if (all->n == size)
		{
			size *= 2;
			all->list = repalloc_huge(all->list, sizeof(PoolFigures) * size);
		}
		make_figures(&all->list[all->n++], copy, waiting_since, utf8);
	}
	pfree(copy);
	make_distinct(all);
}
