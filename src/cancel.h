/*
 * cancel.h
 *		Cancelling a statement on a remote, from the worker.
 */
#ifndef POOL_CANCEL_H
#define POOL_CANCEL_H

#include <stdio.h>
#include <sys/socket.h>

#include "libpq-fe.h"

/* Listens to libpq while it connects. */
typedef struct PoolTrace
{
	FILE *file;
	char *buffer;
} PoolTrace;

/* What a cancel request needs to know. */
typedef struct PoolCancelKey
{
	bool known;
	bool encrypted; /* it must not be seen on the wire */
	int32 pid;
	int32 secret;
} PoolCancelKey;

/* A cancel request under way. */
typedef struct PoolCancel
{
	pgsocket sock; /* PGINVALID_SOCKET: none */
	PGconn *pg;	   /* makes the socket, if it is to be encrypted */
	bool sent;
	int attempts;
	int requests;  /* that went out */
	int64 next;	   /* when to begin the next one, pool_clock_us() */
	uint32 events; /* what to wait for */
	uint32 serial; /* grows when sock or events change */
} PoolCancel;

extern void pool_ignore_notice(void *arg, const PGresult *res);

extern void pool_trace_begin(PoolTrace *trace, PGconn *conn);
extern void pool_trace_end(PoolTrace *trace, PoolCancelKey *key,
						   int backend_pid);

extern bool pool_cancel_step(PoolCancel *cancel, const PoolCancelKey *key,
							 PGconn *conn);
extern void pool_cancel_end(PoolCancel *cancel);

#endif /* POOL_CANCEL_H */
