/*
 * binary.h
 *		Which values can be read and sent as they are kept, not as text.
 */
#ifndef POOL_BINARY_H
#define POOL_BINARY_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

typedef enum PoolBinary
{
	POOL_BINARY_NONE, /* read from text only */
	POOL_BINARY_TEXT, /* the same bytes as its text */
	POOL_BINARY_VALUE /* the type's receive function reads it */
} PoolBinary;

extern PoolBinary pool_binary_of_type(Oid remote, Oid local);
extern bool pool_binary_of_columns(int count, const Oid *types,
								   TupleDesc wanted);
extern bool pool_binary_may_send(Oid type);
extern Datum pool_binary_read(FmgrInfo *receive, Oid param, int32 typmod,
							  StringInfo bytes);

#endif /* POOL_BINARY_H */
