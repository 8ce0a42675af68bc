/*
 * locate.h
 *		From a server's name, or a connection string, to its pool.
 */
#ifndef POOL_LOCATE_H
#define POOL_LOCATE_H

#include "options/conn_string.h"
#include "options/target.h"
#include "shared/pool.h"
#include "shared/queue.h"

/* What a session asks for. */
typedef struct PoolWanted
{
	const char *server_name;	  /* of a string: for messages */
	const PoolConnString *string; /* NULL: a server, by its name */
} PoolWanted;

extern bool pool_locate_configure(const PoolWanted *wanted, PoolTarget *target,
								  Pool *pool, uint64 pool_id, int64 deadline);
extern Pool *pool_locate_look_up(const PoolWanted *wanted, PoolTarget *target,
								 uint64 *pool_id);
extern void pool_locate_pool(const PoolWanted *wanted, PoolTarget *target,
							 bool anew, PoolAcquireRequest *request);

#endif /* POOL_LOCATE_H */
