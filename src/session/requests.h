/*
 * requests.h
 *		Sending requests, and the scopes with which they end.
 */
#ifndef POOL_REQUESTS_H
#define POOL_REQUESTS_H

#include "session/request.h"

extern PoolRequest *pool_requests_make(const char *server_name,
									   const PoolStatement *statement,
									   int64 deadline, int result_kb);
extern PoolRequest *pool_requests_send(const char *server_name,
									   const PoolStatement *statement);
extern PoolRequest *pool_requests_send_on_lease(PoolLease *lease,
												const PoolStatement *statement);
extern void pool_requests_forget_lease(int64 lease_id);

#endif /* POOL_REQUESTS_H */
