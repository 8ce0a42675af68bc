/*
 * listener.h
 *		The worker's end of what sessions ask.
 */
#ifndef POOL_LISTENER_H
#define POOL_LISTENER_H

#include "libpq-fe.h"

#include "shared/wire.h"

/* What the worker gets. */
typedef struct PoolListenerRequest
{
	PoolMessage head;
	const char **strings; /* head.nstrings of them */
	pid_t peer_pid;		  /* as the kernel tells */
	int reply_fd;
} PoolListenerRequest;

extern int pool_listener_open(int worker);
extern void pool_listener_close(int worker, int sock);
extern void pool_listener_wipe(void);
extern bool pool_listener_receive(int sock, PoolListenerRequest *request);
extern void pool_listener_refuse(PoolListenerRequest *request);
extern void pool_listener_accept(PoolListenerRequest *request);
extern void pool_listener_send(PoolListenerRequest *request, PGconn *conn,
							   pgsocket sock);

#endif /* POOL_LISTENER_H */
