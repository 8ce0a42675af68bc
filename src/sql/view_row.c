/*
 * view_row.c
 *		Rows of the views, built column by column.
 *
 * What all views have in common: how values become columns, which pools a
 * caller sees, and how a row names its pool.  A view copies under the pool's
 * lock, and comes here without it.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/clock.h"
#include "base/compat.h"
#include "sql/view_row.h"

void
pool_view_row_put(PoolViewRow *row, Datum value)
{
	Assert(row->n < POOL_MAX_COLUMNS);
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

void
pool_view_row_put_null(PoolViewRow *row)
{
	Assert(row->n < POOL_MAX_COLUMNS);
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

/* NULL or "" is NULL. */
void
pool_view_row_put_text(PoolViewRow *row, const char *text)
{
	if (text != NULL && text[0] != '\0')
		pool_view_row_put(row, CStringGetTextDatum(text));
	else
		pool_view_row_put_null(row);
}

/* 0 is NULL. */
void
pool_view_row_put_time(PoolViewRow *row, TimestampTz time)
{
	if (time != 0)
		pool_view_row_put(row, TimestampTzGetDatum(time));
	else
		pool_view_row_put_null(row);
}

/* The wall clock's time of a moment of pool_clock_us(); 0 is NULL. */
void
pool_view_row_put_clock(PoolViewRow *row, int64 clock_us)
{
	pool_view_row_put_time(row, clock_us == 0
									? 0
									: GetCurrentTimestamp() -
										  (pool_clock_us() - clock_us));
}

/* 0 is NULL. */
void
pool_view_row_put_pid(PoolViewRow *row, int pid)
{
	if (pid != 0)
		pool_view_row_put(row, Int32GetDatum(pid));
	else
		pool_view_row_put_null(row);
}

/* Database, server and role of the user mapping. */
void
pool_view_row_put_identity(PoolViewRow *row, const Pool *pool)
{
	pool_view_row_put_text(row, get_database_name(pool->key.database));
	pool_view_row_put_text(row, NameStr(pool->server_name));
	pool_view_row_put_text(row, OidIsValid(pool->mapping_user)
									? GetUserNameFromId(pool->mapping_user, true)
									: "public");
}

/* Adds the row to the function's result. */
void
pool_view_row_store(PoolViewRow *row, ReturnSetInfo *rsinfo)
{
	if (row->n != rsinfo->setDesc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(
					 "extension pool in this database does not fit the loaded library"),
				 errhint("Use ALTER EXTENSION pool UPDATE.")));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values,
						 row->nulls);
}

/*
 * May the caller see that pool?  He sees those of the mappings that are his
 * own; members of pg_read_all_stats see all.
 */
bool
pool_view_row_is_visible(const Pool *pool)
{
	Oid me = GetUserId();

	if (has_privs_of_role(me, ROLE_PG_READ_ALL_STATS))
		return true;
	if (OidIsValid(pool->mapping_user))
		return has_privs_of_role(me, pool->mapping_user);

	/* FOR PUBLIC: whoever may use the server shares the pool. */
	return pool->key.database == MyDatabaseId && !pool->dropped &&
		   SearchSysCacheExists1(FOREIGNSERVEROID, pool->key.server) &&
		   pool_server_aclcheck(pool->key.server, me) == ACLCHECK_OK;
}
