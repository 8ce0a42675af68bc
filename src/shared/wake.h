/*
 * wake.h
 *		Setting the latches of sessions and workers.
 */
#ifndef POOL_WAKE_H
#define POOL_WAKE_H

#include "shared/pool.h"
#include "shared/self.h"

/*
 * Sessions that are to be woken when the lock is released.  In one critical
 * section no more than two slots are given away, and each time the next waiter
 * may have to look.
 */
#define POOL_MAX_WAKES 4

typedef struct PoolWakes
{
	int n;
	PoolSessionRef sessions[POOL_MAX_WAKES];
} PoolWakes;

extern void pool_wake_add(PoolWakes *wakes, const PoolSessionRef *session);
extern void pool_wake_sessions(const PoolWakes *wakes);
extern void pool_wake_session(const PoolSessionRef *session);
extern void pool_wake_worker(const Pool *pool);
extern void pool_wake_mark_starved(const Pool *pool);
extern void pool_wake_starved(void);

#endif /* POOL_WAKE_H */
