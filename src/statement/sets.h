/*
 * sets.h
 *		The answers to the statements of one string, as they came.
 */
#ifndef POOL_SETS_H
#define POOL_SETS_H

#include "libpq-fe.h"

#include "statement/columns.h"

/* The answer to one statement. */
typedef struct PoolSet PoolSet;

typedef struct PoolSets PoolSets;

extern PoolSets *pool_sets_create(int max_kb, bool lasting);
extern void pool_sets_add(PoolSets *sets, const PGresult *res);
extern int64 pool_sets_bytes(const PoolSets *sets);
extern int pool_sets_count(const PoolSets *sets);
extern PoolSet *pool_sets_get(const PoolSets *sets, int number);
extern void pool_sets_destroy(PoolSets *sets);

extern int pool_sets_columns(const PoolSet *set);
extern const char *pool_sets_tag(const PoolSet *set);
extern void pool_sets_rewind(PoolSet *set);
extern PoolField *pool_sets_next_row(PoolSet *set);

#endif /* POOL_SETS_H */
