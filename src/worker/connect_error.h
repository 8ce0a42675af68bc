/*
 * connect_error.h
 *		Why an attempt to connect failed.
 */
#ifndef POOL_CONNECT_ERROR_H
#define POOL_CONNECT_ERROR_H

#include "shared/pool.h"

#define POOL_CONNECT_ERROR_FILES \
	"too many files are open in the pool worker (max_files_per_process)"

extern void pool_connect_error_prepend(PoolConnectError *error,
									   const PoolConnectError *before);
extern void pool_connect_error_parse(const char *verbose,
									 PoolConnectError *error);
extern void pool_connect_error_set(PoolConnectError *error, int sqlstate,
								   const char *message);

#endif /* POOL_CONNECT_ERROR_H */
