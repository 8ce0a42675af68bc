/*
 * fdw_validator.c
 *		The validator of FOREIGN DATA WRAPPER dblink_fdw.
 *
 * Refuses what dblink's validator of the same server version refuses, in its
 * words, so that servers and user mappings can change from one to the other as
 * they are.  Names only: a wrong value is noticed when a connection is made.
 * What of it the pool can use is decided when a server is used
 * (options/target.c).
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "utils/varlena.h"

#include "base/compat.h"

/* Not libpq's, but dblink's own. */
#define SCRAM_PASSTHROUGH "use_scram_passthrough"

/*
 * A name is near to another one if at most so many letters are edited, and at
 * most half of them.
 */
#define MAX_EDITS 4

PG_FUNCTION_INFO_V1(pool_dblink_fdw_validator);

/*
 * libpq's options without values, which could be secrets, in its order: an array
 * that ends with a keyword of NULL, made at the first call and kept.  Raises
 * FDW_OUT_OF_MEMORY.
 */
static const PQconninfoOption *
libpq_options(void)
{
	static const PQconninfoOption *options = NULL;

	if (!options)
		options = PQconninfoParse("", NULL);
	if (!options)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY), errmsg("out of memory"),
				 errdetail("Could not get libpq's default connection options.")));
	return options;
}

/*
 * Whether an object in that catalog may have the option: secrets and the user
 * belong to a mapping, all else to a server, and some nowhere.
 */
static bool
belongs(const PQconninfoOption *option, Oid catalog)
{
	if (strchr(option->dispchar, 'D') ||
		strcmp(option->keyword, "client_encoding") == 0 ||
		(POOL_DBLINK_18 &&
		 strncmp(option->keyword, "oauth_", strlen("oauth_")) == 0))
		return false;

	if (strchr(option->dispchar, '*') || strcmp(option->keyword, "user") == 0)
		return catalog == UserMappingRelationId;
	return catalog == ForeignServerRelationId;
}

static bool
is_valid(const char *name, Oid catalog)
{
	if (strcmp(name, SCRAM_PASSTHROUGH) == 0)
		return POOL_DBLINK_18 && (catalog == ForeignServerRelationId ||
								  catalog == UserMappingRelationId);

	for (const PQconninfoOption *o = libpq_options(); o->keyword; o++)
	{
		if (strcmp(o->keyword, name) == 0)
			return belongs(o, catalog);
	}
	return false;
}

/* How many letters of a name must be edited to get the other one. */
static int
distance(const char *wanted, const char *name)
{
	size_t len = strlen(wanted);

	/* The parser cuts names off at NAMEDATALEN, a direct call does not. */
	if (len >= NAMEDATALEN)
		return NAMEDATALEN;
	return varstr_levenshtein(wanted, (int) len, name, (int) strlen(name), 1, 1,
							  1, true);
}

/*
 * The errhint() for a name that is not valid: all that are, or the nearest one
 * or none, as dblink of this server version has it.
 */
static int
hint(const char *wanted, Oid catalog)
{
	StringInfoData valid;
	const char *nearest = NULL;
	int edits = Min(MAX_EDITS, (int) strlen(wanted) / 2) + 1;

	initStringInfo(&valid);
	for (const PQconninfoOption *o = libpq_options(); o->keyword; o++)
	{
		if (!belongs(o, catalog))
			continue;
		appendStringInfo(&valid, "%s%s", valid.len > 0 ? ", " : "", o->keyword);
		if (distance(wanted, o->keyword) < edits)
		{
			nearest = o->keyword;
			edits = distance(wanted, nearest);
		}
	}

	if (valid.len == 0)
		return errhint("There are no valid options in this context.");
	if (!POOL_DBLINK_HINTS_NEAREST)
		return errhint("Valid options in this context are: %s", valid.data);
	return nearest ? errhint("Perhaps you meant the option \"%s\".", nearest)
				   : 0;
}

/*
 * Checks the options (text[]) of an object in that catalog (oid).  Raises
 * FDW_OPTION_NAME_NOT_FOUND, and SYNTAX_ERROR for one that is not boolean.
 */
Datum
pool_dblink_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (!is_valid(def->defname, catalog))
			ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
							errmsg("invalid option \"%s\"", def->defname),
							hint(def->defname, catalog)));
		if (strcmp(def->defname, SCRAM_PASSTHROUGH) == 0)
			(void) defGetBoolean(def);
	}
	PG_RETURN_VOID();
}
