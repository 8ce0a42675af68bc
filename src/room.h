/*
 * room.h
 *		Limits over several pools, and who gives way when they are reached.
 */
#ifndef POOL_ROOM_H
#define POOL_ROOM_H

#include "shmem.h"

extern bool pool_room_is_full(const Pool *pool);
extern void pool_room_make(Pool *pool);

#endif /* POOL_ROOM_H */
