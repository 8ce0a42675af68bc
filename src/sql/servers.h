/*
 * servers.h
 *		The arguments of functions that ask several servers.
 */
#ifndef POOL_SERVERS_H
#define POOL_SERVERS_H

#include "fmgr.h"

#include "statement/statement.h"

extern char **pool_servers_arg(FunctionCallInfo fcinfo, int arg, int *count);
extern PoolStatement *pool_servers_statement_arg(FunctionCallInfo fcinfo,
												 int sql_arg, int params_arg);

#endif /* POOL_SERVERS_H */
