/*
 * shmem.h
 *		What all processes share: pools, slots, waiters.
 *
 * Only plain data lives here: no pointer, descriptor or PGconn that one
 * process made and another could not use, and no secret but one that is worth
 * nothing outside (statement_key).
 *
 * Locks, in the order in which they may be taken:
 *
 *	1. registry_lock: which pools exist, and the list of free slots.
 *	2. Pool.lock of one pool: its configuration, its slots, its idle list, its
 *	   waiters.  No process holds two pools' locks at once.
 *
 * request_lock (request_entry.c) is taken by itself, with none of these.
 *
 * While one of them is held there is no palloc, no catalog access, no libpq
 * call and no system call, and nothing is raised but the report of a broken
 * invariant.  A function that needs a lock asserts it.
 *
 * This header has the frame alone; what is in it: pool.h, slot.h, waiters.h,
 * request_entry.h.
 */
#ifndef POOL_SHMEM_H
#define POOL_SHMEM_H

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "base/guc.h"

#define POOL_NONE (-1) /* no slot, no pool, no waiter */
#define POOL_STATEMENT_KEY_LEN 32

typedef struct PoolShmem
{
	/* Written when the server starts. */
	int nworkers;
	int npools;
	int nslots;
	int nsessions; /* the first waiters: one for each backend, by procno */
	int nrequests; /* the others: one for each request */
	int nwaiters;

	/*
	 * Written when the server starts, at random: the key of the names of prepared
	 * statements (session/statement_cache.c).
	 */
	uint8 statement_key[POOL_STATEMENT_KEY_LEN];

	LWLock registry_lock;
	LWLock request_lock;

	/* Under registry_lock. */
	int free_head; /* list of FREE slots */
	uint64 last_pool_id;

	/* Under request_lock. */
	int free_request; /* list of entries that are free */

	/* Grow by one whenever a number that nobody else has is needed. */
	pg_atomic_uint64 last_session;
	pg_atomic_uint64 last_lease;
	pg_atomic_uint64 last_request;
	pg_atomic_uint64 last_generation;

	/* Each written by that worker alone: procno while it runs, or POOL_NONE. */
	pg_atomic_uint32 worker_procno[POOL_MAX_WORKERS];
	ConditionVariable worker_started;

	/* A bit for each worker: it has run since the server started. */
	pg_atomic_uint32 was_started;

	/* The log was told that pools cannot be compared with the catalogs. */
	pg_atomic_uint32 check_failed;

	/*
	 * A bit for each worker that found no free slot: whoever frees one wakes
	 * them (pool_wake_starved).
	 */
	pg_atomic_uint32 starved;
} PoolShmem;

extern PGDLLIMPORT PoolShmem *pool_shmem;
extern PGDLLIMPORT struct Pool *pool_shmem_pools;
extern PGDLLIMPORT struct PoolSlot *pool_shmem_slots;
extern PGDLLIMPORT struct PoolWaiter *pool_shmem_waiters;
extern PGDLLIMPORT struct PoolRequestEntry *pool_shmem_requests;

#define POOL_ASSERT_REGISTRY_LOCKED() \
	Assert(LWLockHeldByMeInMode(&pool_shmem->registry_lock, LW_EXCLUSIVE))

extern void pool_shmem_install_hooks(void);

#endif /* POOL_SHMEM_H */
