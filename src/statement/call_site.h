/*
 * call_site.h
 *		What a call in a query keeps for the next call at the same place.
 */
#ifndef POOL_CALL_SITE_H
#define POOL_CALL_SITE_H

#include "fmgr.h"

struct PoolColumns;
struct PoolParamTypes;

typedef struct PoolCallSite
{
	MemoryContext context; /* lives as long as this */
	bool busy;			   /* a call uses it, or has ended with an error */

	struct PoolParamTypes *params; /* statement.c's; NULL: none yet */
	struct PoolColumns *columns;   /* output.c's; NULL: none */
	MemoryContext columns_context; /* theirs; NULL: none yet */

	/* What all calls of a target list must agree in, busy or not. */
	bool has_row_type;
	int32 row_type; /* a typmod */
} PoolCallSite;

extern PoolCallSite *pool_call_site_of(FmgrInfo *function);
extern PoolCallSite *pool_call_site_enter(FmgrInfo *function);
extern void pool_call_site_leave(PoolCallSite *site);

#endif /* POOL_CALL_SITE_H */
