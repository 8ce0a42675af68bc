/*
 * string_options.h
 *		libpq's parameters from a connection string.
 */
#ifndef POOL_STRING_OPTIONS_H
#define POOL_STRING_OPTIONS_H

#include "options/conninfo.h"

/* What a connection string says, with what completes it. */
typedef struct PoolStringOptions
{
	PoolConninfo conninfo; /* each keyword once, in the order of libpq's list */
	int connect_timeout;   /* milliseconds, 0: no limit, -1: not given */
	NameData name;		   /* who connects where; no secret is in it */
} PoolStringOptions;

extern void pool_string_options_read(const char *text, bool needs_password,
									 PoolStringOptions *options);
extern void pool_string_options_wipe(PoolStringOptions *options);

#endif /* POOL_STRING_OPTIONS_H */
