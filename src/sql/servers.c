/*
 * servers.c
 *		The arguments of functions that ask several servers.
 *
 * Whatever is wrong with them is raised before anything is sent.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "options/target.h"
#include "sql/args.h"
#include "sql/servers.h"

/* The elements of an array of texts; NULL: a null. */
static char **
array_of_texts(ArrayType *array, int *count)
{
	Datum *values;
	bool *nulls;
	char **texts;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls,
					  count);
	texts = palloc(Max(*count, 1) * sizeof(char *));
	for (int i = 0; i < *count; i++)
		texts[i] = nulls[i] ? NULL : TextDatumGetCString(values[i]);
	return texts;
}

/*
 * The servers that an argument names.  Raises 22004, and what pool_target_resolve()
 * does: each must be there, with the rights to use it.
 */
char **
pool_servers_arg(FunctionCallInfo fcinfo, int arg, int *count)
{
	PoolTarget *target = palloc(sizeof(PoolTarget));
	char **servers;

	pool_args_refuse_null(fcinfo, arg, "servers");
	servers = array_of_texts(PG_GETARG_ARRAYTYPE_P(arg), count);
	for (int i = 0; i < *count; i++)
	{
		if (servers[i] == NULL)
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("servers must not contain nulls")));
		pool_target_resolve(servers[i], target);
	}
	pfree(target);
	return servers;
}

/*
 * The statement of an argument, with parameters of an array of texts, which may be
 * null.  Raises 22004, and what pool_statement_from_texts() does.
 */
PoolStatement *
pool_servers_statement_arg(FunctionCallInfo fcinfo, int sql_arg, int params_arg)
{
	char *sql = pool_args_text(fcinfo, sql_arg, "query");
	char **values = NULL;
	int count = 0;

	if (!PG_ARGISNULL(params_arg))
		values = array_of_texts(PG_GETARG_ARRAYTYPE_P(params_arg), &count);
	return pool_statement_from_texts(sql, count, (const char **) values);
}
