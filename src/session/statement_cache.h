/*
 * statement_cache.h
 *		Which statements this session has run, and how often.
 */
#ifndef POOL_STATEMENT_CACHE_H
#define POOL_STATEMENT_CACHE_H

#include "shared/prepared.h"
#include "statement/statement.h"

/* "pool_", 32 hexadecimal digits, and the end. */
#define POOL_STATEMENT_NAME_LEN 38

/* How many times a statement has to succeed before it is prepared. */
#define POOL_STATEMENT_CACHE_RUNS 2

/* A statement by the name that it has on every connection. */
typedef struct PoolStatementName
{
	PoolPreparedHash hash;
	char text[POOL_STATEMENT_NAME_LEN];
} PoolStatementName;

typedef struct PoolCachedStatement PoolCachedStatement;

extern PoolCachedStatement *
pool_statement_cache_get(uint64 pool_id, const PoolStatement *statement);
extern uint64 pool_statement_cache_removals(void);
extern const PoolStatementName *
pool_statement_cache_name(PoolCachedStatement *cached);
extern bool pool_statement_cache_is_new(const PoolCachedStatement *cached);
extern bool pool_statement_cache_is_ripe(const PoolCachedStatement *cached);
extern void pool_statement_cache_note(PoolCachedStatement *cached,
									  bool succeeded);
extern void pool_statement_cache_make_name(const char *sql, int nparams,
										   const Oid *types,
										   PoolStatementName *name);
extern void pool_statement_cache_spell(PoolStatementName *name);

#endif /* POOL_STATEMENT_CACHE_H */
