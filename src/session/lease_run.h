/*
 * lease_run.h
 *		Running a statement on a lease.
 */
#ifndef POOL_LEASE_RUN_H
#define POOL_LEASE_RUN_H

#include "session/lease.h"
#include "session/run.h"
#include "statement/result.h"
#include "statement/statement.h"

typedef enum PoolLeaseRunStep
{
	POOL_LEASE_RUN_WAIT, /* for the socket */
	POOL_LEASE_RUN_OPEN, /* the lease anew, and start again */
	POOL_LEASE_RUN_OVER
} PoolLeaseRunStep;

/* A statement on its way over a lease. */
typedef struct PoolLeaseRun
{
	PoolLease *lease;
	const PoolStatement *statement;
	PoolResult *result;
	int64 began;	 /* to use this connection, pool_clock_us() */
	bool fresh;		 /* nothing was sent in the lease before */
	bool gone_again; /* to another connection, after the proof */
	int64 deadline;	 /* of query_timeout, when a backlog was read; else 0 */
	PoolRun run;
} PoolLeaseRun;

extern void pool_lease_run_check(PoolLease *lease);
extern void pool_lease_run_begin(PoolLeaseRun *lease_run, PoolLease *lease,
								 const PoolStatement *statement,
								 PoolResult *result);
extern void pool_lease_run_start(PoolLeaseRun *lease_run);
extern PoolLeaseRunStep pool_lease_run_step(PoolLeaseRun *lease_run, bool ready);
extern void pool_lease_run_quietly(PoolLeaseRun *lease_run, PoolLease *lease,
								   const PoolStatement *statement,
								   PoolResult *result);
extern void pool_lease_run(PoolLease *lease, const PoolStatement *statement,
						   PoolResult *result);

#endif /* POOL_LEASE_RUN_H */
