/*
 * locate.h
 *		From a server's name to its pool.
 */
#ifndef POOL_LOCATE_H
#define POOL_LOCATE_H

#include "options/target.h"
#include "shared/pool.h"
#include "shared/queue.h"

extern bool pool_locate_configure(const char *server_name, PoolTarget *target,
								  Pool *pool, uint64 pool_id, int64 deadline);
extern Pool *pool_locate_look_up(const char *server_name, PoolTarget *target,
								 uint64 *pool_id);
extern void pool_locate_pool(const char *server_name, PoolTarget *target,
							 bool anew, PoolAcquireRequest *request);

#endif /* POOL_LOCATE_H */
