/*
 * column_list.c
 *		The column list of a remote query, as text.
 *
 * The remote parses the query and describes its columns; nothing is executed.  Then
 * the types are found here (remote_types.c), on the same lease, and the names made
 * such that a column list can have them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "base/fault.h"
#include "session/lease_run.h"
#include "session/session.h"
#include "sql/column_list.h"
#include "sql/remote_types.h"
#include "statement/result.h"

/* A column without a name, as PostgreSQL calls it. */
#define NO_NAME "?column?"

/* The schema of the extension, to one of whose functions the call is. */
char *
pool_column_list_schema(FunctionCallInfo fcinfo)
{
	return get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid));
}

/* A name that one of the columns has, or is given. */
typedef struct UsedName
{
	char name[NAMEDATALEN]; /* the key */
	bool given;				/* to a column, in the list */
	int last;				/* number that a column of that name was given */
} UsedName;

static const char *
name_of(const PoolColumn *column)
{
	return column->name[0] != '\0' ? column->name : NO_NAME;
}

/* The name with a number behind it, cut if need be. */
static char *
number_name(const char *name, int number)
{
	char *end = psprintf("_%d", number);
	int length = (int) strlen(name);
	int room = NAMEDATALEN - 1 - (int) strlen(end);

	return psprintf("%.*s%s", pg_mbcliplen(name, length, room), name, end);
}

/* A name for one more column of the name that is "used", which no other has. */
static const char *
another_name(HTAB *names, UsedName *used)
{
	bool found;
	UsedName *mine;

	do
	{
		mine = hash_search(names, number_name(used->name, ++used->last),
						   HASH_ENTER, &found);
	} while (found);
	mine->given = true;
	mine->last = 0;
	return mine->name;
}

/* The place of that name; a new one is not given to a column yet. */
static UsedName *
use_name(HTAB *names, const char *name)
{
	bool found;
	UsedName *used = hash_search(names, name, HASH_ENTER, &found);

	if (!found)
	{
		used->given = false;
		used->last = 0;
	}
	return used;
}

/*
 * The names of the columns, all different: the first of several of one name keeps it,
 * the others get a number behind it.  $1 and so on are those of the parameters, so
 * that a function can have both.
 */
static const char **
make_names(const PoolColumns *columns, int nparams)
{
	HASHCTL ctl = {.keysize = NAMEDATALEN,
				   .entrysize = sizeof(UsedName),
				   .hcxt = CurrentMemoryContext};
	HTAB *names = hash_create("pool column names", columns->count, &ctl,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	const char **result = palloc(columns->count * sizeof(char *));

	for (int i = 1; i <= nparams; i++)
		use_name(names, psprintf("$%d", i))->given = true;
	for (int i = 0; i < columns->count; i++)
		use_name(names, name_of(&columns->items[i]));
	for (int i = 0; i < columns->count; i++)
	{
		UsedName *used = use_name(names, name_of(&columns->items[i]));

		result[i] = used->given ? another_name(names, used) : used->name;
		used->given = true;
	}
	return result;
}

/* The list of the columns, which have these types here. */
static char *
spell(const PoolColumns *columns, const Oid *types, int nparams)
{
	const char **names = make_names(columns, nparams);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < columns->count; i++)
	{
		const PoolColumn *column = &columns->items[i];
		int32 typmod = types[i] == TEXTOID ? -1 : column->typmod;

		appendStringInfo(&list, "%s%s %s", i > 0 ? ", " : "",
						 quote_identifier(names[i]),
						 format_type_extended(types[i], typmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN));
	}
	return list.data;
}

/*
 * Asks the server for the columns of a statement that is only described; *nparams is
 * set to how many parameters that has.  "fcinfo" is the call of a function of the
 * extension.
 *
 * Raises 42601 if it returns no columns, and what pool_session_lease(),
 * pool_lease_run() and pool_remote_types_here() do.
 */
char *
pool_column_list_ask(FunctionCallInfo fcinfo, const char *server,
					 const PoolStatement *statement, int *nparams)
{
	PoolResult *result =
		pool_result_create(fcinfo, POOL_RESULT_COLUMNS, server, NULL);
	PoolLease *lease = pool_session_lease(server, POOL_LEASE_TRANSACTION, -1);
	const PoolColumns *columns;
	Oid *types;

	pool_lease_run(lease, statement, result);
	POOL_FAULT_POINT(columns_described);
	columns = pool_result_columns(result, nparams);
	if (columns->count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the remote query returns no columns"),
				 errhint(
					 "Only a statement that returns rows has a column list.")));
	types = pool_remote_types_here(columns, lease->id,
								   pool_column_list_schema(fcinfo));

	/* A description leaves nothing behind, as no statement of its own would. */
	lease->scope = POOL_LEASE_STATEMENT;
	pool_session_release(lease);
	return spell(columns, types, *nparams);
}
