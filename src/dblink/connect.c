/*
 * connect.c
 *		dblink_connect(), dblink_disconnect() and dblink_get_connections().
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "dblink/call.h"
#include "dblink/link_run.h"

PG_FUNCTION_INFO_V1(pool_dblink_connect);
PG_FUNCTION_INFO_V1(pool_dblink_disconnect);
PG_FUNCTION_INFO_V1(pool_dblink_get_connections);

/*
 * dblink_connect([name,] place): connects, and keeps the connection under that name.
 * The unnamed one takes the place of the one there was, once it is there itself.
 *
 * In mode "transaction" the connection goes back at once: it was acquired to see that
 * one can be had.
 */
Datum
pool_dblink_connect(PG_FUNCTION_ARGS)
{
	bool named = PG_NARGS() == 2;
	char *name = named ? pool_call_text(fcinfo, 0) : NULL;
	char *place = pool_call_text(fcinfo, named ? 1 : 0);
	PoolLink *link = pool_link_make(place);
	PoolLink *old = named ? NULL : pool_link_find(NULL);

	if (named)
		pool_link_check_name(name);
	if (old != NULL)
		pool_link_refuse_if_being_read(old);
	pool_link_list(link, name);
	PG_TRY();
	{
		pool_link_run_open(link);
	}
	PG_CATCH();
	{
		pool_link_end(link);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pool_link_run_settle(link);
	if (old != NULL)
		pool_link_end(old);
	PG_RETURN_TEXT_P(cstring_to_text("OK"));
}

/* dblink_disconnect([name]): gives the connection back, and forgets the name. */
Datum
pool_dblink_disconnect(PG_FUNCTION_ARGS)
{
	PoolLink *link =
		pool_link_get(PG_NARGS() == 1 ? pool_call_text(fcinfo, 0) : NULL);

	pool_link_refuse_if_being_read(link);
	pool_link_end(link);
	PG_RETURN_TEXT_P(cstring_to_text("OK"));
}

/* dblink_get_connections(): the names; NULL if there are none. */
Datum
pool_dblink_get_connections(PG_FUNCTION_ARGS)
{
	Datum names = pool_link_names();

	if (names == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(names);
}
