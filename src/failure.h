/*
 * failure.h
 *		Why an attempt to connect failed.
 */
#ifndef POOL_FAILURE_H
#define POOL_FAILURE_H

#include "shmem.h"

extern void pool_failure_parse(const char *verbose, PoolConnectError *error);
extern void pool_failure_set(PoolConnectError *error, int sqlstate,
							 const char *message);

#endif /* POOL_FAILURE_H */
