/*
 * session.h
 *		The leases of this session.
 */
#ifndef POOL_SESSION_H
#define POOL_SESSION_H

#include "session/lease.h"
#include "statement/result.h"
#include "statement/statement.h"

extern PoolLease *pool_session_lease(const char *server_name,
									 PoolLeaseScope scope, int64 timeout_ms);
extern PoolLease *pool_session_lease_as(Oid role, const char *name,
										const PoolConnString *string,
										bool lasts);
extern void pool_session_prepare(void);
extern PoolLease *pool_session_list_lease(const char *server_name,
										  PoolLeaseScope scope,
										  int64 timeout_ms);
extern void pool_session_end_lease(PoolLease *lease, PoolCloseReason reason);
extern PoolLease *pool_session_find(int64 id);
extern bool pool_session_is_held(int64 id);
extern void pool_session_release(PoolLease *lease);
extern void pool_session_run(const char *server_name,
							 const PoolStatement *statement, PoolResult *result);

#endif /* POOL_SESSION_H */
