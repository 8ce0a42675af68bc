/*
 * args.h
 *		Arguments of SQL functions: what several of them check and convert.
 */
#ifndef POOL_ARGS_H
#define POOL_ARGS_H

#include "fmgr.h"

extern void pool_args_refuse_null(FunctionCallInfo fcinfo, int arg,
								  const char *what);
extern char *pool_args_text(FunctionCallInfo fcinfo, int arg, const char *what);
extern char *pool_args_server(FunctionCallInfo fcinfo);
extern int64 pool_args_interval(FunctionCallInfo fcinfo, int arg,
								const char *what);
extern int64 pool_args_deadline(FunctionCallInfo fcinfo, int arg);

#endif /* POOL_ARGS_H */
