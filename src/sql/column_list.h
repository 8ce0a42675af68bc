/*
 * column_list.h
 *		The column list of a remote query, as text.
 */
#ifndef POOL_COLUMN_LIST_H
#define POOL_COLUMN_LIST_H

#include "fmgr.h"

#include "statement/statement.h"

extern char *pool_column_list_schema(FunctionCallInfo fcinfo);
extern char *pool_column_list_ask(FunctionCallInfo fcinfo, const char *server,
								  const PoolStatement *statement, int *nparams);

#endif /* POOL_COLUMN_LIST_H */
