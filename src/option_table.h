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

#include "options.h"

/* Where an option may be written; 0 is nowhere. */
#define POOL_ON_SERVER 0x01
#define POOL_ON_MAPPING 0x02

typedef enum PoolOptionKind
{
	POOL_KIND_INT,
	POOL_KIND_DURATION,		   /* milliseconds */
	POOL_KIND_CONNECT_TIMEOUT, /* the same, but a plain number is seconds */
	POOL_KIND_PERCENT,
	POOL_KIND_BOOL,
	POOL_KIND_LEAK_ACTION,
	POOL_KIND_TEXT
} PoolOptionKind;

/* One of the pool's own options. */
typedef struct PoolOptionDef
{
	const char *name;
	PoolOptionKind kind;
	int offset; /* in PoolOptions, -1: has no field there */
	int contexts;
	int def;
	int min;
	int max;
	const char *text; /* default of POOL_KIND_TEXT */
} PoolOptionDef;

/* One of libpq's. */
typedef struct PoolLibpqOption
{
	const char *name;
	int contexts;

	/*
	 * The value speaks for the operating system's user who runs the server,
	 * so for a role that has to show a password it is used only if a
	 * superuser wrote it into its mapping.
	 */
	bool identity;
	bool superuser; /* only a superuser may write it */
} PoolLibpqOption;

/* Which options were given: a bit for each place in pool_option_table. */
typedef uint64 PoolOptionSet;

/* Both tables end with a name of NULL. */
extern const PoolOptionDef pool_option_table[];
extern const PoolLibpqOption *pool_libpq_table(void);

extern const PoolOptionDef *pool_option_find(const char *name);
extern void pool_option_defaults(PoolOptions *options);
extern int pool_option_set(const PoolOptionDef *def, const char *value,
						   PoolOptions *options, PoolOptionSet *given);
extern void pool_option_check(const PoolOptions *options, PoolOptionSet given,
							  bool complete);
extern const PoolLibpqOption *pool_libpq_find(const char *name);
extern void pool_libpq_check_value(const char *name, const char *value);

#endif /* POOL_OPTION_TABLE_H */
