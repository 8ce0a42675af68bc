/*
 * event_set.h
 *		Waiting for the sockets of several connections, and the latch.
 */
#ifndef POOL_EVENT_SET_H
#define POOL_EVENT_SET_H

#include "base/wait_event.h"

extern void pool_event_set_prepare(void);
extern bool pool_event_set_is_made(void);
extern void pool_event_set_add(uint64 id, int sock, int events);
extern void pool_event_set_change(uint64 id, int sock, int events);
extern void pool_event_set_remove(int sock);
extern int pool_event_set_wait(int64 until, PoolWaitEvent wait, uint64 *ready,
							   int size, bool *woken);
extern void pool_event_set_renew(void);

#endif /* POOL_EVENT_SET_H */
