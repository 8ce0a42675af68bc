/*
 * stats.h
 *		The counters and times of a pool.
 *
 * Each is an atomic in shared memory that only grows until it is reset.  They
 * have no lock of their own.  Those that belong to a slot's move are added to by
 * pool_slot_move(), under the pool's lock, so that they add up with the states
 * of the slots at any moment.  Others are added to without it, since they count
 * what happens outside it: queries, query_errors, rows, validations, cancels,
 * resets, health checks, prepared statements, requests, failed acquires and the
 * times of statements.
 *
 * For that the following races are accepted:
 *
 *	- Who reads between two additions that belong together sees one of them: a
 *	  statement in queries whose time or rows are not counted yet.
 *	- A reset between two such additions makes the first one undone and leaves
 *	  the second: a statement in query_errors that is not in queries.
 *	- A session that still has the pointer to a pool whose place was given to
 *	  another pool adds to the counters of that one (see pool.h).
 *	- A Pool is copied with memcpy(): where a machine does not read 64 bits at
 *	  once, a counter can be half old and half new.
 *
 * The error is no more than what is being added at that moment, and lasts no
 * longer than until the next reset.  For times see histogram.h, too.
 */
#ifndef POOL_STATS_H
#define POOL_STATS_H

#include "base/guc.h"
#include "shared/histogram.h"

/* Why a connection was closed.  Names in stats.c, in this order. */
typedef enum PoolCloseReason
{
	POOL_CLOSE_NONE,
	POOL_CLOSE_CONNECT_FAILED,	/* it never became usable */
	POOL_CLOSE_IDLE_TIMEOUT,	/* idle for longer than idle_timeout */
	POOL_CLOSE_MAX_LIFETIME,	/* older than max_lifetime */
	POOL_CLOSE_CONFIG_CHANGED,	/* opened with options since altered */
	POOL_CLOSE_RECONNECT,		/* pool_reconnect() */
	POOL_CLOSE_ADMIN,			/* pool_close(), pool_drain() */
	POOL_CLOSE_RECLAIMED,		/* its lease was reclaimed */
	POOL_CLOSE_SURPLUS,			/* the limit was lowered */
	POOL_CLOSE_EVICTED,			/* another pool needed the place */
	POOL_CLOSE_DROPPED,			/* its server or user mapping was dropped */
	POOL_CLOSE_REMOTE_CLOSED,	/* by the remote */
	POOL_CLOSE_CANCELED,		/* its statement was canceled or timed out */
	POOL_CLOSE_ERROR,			/* an error left it in an unknown state */
	POOL_CLOSE_UNCLEAN,			/* released with something left to read */
	POOL_CLOSE_PROOF_FAILED,	/* the handover could not be proven clean */
	POOL_CLOSE_RESET_FAILED,	/* rollback or reset query failed */
	POOL_CLOSE_CHECK_FAILED,	/* found dead before it was used */
	POOL_CLOSE_HOLDER_EXITED,	/* its session ended in the middle of a lease */
	POOL_CLOSE_HANDOVER_FAILED, /* no session could get its descriptor */
	POOL_CLOSE_WORKER_EXITED,	/* the worker stopped or was restarted */
	POOL_CLOSE_UNATTENDED		/* a request was left alone for too long */
} PoolCloseReason;

#define POOL_NCLOSE_REASONS (POOL_CLOSE_UNATTENDED + 1)

/*
 * In the order of their columns in pool_stats_all() of sql/pool--1.0--1.1.sql, into
 * which sql/stats_views.c puts them; so are PoolCloseReason and PoolTimed.
 */
typedef enum PoolCounter
{
	POOL_COUNT_ACQUIRES,		 /* leases begun */
	POOL_COUNT_ACQUIRE_TIMEOUTS, /* acquires that gave up waiting */
	POOL_COUNT_ACQUIRE_FAILURES, /* acquires that failed otherwise */
	POOL_COUNT_RELEASES,		/* leases that ended with a usable connection */
	POOL_COUNT_LOST,			/* leases that ended with it being closed */
	POOL_COUNT_REUSED,			/* leases that needed no handover */
	POOL_COUNT_LEAKS,			/* leases held for too long */
	POOL_COUNT_LEAKS_RECLAIMED, /* leaks that were reclaimed */
	POOL_COUNT_QUERIES,			/* statements sent */
	POOL_COUNT_QUERY_ERRORS,	/* statements that failed */
	POOL_COUNT_ROWS,			/* rows received */
	POOL_COUNT_CONNECTS,		/* connections that became usable */
	POOL_COUNT_CONNECT_ERRORS,	/* attempts that failed */
	POOL_COUNT_RETRIES,			/* attempts after one that had failed */
	POOL_COUNT_RETRY_SUCCESSES, /* retries that made a connection */
	POOL_COUNT_RETRY_FAILURES,	/* retries that failed */
	POOL_COUNT_BREAKER_TRIPS,	/* times the circuit breaker opened */
	POOL_COUNT_SCALE_UPS,		/* times autoscale raised the limit */
	POOL_COUNT_SCALE_DOWNS,		/* times autoscale lowered the limit */
	POOL_COUNT_CANCELS,			/* cancel requests sent to the remote */
	POOL_COUNT_RESETS,			/* rollbacks and resets done by the worker */
	POOL_COUNT_VALIDATIONS,		/* checks before use, by sessions */
	POOL_COUNT_VALIDATION_FAILURES,	  /* validations that failed */
	POOL_COUNT_HEALTH_CHECKS,		  /* checks by the worker that went well */
	POOL_COUNT_HEALTH_CHECK_FAILURES, /* checks that failed */
	POOL_COUNT_STATEMENT_HITS,		  /* statements executed by name */
	POOL_COUNT_STATEMENT_PARSES,	  /* statements prepared */
	POOL_COUNT_STATEMENT_EVICTIONS,	  /* deallocated to make room */
	POOL_COUNT_STATEMENT_INVALIDATIONS, /* found to be gone or out of date */
	POOL_COUNT_REQUESTS,				/* statements sent without waiting */
	POOL_COUNT_HEDGES,	   /* requests sent since another server was slow */
	POOL_COUNT_HEDGES_WON, /* of these, those that answered first */
	POOL_COUNT_CLOSED	   /* usable connections closed */
} PoolCounter;

#define POOL_NCOUNTERS (POOL_COUNT_CLOSED + 1)

/* What is timed, in this order in the views.  Names in stats.c. */
typedef enum PoolTimed
{
	POOL_TIMED_WAIT,	/* from the call to the lease */
	POOL_TIMED_CONNECT, /* from the look-up of names to a usable connection */
	POOL_TIMED_QUERY,	/* from sending a statement to its end */
	POOL_TIMED_LEASE	/* from the begin of a lease to its end */
} PoolTimed;

#define POOL_NTIMED (POOL_TIMED_LEASE + 1)

/* "closed" has a counter for each PoolCloseReason. */
typedef struct PoolStats
{
	pg_atomic_uint64 counters[POOL_NCOUNTERS];
	pg_atomic_uint64 closed[POOL_NCLOSE_REASONS];
	PoolHistogram times[POOL_NTIMED];
} PoolStats;

/* Adds to a counter.  Needs no lock, but see above. */
static inline void
pool_stats_add(PoolStats *stats, PoolCounter counter, uint64 n)
{
	pg_atomic_fetch_add_u64(&stats->counters[counter], n);
}

/* Notes how long something took, unless pool.track_timing is off. */
static inline void
pool_stats_time(PoolStats *stats, PoolTimed what, int64 us)
{
	if (pool_guc_track_timing)
		pool_histogram_add(&stats->times[what], us);
}

extern void pool_stats_init(PoolStats *stats);
extern void pool_stats_zero(PoolStats *stats);
extern const char *pool_stats_close_reason_name(PoolCloseReason reason);
extern const char *pool_stats_timed_name(PoolTimed what);

#endif /* POOL_STATS_H */
