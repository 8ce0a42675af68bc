/*
 * acquire.c
 *		From a server's name to a leased slot.
 *
 * Resolves the name with the rights of the current user, finds the pool, tells
 * the worker how to connect if it does not know these options yet, takes an
 * idle slot or waits for one.  Every wait is on this session's latch, takes
 * interrupts, and has a deadline.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "base/wait_event.h"
#include "options/conninfo.h"
#include "session/acquire.h"
#include "session/conn_cache.h"
#include "session/handover.h"
#include "shared/registry.h"
#include "shared/slot.h"
#include "shared/stats.h"

/* How long the worker may take to note options; it takes no time, if it runs. */
#define CONFIGURE_TIMEOUT_US INT64CONST(5000000)

/* The wait under way, for the exit of the session. */
static PoolAcquireRequest *waiting = NULL;

/* The pool that this session asked for last. */
static struct
{
	PoolKey key;
	Pool *pool;
	uint64 pool_id;
} recent;

/* Summary of a pool for an error message, copied under the lock. */
typedef struct Snapshot
{
	int max_size;
	int limit;
	int leased;
	int nwaiting;
	bool paused;
	bool connect_failed;
	int retry_ms; /* until the next attempt, if the breaker is open */
	PoolConnectError error;
} Snapshot;

static void
read_figures(Pool *pool, Snapshot *figures)
{
	LWLockAcquire(&pool->lock, LW_SHARED);
	figures->max_size = pool->options.max_size;
	figures->limit = pool->limit;
	figures->leased = pool->nslots[POOL_SLOT_LEASED];
	figures->nwaiting = pool->nwaiting;
	figures->paused = pool->pause != POOL_PAUSE_NONE;
	figures->connect_failed = pool->failures > 0;
	figures->retry_ms =
		pool->breaker == POOL_BREAKER_OPEN
			? (int) Max(1, (pool->next_attempt - pool_clock_us()) / 1000)
			: 0;
	figures->error = pool->last_error;
	LWLockRelease(&pool->lock);
}

static void
raise_timeout(Pool *pool, const PoolTarget *target, int64 started)
{
	Snapshot figures;

	read_figures(pool, &figures);
	pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_TIMEOUTS, 1);
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("could not get a connection to server \"%s\" within %d ms",
					NameStr(target->server_name),
					(int) ((pool_clock_us() - started) / 1000)),
			 figures.paused
				 ? errdetail("The pool is paused; other sessions waiting: %d.",
							 figures.nwaiting)
			 : figures.connect_failed
				 ? errdetail("Leased: %d of at most %d; other sessions waiting: %d.  The last attempt to connect failed: %s",
							 figures.leased, figures.limit, figures.nwaiting,
							 figures.error.message)
				 : errdetail("Leased: %d of at most %d; other sessions waiting: %d.",
							 figures.leased, figures.limit, figures.nwaiting),
			 figures.paused			  ? errhint("pool_resume() lets it go on.")
			 : figures.connect_failed ? 0
			 : figures.limit < figures.max_size
				 ? errhint("Autoscale may raise the limit to %d; raise min_size to begin higher, or look in pool_connections for who holds connections.",
						   figures.max_size)
				 : errhint(
					   "Raise max_size of the server, or look in pool_connections for who holds connections.")));
}

/*
 * Raises the last error of connecting, with the remote's SQLSTATE if it gave
 * one, 08001 otherwise.
 */
void
pool_acquire_raise_failure(Pool *pool, const PoolTarget *target)
{
	Snapshot figures;

	read_figures(pool, &figures);
	pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
	ereport(ERROR,
			(errcode(figures.error.sqlstate
						 ? figures.error.sqlstate
						 : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to server \"%s\"",
					NameStr(target->server_name)),
			 figures.retry_ms > 0
				 ? errdetail("The circuit breaker is open; the next attempt is in %d ms.  The last one failed: %s",
							 figures.retry_ms, figures.error.message)
				 : errdetail_internal("%s", figures.error.message),
			 figures.retry_ms > 0
				 ? errhint("pool_breaker_reset() has it try at once.")
				 : 0));
}

static void
raise_paused(Pool *pool, const PoolTarget *target)
{
	pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("pool for server \"%s\" is paused",
						   NameStr(target->server_name)),
					errhint("pool_resume() lets it go on.")));
}

static void
raise_queue_full(Pool *pool, const PoolTarget *target)
{
	Snapshot figures;

	read_figures(pool, &figures);
	pool_stats_add(&pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("too many sessions are waiting for a connection to server \"%s\"",
					NameStr(target->server_name)),
			 errdetail("Leased: %d of at most %d; sessions waiting: %d, which is max_waiters.",
					   figures.leased, figures.limit, figures.nwaiting)));
}

/*
 * Waits in the queue.  NONE means that the deadline came first.  After an
 * error the request tells whether a slot had been granted.
 */
static PoolVerdict
wait_in_queue(PoolAcquireRequest *request, int64 deadline)
{
	volatile PoolVerdict verdict = POOL_VERDICT_NONE;

	waiting = request;
	PG_TRY();
	{
		while ((verdict = pool_queue_verdict(request)) == POOL_VERDICT_NONE)
		{
			int64 left = deadline - pool_clock_us();

			if (left <= 0)
			{
				verdict = pool_queue_leave(request);
				break;
			}
			(void) WaitLatch(MyLatch,
							 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 (long) Min((left + 999) / 1000, INT_MAX),
							 pool_wait_event(POOL_WAIT_ACQUIRE));
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	PG_CATCH();
	{
		pool_acquire_abandon();
		PG_RE_THROW();
	}
	PG_END_TRY();
	waiting = NULL;
	return verdict;
}

/*
 * Ends the wait under way, if there is one.  A slot that was granted in the
 * last moment is in its request then.  Raises nothing.
 */
void
pool_acquire_abandon(void)
{
	if (waiting != NULL)
		(void) pool_queue_leave(waiting);
	waiting = NULL;
}

/*
 * Tells the worker the options of the target, from the catalogs as they are
 * now.  The target is brought up to date.
 */
static void
configure(const char *server_name, PoolTarget *target, Pool *pool,
		  uint64 pool_id, int64 deadline)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool conninfo",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	PoolConninfo conninfo;
	PoolKey key = target->key;

	pool_target_resolve(server_name, target);
	if (!pool_target_key_equal(&target->key, &key))
	{
		/* Another pool's options by now: the caller looks that one up. */
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return;
	}
	pool_conninfo_build(target, &conninfo);
	(void) pool_handover_configure(pool, pool_id, target, &conninfo,
								   Max(deadline,
									   pool_clock_us() + CONFIGURE_TIMEOUT_US));
	for (int i = 0; i < conninfo.count; i++)
		explicit_bzero(unconstify(char *, conninfo.values[i]),
					   strlen(conninfo.values[i]));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * Leases a slot of the server's pool to this session: request->slot and
 * ->generation.  As soon as request->slot is set, be it that an error follows,
 * the slot is the session's and has to be given back.
 *
 * timeout_ms -1 means the setting pool.acquire_timeout, or else the server's
 * option.  "started" is when the caller began to wait.  Returns the deadline,
 * in pool_clock_us().
 *
 * Raises: what pool_target_resolve() does; 53300 when the time is over or
 * max_waiters wait already; the remote's SQLSTATE or 08001 when no connection
 * can be made.
 */
int64
pool_acquire_slot(const char *server_name, PoolTarget *target, int64 timeout_ms,
				  int64 started, PoolAcquireRequest *request)
{
	int64 deadline;
	int tries = 0;

	pool_target_resolve(server_name, target);
	if (timeout_ms < 0)
		timeout_ms = pool_guc_acquire_timeout >= 0
						 ? pool_guc_acquire_timeout
						 : target->options.acquire_timeout;
	deadline = started + timeout_ms * 1000;

	/* Mostly the same pool again; pool_queue_acquire() finds out if it is gone. */
	if (recent.pool == NULL || !pool_target_key_equal(&recent.key, &target->key))
	{
		recent.pool = pool_registry_get(target, &recent.pool_id);
		recent.key = target->key;
	}
	request->pool = recent.pool;
	request->pool_id = recent.pool_id;
	request->started = started;
	request->has_copy = pool_conn_cache_has;
	for (;;)
	{
		request->stamp = target->stamp;
		request->priority = Min(target->options.priority, pool_guc_priority);
		switch (pool_queue_acquire(request))
		{
			case POOL_ACQUIRE_GRANTED:
				return deadline;
			case POOL_ACQUIRE_WAIT:
				switch (wait_in_queue(request, deadline))
				{
					case POOL_VERDICT_GRANTED:
						return deadline;
					case POOL_VERDICT_FAILED:
						pool_acquire_raise_failure(request->pool, target);
						break;
					case POOL_VERDICT_NONE:
						raise_timeout(request->pool, target, started);
						break;
					case POOL_VERDICT_RETRY:
						break;
				}
				break;
			case POOL_ACQUIRE_UNCONFIGURED:
				configure(server_name, target, request->pool, request->pool_id,
						  deadline);
				break;
			case POOL_ACQUIRE_STALE:
				recent.pool = NULL;
				break;
			case POOL_ACQUIRE_QUEUE_FULL:
				raise_queue_full(request->pool, target);
				break;
			case POOL_ACQUIRE_PAUSED:
				raise_paused(request->pool, target);
				break;
			case POOL_ACQUIRE_FAILED:
				pool_acquire_raise_failure(request->pool, target);
				break;
		}
		CHECK_FOR_INTERRUPTS();
		if (pool_clock_us() > deadline && tries++ > 0)
			raise_timeout(request->pool, target, started);
		pool_target_resolve(server_name, target);
		request->pool = pool_registry_get(target, &request->pool_id);
	}
}

/*
 * The pool of that server, with the worker knowing how to connect; for
 * functions that need no lease.  Raises what pool_acquire_slot() does, but
 * for the waiting.
 */
Pool *
pool_acquire_configured(const char *server_name, PoolTarget *target,
						int64 deadline, uint64 *pool_id)
{
	int64 started = pool_clock_us();

	pool_target_resolve(server_name, target);
	for (;;)
	{
		Pool *pool = pool_registry_get(target, pool_id);
		bool ready;

		LWLockAcquire(&pool->lock, LW_SHARED);
		ready = pool->id == *pool_id && pool->configured &&
				pool_target_stamp_equal(&pool->stamp, &target->stamp);
		LWLockRelease(&pool->lock);
		if (ready)
			return pool;
		if (pool_clock_us() > deadline)
			raise_timeout(pool, target, started);
		configure(server_name, target, pool, *pool_id, deadline);
		CHECK_FOR_INTERRUPTS();
	}
}
