/*
 * attempt_fail.h
 *		What comes of an attempt to connect that has failed.
 */
#ifndef POOL_ATTEMPT_FAIL_H
#define POOL_ATTEMPT_FAIL_H

#include "shared/pool.h"
#include "shared/slot.h"
#include "worker/conn.h"

extern void pool_attempt_fail_slot(Pool *pool, PoolSlot *slot,
								   const PoolConnectError *error,
								   bool no_answer);
extern void pool_attempt_fail(PoolConn *conn, const PoolConnectError *error);
extern void pool_attempt_fail_with(PoolConn *conn, int sqlstate,
								   const char *message);
extern void pool_attempt_fail_from_libpq(PoolConn *conn);

#endif /* POOL_ATTEMPT_FAIL_H */
