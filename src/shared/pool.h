/*
 * pool.h
 *		One pool in shared memory: all connections of one (database, server,
 *		user mapping).
 *
 * Ownership of the fields stands at each group.  Where it says "the lock" it is
 * Pool.lock: exclusive for writing, shared or exclusive for reading.  Whoever
 * keeps a Pool pointer without a lock keeps Pool.id too, and compares it under
 * the lock: a place can be given to another pool meanwhile.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#include "options/options.h"
#include "options/target.h"
#include "shared/limit.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"

#define POOL_ERROR_LEN 512

/* A failure to connect, as it is told to those who wait. */
typedef struct PoolConnectError
{
	int sqlstate;	/* encoded as ereport wants it, 0: none */
	bool permanent; /* trying again cannot help */
	bool local;		/* it says nothing about the remote */
	TimestampTz at;
	char message[POOL_ERROR_LEN];
} PoolConnectError;

typedef enum PoolBreakerState
{
	POOL_BREAKER_CLOSED,   /* connects */
	POOL_BREAKER_OPEN,	   /* the worker tries alone, nobody waits for it */
	POOL_BREAKER_HALF_OPEN /* one attempt at a time */
} PoolBreakerState;

typedef enum PoolPause
{
	POOL_PAUSE_NONE,
	POOL_PAUSE_WAIT, /* nobody gets a connection; who wants one waits */
	POOL_PAUSE_FAIL	 /* or gets an error */
} PoolPause;

typedef struct Pool
{
	LWLock lock;

	/*
	 * Identity.  Written by the session that makes the pool or by the worker
	 * that gives up its place (registry.c), with registry_lock and the lock;
	 * read under either.  id 0: the place is not in use.  limited_role is
	 * stamp.limited_role, and changes with it (config.c).
	 */
	uint64 id;
	PoolKey key;
	Oid mapping_user;
	Oid limited_role;
	int encoding; /* of the database, and so of the names; sql/encoding.c */

	/*
	 * Names, for views and messages.  Written with the lock: by the session
	 * that makes the pool, and by the worker with each new configuration.
	 */
	NameData server_name;
	NameData user_name;
	NameData database_name;

	/*
	 * Configuration.  Written with the lock: by the worker when a session has
	 * sent it options (config.c) and when it ends, by functions of the
	 * administrator (sizes, pause), by the session that drops the server.
	 */
	bool dropped;	 /* its server, mapping or database is no more */
	bool configured; /* the worker knows how to connect */
	bool resized;	 /* min_size and max_size are not the options' */
	PoolPause pause;
	PoolStamp stamp; /* the options' version */
	PoolOptions options;

	/*
	 * When somebody saw that the catalogs have its rows, pool_clock_us().
	 * Written with the lock: by sessions that acquire, and by the process that
	 * looks them up when no session does (session/checker.c).
	 */
	int64 confirmed;

	/*
	 * Population.  Written with the lock by whoever moves a slot, in slot.c
	 * alone; busy_us is for autoscale.
	 */
	int nslots[POOL_NSLOT_STATES];
	int nplaces;		/* all of them; written with registry_lock, too */
	int nremote_closed; /* of those LEASED, how many are remote_closed */
	int nleaked;		/* and how many are leaked */
	int peak_active;
	int idle_head; /* most recently used first; idle_list.c */
	int idle_tail;
	int64 busy_us;	  /* time in use of all connections together, until */
	int64 busy_until; /* then, pool_clock_us() */

	/*
	 * Queue.  Written with the lock, in queue.c alone: by sessions that come
	 * and go, and by whoever makes a slot available.
	 */
	int waiter_head; /* first to be served */
	int waiter_tail;
	int nwaiting;
	uint64 rests; /* how often a slot began to rest; tenure.c */

	/*
	 * Demand.  Written with the lock: by the worker (janitor, connector), and
	 * prewarm, demand_now and asked_at by sessions that ask for connections.
	 */
	int prewarm;	/* connections asked for ahead of demand */
	int renewals;	/* connections to open in the place of old ones */
	int demand_now; /* the most leased at a time since demand_since; demand.c */
	int demand_before;	/* and in the period before that */
	int64 demand_since; /* pool_clock_us(), 0: nobody has looked yet */
	int64 asked_at;		/* when a session asked last, pool_clock_us() */

	/*
	 * Which limit over several pools keeps it from a connection that it wants.
	 * Written by the worker, in connector.c, with registry_lock and the lock; read
	 * under either.
	 */
	PoolLimit limited_by;

	/* Health checks failed in a row.  Written with the lock by the worker. */
	int check_failures;

	/*
	 * Connecting and the circuit breaker.  Written with the lock by the worker,
	 * in backoff.c and breaker.c; reset by pool_breaker_reset() and by new
	 * options.
	 */
	int failures;		/* attempts to connect failed in a row */
	int64 next_attempt; /* pool_clock_us(), 0: at once */
	int64 last_attempt; /* when the last one began */
	int64 refill_at;	/* nothing is opened for min_size before then */
	PoolConnectError last_error;
	PoolBreakerState breaker;
	int breaker_successes; /* since it is HALF_OPEN */
	TimestampTz breaker_opened_at;

	/*
	 * The limit.  Written with the lock, in autoscale.c alone: by the worker,
	 * and by pool_resize() and new options.
	 */
	int limit;			 /* connections at a time, at most max_size */
	int64 scale_since;	 /* since when autoscale looks, pool_clock_us() */
	int64 scale_busy_us; /* busy_us then */

	/*
	 * Since when "stats" count, and from what.  Written with the lock by a
	 * reset.  The counters themselves are atomics: see stats.h.
	 */
	TimestampTz stats_reset;
	int leased_at_reset; /* with which "acquires" began then */
	int open_at_reset;	 /* and "connects" */
	PoolStats stats;

	/*
	 * How often statements that were prepared on a connection were not there,
	 * and nobody knows why; see session/by_name.c.  Written without the lock,
	 * and 0 again with new options.
	 */
	pg_atomic_uint32 statements_lost;

	/* What hedges cost; see hedge.c. */
	pg_atomic_uint32 hedge_credit;

	/*
	 * A connection came or went, or could not be had.  Has a lock of its own;
	 * broadcast by the worker without the pool's lock.
	 */
	ConditionVariable changed;
} Pool;

#define pool_index(pool) ((int) ((pool) -pool_shmem_pools))

/* The worker that has its connections; places are filled from the first. */
#define pool_worker_number(pool) (pool_index(pool) % pool_shmem->nworkers)

/* For functions that write what the lock protects, and for those that read. */
#define POOL_ASSERT_LOCKED(pool) \
	Assert(LWLockHeldByMeInMode((LWLock *) &(pool)->lock, LW_EXCLUSIVE))
#define POOL_ASSERT_LOCKED_SHARED(pool) \
	Assert(LWLockHeldByMe((LWLock *) &(pool)->lock))

#endif /* POOL_POOL_H */
