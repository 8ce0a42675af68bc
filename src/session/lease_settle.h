/*
 * lease_settle.h
 *		What a statement that has ended leaves of its lease.
 */
#ifndef POOL_LEASE_SETTLE_H
#define POOL_LEASE_SETTLE_H

#include "session/lease_run.h"

extern PoolCloseReason pool_lease_settle_close_reason(const PoolRun *run);
extern void pool_lease_settle(PoolLeaseRun *lease_run);
extern void pool_lease_settle_failed(PoolLeaseRun *lease_run, int sqlstate);

#endif /* POOL_LEASE_SETTLE_H */
