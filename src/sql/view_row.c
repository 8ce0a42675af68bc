/*
 * view_row.c
 *		Rows of the views, built column by column.
 *
 * What all views have in common: how values become columns, which pools a
 * caller sees, and how a row names its pool.  All functions that get a Pool get
 * a copy of it, and are called without its lock: they look into catalogs.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/clock.h"
#include "base/compat.h"
#include "sql/encoding.h"
#include "sql/view_row.h"

/* Adds a column that is not NULL. */
void
pool_view_row_put(PoolViewRow *row, Datum value)
{
	Assert(row->n < POOL_MAX_COLUMNS);
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

/* Adds a column that is NULL. */
void
pool_view_row_put_null(PoolViewRow *row)
{
	Assert(row->n < POOL_MAX_COLUMNS);
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

/* Adds a text; no text and the empty one are NULL. */
void
pool_view_row_put_text(PoolViewRow *row, const char *text)
{
	if (text != NULL && text[0] != '\0')
		pool_view_row_put(row, CStringGetTextDatum(text));
	else
		pool_view_row_put_null(row);
}

/* Adds a text in that encoding; no text and the empty one are NULL. */
void
pool_view_row_put_name(PoolViewRow *row, const char *name, int encoding)
{
	pool_view_row_put_text(row,
						   name ? pool_encoding_here(name, encoding) : NULL);
}

/* Adds a time; 0 is NULL. */
void
pool_view_row_put_time(PoolViewRow *row, TimestampTz time)
{
	if (time != 0)
		pool_view_row_put(row, TimestampTzGetDatum(time));
	else
		pool_view_row_put_null(row);
}

/* Adds the wall clock's time of a moment of pool_clock_us(); 0 is NULL. */
void
pool_view_row_put_clock(PoolViewRow *row, int64 clock_us)
{
	pool_view_row_put_time(row, clock_us == 0
									? 0
									: GetCurrentTimestamp() -
										  (pool_clock_us() - clock_us));
}

/* Adds a process's number; 0 is NULL. */
void
pool_view_row_put_pid(PoolViewRow *row, int pid)
{
	if (pid != 0)
		pool_view_row_put(row, Int32GetDatum(pid));
	else
		pool_view_row_put_null(row);
}

/*
 * Adds the columns that name the pool: database, server and role of the user
 * mapping.  A database or role that was dropped is NULL.
 */
void
pool_view_row_put_identity(PoolViewRow *row, const Pool *pool)
{
	int here = GetDatabaseEncoding();

	pool_view_row_put_name(row, get_database_name(pool->key.database), here);
	pool_view_row_put_name(row, NameStr(pool->server_name), pool->encoding);
	pool_view_row_put_name(row,
						   OidIsValid(pool->mapping_user)
							   ? GetUserNameFromId(pool->mapping_user, true)
							   : "public",
						   here);
}

/*
 * Adds the row to the function's result.  Raises 55000 if the extension in this
 * database has other columns than this library.
 */
void
pool_view_row_store(PoolViewRow *row, ReturnSetInfo *rsinfo)
{
	if (row->n != rsinfo->setDesc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(
					 "extension \"pool\" in this database does not match the loaded library"),
				 errhint("Use ALTER EXTENSION pool UPDATE.")));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values,
						 row->nulls);
}

/*
 * Whether the caller may see a pool: members of pg_read_all_stats see all, other
 * roles those of their own user mappings.
 */
bool
pool_view_row_is_visible(const Pool *pool)
{
	Oid caller = GetUserId();

	if (has_privs_of_role(caller, ROLE_PG_READ_ALL_STATS))
		return true;
	if (OidIsValid(pool->mapping_user))
		return has_privs_of_role(caller, pool->mapping_user);

	/* A mapping FOR PUBLIC is everybody's who may use the server. */
	return pool->key.database == MyDatabaseId && !pool->dropped &&
		   SearchSysCacheExists1(FOREIGNSERVEROID, pool->key.server) &&
		   pool_server_aclcheck(pool->key.server, caller) == ACLCHECK_OK;
}
