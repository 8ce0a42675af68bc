/*
 * run_results.h
 *		Taking the results of a statement, one by one, up to ReadyForQuery.
 */
#ifndef POOL_RUN_RESULTS_H
#define POOL_RUN_RESULTS_H

#include "session/run.h"

extern void pool_run_results_end(PoolRun *run, PoolRunOutcome outcome);
extern void pool_run_results_lost(PoolRun *run, const char *message);
extern void pool_run_results_expect(PoolRun *run);
extern void pool_run_results_take_preparation(PoolRun *run, PGresult *res);
extern void pool_run_results_take(PoolRun *run, PGresult *res);
extern void pool_run_results_take_sync(PoolRun *run, PGresult *res);

#endif /* POOL_RUN_RESULTS_H */
