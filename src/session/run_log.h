/*
 * run_log.h
 *		The log of statements that took long.
 */
#ifndef POOL_RUN_LOG_H
#define POOL_RUN_LOG_H

#include "session/lease.h"
#include "session/run.h"

extern void pool_run_log(const PoolLease *lease, const PoolRun *run,
						 int sqlstate);

#endif /* POOL_RUN_LOG_H */
