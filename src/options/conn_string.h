/*
 * conn_string.h
 *		A connection string, and the pool that it stands for.
 */
#ifndef POOL_CONN_STRING_H
#define POOL_CONN_STRING_H

#include "options/conninfo.h"
#include "options/target.h"

/* Flat, with no pointer in it; it contains secrets. */
typedef struct PoolConnString PoolConnString;

extern void pool_conn_string_init(void);
extern PoolConnString *pool_conn_string_make(MemoryContext context,
											 const char *text);
extern void pool_conn_string_free(PoolConnString *string);
extern void pool_conn_string_target(const PoolConnString *string,
									PoolTarget *target);
extern void pool_conn_string_conninfo(const PoolConnString *string,
									  PoolConninfo *conninfo);

#endif /* POOL_CONN_STRING_H */
