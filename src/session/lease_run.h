/*
 * lease_run.h
 *		Running a statement on a lease.
 */
#ifndef POOL_LEASE_RUN_H
#define POOL_LEASE_RUN_H

#include "session/lease.h"
#include "statement/result.h"
#include "statement/statement.h"

extern void pool_lease_run(PoolLease *lease, const PoolStatement *statement,
						   PoolResult *result);

#endif /* POOL_LEASE_RUN_H */
