/*
 * limit.h
 *		What keeps a pool from one more connection.
 */
#ifndef POOL_LIMIT_H
#define POOL_LIMIT_H

struct Pool;

/* In the order in which they are looked at. */
typedef enum PoolLimit
{
	POOL_LIMIT_NONE,
	POOL_LIMIT_SERVER, /* max_server_size */
	POOL_LIMIT_ROLE,   /* pool.max_role_connections */
	POOL_LIMIT_ALL	   /* pool.max_connections */
} PoolLimit;

extern int pool_limit_role_pools(void);
extern bool pool_limit_covers(PoolLimit limit, const struct Pool *pool,
							  const struct Pool *other);
extern int pool_limit_taken(PoolLimit limit, const struct Pool *pool);
extern PoolLimit pool_limit_find(const struct Pool *pool, int *keep);

#endif /* POOL_LIMIT_H */
