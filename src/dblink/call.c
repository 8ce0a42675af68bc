/*
 * call.c
 *		The arguments of dblink's functions.
 *
 * Most of them take ([connection,] what it is about [, fail]), and are told apart by
 * the number of arguments and whether the last one is boolean.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "dblink/call.h"

/* An argument of type text, as a string. */
char *
pool_call_text(FunctionCallInfo fcinfo, int argument)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/*
 * Fills in call->fail, and call->name if a connection is named; so many arguments are
 * what the call is about.  Returns which is the first of these.
 */
int
pool_call_begin(FunctionCallInfo fcinfo, int narguments, PoolLinkCall *call)
{
	int last = PG_NARGS() - 1;
	bool tells_fail = last >= narguments &&
					  get_fn_expr_argtype(fcinfo->flinfo, last) == BOOLOID;
	int first = PG_NARGS() - narguments - (tells_fail ? 1 : 0);

	memset(call, 0, sizeof(*call));
	call->fail = !tells_fail || PG_GETARG_BOOL(last);
	if (first == 1)
		call->name = pool_call_text(fcinfo, 0);
	return first;
}
