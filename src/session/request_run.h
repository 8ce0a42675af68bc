/*
 * request_run.h
 *		Moving the session's requests on, and waiting for them.
 */
#ifndef POOL_REQUEST_RUN_H
#define POOL_REQUEST_RUN_H

#include "base/wait_event.h"
#include "session/request.h"

/* Has the caller what it waits for? */
typedef bool (*PoolRequestEnough)(void *arg);

extern bool pool_request_run_until(PoolRequestEnough enough, void *arg,
								   int64 deadline);
extern void pool_request_run_to_end(PoolRequest *request);
extern void pool_request_run_poll(void);
extern void pool_request_run_stop(void);
extern bool pool_request_run_beside(int sock, int events, int64 deadline,
									PoolWaitEvent wait);

#endif /* POOL_REQUEST_RUN_H */
