/*
 * statement.h
 *		A statement and its parameters, in the form that libpq sends.
 */
#ifndef POOL_STATEMENT_H
#define POOL_STATEMENT_H

#include "statement/call_site.h"

typedef struct PoolStatement
{
	const char *sql;
	size_t length; /* of the text */
	uint64 hash;   /* of the text */
	int nparams;
	Oid *types;			 /* 0: let the remote infer it */
	const char **values; /* NULL: SQL NULL */
	int *lengths;		 /* of binary values */
	int *formats;		 /* 0 text, 1 binary */
	bool read_only;		 /* in a READ ONLY transaction; not of several */
	bool only_describe;	 /* not to be executed */

	/*
	 * Its answers are kept and read as they came: whatever the styles of the remote
	 * session are, and notices are not shown.
	 */
	bool verbatim;
	const char *context; /* of its errors; NULL: that it ran on the server */
} PoolStatement;

extern PoolStatement *pool_statement_from_args(FunctionCallInfo fcinfo,
											   int sql_arg, PoolCallSite *site);
extern PoolStatement *pool_statement_from_texts(const char *sql, int nparams,
												const char **values);
extern PoolStatement *pool_statement_copy(const PoolStatement *stmt);
extern PoolStatement *pool_statement_to_describe(const char *sql, int nparams,
												 const Oid *types);
extern size_t pool_statement_size(const PoolStatement *stmt);
extern bool pool_statement_is_several(const PoolStatement *stmt);

#endif /* POOL_STATEMENT_H */
