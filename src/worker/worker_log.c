/*
 * worker_log.c
 *		What the worker writes into the log about a pool, without flooding it.
 *
 * A remote that goes away takes all its connections with it, and then fails one
 * attempt after the other.  The first event of a kind is written at once; those
 * that follow within QUIET_US are counted, and the last of them is written after
 * that time, with the count.
 *
 * The summary that pool.log_summary_interval asks for tells by how much the
 * counters have grown since the last one.
 *
 * Everything here is memory of the worker alone.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "shared/histogram.h"
#include "shared/limit.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "worker/loop.h"
#include "worker/worker_log.h"

/* The least time between two lines of a kind. */
#define QUIET_US (10 * POOL_CLOCK_US_PER_S)

/* Events of one kind, and when to write them. */
typedef struct Events
{
	int64 next; /* no line before then, pool_clock_us() */
	int64 held; /* how many were not written yet */
	char text[POOL_ERROR_LEN + NAMEDATALEN + 128]; /* of the last one */
} Events;

/* The figures of a pool at one time. */
typedef struct Figures
{
	TimestampTz stats_reset;
	int leased_at_reset;
	int open_at_reset;
	int limit;
	int leased;
	int idle;
	int waiting;
	uint64 counters[POOL_NCOUNTERS];
	PoolTimes wait;
	PoolTimes query;
} Figures;

/* What is kept for a pool, by its index. */
typedef struct PoolLog
{
	uint64 pool_id;
	Events connect_failed;
	Events connection_lost;
	Events answer_too_long;
	Events limited;
	int64 next_summary; /* pool_clock_us(), 0: there was none yet */
	Figures before;		/* at the last one */
} PoolLog;

static PoolLog *logs;

/* Called once, when the worker starts. */
void
pool_worker_log_init(void)
{
	logs = MemoryContextAllocZero(TopMemoryContext,
								  sizeof(PoolLog) * pool_shmem->npools);
}

/* Writes what was held back, as one line. */
static void
write_held(Events *events)
{
	if (events->held == 0)
		return;
	ereport(LOG,
			(errmsg_internal("%s", events->text),
			 events->held > 1 ? errdetail("There were " INT64_FORMAT
										  " such events since the last line.",
										  events->held)
							  : 0));
	events->held = 0;
	events->next = pool_clock_us() + QUIET_US;
}

/* What is kept for the pool; begun anew if its place had another one. */
static PoolLog *
log_of(const Pool *pool)
{
	PoolLog *log = &logs[pool_index(pool)];

	if (log->pool_id != pool->id)
	{
		write_held(&log->connect_failed);
		write_held(&log->connection_lost);
		write_held(&log->answer_too_long);
		write_held(&log->limited);
		memset(log, 0, sizeof(*log));
		log->pool_id = pool->id;
	}
	return log;
}

/* Writes what was held back, if it is time to. */
static void
write_if_due(Events *events)
{
	if (pool_clock_us() >= events->next)
		write_held(events);
	else if (events->held > 0)
		pool_loop_wake_at(events->next);
}

/* Writes one more event, whose text is set already, now or later. */
static void
add_event(Events *events)
{
	events->held++;
	write_if_due(events);
}

/* Logs an attempt to connect that has failed. */
void
pool_worker_log_connect_failed(Pool *pool, const char *message)
{
	Events *events = &log_of(pool)->connect_failed;

	snprintf(events->text, sizeof(events->text),
			 "could not connect pool for server \"%s\": %s",
			 NameStr(pool->server_name), message);
	add_event(events);
}

/* Logs a connection, leased or idle, that the remote has closed. */
void
pool_worker_log_connection_lost(Pool *pool, const PoolSlot *slot,
								const char *reason)
{
	Events *events = &log_of(pool)->connection_lost;

	snprintf(events->text, sizeof(events->text),
			 "pool for server \"%s\" lost its connection to %s, remote process %d: %s",
			 NameStr(pool->server_name), slot->remote_address, slot->remote_pid,
			 reason);
	add_event(events);
}

/*
 * Logs a connection that is closed, since the answer to a reset or health check
 * is longer than that.
 */
void
pool_worker_log_answer_too_long(Pool *pool, const PoolSlot *slot,
								bool is_health_check, int kb)
{
	Events *events = &log_of(pool)->answer_too_long;

	snprintf(events->text, sizeof(events->text),
			 is_health_check
				 ? "pool for server \"%s\" closed its connection to %s, "
				   "remote process %d: "
				   "more than %d kB came in reply to a health check"
				 : "pool for server \"%s\" closed its connection to %s, "
				   "remote process %d: more than %d kB came in reply to a reset",
			 NameStr(pool->server_name), slot->remote_address, slot->remote_pid,
			 kb);
	add_event(events);
}

/*
 * Logs that a limit over several pools has begun to keep the pool from a
 * connection.
 */
void
pool_worker_log_limited(Pool *pool)
{
	Events *events = &log_of(pool)->limited;

	snprintf(events->text, sizeof(events->text),
			 "pool for server \"%s\" cannot open a connection: %s is reached",
			 NameStr(pool->server_name), pool_limit_name(pool->limited_by));
	add_event(events);
}

/*
 * Takes the figures of a pool, all under its lock, as a reset has it, too: so
 * they are all of the time before one or all of the time after it.
 */
static void
read_figures(Pool *pool, Figures *figures)
{
	LWLockAcquire(&pool->lock, LW_SHARED);
	figures->stats_reset = pool->stats_reset;
	figures->leased_at_reset = pool->leased_at_reset;
	figures->open_at_reset = pool->open_at_reset;
	figures->limit = pool->limit;
	figures->leased = pool->nslots[POOL_SLOT_LEASED];
	figures->idle = pool->nslots[POOL_SLOT_IDLE];
	figures->waiting = pool->nwaiting;
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		figures->counters[i] = pg_atomic_read_u64(&pool->stats.counters[i]);
	pool_histogram_read(&pool->stats.times[POOL_TIMED_WAIT], &figures->wait);
	pool_histogram_read(&pool->stats.times[POOL_TIMED_QUERY], &figures->query);
	LWLockRelease(&pool->lock);
}

/* By how much a counter has grown; "before" is since the last reset, too. */
static uint64
grown(const Figures *now, const Figures *before, PoolCounter counter)
{
	return now->counters[counter] - before->counters[counter];
}

/*
 * The counters were reset in between: makes "before" the figures with which
 * they began then.
 */
static void
begin_at_reset(const Figures *now, Figures *before)
{
	memset(before, 0, sizeof(*before));
	before->counters[POOL_COUNT_ACQUIRES] = now->leased_at_reset;
	before->counters[POOL_COUNT_CONNECTS] = now->open_at_reset;
}

/* Median and 95th percentile, in milliseconds. */
static char *
describe_times(const PoolTimes *times)
{
	if (times->count == 0)
		return "-";
	return psprintf("%.3f/%.3f ms",
					pool_histogram_percentile(times, 0.5) / POOL_CLOCK_US_PER_MS,
					pool_histogram_percentile(times, 0.95) /
						POOL_CLOCK_US_PER_MS);
}

/* Writes a summary, unless nothing has happened. */
static void
write_summary(Pool *pool, Figures *now, const Figures *before)
{
#define GROWN(counter) grown(now, before, POOL_COUNT_##counter)
	if (GROWN(ACQUIRES) + GROWN(ACQUIRE_TIMEOUTS) + GROWN(ACQUIRE_FAILURES) +
			GROWN(QUERIES) + GROWN(CONNECTS) + GROWN(CONNECT_ERRORS) +
			GROWN(CLOSED) ==
		0)
		return;
	pool_histogram_subtract(&now->wait, &before->wait);
	pool_histogram_subtract(&now->query, &before->query);
	ereport(LOG,
			(errmsg("pool for server \"%s\", user \"%s\", database \"%s\": "
					"leased %d of %d, idle %d, waiting %d; acquires " UINT64_FORMAT
					", timed out " UINT64_FORMAT ", failed " UINT64_FORMAT
					"; statements " UINT64_FORMAT ", failed " UINT64_FORMAT
					"; connects " UINT64_FORMAT ", failed " UINT64_FORMAT
					", closed " UINT64_FORMAT
					"; wait %s, statement %s (median/95%%)",
					NameStr(pool->server_name), NameStr(pool->user_name),
					NameStr(pool->database_name), now->leased, now->limit,
					now->idle, now->waiting, GROWN(ACQUIRES),
					GROWN(ACQUIRE_TIMEOUTS), GROWN(ACQUIRE_FAILURES),
					GROWN(QUERIES), GROWN(QUERY_ERRORS), GROWN(CONNECTS),
					GROWN(CONNECT_ERRORS), GROWN(CLOSED),
					describe_times(&now->wait), describe_times(&now->query))));
#undef GROWN
}

/* Writes the summary of a pool if it is time to. */
static void
summarize_if_due(Pool *pool, PoolLog *log)
{
	int64 now = pool_clock_us();
	int64 interval = pool_clock_from_ms(pool_guc_log_summary_interval);
	Figures figures;

	if (interval == 0)
	{
		log->next_summary = 0;
		return;
	}
	if (now >= log->next_summary || log->next_summary > now + interval)
	{
		read_figures(pool, &figures);
		if (log->next_summary != 0)
		{
			Figures at_now = figures;

			if (figures.stats_reset != log->before.stats_reset)
				begin_at_reset(&figures, &log->before);
			write_summary(pool, &at_now, &log->before);
		}
		log->before = figures;
		log->next_summary = now + interval;
	}
	pool_loop_wake_at(log->next_summary);
}

/* Writes what is due.  Called for each pool in each round. */
void
pool_worker_log_on_round(Pool *pool)
{
	PoolLog *log = log_of(pool);

	write_if_due(&log->connect_failed);
	write_if_due(&log->connection_lost);
	write_if_due(&log->answer_too_long);
	write_if_due(&log->limited);
	summarize_if_due(pool, log);
}

/* Writes all that was held back, since the worker ends. */
void
pool_worker_log_flush(void)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		write_held(&logs[i].connect_failed);
		write_held(&logs[i].connection_lost);
		write_held(&logs[i].answer_too_long);
		write_held(&logs[i].limited);
	}
}
