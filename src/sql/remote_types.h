/*
 * remote_types.h
 *		Which types here are those of a remote's columns.
 */
#ifndef POOL_REMOTE_TYPES_H
#define POOL_REMOTE_TYPES_H

#include "statement/columns.h"

extern Oid *pool_remote_types_here(const PoolColumns *columns, int64 lease,
								   const char *schema);

#endif /* POOL_REMOTE_TYPES_H */
