/*
 * result.h
 *		From libpq results to rows of the calling query.
 */
#ifndef POOL_RESULT_H
#define POOL_RESULT_H

#include "libpq-fe.h"

#include "statement/call_site.h"
#include "statement/columns.h"
#include "statement/sets.h"

typedef enum PoolResultMode
{
	POOL_RESULT_ROWS,	/* setof record */
	POOL_RESULT_JSON,	/* setof jsonb, one object a row */
	POOL_RESULT_COUNT,	/* bigint, rows affected */
	POOL_RESULT_COLUMNS /* no rows; what the columns are */
} PoolResultMode;

typedef struct PoolResult PoolResult;

extern PoolResult *pool_result_create(FunctionCallInfo fcinfo,
									  PoolResultMode mode,
									  const char *server_name,
									  PoolCallSite *site);
extern bool pool_result_wants_binary(const PoolResult *result);
extern bool pool_result_takes_binary(const PoolResult *result, int count,
									 const Oid *types);
extern void pool_result_expect_several(PoolResult *result);
extern void pool_result_add(PoolResult *result, const PGresult *res);
extern void pool_result_finish(PoolResult *result);
extern const PoolColumns *pool_result_columns(const PoolResult *result,
											  int *nparams);
extern int64 pool_result_rows(const PoolResult *result);
extern int64 pool_result_affected(const PoolResult *result);

/* A result that is kept, while nobody knows what for. */
extern PoolResult *pool_result_create_kept(MemoryContext parent,
										   const char *server_name, int max_kb);
extern int64 pool_result_bytes(const PoolResult *kept);
extern bool pool_result_is_being_taken(const PoolResult *kept);
extern void pool_result_destroy(PoolResult *kept);

/* A result of all that comes, as it comes. */
extern PoolResult *pool_result_create_sets(MemoryContext parent,
										   const char *server_name, int max_kb,
										   bool lasting);
extern PoolSets *pool_result_sets(const PoolResult *result);

/* Rows of kept results, and who they are of. */
extern void pool_result_set_lead(PoolResult *result, int nlead);
extern void pool_result_take(PoolResult *result, PoolResult *kept,
							 const Datum *lead, const bool *lead_nulls);
extern void pool_result_put_lead(PoolResult *result, const Datum *lead,
								 const bool *lead_nulls);

#endif /* POOL_RESULT_H */
