/*
 * parameters.h
 *		What a remote has reported about itself.
 */
#ifndef POOL_PARAMETERS_H
#define POOL_PARAMETERS_H

#include "lib/stringinfo.h"
#include "libpq-fe.h"

/* How many of them are kept, the bytes of a value with its end, and of all. */
#define POOL_PARAMETERS_COUNT 14
#define POOL_PARAMETERS_LEN 512
#define POOL_PARAMETERS_MAX \
	(POOL_PARAMETERS_COUNT * (POOL_PARAMETERS_LEN + NAMEDATALEN))

/* By the order of their names in parameters.c; NULL: not known, or too long. */
typedef struct PoolParameters
{
	char *values[POOL_PARAMETERS_COUNT];
} PoolParameters;

extern void pool_parameters_take(PoolParameters *parameters, const PGconn *conn);
extern void pool_parameters_set(PoolParameters *parameters, const char *name,
								const char *value);
extern int pool_parameters_append(const PoolParameters *parameters,
								  StringInfo data);
extern void pool_parameters_free(PoolParameters *parameters);

#endif /* POOL_PARAMETERS_H */
