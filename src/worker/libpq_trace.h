/*
 * libpq_trace.h
 *		Learning the cancel key of a connection from what libpq traces.
 */
#ifndef POOL_LIBPQ_TRACE_H
#define POOL_LIBPQ_TRACE_H

#include <stdio.h>

#include "libpq-fe.h"

/* What libpq and the remote say to each other while connecting. */
typedef struct PoolLibpqTrace
{
	FILE *file;
	char *buffer;
} PoolLibpqTrace;

/* What a cancel request needs to know. */
typedef struct PoolCancelKey
{
	bool known;
	bool encrypted; /* it must not be sent in the clear */
	int32 pid;
	int32 secret;
} PoolCancelKey;

extern void pool_libpq_trace_begin(PoolLibpqTrace *trace, PGconn *conn);
extern void pool_libpq_trace_end(PoolLibpqTrace *trace, PoolCancelKey *key,
								 int backend_pid);

#endif /* POOL_LIBPQ_TRACE_H */
