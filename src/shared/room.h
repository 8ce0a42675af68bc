/*
 * room.h
 *		Where a pool can be made, and what goes for it.
 */
#ifndef POOL_ROOM_H
#define POOL_ROOM_H

#include "base/compat.h"
#include "options/target.h"
#include "shared/pool.h"

/* What is in the way of a pool. */
typedef enum PoolObstacle
{
	POOL_OBSTACLE_PLACES, /* pool.max_pools */
	POOL_OBSTACLE_ROLE,	  /* pool.max_role_pools */
	POOL_OBSTACLE_STRINGS /* pool_dblink.max_pools */
} PoolObstacle;

extern void pool_room_empty(Pool *pool);
extern Pool *pool_room_find(const PoolTarget *target, PoolObstacle *obstacle);
extern bool pool_room_string_unused(const Pool *pool);
extern Pool *pool_room_oldest_string(Oid role);
pg_noreturn extern void pool_room_raise(PoolObstacle obstacle, Oid role);

#endif /* POOL_ROOM_H */
