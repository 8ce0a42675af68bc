/*
 * call.h
 *		The arguments of dblink's functions.
 */
#ifndef POOL_CALL_H
#define POOL_CALL_H

#include "fmgr.h"

#include "dblink/link_run.h"

extern int pool_call_begin(FunctionCallInfo fcinfo, int narguments,
						   PoolLinkCall *call);
extern char *pool_call_text(FunctionCallInfo fcinfo, int argument);

#endif /* POOL_CALL_H */
