/*
 * output.h
 *		The rows that an SQL function returns.
 */
#ifndef POOL_OUTPUT_H
#define POOL_OUTPUT_H

#include "libpq-fe.h"
#include "nodes/execnodes.h"

#include "statement/call_site.h"
#include "statement/columns.h"

typedef struct PoolOutput PoolOutput;

extern void pool_output_check_allowed(const ReturnSetInfo *rsinfo);
extern PoolOutput *pool_output_create(FunctionCallInfo fcinfo, bool json,
									  PoolCallSite *site);
extern void pool_output_set_lead(PoolOutput *output, int nlead);
extern bool pool_output_wants_binary(const PoolOutput *output);
extern bool pool_output_takes_binary(const PoolOutput *output, int count,
									 const Oid *types);
extern void pool_output_clear(PoolOutput *output);
extern PoolColumns *pool_output_note(PoolOutput *output, const PGresult *res);
extern void pool_output_settle(PoolOutput *output, PoolColumns *columns,
							   const Datum *lead, const bool *lead_nulls);
extern void pool_output_put(PoolOutput *output, PoolColumns *columns,
							const PoolField *fields);
extern void pool_output_put_lead(PoolOutput *output, const Datum *lead,
								 const bool *lead_nulls);
extern void pool_output_finish(PoolOutput *output);

#endif /* POOL_OUTPUT_H */
