/*
 * by_name.h
 *		Statements that go to the remote by the name under which it has them
 *		prepared.
 */
#ifndef POOL_BY_NAME_H
#define POOL_BY_NAME_H

#include "libpq-fe.h"

#include "session/lease.h"
#include "session/run.h"

extern bool pool_by_name_is_enabled(const PoolOptions *options,
									const Pool *pool);
extern void pool_by_name_choose(PoolLease *lease, PoolRun *run);
extern bool pool_by_name_send(PoolRun *run);
extern bool pool_by_name_is_stale(const PoolRun *run, const PGresult *res);
extern void pool_by_name_do_without(PoolLease *lease);
extern bool pool_by_name_goes_again(PoolLease *lease, const PoolRun *run);
extern void pool_by_name_note_lost(const PoolLease *lease);
extern void pool_by_name_settle(PoolLease *lease, const PoolRun *run);

#endif /* POOL_BY_NAME_H */
