/*
 * wake.h
 *		Setting the latches of sessions and workers.
 */
#ifndef POOL_WAKE_H
#define POOL_WAKE_H

#include "shared/pool.h"
#include "shared/self.h"

extern void pool_wake_session(const PoolSessionRef *session);
extern void pool_wake_worker(const Pool *pool);
extern void pool_wake_mark_starved(const Pool *pool);
extern void pool_wake_starved(void);

#endif /* POOL_WAKE_H */
