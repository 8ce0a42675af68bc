/*
 * remote_types.c
 *		Which types here are those of a remote's columns.
 *
 * A built-in type has the same OID on both sides, so its column has that type, or
 * text where values could mean something else here (types.c).  Any other is told by
 * its name, for which the remote is asked on the lease on which it has described the
 * columns: another connection could lead to another database.
 *
 * A name stands for the type that has it in the schema of the same name; else in
 * the search path, since extensions are where their administrators want them.  It
 * never stands for a built-in type of another schema.
 *
 * What a remote says is not trusted: its names are looked up, and become no part of
 * any command.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "sql/remote_types.h"
#include "statement/types.h"

/* What the remote is asked; its search path is of no importance. */
#define ASK_TYPES                                                     \
	"SELECT t.oid, n.nspname, COALESCE(e.typname, t.typname),"        \
	" e.oid IS NOT NULL FROM pg_catalog.pg_type t"                    \
	" LEFT JOIN pg_catalog.pg_type e"                                 \
	" ON e.oid OPERATOR(pg_catalog.=) t.typelem"                      \
	" AND e.typarray OPERATOR(pg_catalog.=) t.oid"                    \
	" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=)" \
	" COALESCE(e.typnamespace, t.typnamespace)"                       \
	" WHERE t.oid OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.oid[])"

/* The columns of that here. */
#define ANSWER                                      \
	"t(oid pg_catalog.oid, schema pg_catalog.text," \
	" name pg_catalog.text, is_array pg_catalog.bool)"

/* A type as the remote names it. */
typedef struct RemoteType
{
	Oid oid; /* there */
	char *schema;
	char *name; /* of an array, its elements' type */
	bool is_array;
} RemoteType;

/* Raises 42P16 for a column of a pseudo-type. */
static void
refuse_pseudo(const PoolColumn *column, int number)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("column %d \"%s\" is of type %s on the remote, "
					"which no column list can have",
					number, column->name, column->type_name),
			 errhint(
				 "Cast the column in the remote query, to text for instance.")));
}

/*
 * The type for a column whose type is built in; InvalidOid if it is not, or not
 * known here.
 */
static Oid
built_in_type(const PoolColumn *column, int number)
{
	Oid type = column->type;
	char typtype;

	if (type >= FirstNormalObjectId)
		return InvalidOid;
	if (type >= FirstGenbkiObjectId)
		return TEXTOID; /* not the same in any two databases */
	typtype = get_typtype(type);
	if (typtype == '\0')
		return InvalidOid; /* a newer remote's */
	if (typtype == TYPTYPE_PSEUDO)
		refuse_pseudo(column, number);
	return pool_types_is_portable(type) ? type : TEXTOID;
}

/* The type here of that name; InvalidOid if there is none that a column can have. */
static Oid
named_type(const RemoteType *name)
{
	Oid namespace = LookupExplicitNamespace(name->schema, true);
	Oid type = InvalidOid;

	if (OidIsValid(namespace))
		type = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
							   CStringGetDatum(name->name),
							   ObjectIdGetDatum(namespace));
	if (!OidIsValid(type))
	{
		type = TypenameGetTypidExtended(name->name, false);
		if (type < FirstGenbkiObjectId)
			return InvalidOid;
	}
	if (get_typtype(type) == TYPTYPE_PSEUDO)
		return InvalidOid;
	return name->is_array ? get_array_type(type) : type;
}

/* A name as an identifier of this database would be: cut if it is too long. */
static char *
identifier(Datum value)
{
	char *name = TextDatumGetCString(value);

	truncate_identifier(name, (int) strlen(name), false);
	return name;
}

/*
 * Asks the remote for the names of types, whose OIDs are in that list.  Returns them
 * in the current memory context.
 */
static RemoteType *
ask(const char *oids, int64 lease, const char *schema, int *count)
{
	MemoryContext context = CurrentMemoryContext;
	char *query = psprintf("SELECT * FROM %s.pool_query($1, $2) AS " ANSWER,
						   quote_identifier(schema));
	Oid types[] = {INT8OID, TEXTOID};
	Datum values[] = {Int64GetDatum(lease),
					  CStringGetTextDatum(psprintf(ASK_TYPES, oids))};
	RemoteType *names;

	SPI_connect();
	if (SPI_execute_with_args(query, lengthof(types), types, values, NULL, true,
							  0) != SPI_OK_SELECT)
		elog(ERROR, "could not ask for the names of types");
	*count = 0;
	names =
		MemoryContextAlloc(context, (SPI_processed + 1) * sizeof(RemoteType));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Datum fields[4];
		bool nulls[4];
		MemoryContext old_context;

		heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						  fields, nulls);
		if (nulls[0] || nulls[1] || nulls[2] || nulls[3])
			continue; /* no PostgreSQL */
		old_context = MemoryContextSwitchTo(context);
		names[*count].oid = DatumGetObjectId(fields[0]);
		names[*count].schema = identifier(fields[1]);
		names[*count].name = identifier(fields[2]);
		names[*count].is_array = DatumGetBool(fields[3]);
		(*count)++;
		MemoryContextSwitchTo(old_context);
	}
	SPI_finish();
	return names;
}

/* Raises 42704 for a column whose type is not here; name is NULL: nor there. */
static void
raise_not_here(const PoolColumn *column, int number, const RemoteType *name)
{
	const char *type = column->type_name;

	if (name != NULL)
		type = psprintf("%s%s",
						quote_qualified_identifier(name->schema, name->name),
						name->is_array ? "[]" : "");
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("column %d \"%s\" is of type %s on the remote, "
					"which does not exist here",
					number, column->name, type),
			 errhint(
				 "Create the type here, in that schema or one of the search path, "
				 "or cast the column in the remote query, to text for instance.")));
}

/* Finds the types that are known by their names: those that are InvalidOid. */
static void
find_by_name(const PoolColumns *columns, const RemoteType *names, int count,
			 Oid *types)
{
	for (int i = 0; i < columns->count; i++)
	{
		const PoolColumn *column = &columns->items[i];
		const RemoteType *name = NULL;

		if (OidIsValid(types[i]))
			continue;
		for (int j = 0; j < count && name == NULL; j++)
			if (names[j].oid == column->type)
				name = &names[j];
		if (name != NULL)
			types[i] = named_type(name);
		if (!OidIsValid(types[i]))
			raise_not_here(column, i + 1, name);
	}
}

/*
 * The type that each column should have here, as an array.  "lease" is where the
 * remote has described them, "schema" that of the extension.
 *
 * Raises 42704 for a type that is not here, 42P16 for a pseudo-type, and what
 * pool_query() does.
 */
Oid *
pool_remote_types_here(const PoolColumns *columns, int64 lease,
					   const char *schema)
{
	Oid *types = palloc(columns->count * sizeof(Oid));
	StringInfoData oids;

	initStringInfo(&oids);
	for (int i = 0; i < columns->count; i++)
	{
		types[i] = built_in_type(&columns->items[i], i + 1);
		if (!OidIsValid(types[i]))
			appendStringInfo(&oids, "%s%u", oids.len > 0 ? "," : "",
							 columns->items[i].type);
	}
	if (oids.len > 0)
	{
		int count;
		RemoteType *names = ask(oids.data, lease, schema, &count);

		find_by_name(columns, names, count, types);
	}
	return types;
}
