/*
 * worker_log.h
 *		What the worker writes into the log about a pool, without flooding it.
 */
#ifndef POOL_WORKER_LOG_H
#define POOL_WORKER_LOG_H

#include "shared/pool.h"
#include "shared/slot.h"

extern void pool_worker_log_init(void);
extern void pool_worker_log_connect_failed(Pool *pool, const char *message);
extern void pool_worker_log_limited(Pool *pool);
extern void pool_worker_log_connection_lost(Pool *pool, const PoolSlot *slot,
											const char *reason);
extern void pool_worker_log_answer_too_long(Pool *pool, const PoolSlot *slot,
											bool is_health_check, int kb);
extern void pool_worker_log_on_round(Pool *pool);
extern void pool_worker_log_flush(void);

#endif /* POOL_WORKER_LOG_H */
