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
	POOL_LIMIT_SIZE,	  /* max_size */
	POOL_LIMIT_AUTOSCALE, /* Pool.limit, which autoscale moves */
	POOL_LIMIT_SERVER,	  /* max_server_size */
	POOL_LIMIT_ROLE,	  /* pool.max_role_connections */
	POOL_LIMIT_ALL		  /* pool.max_connections */
} PoolLimit;

/* Who has the places of a limit, for a message. */
typedef struct PoolLimitFigures
{
	int places; /* of the limit */
	int taken;
	int leased;
	int own; /* leased by this session */
} PoolLimitFigures;

extern const char *pool_limit_name(PoolLimit limit);
extern int pool_limit_role_pools(void);
extern bool pool_limit_covers(PoolLimit limit, const struct Pool *pool,
							  const struct Pool *other);
extern int pool_limit_taken(PoolLimit limit, const struct Pool *pool);
extern PoolLimit pool_limit_find(const struct Pool *pool, int *keep);
extern PoolLimit pool_limit_of(const struct Pool *pool);
extern void pool_limit_read(PoolLimit limit, struct Pool *pool,
							PoolLimitFigures *figures);

#endif /* POOL_LIMIT_H */
