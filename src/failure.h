/*
 * failure.h
 *		Why an attempt to connect failed.
 */
#ifndef POOL_FAILURE_H
#define POOL_FAILURE_H

#include "shmem.h"

#define POOL_FAILURE_FILES \
	"too many files are open in the pool worker (max_files_per_process)"

extern void pool_failure_prepend(PoolConnectError *error,
								 const PoolConnectError *before);
extern void pool_failure_parse(const char *verbose, PoolConnectError *error);
extern void pool_failure_set(PoolConnectError *error, int sqlstate,
							 const char *message);

#endif /* POOL_FAILURE_H */
