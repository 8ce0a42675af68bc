/*
 * endpoint.h
 *		What the module that serves metrics (src/http) gets from this library.
 */
#ifndef POOL_ENDPOINT_H
#define POOL_ENDPOINT_H

#include "lib/stringinfo.h"

#include "base/listen_address.h"

/* The name of the rendezvous variable, and what it points to. */
#define POOL_ENDPOINT_VARIABLE "pool_metrics"
#define POOL_ENDPOINT_VERSION 1 /* another one for any change of this struct */

typedef struct PoolEndpoint
{
	int version;
	const char *setting; /* pool.metrics_listen */
	PoolListenAddress listen;
	void (*append_metrics)(StringInfo text, bool utf8); /* exposition.h */
	int (*stopped_worker)(void); /* number of a pool worker, or 0: all run */
} PoolEndpoint;

extern void pool_endpoint_register(void);

#endif /* POOL_ENDPOINT_H */
