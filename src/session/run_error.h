/*
 * run_error.h
 *		What a run that failed says.
 */
#ifndef POOL_RUN_ERROR_H
#define POOL_RUN_ERROR_H

#include "session/lease.h"
#include "session/run.h"

extern int pool_run_error_sqlstate(const PoolRun *run);
extern bool pool_run_error_is_reset_refused(const PoolRun *run);
extern void pool_run_error_raise_lost(const PoolLease *lease);
extern void pool_run_error_raise(const PoolLease *lease, const PoolRun *run);
extern void pool_run_error_keep_places(ErrorData *error);

#endif /* POOL_RUN_ERROR_H */
