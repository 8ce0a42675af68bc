/*
 * catalog.c
 *		The rows of a server and a user mapping, and what must be true of them.
 *
 * What resolving a name and opening a connection have in common.  Both read
 * the rows for themselves, because the second reads a secret.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "options/catalog.h"

/* The value of an option in the list, NULL if it is missing or empty. */
const char *
pool_catalog_value(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
		{
			const char *value = defGetString(def);

			return value[0] != '\0' ? value : NULL;
		}
	}
	return NULL;
}

/* The options in that column of a row, a List of DefElem. */
static List *
row_options(int cacheid, HeapTuple row, AttrNumber column)
{
	bool isnull;
	Datum options = SysCacheGetAttr(cacheid, row, column, &isnull);

	return isnull ? NIL : untransformRelOptions(options);
}

/* The options of a row of pg_foreign_server. */
List *
pool_catalog_server_options(HeapTuple row)
{
	return row_options(FOREIGNSERVEROID, row, Anum_pg_foreign_server_srvoptions);
}

/* The options of a row of pg_user_mapping. */
List *
pool_catalog_mapping_options(HeapTuple row)
{
	return row_options(USERMAPPINGOID, row, Anum_pg_user_mapping_umoptions);
}

/*
 * Raises UNDEFINED_OBJECT if the server's row is NULL: a server can be dropped
 * between two look-ups.
 */
void
pool_catalog_check_server(HeapTuple row, const char *server_name)
{
	if (!HeapTupleIsValid(row))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("server \"%s\" does not exist", server_name)));
}

/* Raises UNDEFINED_OBJECT if the row is NULL: the role has no user mapping. */
void
pool_catalog_check_mapping(HeapTuple row, const char *server_name)
{
	if (!HeapTupleIsValid(row))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user mapping not found for user \"%s\", server \"%s\"",
						GetUserNameFromId(GetUserId(), false), server_name),
				 errhint("Use CREATE USER MAPPING to make one.")));
}

/*
 * Returns whether the options of this wrapper's servers are libpq's: the name of
 * its validator tells, and can be believed, since only a superuser makes
 * wrappers.  *guards is set to whether only superusers can have written
 * password_required, sslcert and sslkey into a mapping.
 */
bool
pool_catalog_knows_wrapper(const ForeignDataWrapper *wrapper, bool *guards)
{
	static const struct
	{
		const char *name;
		bool guards; /* refuses these three from others than superusers */
	} validators[] = {
		{"pool_fdw_validator", true},
		{"postgres_fdw_validator", true},
		{"dblink_fdw_validator", false},
		{"postgresql_fdw_validator", false},
	};
	char *validator = get_func_name(wrapper->fdwvalidator);

	for (size_t i = 0; validator && i < lengthof(validators); i++)
	{
		*guards = validators[i].guards;
		if (strcmp(validators[i].name, validator) == 0)
			return true;
	}
	return false;
}

/*
 * The same; returns what "guards" is.  Raises FEATURE_NOT_SUPPORTED for a wrapper
 * whose options are not libpq's.
 */
bool
pool_catalog_check_wrapper(Oid wrapper_id, const char *server_name)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(wrapper_id);
	bool guards;

	if (!pool_catalog_knows_wrapper(wrapper, &guards))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot pool connections of server \"%s\"", server_name),
				 errdetail("Its foreign-data wrapper \"%s\" does not "
						   "describe PostgreSQL servers as libpq does.",
						   wrapper->fdwname),
				 errhint("Use a server of the foreign-data wrapper pool, "
						 "postgres_fdw or dblink_fdw.")));
	return guards;
}

/*
 * A role that is not a superuser must not ride on the identity of the
 * operating system's user who runs the server: for the target of such a role
 * raises S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED if the mapping's options have
 * no password.
 */
void
pool_catalog_check_password(const PoolTarget *target, List *mapping)
{
	if (!target->key.needs_password || pool_catalog_value(mapping, "password"))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required"),
			 errdetail("The user mapping for server \"%s\" has no password, "
					   "and the current role is not a superuser.",
					   NameStr(target->server_name)),
			 errhint("Set the option \"password\" on the user mapping, "
					 "or have a superuser set \"password_required\" to false.")));
}
