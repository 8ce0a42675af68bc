/*
 * args.h
 *		Arguments of SQL functions.
 */
#ifndef POOL_ARGS_H
#define POOL_ARGS_H

#include "fmgr.h"

extern void pool_arg_refuse_null(FunctionCallInfo fcinfo, int arg,
								 const char *what);
extern char *pool_arg_server(FunctionCallInfo fcinfo);
extern int64 pool_arg_timeout(FunctionCallInfo fcinfo, int arg);

#endif /* POOL_ARGS_H */
