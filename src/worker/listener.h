/*
 * listener.h
 *		Messages from sessions to the worker, and its replies.
 */
#ifndef POOL_LISTENER_H
#define POOL_LISTENER_H

#include "libpq-fe.h"

#include "shared/wire.h"
#include "worker/parameters.h"

/* A message that the worker has received, and where to reply. */
typedef struct PoolListenerMessage
{
	PoolMessage head;
	const char **strings; /* head.nstrings of them */
	pid_t peer_pid;		  /* as the kernel tells */
	int reply_fd;
} PoolListenerMessage;

typedef enum PoolListenerResult
{
	POOL_LISTENER_EMPTY,   /* there is no message */
	POOL_LISTENER_DROPPED, /* there was one, which is of no use */
	POOL_LISTENER_MESSAGE
} PoolListenerResult;

extern int pool_listener_open(int worker);
extern void pool_listener_close(int worker, int sock);
extern void pool_listener_wipe(void);
extern PoolListenerResult pool_listener_receive(int sock,
												PoolListenerMessage *message);
extern void pool_listener_refuse(PoolListenerMessage *message);
extern void pool_listener_accept(PoolListenerMessage *message);
extern void pool_listener_send(PoolListenerMessage *message, pgsocket sock,
							   int remote_pid, const PoolParameters *parameters);

#endif /* POOL_LISTENER_H */
