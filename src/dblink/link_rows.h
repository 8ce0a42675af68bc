/*
 * link_rows.h
 *		The rows that functions of dblink return.
 */
#ifndef POOL_LINK_ROWS_H
#define POOL_LINK_ROWS_H

#include "dblink/link_run.h"

extern void pool_link_rows_begin(FunctionCallInfo fcinfo);
extern void pool_link_rows_return(FunctionCallInfo fcinfo,
								  const PoolLinkAnswer *answer);

#endif /* POOL_LINK_ROWS_H */
