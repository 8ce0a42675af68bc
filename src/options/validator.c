/*
 * validator.c
 *		Refuses wrong options of servers and user mappings as they are written.
 *
 * The validator of FOREIGN DATA WRAPPER pool.  PostgreSQL hands it all the
 * options that the object will have after the command, in each CREATE and
 * ALTER, including those that were there before: whoever may not write an
 * option may not touch an object that has it either.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/varlena.h"

#include "options/libpq_options.h"
#include "options/libpq_values.h"
#include "options/option_table.h"
#include "options/options.h"

/*
 * A name is near to another one if at most so many letters are edited, and at
 * most half of them.
 */
#define MAX_EDITS 4

/* The options that may be written in a place, and which of them a name may mean. */
typedef struct Candidates
{
	const char *wanted;
	List *names;
	const char *nearest;
	int distance; /* edits from the wanted name to the nearest */
} Candidates;

PG_FUNCTION_INFO_V1(pool_validator);

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static void
add_candidate(Candidates *candidates, const char *name)
{
	size_t len = strlen(candidates->wanted);
	int distance;

	/* The parser cuts names off at NAMEDATALEN, a direct call does not. */
	distance = len >= NAMEDATALEN
				   ? NAMEDATALEN
				   : varstr_levenshtein(candidates->wanted, (int) len, name,
										(int) strlen(name), 1, 1, 1, true);
	if (candidates->nearest == NULL || distance < candidates->distance)
	{
		candidates->nearest = name;
		candidates->distance = distance;
	}
	candidates->names = lappend(candidates->names, (void *) name);
}

/* Finds all options that the current user may write there. */
static void
find_candidates(Candidates *candidates, int context)
{
	for (const PoolOptionDef *def = pool_options_table; def->name; def++)
	{
		if (def->contexts & context)
			add_candidate(candidates, def->name);
	}
	for (const PoolLibpqOption *o = pool_libpq_options_table(); o->name; o++)
	{
		if ((o->contexts & context) && (!o->superuser || superuser()))
			add_candidate(candidates, o->name);
	}
}

/*
 * The errhint() for a name that does not exist: the one that may be meant, or
 * all by name where none is near.
 */
static int
hint_of_candidates(const char *wanted, int context)
{
	Candidates candidates = {.wanted = wanted};
	StringInfoData names;
	ListCell *cell;

	find_candidates(&candidates, context);
	if (candidates.names == NIL)
		return errhint("There are no valid options in this context.");

	if (candidates.distance <= MAX_EDITS &&
		candidates.distance <= (int) strlen(wanted) / 2)
		return errhint("Perhaps you meant the option \"%s\".",
					   candidates.nearest);

	list_sort(candidates.names, compare_names);
	initStringInfo(&names);
	foreach (cell, candidates.names)
	{
		const char *name = lfirst(cell);

		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", name);
	}
	return errhint("Valid options in this context are: %s.", names.data);
}

/* The errmsg() for an option that may not be written there. */
static int
message_of_place(const char *name, int context)
{
	switch (context)
	{
		case POOL_ON_SERVER:
			return errmsg("option \"%s\" is not an option of a server", name);
		case POOL_ON_MAPPING:
			return errmsg("option \"%s\" is not an option of a user mapping",
						  name);
		default:
			return errmsg("option \"%s\" is not valid in this context", name);
	}
}

/* The errhint() that says where an option may be written instead. */
static int
hint_of_place(int contexts)
{
	switch (contexts)
	{
		case POOL_ON_SERVER:
			return errhint("Set it on the server.");
		case POOL_ON_MAPPING:
			return errhint("Set it on a user mapping.");
		default:
			return errhint("Set it on the server or on a user mapping.");
	}
}

/*
 * Raises FDW_INVALID_OPTION_NAME unless "context" is among the contexts where
 * the option may be written.
 */
static void
check_place(const char *name, int contexts, int context)
{
	if (contexts & context)
		return;

	if (contexts == 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("option \"%s\" cannot be set", name),
						errdetail("The pool makes this choice itself.")));

	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					message_of_place(name, context), hint_of_place(contexts)));
}

/*
 * Raises INSUFFICIENT_PRIVILEGE for an option that only superusers may write,
 * FDW_INVALID_ATTRIBUTE_VALUE for a value that libpq does not have.
 */
static void
check_libpq_option(const PoolLibpqOption *option, const char *value)
{
	if (option->superuser && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errdetail(
					 "Only a superuser can create or change an object with this option.")));

	pool_libpq_values_check(option->name, value);
}

/*
 * Reads the value of one of the pool's own options.  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE, and INSUFFICIENT_PRIVILEGE where only a superuser
 * may write the value.
 */
static void
check_own_option(const PoolOptionDef *own, const char *value,
				 PoolOptions *values, PoolOptionSet *given)
{
	int number = pool_options_set(own, value, values, given);

	if (strcmp(own->name, "password_required") == 0 && !number && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\" to false",
						own->name),
				 errdetail(
					 "Only a superuser can create or change an object with this setting.")));
}

/*
 * Checks the options (text[]) of an object in that catalog (oid).  Raises
 * FDW_INVALID_OPTION_NAME, FDW_INVALID_ATTRIBUTE_VALUE, INSUFFICIENT_PRIVILEGE
 * and INVALID_PARAMETER_VALUE.
 */
Datum
pool_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	int context = 0; /* of wrappers and foreign tables: they have no options */
	PoolOptionSet given = 0;
	PoolOptions values;
	ListCell *cell;

	if (catalog == ForeignServerRelationId)
		context = POOL_ON_SERVER;
	else if (catalog == UserMappingRelationId)
		context = POOL_ON_MAPPING;

	pool_options_defaults(&values);
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		const PoolOptionDef *own = pool_options_find(def->defname);
		const PoolLibpqOption *libpq =
			own ? NULL : pool_libpq_options_find(def->defname);

		if (!own && !libpq)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("invalid option \"%s\"", def->defname),
							hint_of_candidates(def->defname, context)));

		check_place(def->defname, own ? own->contexts : libpq->contexts,
					context);
		if (own)
			check_own_option(own, defGetString(def), &values, &given);
		else
			check_libpq_option(libpq, defGetString(def));
	}

	if (context == POOL_ON_SERVER)
		pool_libpq_values_check_together(options);

	/*
	 * What a mapping does not say, its server may; pool_target_resolve() has
	 * both.
	 */
	if (context != 0)
		pool_options_check(&values, given, context == POOL_ON_SERVER);

	PG_RETURN_VOID();
}
