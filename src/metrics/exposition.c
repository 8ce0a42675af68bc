/*
 * exposition.c
 *		All figures as text, for Prometheus: the exposition format, version 0.0.4.
 *		https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * The format wants all samples of a metric together, with one HELP and one TYPE.
 * So the figures of all pools are read first (figures.c), and written metric by
 * metric.  A metric has a sample for each pool from the pool's first moment, 0 if
 * need be, since what grows from nothing to one is not seen as growth.
 *
 * A counter has the name of its column in pool_stats_all(), and "_total".  Times
 * are in seconds.  doc/monitoring.md has the list.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/clock.h"
#include "base/guc.h"
#include "metrics/exposition.h"
#include "metrics/figures.h"
#include "shared/histogram.h"
#include "shared/shmem.h"
#include "shared/stats.h"

#define PREFIX "pg_pool_"

typedef struct Metric
{
	const char *name; /* without PREFIX */
	const char *help;
	const char *label; /* of its own, or NULL */
	bool us;		   /* it is a time in microseconds */
} Metric;

#define PLAIN(name, help)           \
	{                               \
		(name), (help), NULL, false \
	}
#define SECONDS(name, help)        \
	{                              \
		(name), (help), NULL, true \
	}
#define CONNECTIONS(state)                                                    \
	{                                                                         \
		"connections", "Connections, by state.", "state=\"" state "\"", false \
	}

/* In the order of PoolGauge; those of one name follow each other. */
static const Metric gauges[POOL_NGAUGES] = {
	[POOL_GAUGE_ACTIVE] = CONNECTIONS("active"),
	[POOL_GAUGE_IDLE] = CONNECTIONS("idle"),
	[POOL_GAUGE_RESETTING] = CONNECTIONS("resetting"),
	[POOL_GAUGE_CONNECTING] = CONNECTIONS("connecting"),
	[POOL_GAUGE_CLOSING] = CONNECTIONS("closing"),
	[POOL_GAUGE_LIMIT] =
		PLAIN("connections_limit",
			  "Most connections just now: max_size, or less if autoscale says so."),
	[POOL_GAUGE_MAX] = PLAIN("connections_max", "max_size."),
	[POOL_GAUGE_MIN] = PLAIN("connections_min", "min_size."),
	[POOL_GAUGE_PEAK] = PLAIN("connections_peak",
							  "Most connections that were leased at a time."),
	[POOL_GAUGE_WAITING] =
		PLAIN("waiting_sessions", "Sessions that wait for a connection."),
	[POOL_GAUGE_LEAKED] =
		PLAIN("leaked_connections",
			  "Leases that were found to be leaked and are still held."),
	[POOL_GAUGE_OLDEST_WAIT] =
		SECONDS("oldest_wait_seconds",
				"How long the session that waits longest has waited."),
	[POOL_GAUGE_BREAKER] =
		PLAIN("breaker_state", "Circuit breaker: 0 closed, 1 half-open, 2 open."),
	[POOL_GAUGE_BREAKER_OPEN] =
		SECONDS("breaker_open_seconds",
				"How long ago the circuit breaker opened; 0 if it is closed."),
	[POOL_GAUGE_CHECK_FAILURES] =
		PLAIN("health_check_consecutive_failures",
			  "Health checks that failed since one went well."),
	[POOL_GAUGE_PAUSED] = PLAIN("paused", "1 if the pool is paused."),
};

/* In the order of PoolCounter, but for CLOSED, which closed_total adds up to. */
static const Metric counters[POOL_NCOUNTERS - 1] = {
	[POOL_COUNT_ACQUIRES] = PLAIN("acquires_total", "Leases begun."),
	[POOL_COUNT_ACQUIRE_TIMEOUTS] =
		PLAIN("acquire_timeouts_total", "Acquires that gave up waiting."),
	[POOL_COUNT_ACQUIRE_FAILURES] =
		PLAIN("acquire_failures_total", "Acquires that failed otherwise."),
	[POOL_COUNT_RELEASES] =
		PLAIN("releases_total", "Leases that ended with a usable connection."),
	[POOL_COUNT_LOST] =
		PLAIN("lost_total",
			  "Leases that ended with the connection being closed."),
	[POOL_COUNT_REUSED] =
		PLAIN("reused_total", "Leases that needed no handover."),
	[POOL_COUNT_LEAKS] = PLAIN("leaks_total", "Leases found to be leaked."),
	[POOL_COUNT_LEAKS_RECLAIMED] =
		PLAIN("leaks_reclaimed_total", "Leaks that were reclaimed."),
	[POOL_COUNT_QUERIES] = PLAIN("queries_total", "Statements sent."),
	[POOL_COUNT_QUERY_ERRORS] =
		PLAIN("query_errors_total", "Statements that failed."),
	[POOL_COUNT_ROWS] = PLAIN("rows_total", "Rows received."),
	[POOL_COUNT_CONNECTS] =
		PLAIN("connects_total", "Connections that became usable."),
	[POOL_COUNT_CONNECT_ERRORS] =
		PLAIN("connect_errors_total", "Attempts to connect that failed."),
	[POOL_COUNT_RETRIES] =
		PLAIN("retries_total", "Attempts to connect after one that had failed."),
	[POOL_COUNT_RETRY_SUCCESSES] =
		PLAIN("retry_successes_total", "Retries that made a connection."),
	[POOL_COUNT_RETRY_FAILURES] =
		PLAIN("retry_failures_total", "Retries that failed."),
	[POOL_COUNT_BREAKER_TRIPS] =
		PLAIN("breaker_trips_total", "Times the circuit breaker opened."),
	[POOL_COUNT_SCALE_UPS] =
		PLAIN("scale_ups_total", "Times autoscale raised the limit."),
	[POOL_COUNT_SCALE_DOWNS] =
		PLAIN("scale_downs_total", "Times autoscale lowered the limit."),
	[POOL_COUNT_CANCELS] =
		PLAIN("cancels_total", "Cancel requests sent to the remote."),
	[POOL_COUNT_RESETS] =
		PLAIN("resets_total", "Rollbacks and resets done by the worker."),
	[POOL_COUNT_VALIDATIONS] =
		PLAIN("validations_total", "Connections checked before use."),
	[POOL_COUNT_VALIDATION_FAILURES] =
		PLAIN("validation_failures_total", "Validations that failed."),
	[POOL_COUNT_HEALTH_CHECKS] =
		PLAIN("health_checks_total", "Health checks that went well."),
	[POOL_COUNT_HEALTH_CHECK_FAILURES] =
		PLAIN("health_check_failures_total", "Health checks that failed."),
	[POOL_COUNT_STATEMENT_HITS] =
		PLAIN("statement_hits_total", "Statements executed by name."),
	[POOL_COUNT_STATEMENT_PARSES] =
		PLAIN("statement_parses_total", "Statements prepared."),
	[POOL_COUNT_STATEMENT_EVICTIONS] =
		PLAIN("statement_evictions_total",
			  "Prepared statements given up to make room."),
	[POOL_COUNT_STATEMENT_INVALIDATIONS] =
		PLAIN("statement_invalidations_total",
			  "Prepared statements found to be gone or out of date."),
	[POOL_COUNT_REQUESTS] =
		PLAIN("requests_total", "Statements sent without waiting."),
	[POOL_COUNT_HEDGES] =
		PLAIN("hedges_total", "Requests sent since another server was slow."),
	[POOL_COUNT_HEDGES_WON] =
		PLAIN("hedges_won_total", "Hedges that answered first."),
};

static const Metric closed =
	PLAIN("closed_total", "Usable connections closed, by reason.");

static const Metric histograms[POOL_NTIMED] = {
	[POOL_TIMED_WAIT] =
		PLAIN("acquire_wait_seconds", "Time from the call to the lease."),
	[POOL_TIMED_CONNECT] =
		PLAIN("connect_seconds",
			  "Time to open a connection, with the look-up of names."),
	[POOL_TIMED_QUERY] =
		PLAIN("query_seconds",
			  "Time from sending a statement to the end of its result."),
	[POOL_TIMED_LEASE] =
		PLAIN("lease_seconds", "Time from begin to end of a lease."),
};

static void
put_head(StringInfo text, const Metric *metric, const char *type)
{
	appendStringInfo(text, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n",
					 metric->name, metric->help, metric->name, type);
}

/*
 * All but the value.  There are some hundred for each pool, so that formatting by
 * template would be most of the time.
 */
static void
put_name(StringInfo text, const Metric *metric, const char *suffix,
		 const char *labels, const char *label)
{
	appendStringInfoString(text, PREFIX);
	appendStringInfoString(text, metric->name);
	appendStringInfoString(text, suffix);
	appendStringInfoChar(text, '{');
	appendStringInfoString(text, labels);
	if (label != NULL)
	{
		if (labels[0] != '\0')
			appendStringInfoChar(text, ',');
		appendStringInfoString(text, label);
	}
	appendStringInfoString(text, "} ");
}

static void
put_number(StringInfo text, uint64 value)
{
	char digits[24];
	int length = pg_ulltoa_n(value, digits);

	appendBinaryStringInfo(text, digits, length);
	appendStringInfoChar(text, '\n');
}

/* Microseconds as seconds. */
static void
put_seconds(StringInfo text, uint64 us)
{
	appendStringInfo(text, UINT64_FORMAT ".%06d\n", us / POOL_CLOCK_US_PER_S,
					 (int) (us % POOL_CLOCK_US_PER_S));
}

static void
put_gauges(StringInfo text, const PoolFiguresOfAll *all)
{
	for (int i = 0; i < POOL_NGAUGES; i++)
	{
		const Metric *gauge = &gauges[i];

		if (i == 0 || strcmp(gauge->name, gauges[i - 1].name) != 0)
			put_head(text, gauge, "gauge");
		for (int pool = 0; pool < all->n; pool++)
		{
			const PoolFigures *figures = &all->list[pool];

			put_name(text, gauge, "", figures->labels, gauge->label);
			if (gauge->us)
				put_seconds(text, figures->gauges[i]);
			else
				put_number(text, figures->gauges[i]);
		}
	}
}

static void
put_counters(StringInfo text, const PoolFiguresOfAll *all)
{
	for (size_t i = 0; i < lengthof(counters); i++)
	{
		put_head(text, &counters[i], "counter");
		for (int pool = 0; pool < all->n; pool++)
		{
			put_name(text, &counters[i], "", all->list[pool].labels, NULL);
			put_number(text, all->list[pool].counters[i]);
		}
	}
}

/* Without CONNECT_FAILED: what never was usable is in connect_errors_total. */
static void
put_closed(StringInfo text, const PoolFiguresOfAll *all)
{
	put_head(text, &closed, "counter");
	for (int pool = 0; pool < all->n; pool++)
	{
		for (int i = POOL_CLOSE_CONNECT_FAILED + 1; i < POOL_NCLOSE_REASONS; i++)
		{
			char label[64];

			snprintf(label, sizeof(label), "reason=\"%s\"",
					 pool_stats_close_reason_name((PoolCloseReason) i));
			put_name(text, &closed, "", all->list[pool].labels, label);
			put_number(text, all->list[pool].closed[i]);
		}
	}
}

static void
put_histogram(StringInfo text, const Metric *metric, const char *labels,
			  const PoolFigureTimes *times)
{
	static char les[POOL_NEDGES][24];

	for (int i = 0; i < POOL_NEDGES; i++)
	{
		if (les[i][0] == '\0')
			snprintf(les[i], sizeof(les[i]), "le=\"%g\"",
					 pool_histogram_edges[i] / (double) POOL_CLOCK_US_PER_S);
		put_name(text, metric, "_bucket", labels, les[i]);
		put_number(text, times->up_to[i]);
	}
	put_name(text, metric, "_bucket", labels, "le=\"+Inf\"");
	put_number(text, times->count);
	put_name(text, metric, "_sum", labels, NULL);
	put_seconds(text, times->sum_us);
	put_name(text, metric, "_count", labels, NULL);
	put_number(text, times->count);
}

/* What is of the server as a whole. */
static void
put_server(StringInfo text, const PoolFiguresOfAll *all)
{
	static const Metric metrics[] = {
		PLAIN("all_connections", "Connections of all pools, in any state."),
		PLAIN("all_connections_limit", "pool.max_connections."),
		PLAIN("all_pools",
			  "Pools, those that are dropped and still close connections included."),
		PLAIN("all_pools_limit", "pool.max_pools."),
	};
	static const Metric up = PLAIN("worker_up", "1 if the pool worker runs.");
	int values[] = {all->connections, pool_shmem->nslots, all->pools,
					pool_shmem->npools};

	for (size_t i = 0; i < lengthof(metrics); i++)
	{
		put_head(text, &metrics[i], "gauge");
		appendStringInfo(text, PREFIX "%s %d\n", metrics[i].name, values[i]);
	}
	put_head(text, &up, "gauge");
	for (int i = 0; i < pool_shmem->nworkers; i++)
		appendStringInfo(text, PREFIX "worker_up{worker=\"%d\"} %d\n", i + 1,
						 pg_atomic_read_u32(&pool_shmem->worker_procno[i]) !=
							 (uint32) POOL_NONE);
}

/*
 * Appends the metrics of all pools and of the server.  Names have nothing but
 * ASCII if they are not to be "utf8".  Takes the pools' locks, one after the other.
 * Raises nothing but that memory is exhausted.
 */
void
pool_exposition_append(StringInfo text, bool utf8)
{
	PoolFiguresOfAll all;

	pool_figures_read(&all, utf8);
	put_server(text, &all);
	put_gauges(text, &all);
	put_counters(text, &all);
	put_closed(text, &all);
	for (int what = 0; what < POOL_NTIMED; what++)
	{
		put_head(text, &histograms[what], "histogram");
		for (int pool = 0; pool < all.n; pool++)
			put_histogram(text, &histograms[what], all.list[pool].labels,
						  &all.list[pool].times[what]);
	}
}
