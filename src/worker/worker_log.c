/*
 * log.c
 *		What the worker writes into the log about a pool, without flooding it.
 *
 * A remote that goes away takes all its connections with it, and then fails one
 * attempt after the other.  The first event of a kind is written at once; those
 * that follow within QUIET_US are counted, and the last of them is written after
 * that time, with the count.
 *
 * The summary of pool.log_summary_interval is made of the difference between the
 * counters and what they were at the last one.
 *
 * All here is memory of the worker alone.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "shared/histogram.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "worker/loop.h"
#include "worker/worker_log.h"

/* The least time between two lines of a kind. */
#define QUIET_US INT64CONST(10000000)

/* A kind of line. */
typedef struct Line
{
	int64 next; /* not before then, pool_clock_us() */
	int64 held; /* events that were not written */
	char text[POOL_ERROR_LEN + NAMEDATALEN + 128]; /* the last of them */
} Line;

/* A pool at the time of a summary. */
typedef struct Summary
{
	TimestampTz reset; /* since when it counts */
	int leased_then;
	int open_then;
	int limit;
	int leased;
	int idle;
	int waiting;
	uint64 counters[POOL_NCOUNTERS];
	PoolTimes wait;
	PoolTimes query;
} Summary;

/* By pool index. */
typedef struct PoolLog
{
	uint64 pool_id;
	Line failed;
	Line lost;
	int64 next_summary;
	Summary before;
} PoolLog;

static PoolLog *logs;

/* Once, when the worker starts. */
void
pool_worker_log_init(void)
{
	logs = MemoryContextAllocZero(TopMemoryContext,
								  sizeof(PoolLog) * pool_shmem->npools);
}

/* Writes what was held back. */
static void
write_held(Line *line)
{
	if (line->held == 0)
		return;
	ereport(LOG, (errmsg_internal("%s", line->text),
				  line->held > 1 ? errdetail("There were " INT64_FORMAT
											 " such events since the last line.",
											 line->held)
								 : 0));
	line->held = 0;
	line->next = pool_clock_us() + QUIET_US;
}

static PoolLog *
log_of(const Pool *pool)
{
	PoolLog *log = &logs[pool_index(pool)];

	if (log->pool_id != pool->id)
	{
		write_held(&log->failed);
		write_held(&log->lost);
		memset(log, 0, sizeof(*log));
		log->pool_id = pool->id;
	}
	return log;
}

static void
write_if_due(Line *line)
{
	if (pool_clock_us() >= line->next)
		write_held(line);
	else if (line->held > 0)
		pool_loop_wake_at(line->next);
}

/* One more event, whose text is in the line: writes it, now or later. */
static void
add_event(Line *line)
{
	line->held++;
	write_if_due(line);
}

/* An attempt to connect has failed. */
void
pool_worker_log_failed(Pool *pool, const char *message)
{
	Line *line = &log_of(pool)->failed;

	snprintf(line->text, sizeof(line->text),
			 "could not connect pool for server \"%s\": %s",
			 NameStr(pool->server_name), message);
	add_event(line);
}

/* The remote has closed a connection that was in use or idle. */
void
pool_worker_log_lost(Pool *pool, const PoolSlot *slot, const char *reason)
{
	Line *line = &log_of(pool)->lost;

	snprintf(line->text, sizeof(line->text),
			 "pool for server \"%s\" lost its connection to %s, remote process %d: %s",
			 NameStr(pool->server_name), slot->remote_address, slot->remote_pid,
			 reason);
	add_event(line);
}

static void
read_figures(Pool *pool, Summary *figures)
{
	LWLockAcquire(&pool->lock, LW_SHARED);
	figures->reset = pool->stats_reset;
	figures->leased_then = pool->leased_at_reset;
	figures->open_then = pool->open_at_reset;
	figures->limit = pool->limit;
	figures->leased = pool->nslots[POOL_SLOT_LEASED];
	figures->idle = pool->nslots[POOL_SLOT_IDLE];
	figures->waiting = pool->nwaiting;
	LWLockRelease(&pool->lock);
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		figures->counters[i] = pg_atomic_read_u64(&pool->stats.counters[i]);
	pool_histogram_read(&pool->stats.times[POOL_TIMED_WAIT], &figures->wait);
	pool_histogram_read(&pool->stats.times[POOL_TIMED_QUERY], &figures->query);
}

/* What a counter has grown by; they are read one after the other. */
static uint64
grown(const Summary *now, const Summary *before, PoolCounter counter)
{
	uint64 a = now->counters[counter];
	uint64 b = before->counters[counter];

	return a >= b ? a - b : 0;
}

/* The counters were reset in between: with what did they begin? */
static void
begin_at_reset(const Summary *now, Summary *before)
{
	memset(before, 0, sizeof(*before));
	before->counters[POOL_COUNT_ACQUIRES] = now->leased_then;
	before->counters[POOL_COUNT_CONNECTS] = now->open_then;
}

/* Median and 95th percentile, in milliseconds. */
static char *
describe_times(const PoolTimes *times)
{
	if (times->count == 0)
		return "-";
	return psprintf("%.3f/%.3f ms", pool_histogram_percentile(times, 0.5) / 1000,
					pool_histogram_percentile(times, 0.95) / 1000);
}

static void
write_summary(Pool *pool, Summary *now, const Summary *before)
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
			(errmsg("pool for server \"%s\", user \"%s\", database \"%s\": leased %d of %d, idle %d, waiting %d; acquires " UINT64_FORMAT
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

/* Sums up a pool if it is time to. */
static void
sum_up(Pool *pool, PoolLog *log)
{
	int64 now = pool_clock_us();
	int64 interval = INT64CONST(1000) * pool_guc_log_summary_interval;
	Summary figures;

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
			Summary at_now = figures;

			if (figures.reset != log->before.reset)
				begin_at_reset(&figures, &log->before);
			write_summary(pool, &at_now, &log->before);
		}
		log->before = figures;
		log->next_summary = now + interval;
	}
	pool_loop_wake_at(log->next_summary);
}

/*
 * Writes what is due.  To be called each time the worker looks at the pool.
 */
void
pool_worker_log_look(Pool *pool)
{
	PoolLog *log = log_of(pool);

	write_if_due(&log->failed);
	write_if_due(&log->lost);
	sum_up(pool, log);
}

/* The worker ends: nothing is held back any more. */
void
pool_worker_log_end(void)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		write_held(&logs[i].failed);
		write_held(&logs[i].lost);
	}
}
