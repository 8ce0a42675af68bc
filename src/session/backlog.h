/*
 * backlog.h
 *		What is left to read of an answer that was refused here.
 */
#ifndef POOL_BACKLOG_H
#define POOL_BACKLOG_H

#include "libpq-fe.h"

#include "session/lease.h"
#include "session/run.h"

extern bool pool_backlog_may_be(const PoolLease *lease, const PoolRun *run,
								int sqlstate);
extern void pool_backlog_note(PoolLease *lease, const PoolRun *run);
extern bool pool_backlog_in_transaction(const PoolLease *lease);
extern void pool_backlog_begin(PoolRun *run);
extern void pool_backlog_take(PoolRun *run, const PGresult *res);
extern bool pool_backlog_end(PoolLease *lease, PoolRun *run);

#endif /* POOL_BACKLOG_H */
