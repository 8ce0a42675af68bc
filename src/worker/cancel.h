/*
 * cancel.h
 *		Cancelling a statement on a remote, from the worker.
 */
#ifndef POOL_CANCEL_H
#define POOL_CANCEL_H

#include "libpq-fe.h"

#include "worker/cancel_key.h"

/* A cancel request under way. */
typedef struct PoolCancel
{
	pgsocket sock; /* PGINVALID_SOCKET: none */
	PGconn *pg;	   /* makes the socket, if it is to be encrypted */
	bool sent;	   /* and the remote has not closed the socket yet */
	int attempts;  /* requests begun so far */
	int requests;  /* requests sent so far */
	int64 next;	   /* when to begin the next one, pool_clock_us() */
	uint32 events; /* what to wait for */
	uint32 serial; /* grows when sock or events change */
} PoolCancel;

extern bool pool_cancel_continue(PoolCancel *cancel, const PoolCancelKey *key,
								 PGconn *conn);
extern void pool_cancel_end(PoolCancel *cancel);

#endif /* POOL_CANCEL_H */
