/*
 * acquire_error.c
 *		What an acquire that failed says.
 *
 * What a message tells of the pool is copied under the pool's lock; it is
 * formatted and raised without one.  Nothing is counted here: that is for the
 * caller, who knows what failed.
 */
#include "postgres.h"

#include "base/clock.h"
#include "session/acquire_error.h"
#include "shared/backoff.h"
#include "shared/slot.h"

/* What messages tell of a pool, copied under its lock. */
typedef struct Summary
{
	int max_size;
	int limit;
	int leased;
	int nwaiting;
	bool paused;
	bool connect_failed;
	int retry_ms; /* until the next attempt, 0: the breaker is not open */
	PoolConnectError error;
} Summary;

static void
read_summary(Pool *pool, Summary *summary)
{
	int64 next;

	LWLockAcquire(&pool->lock, LW_SHARED);
	summary->max_size = pool->options.max_size;
	summary->limit = pool->limit;
	summary->leased = pool->nslots[POOL_SLOT_LEASED];
	summary->nwaiting = pool->nwaiting;
	summary->paused = pool->pause != POOL_PAUSE_NONE;
	summary->connect_failed = pool->failures > 0;
	next = pool->nslots[POOL_SLOT_CONNECTING] > 0 ? pool_backoff_beside_at(pool)
												  : pool->next_attempt;
	summary->retry_ms = pool->breaker == POOL_BREAKER_OPEN
							? (int) Max(1, pool_clock_left_ms(next))
							: 0;
	summary->error = pool->last_error;
	LWLockRelease(&pool->lock);
}

/* For ereport(): the SQLSTATE and the primary message of pool_acquire_error_timeout(). */
static int
report_timeout(const PoolTarget *target, int64 started)
{
	int waited_ms = (int) ((pool_clock_us() - started) / POOL_CLOCK_US_PER_MS);

	errcode(ERRCODE_TOO_MANY_CONNECTIONS);
	return errmsg("could not acquire a connection to server \"%s\" within %d ms",
				  NameStr(target->server_name), waited_ms);
}

/* Raises 53300: the wait since "started" was too long.  Tells what was in the way. */
void
pool_acquire_error_timeout(Pool *pool, const PoolTarget *target, int64 started)
{
	Summary now;

	read_summary(pool, &now);
	if (now.paused)
		ereport(ERROR,
				(report_timeout(target, started),
				 errdetail("The pool is paused.  The number of other waiting sessions is %d.",
						   now.nwaiting),
				 errhint("Call pool_resume() to resume the pool.")));
	if (now.connect_failed)
		ereport(ERROR,
				(report_timeout(target, started),
				 errdetail("The pool has leased %d of at most %d connections.  "
						   "The number of other waiting sessions is %d.  "
						   "The last attempt to connect failed: %s",
						   now.leased, now.limit, now.nwaiting,
						   now.error.message)));
	if (now.limit < now.max_size)
		ereport(ERROR,
				(report_timeout(target, started),
				 errdetail("The pool has leased %d of at most %d connections.  "
						   "The number of other waiting sessions is %d.  "
						   "Autoscale may raise the limit to %d.",
						   now.leased, now.limit, now.nwaiting, now.max_size),
				 errhint(
					 "Raise min_size to begin higher, "
					 "or look in pool_connections for who holds connections.")));
	ereport(ERROR,
			(report_timeout(target, started),
			 errdetail("The pool has leased %d of at most %d connections.  "
					   "The number of other waiting sessions is %d.",
					   now.leased, now.limit, now.nwaiting),
			 errhint("Raise max_size of the server, "
					 "or look in pool_connections for who holds connections.")));
}

/*
 * Raises the last error of connecting, with the remote's SQLSTATE if it gave
 * one, 08001 otherwise.
 */
void
pool_acquire_error_connect(Pool *pool, const PoolTarget *target)
{
	Summary now;
	int sqlstate;

	read_summary(pool, &now);
	sqlstate = now.error.sqlstate
				   ? now.error.sqlstate
				   : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	if (now.retry_ms > 0)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg("could not connect to server \"%s\"",
						NameStr(target->server_name)),
				 errdetail("The circuit breaker is open; the next attempt is in %d ms.  "
						   "The last one failed: %s",
						   now.retry_ms, now.error.message),
				 errhint("Call pool_breaker_reset() to try at once.")));
	ereport(ERROR, (errcode(sqlstate),
					errmsg("could not connect to server \"%s\"",
						   NameStr(target->server_name)),
					errdetail_internal("%s", now.error.message)));
}

/* Raises 55000: the pool is paused, and acquires are to fail meanwhile. */
void
pool_acquire_error_paused(const PoolTarget *target)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("pool for server \"%s\" is paused",
						   NameStr(target->server_name)),
					errhint("Call pool_resume() to resume the pool.")));
}

/* Raises 53300: as many sessions wait as max_waiters allows. */
void
pool_acquire_error_queue_full(Pool *pool, const PoolTarget *target)
{
	Summary now;

	read_summary(pool, &now);
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("too many sessions are waiting for a connection to server \"%s\"",
					NameStr(target->server_name)),
			 errdetail("The pool has leased %d of at most %d connections.  "
					   "The number of waiting sessions is %d, the most that max_waiters allows.",
					   now.leased, now.limit, now.nwaiting)));
}
