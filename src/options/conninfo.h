/*
 * conninfo.h
 *		libpq's parameters for a new connection.
 */
#ifndef POOL_CONNINFO_H
#define POOL_CONNINFO_H

#include "options/target.h"

/* libpq's parameters; both arrays are NULL-terminated and equally long. */
typedef struct PoolConninfo
{
	const char **keywords;
	const char **values;
	int count; /* without the terminator */
} PoolConninfo;

extern void pool_conninfo_build(const PoolTarget *target,
								PoolConninfo *conninfo);
extern int pool_conninfo_count_items(const char *list);

#endif /* POOL_CONNINFO_H */
