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
#include "options/option_table.h"
#include "options/options.h"

/* More edits than this, or than half of a word, make it another word. */
#define MAX_EDITS 4

typedef struct Candidate
{
	const char *name;
	int distance;
} Candidate;

PG_FUNCTION_INFO_V1(pool_validator);

static int
compare_candidates(const ListCell *a, const ListCell *b)
{
	const Candidate *x = lfirst(a);
	const Candidate *y = lfirst(b);

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void
add_candidate(List **candidates, const char *wanted, const char *name)
{
	Candidate *candidate = palloc(sizeof(Candidate));
	size_t len = strlen(wanted);

	/* The parser cuts names at NAMEDATALEN, a direct call does not. */
	candidate->name = name;
	candidate->distance =
		len >= NAMEDATALEN
			? NAMEDATALEN
			: varstr_levenshtein(wanted, (int) len, name, (int) strlen(name), 1,
								 1, 1, true);
	*candidates = lappend(*candidates, candidate);
}

/* What can be written in a context, nearest to the wanted name first. */
static List *
find_candidates(const char *wanted, int context)
{
	List *candidates = NIL;

	for (const PoolOptionDef *def = pool_options_table; def->name; def++)
	{
		if (def->contexts & context)
			add_candidate(&candidates, wanted, def->name);
	}
	for (const PoolLibpqOption *o = pool_libpq_options_table(); o->name; o++)
	{
		if (o->contexts & context)
			add_candidate(&candidates, wanted, o->name);
	}
	list_sort(candidates, compare_candidates);
	return candidates;
}

/* The errhint() for a name that does not exist. */
static int
suggest(const char *wanted, int context)
{
	List *candidates = find_candidates(wanted, context);
	const Candidate *nearest;
	StringInfoData names;
	ListCell *cell;

	if (candidates == NIL)
		return errhint("There are no valid options in this context.");

	initStringInfo(&names);
	foreach (cell, candidates)
	{
		const Candidate *candidate = lfirst(cell);

		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 candidate->name);
	}

	nearest = linitial(candidates);
	if (nearest->distance <= MAX_EDITS &&
		nearest->distance <= (int) strlen(wanted) / 2)
		return errhint("Perhaps you meant the option \"%s\". Valid options in this context are: %s.",
					   nearest->name, names.data);
	return errhint("Valid options in this context are: %s.", names.data);
}

/* Raises FDW_INVALID_OPTION_NAME unless the option may stand here. */
static void
check_place(const char *name, int contexts, int context)
{
	if (contexts & context)
		return;

	if (contexts == 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("option \"%s\" cannot be set", name),
						errdetail("The pool makes this choice itself.")));

	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 context == POOL_ON_SERVER
				 ? errmsg("option \"%s\" is not an option of a server", name)
			 : context == POOL_ON_MAPPING
				 ? errmsg("option \"%s\" is not an option of a user mapping",
						  name)
				 : errmsg("option \"%s\" is not valid in this context", name),
			 contexts == POOL_ON_SERVER ? errhint("Set it on the server.")
			 : contexts == POOL_ON_MAPPING
				 ? errhint("Set it on a user mapping.")
				 : errhint("Set it on the server or on a user mapping.")));
}

static void
check_libpq_option(const PoolLibpqOption *option, const char *value)
{
	if (option->superuser && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errdetail(
					 "Only a superuser can create or change an object with this option.")));

	pool_libpq_options_check_value(option->name, value);
}

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

Datum
pool_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	int context = 0; /* the wrapper, foreign tables: no options */
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
							suggest(def->defname, context)));

		check_place(def->defname, own ? own->contexts : libpq->contexts,
					context);
		if (own)
			check_own_option(own, defGetString(def), &values, &given);
		else
			check_libpq_option(libpq, defGetString(def));
	}

	/* What a mapping leaves open depends on the server: see resolve. */
	if (context != 0)
		pool_options_check(&values, given, context == POOL_ON_SERVER);

	PG_RETURN_VOID();
}
