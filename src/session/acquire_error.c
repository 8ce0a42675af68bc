/*
 * acquire_error.c
 *		What an acquire that failed says.
 *
 * What a message tells of the pool is copied under the pool's lock; it is
 * formatted and raised without one.  Nothing is counted here: that is for the
 * caller, who knows what failed.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "session/acquire_error.h"
#include "shared/backoff.h"
#include "shared/limit.h"
#include "shared/slot.h"

/* Messages by which a caller knows what went wrong. */
#define CANNOT_CONNECT "could not connect to server \"%s\""
#define TOO_LATE "could not acquire a connection to server \"%s\" within %d ms"

/* What messages tell of a pool, copied under its lock. */
typedef struct Summary
{
	int max_size;
	int limit;
	int leased;
	int lost;	 /* of these, how many the remote has closed */
	int opening; /* CONNECTING */
	int checked; /* CHECKING, RETURNED or RESETTING */
	int closing;
	int nwaiting;
	bool paused;
	bool connect_failed;
	int retry_ms; /* until the next attempt, 0: the breaker is not open */
	PoolConnectError error;
} Summary;

static void
read_summary(Pool *pool, uint64 pool_id, Summary *summary)
{
	int64 next;

	LWLockAcquire(&pool->lock, LW_SHARED);
	summary->max_size = pool->options.max_size;
	summary->limit = pool->limit;
	summary->leased = pool->nslots[POOL_SLOT_LEASED];
	summary->lost = pool->nremote_closed;
	summary->opening = pool->nslots[POOL_SLOT_CONNECTING];
	summary->checked = pool->nslots[POOL_SLOT_CHECKING] +
					   pool->nslots[POOL_SLOT_RETURNED] +
					   pool->nslots[POOL_SLOT_RESETTING];
	summary->closing = pool->nslots[POOL_SLOT_CLOSING];
	summary->nwaiting = pool->nwaiting;
	summary->paused = pool->pause != POOL_PAUSE_NONE;
	summary->connect_failed = pool->failures > 0;
	next = pool->nslots[POOL_SLOT_CONNECTING] > 0 ? pool_backoff_beside_at(pool)
												  : pool->next_attempt;
	summary->retry_ms = pool->breaker == POOL_BREAKER_OPEN
							? (int) Max(1, pool_clock_left_ms(next))
							: 0;
	summary->error = pool->last_error;
	if (pool->id != pool_id) /* what is known is of another pool */
		memset(summary, 0, sizeof(*summary));
	LWLockRelease(&pool->lock);
}

/* For ereport(): the SQLSTATE and the primary message of pool_acquire_error_timeout(). */
static int
report_timeout(const PoolTarget *target, int64 started, int sqlstate)
{
	int waited_ms = (int) ((pool_clock_us() - started) / POOL_CLOCK_US_PER_MS);

	errcode(sqlstate);
	return errmsg(TOO_LATE, NameStr(target->server_name), waited_ms);
}

/* The SQLSTATE of the last attempt to connect. */
static int
connect_sqlstate(const Summary *now)
{
	return now->connect_failed && now->error.sqlstate
			   ? now->error.sqlstate
			   : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
}

/*
 * Raises the error of a wait that was too long although not all connections are
 * leased: none could be made, or made ready, in that time.
 */
static void
raise_not_connected(const Summary *now, const PoolTarget *target, int64 started)
{
	if (now->connect_failed)
		ereport(ERROR,
				(report_timeout(target, started, connect_sqlstate(now)),
				 errdetail("The pool has leased %d of at most %d connections.  "
						   "The number of other waiting sessions is %d.  "
						   "The last attempt to connect failed: %s",
						   now->leased, now->limit, now->nwaiting,
						   now->error.message)));
	ereport(ERROR,
			(report_timeout(target, started, connect_sqlstate(now)),
			 errdetail("The pool has leased %d of at most %d connections.  "
					   "The number of connections that are being opened is %d, "
					   "of those being checked or reset %d, "
					   "of those being closed %d.",
					   now->leased, now->limit, now->opening, now->checked,
					   now->closing),
			 errhint("Check whether the remote answers, "
					 "or allow more time by acquire_timeout.")));
}

/*
 * Raises what the wait since "started", which was too long, was in vain for:
 * 53300 if all that the pool may have is leased or it is paused; otherwise the
 * SQLSTATE of the last attempt to connect, or 08001.
 */
void
pool_acquire_error_timeout(Pool *pool, uint64 pool_id, const PoolTarget *target,
						   int64 started)
{
	Summary now;

	read_summary(pool, pool_id, &now);
	if (now.paused)
		ereport(ERROR,
				(report_timeout(target, started, ERRCODE_TOO_MANY_CONNECTIONS),
				 errdetail("The pool is paused.  "
						   "The number of other waiting sessions is %d.",
						   now.nwaiting),
				 errhint("Call pool_resume() to resume the pool.")));
	if (now.leased - now.lost < now.limit)
		raise_not_connected(&now, target, started);
	ereport(ERROR,
			(report_timeout(target, started, ERRCODE_TOO_MANY_CONNECTIONS),
			 errdetail("The pool has leased %d of at most %d connections.  "
					   "The number of other waiting sessions is %d.",
					   now.leased, now.limit, now.nwaiting)));
}

/* Appends the sentence that tells who has the limit's places. */
static void
append_places(StringInfo detail, PoolLimit limit, const PoolTarget *target,
			  const PoolLimitFigures *figures)
{
	switch (limit)
	{
		case POOL_LIMIT_SERVER:
			appendStringInfo(detail,
							 "Of the %d connections that max_server_size allows "
							 "the server, %d are taken and %d leased.",
							 figures->places, figures->taken, figures->leased);
			break;
		case POOL_LIMIT_ROLE:
			appendStringInfo(detail,
							 "Of the %d connections that pool.max_role_connections "
							 "allows role \"%s\", %d are taken and %d leased.",
							 figures->places,
							 GetUserNameFromId(target->stamp.limited_role, false),
							 figures->taken, figures->leased);
			break;
		case POOL_LIMIT_ALL:
			appendStringInfo(detail,
							 "Of the %d connections that pool.max_connections "
							 "allows, %d are taken and %d leased.",
							 figures->places, figures->taken, figures->leased);
			break;
		default:
			appendStringInfo(detail,
							 "The pool has leased %d of at most %d connections.",
							 figures->leased, figures->places);
			break;
	}
}

/* The errdetail() for a limit: who has its places, who waits, what else. */
static int
detail_of_limit(PoolLimit limit, const PoolTarget *target,
				const PoolLimitFigures *figures, const Summary *now)
{
	StringInfoData detail;

	initStringInfo(&detail);
	append_places(&detail, limit, target, figures);
	appendStringInfo(&detail, "  The number of other waiting sessions is %d.",
					 now->nwaiting);
	if (limit == POOL_LIMIT_AUTOSCALE)
		appendStringInfo(&detail, "  Autoscale may raise the limit to %d.",
						 now->max_size);
	if (figures->own > 0)
		appendStringInfo(&detail, "  This session itself has leased %d.",
						 figures->own);
	return errdetail_internal("%s", detail.data);
}

/*
 * The errhint() for a limit: what to do, if others have its places and if this
 * session has some itself.
 */
static int
hint_of_limit(PoolLimit limit, const PoolKey *key, int own)
{
	static const char *const hints[][2] = {
		[POOL_LIMIT_SIZE] =
			{"Raise max_size of the server, "
			 "or look in pool_connections for who holds connections.",
			 "Raise max_size of the server, "
			 "or call pool_release() for a lease of this session."},
		[POOL_LIMIT_AUTOSCALE] =
			{"Raise min_size to begin higher, "
			 "or look in pool_connections for who holds connections.",
			 "Raise min_size to begin higher, "
			 "or call pool_release() for a lease of this session."},
		[POOL_LIMIT_SERVER] =
			{"Raise max_server_size of the server, "
			 "or look in pool_connections for who holds connections.",
			 "Raise max_server_size of the server, "
			 "or call pool_release() for a lease of this session."},
		[POOL_LIMIT_ROLE] =
			{"Raise pool.max_role_connections, "
			 "or look in pool_connections for who holds connections.",
			 "Raise pool.max_role_connections, "
			 "or call pool_release() for a lease of this session."},
		[POOL_LIMIT_ALL] =
			{"Raise pool.max_connections and restart the server, "
			 "or look in pool_connections for who holds connections.",
			 "Raise pool.max_connections and restart the server, "
			 "or call pool_release() for a lease of this session."},
	};

	if (limit == POOL_LIMIT_SIZE && pool_target_is_string(key))
		return errhint(own > 0 ? "Raise pool_dblink.max_size, or call "
								 "dblink_disconnect() in this session."
							   : "Raise pool_dblink.max_size, or look in "
								 "pool_connections for who holds connections.");
	return errhint("%s", hints[limit][own > 0 ? 1 : 0]);
}

/*
 * Raises 53300: the wait of the request was too long, because of its limit.  Tells
 * who has the limit's places, and what to change.
 */
void
pool_acquire_error_limit(const PoolAcquireRequest *request,
						 const PoolTarget *target)
{
	PoolLimitFigures figures;
	Summary now;

	read_summary(request->pool, request->pool_id, &now);
	pool_limit_read(request->limit, request->pool, &figures);
	ereport(ERROR, (report_timeout(target, request->started,
								   ERRCODE_TOO_MANY_CONNECTIONS),
					detail_of_limit(request->limit, target, &figures, &now),
					hint_of_limit(request->limit, &target->key, figures.own)));
}

/*
 * Raises the last error of connecting, with the remote's SQLSTATE if it gave
 * one, 08001 otherwise.
 */
void
pool_acquire_error_connect(Pool *pool, uint64 pool_id, const PoolTarget *target)
{
	Summary now;
	int sqlstate;

	read_summary(pool, pool_id, &now);
	sqlstate = connect_sqlstate(&now);
	if (now.retry_ms > 0)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg(CANNOT_CONNECT, NameStr(target->server_name)),
				 errdetail("The circuit breaker is open; the next attempt is in %d ms.%s  "
						   "The last one failed: %s",
						   now.retry_ms,
						   now.opening > 0 ? "  One is under way." : "",
						   now.error.message),
				 errhint("Call pool_breaker_reset() to try at once.")));
	ereport(ERROR, (errcode(sqlstate),
					errmsg(CANNOT_CONNECT, NameStr(target->server_name)),
					errdetail_internal("%s", now.error.message)));
}

/*
 * Does the error say that no connection could be made, rather than that there was none
 * to be had?
 */
bool
pool_acquire_error_is_of_connecting(const ErrorData *error)
{
	const char *id = error->message_id;

	return id != NULL && (strcmp(id, CANNOT_CONNECT) == 0 ||
						  (strcmp(id, TOO_LATE) == 0 &&
						   error->sqlerrcode != ERRCODE_TOO_MANY_CONNECTIONS));
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
pool_acquire_error_queue_full(Pool *pool, uint64 pool_id,
							  const PoolTarget *target)
{
	Summary now;

	read_summary(pool, pool_id, &now);
	ereport(ERROR,
			(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
			 errmsg("too many sessions are waiting for a connection to server \"%s\"",
					NameStr(target->server_name)),
			 errdetail("The pool has leased %d of at most %d connections.  "
					   "The number of waiting sessions is %d, the most that max_waiters allows.",
					   now.leased, now.limit, now.nwaiting),
			 errhint("Raise max_size or max_waiters of the server, "
					 "or look in pool_connections for who holds connections.")));
}
