/*
 * query.c
 *		dblink() and dblink_exec(): statements over a link, or over a connection for
 *		one call.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "dblink/call.h"
#include "dblink/link_rows.h"

PG_FUNCTION_INFO_V1(pool_dblink_record);
PG_FUNCTION_INFO_V1(pool_dblink_exec);

/*
 * The link of the call: that of its name or else, for this call alone, one to where the
 * name leads as a server's name or a connection string.
 */
static void
find_link(PoolLinkCall *call)
{
	const char *place = call->name;

	call->link = place == NULL ? pool_link_get(NULL) : pool_link_find(place);
	if (call->link != NULL)
		return;
	call->link = pool_link_make(place);
	call->name = NULL;
}

/* dblink([connection,] query [, fail]): the rows of the query. */
Datum
pool_dblink_record(PG_FUNCTION_ARGS)
{
	PoolLinkCall call;
	PoolLinkAnswer answer;
	int first = pool_call_begin(fcinfo, 1, &call);

	pool_link_rows_begin(fcinfo);
	call.sql = pool_call_text(fcinfo, first);
	call.doing = "while executing query";
	find_link(&call);
	if (call.link->request != NULL)
	{
		/* As with dblink, the next call finds nothing in its way. */
		pool_link_run_discard(call.link);
		elog(ERROR,
			 "could not send query: another command is already in progress");
	}
	if (!pool_link_run(&call, &answer))
		return (Datum) 0;
	pool_link_rows_return(fcinfo, &answer);
	pool_result_destroy(answer.result);
	return (Datum) 0;
}

/* dblink_exec([connection,] command [, fail]): the command tag, or 'ERROR'. */
Datum
pool_dblink_exec(PG_FUNCTION_ARGS)
{
	PoolLinkCall call;
	PoolLinkAnswer answer;
	int first = pool_call_begin(fcinfo, 1, &call);
	text *tag;

	call.sql = pool_call_text(fcinfo, first);
	call.doing = "while executing command";
	find_link(&call);
	if (!pool_link_run(&call, &answer))
		PG_RETURN_TEXT_P(cstring_to_text("ERROR"));
	if (pool_sets_columns(answer.set) >= 0)
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("statement returning results not allowed")));
	tag = cstring_to_text(pool_sets_tag(answer.set));
	pool_result_destroy(answer.result);
	PG_RETURN_TEXT_P(tag);
}
