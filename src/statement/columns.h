/*
 * columns.h
 *		The columns of a remote result, and whether they are what was asked for.
 */
#ifndef POOL_COLUMNS_H
#define POOL_COLUMNS_H

#include "access/tupdesc.h"
#include "fmgr.h"
#include "libpq-fe.h"

#include "statement/call_site.h"
#include "statement/styles.h"

/* A value as it came, followed by a zero byte; NULL for a null. */
typedef struct PoolField
{
	char *bytes;
	int length;
} PoolField;

typedef struct PoolColumn
{
	/* As the remote describes it. */
	char *name;
	Oid type;
	int32 typmod;

	/* Looked up beforehand: an error context must not read a catalog. */
	const char *type_name;

	PoolStyle style; /* in which its text must be */

	/* How its values are read here. */
	bool binary;	/* they come in binary format ... */
	bool receive;	/* ... and by the receive function, not as text */
	FmgrInfo input; /* or the receive function */
	Oid input_param;
	Oid input_type;
	int32 input_typmod;
} PoolColumn;

typedef struct PoolColumns
{
	int count;
	int reading; /* index of the column being read, or -1 */
	PoolColumn items[FLEXIBLE_ARRAY_MEMBER];
} PoolColumns;

extern PoolColumns *pool_columns_note(const PGresult *res);
extern PoolColumns *pool_columns_copy(const PoolColumns *columns);
extern bool pool_columns_match(const PoolColumns *columns, const PGresult *res,
							   TupleDesc desc);
extern char *pool_columns_list(const PoolColumns *columns);
extern void pool_columns_check(const PoolColumns *columns, TupleDesc expected,
							   int nlead);
extern void pool_columns_check_lead(TupleDesc expected, int nlead);
extern TupleDesc pool_columns_row_type(const PoolColumns *columns, int nlead);
extern void pool_columns_check_stable(const PoolColumns *columns,
									  TupleDesc desc, PoolCallSite *site);
extern void pool_columns_prepare(PoolColumns *columns, TupleDesc desc,
								 int nlead);
extern void pool_columns_refuse_binary(const PoolColumns *columns);
extern void pool_columns_read(PoolColumns *columns, const PoolField *fields,
							  Datum *values, bool *nulls);
extern void pool_columns_context(const PoolColumns *columns,
								 const char *server_name);

#endif /* POOL_COLUMNS_H */
