/*
 * conninfo.h
 *		libpq's parameters for a new connection.
 */
#ifndef POOL_CONNINFO_H
#define POOL_CONNINFO_H

#include "options/target.h"

/* Reading it fails in a way that libpq takes for "there is none". */
#define POOL_NO_CERTIFICATE "/dev/null/none"

#define POOL_MAX_HOSTS 32

/* libpq's parameters; both arrays are NULL-terminated and equally long. */
typedef struct PoolConninfo
{
	const char **keywords;
	const char **values;
	int count; /* without the terminator */
} PoolConninfo;

extern void pool_conninfo_build(const PoolTarget *target,
								PoolConninfo *conninfo);
extern const char *pool_conninfo_tcp_default(const char *keyword);
extern int pool_conninfo_count_items(const char *list);

#endif /* POOL_CONNINFO_H */
