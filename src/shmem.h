/*
 * shmem.h
 *		What all processes share: pools, slots, waiters.
 *
 * Only plain data lives here: no pointer, descriptor or PGconn that one
 * process made and another could not use, and no secret.
 *
 * Locks, in the order in which they may be taken:
 *
 *	1. registry_lock: which pools exist, and the list of free slots.
 *	2. Pool.lock of one pool: its configuration, its slots, its idle list, its
 *	   waiters.  No process holds two pools' locks at once.
 *
 * While one of them is held there is no palloc, no catalog access, no libpq
 * call and no system call, and nothing is raised but the report of a broken
 * invariant.
 *
 * Ownership of a connection's socket: at any moment at most one process reads
 * or writes it.  The state of its slot says which one (see slot.h).
 */
#ifndef POOL_SHMEM_H
#define POOL_SHMEM_H

#include "options.h"
#include "port/atomics.h"
#include "stats.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

#define POOL_NONE (-1) /* no slot, no pool, no waiter */

#define POOL_MAX_WORKERS 32
#define POOL_ERROR_LEN 512
#define POOL_ADDRESS_LEN 128
#define POOL_TLS_NAME_LEN 48
#define POOL_CONTEXT_LEN 512

/* A backend, for ever: a pid is used again, the serial number is not. */
typedef struct PoolSessionRef
{
	int pid;
	int procno;	   /* finds its latch */
	uint64 serial; /* 0: nobody */
} PoolSessionRef;

/* Who leased a connection by pool_acquire(), and where in his code. */
typedef struct PoolHolder
{
	Oid userid; /* of the session; InvalidOid: nothing is known */
	NameData user;
	NameData application;
	char context[POOL_CONTEXT_LEN]; /* as errors print it */
} PoolHolder;

typedef enum PoolSlotState
{
	POOL_SLOT_FREE,
	POOL_SLOT_CONNECTING,
	POOL_SLOT_IDLE,
	POOL_SLOT_LEASED,
	POOL_SLOT_CHECKING,
	POOL_SLOT_RETURNED,
	POOL_SLOT_RESETTING,
	POOL_SLOT_CLOSING
} PoolSlotState;

#define POOL_NSLOT_STATES (POOL_SLOT_CLOSING + 1)

/*
 * One connection's place.  Written under the pool's lock (the registry's
 * while FREE), except where a field says otherwise.  The owner that the state
 * names may read what it wrote itself without the lock.
 */
typedef struct PoolSlot
{
	PoolSlotState state;
	int pool; /* index, POOL_NONE while FREE */
	int prev; /* in the idle list */
	int next; /* in the idle list, or the list of FREE */

	/*
	 * Changes whenever a slot leaves FREE and is never used again, so a copy
	 * of a descriptor or a lease that outlived its connection is seen to be
	 * stale.  Read without a lock by sessions that look for stale copies.
	 */
	pg_atomic_uint64 generation;

	PoolSessionRef owner; /* of LEASED */

	int64 since;		 /* pool_clock_us() of the last move */
	int64 opened;		 /* when it became usable */
	int64 returned;		 /* when its last lease ended, or it was opened */
	double jitter;		 /* its share of lifetime_jitter, 0 to 1 */
	uint64 uses;		 /* leases so far */
	bool retry;			 /* CONNECTING: after an attempt that failed */
	bool gone;			 /* LEASED: the remote has closed it */
	bool leaked;		 /* LEASED: found to be held for too long */
	bool in_transaction; /* RETURNED: roll back first */
	bool cancel;		 /* CLOSING: a statement is still running */
	bool revoked;		 /* CLOSING: a session may not know it */

	/*
	 * Not NONE: close it instead of giving it to anyone.  In CLOSING it is
	 * the reason.
	 */
	PoolCloseReason doom;

	/*
	 * Written by the owner of the socket, without the lock: the session that
	 * was last to use it, 0 if that was the worker (that session alone may go
	 * on without the handover's proof); and whether a statement ran since the
	 * last reset.
	 */
	uint64 last_holder;
	bool used;

	/*
	 * LEASED, in the same way: a statement is running; and who has it, for
	 * the report of a leak.
	 */
	bool running;
	PoolHolder holder;

	/* Set by the worker while CONNECTING. */
	int remote_pid;
	char remote_address[POOL_ADDRESS_LEN];
	char tls_version[POOL_TLS_NAME_LEN]; /* empty: it is not encrypted */
	char tls_cipher[POOL_TLS_NAME_LEN];
} PoolSlot;

/* A failure to connect, as it is told to those who wait. */
typedef struct PoolConnectError
{
	int sqlstate;	/* encoded as ereport wants it, 0: none */
	bool incurable; /* trying again cannot help */
	TimestampTz at;
	char message[POOL_ERROR_LEN];
} PoolConnectError;

typedef enum PoolBreakerState
{
	POOL_BREAKER_CLOSED, /* connects */
	POOL_BREAKER_OPEN,	 /* does not */
	POOL_BREAKER_HALF_OPEN
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

	/* Written under both locks, read under either.  id 0: entry not in use. */
	uint64 id;
	PoolKey key;
	Oid mapping_user;

	/* Under the lock. */
	NameData server_name;
	NameData user_name;
	NameData database_name;
	bool dropped;	 /* its server, mapping or database is no more */
	bool configured; /* the worker knows how to connect */
	PoolStamp stamp; /* the options' version */
	PoolOptions options;
	bool resized; /* min_size and max_size are not the options' */
	PoolPause pause;
	int limit; /* connections at a time, at most max_size (scale.c) */
	int nslots[POOL_NSLOT_STATES];
	int ngone; /* of those LEASED, how many the remote has closed */
	int peak_active;
	int64 busy_us;		 /* time in use of all connections together, until */
	int64 busy_until;	 /* then, pool_clock_us() */
	int64 scale_since;	 /* since when autoscale looks */
	int64 scale_busy_us; /* busy_us then */
	int idle_head;		 /* most recently used first */
	int idle_tail;
	int waiter_head; /* first to be served */
	int waiter_tail;
	int nwaiting;
	int prewarm;		/* connections asked for ahead of demand */
	int renewals;		/* connections to open in the place of old ones */
	int failures;		/* attempts to connect failed in a row */
	int64 next_attempt; /* pool_clock_us(), 0: at once */
	PoolConnectError last_error;
	PoolBreakerState breaker;
	int breaker_successes; /* since it is HALF_OPEN */
	TimestampTz breaker_opened_at;

	TimestampTz stats_reset; /* since when "stats" count */
	int leased_at_reset;	 /* with which "acquires" began then */
	int open_at_reset;		 /* and "connects" */

	/* Atomics and a variable with a lock of its own. */
	ConditionVariable changed; /* a connection came, or could not be had */
	PoolStats stats;
} Pool;

typedef enum PoolVerdict
{
	POOL_VERDICT_NONE,	  /* not waiting, or still waiting */
	POOL_VERDICT_GRANTED, /* the slot is leased to this session */
	POOL_VERDICT_FAILED,  /* no connection can be had: last_error */
	POOL_VERDICT_RETRY	  /* the pool changed: look again */
} PoolVerdict;

/*
 * A backend's place in a queue; one for each backend, by procno.  "session"
 * is written by that backend alone, when it first uses the pool and when it
 * exits.  The rest is under the lock of the pool that is waited for.
 */
typedef struct PoolWaiter
{
	PoolSessionRef session;
	int pool; /* POOL_NONE: in no queue */
	int prev;
	int next;
	int64 since;
	int priority; /* the higher, the sooner */
	PoolVerdict verdict;
	int slot;	   /* GRANTED */
	int64 idle_us; /* GRANTED: how long it was IDLE */
} PoolWaiter;

typedef struct PoolShared
{
	LWLock registry_lock;

	/* Under registry_lock. */
	int free_head; /* list of FREE slots */
	uint64 last_pool_id;

	pg_atomic_uint64 last_session;
	pg_atomic_uint64 last_lease;
	pg_atomic_uint64 last_generation;

	/* Each written by that worker alone: procno while it runs, or POOL_NONE. */
	pg_atomic_uint32 worker_procno[POOL_MAX_WORKERS];
	ConditionVariable worker_started;

	/* A bit for each worker: it has run since the server started. */
	pg_atomic_uint32 was_started;

	/*
	 * A bit for each worker that found no free slot: whoever frees one wakes
	 * them (pool_wake_starved).
	 */
	pg_atomic_uint32 starved;

	int nworkers;
	int npools;
	int nslots;
	int nwaiters;
} PoolShared;

extern PGDLLIMPORT PoolShared *pool_shared;
extern PGDLLIMPORT Pool *pool_pools;
extern PGDLLIMPORT PoolSlot *pool_slots;
extern PGDLLIMPORT PoolWaiter *pool_waiters;

#define pool_slot_index(slot) ((int) ((slot) -pool_slots))
#define pool_index(pool) ((int) ((pool) -pool_pools))

/* The worker that has the pool's connections; places are filled from the first. */
#define pool_worker_of(pool) (pool_index(pool) % pool_shared->nworkers)

extern void pool_shmem_install_hooks(void);
extern void pool_wake_backend(const PoolSessionRef *session);
extern void pool_wake_worker(const Pool *pool);
extern void pool_mark_starved(const Pool *pool);
extern void pool_wake_starved(void);

#endif /* POOL_SHMEM_H */
