/*
 * socket_wait.h
 *		Waiting for the socket of a leased connection.
 */
#ifndef POOL_SOCKET_WAIT_H
#define POOL_SOCKET_WAIT_H

#include "base/wait_event.h"

typedef bool (*PoolSocketWaiter)(int sock, int events, int64 deadline,
								 PoolWaitEvent wait);

extern PoolSocketWaiter pool_socket_wait_other;

extern bool pool_socket_wait(int sock, int events, int64 deadline,
							 PoolWaitEvent wait);
extern void pool_socket_wait_latch(int64 until, PoolWaitEvent wait);

#endif /* POOL_SOCKET_WAIT_H */
