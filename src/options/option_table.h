/*
 * option_table.h
 *		Which options exist, where each may be written, what it may say.
 *
 * Shared by the validator, which refuses what is wrong when it is written,
 * and by the code that reads the catalogs, which trusts nothing: servers of
 * other wrappers were never seen by our validator.
 */
#ifndef POOL_OPTION_TABLE_H
#define POOL_OPTION_TABLE_H

#include "options/options.h"

/* Where an option may be written; 0 is nowhere. */
#define POOL_ON_SERVER 0x01
#define POOL_ON_MAPPING 0x02

typedef enum PoolOptionKind
{
	POOL_KIND_INT,
	POOL_KIND_DURATION,		   /* milliseconds */
	POOL_KIND_CONNECT_TIMEOUT, /* milliseconds; a plain number is in seconds */
	POOL_KIND_PERCENT,
	POOL_KIND_BOOL,
	POOL_KIND_LEAK_ACTION,
	POOL_KIND_STATEMENT_PLAN,
	POOL_KIND_TEXT
} PoolOptionKind;

/* One of the pool's own options. */
typedef struct PoolOptionDef
{
	const char *name;
	PoolOptionKind kind;
	int offset;	  /* in PoolOptions, -1: has no field there */
	int contexts; /* POOL_ON_... */
	int default_number;
	int min;
	int max;
	const char *default_text; /* of POOL_KIND_TEXT, for which there is no range */
} PoolOptionDef;

/* Which options were given: a bit for each place in pool_options_table. */
typedef uint64 PoolOptionSet;

/* An array that ends with a name of NULL. */
extern const PoolOptionDef pool_options_table[];

extern const PoolOptionDef *pool_options_find(const char *name);
extern void pool_options_defaults(PoolOptions *options);
extern int pool_options_set(const PoolOptionDef *def, const char *value,
							PoolOptions *options, PoolOptionSet *given);
extern void pool_options_check(const PoolOptions *options, PoolOptionSet given,
							   bool complete);

#endif /* POOL_OPTION_TABLE_H */
