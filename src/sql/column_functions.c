/*
 * column_functions.c
 *		The SQL functions that ask a remote for a column list, and make views and
 *		functions with it.
 *
 * What is made is composed as a command, each name and text in it quoted, and run
 * with the rights of the caller, in whose search path it means what it says.  A
 * function's body is parsed when it is made, so nobody's search path changes it later.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "sql/args.h"
#include "sql/column_list.h"

PG_FUNCTION_INFO_V1(pool_sql_columns);
PG_FUNCTION_INFO_V1(pool_sql_create_view);
PG_FUNCTION_INFO_V1(pool_sql_create_function);

/* A call of pool_query() has as many, besides the server and the query. */
#define MAX_PARAMS (FUNC_MAX_ARGS - 2)

/* The argument, a name that may have a schema, as a command has it. */
static char *
name_arg(FunctionCallInfo fcinfo, int arg, const char *what)
{
	StringInfoData name;
	List *parts;
	ListCell *cell;

	pool_args_refuse_null(fcinfo, arg, what);
	parts = textToQualifiedNameList(PG_GETARG_TEXT_PP(arg));
	initStringInfo(&name);
	foreach (cell, parts)
	{
		appendStringInfo(&name, "%s%s", name.len > 0 ? "." : "",
						 quote_identifier(strVal(lfirst(cell))));
	}
	return name.data;
}

/*
 * The argument, an array of types.  Raises 22004 if it or one is NULL, 54023 for
 * too many.
 */
static Oid *
types_arg(FunctionCallInfo fcinfo, int arg, int *count)
{
	Datum *values;
	bool *nulls;
	Oid *types;

	pool_args_refuse_null(fcinfo, arg, "parameters");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), REGTYPEOID, sizeof(Oid), true,
					  TYPALIGN_INT, &values, &nulls, count);
	if (*count > MAX_PARAMS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_ARGUMENTS),
				 errmsg("the query of a function can have at most %d parameters",
						MAX_PARAMS)));
	types = palloc(*count * sizeof(Oid));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("a parameter's type must not be null")));
		types[i] = DatumGetObjectId(values[i]);
	}
	return types;
}

/*
 * Appends the query of the view, or of the function with that many parameters; "list"
 * are its columns.
 */
static void
append_query(StringInfo command, FunctionCallInfo fcinfo, int nparams,
			 const char *list)
{
	char *server = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *query = text_to_cstring(PG_GETARG_TEXT_PP(2));

	appendStringInfo(command,
					 "SELECT * FROM %s.pool_query(%s::pg_catalog.text, %s::pg_catalog.text",
					 quote_identifier(pool_column_list_schema(fcinfo)),
					 quote_literal_cstr(server), quote_literal_cstr(query));
	for (int i = 1; i <= nparams; i++)
		appendStringInfo(command, ", $%d", i);
	appendStringInfo(command, ") AS t(%s)", list);
}

/* Runs the command, as the caller could do it. */
static void
execute(const char *command)
{
	SPI_connect();
	if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not execute: %s", command);
	SPI_finish();
}

/* The column list of a query. */
Datum
pool_sql_columns(PG_FUNCTION_ARGS)
{
	char *server = pool_args_server(fcinfo);
	char *query = pool_args_text(fcinfo, 1, "query");
	int nparams;

	PG_RETURN_TEXT_P(cstring_to_text(
		pool_column_list_ask(fcinfo, server,
							 pool_statement_to_describe(query, 0, NULL),
							 &nparams)));
}

/* Makes a view of a query; returns the command that has made it. */
Datum
pool_sql_create_view(PG_FUNCTION_ARGS)
{
	char *view = name_arg(fcinfo, 0, "view");
	char *server = pool_args_text(fcinfo, 1, "server");
	char *query = pool_args_text(fcinfo, 2, "query");
	int nparams;
	char *list = pool_column_list_ask(fcinfo, server,
									  pool_statement_to_describe(query, 0, NULL),
									  &nparams);
	StringInfoData command;

	if (nparams > 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_PARAMETER),
						errmsg("the query of a view cannot have parameters"),
						errhint("Use pool_create_function().")));
	initStringInfo(&command);
	appendStringInfo(&command, "CREATE VIEW %s AS ", view);
	append_query(&command, fcinfo, 0, list);
	execute(command.data);
	PG_RETURN_TEXT_P(cstring_to_text(command.data));
}

/*
 * Makes a function of a query; returns the command that has made it.  Its arguments
 * have names that no column has: without one, PostgreSQL 15 would write a definition
 * of the function that it cannot read.
 */
Datum
pool_sql_create_function(PG_FUNCTION_ARGS)
{
	char *function = name_arg(fcinfo, 0, "name");
	char *server = pool_args_text(fcinfo, 1, "server");
	char *query = pool_args_text(fcinfo, 2, "query");
	int ntypes;
	Oid *types = types_arg(fcinfo, 3, &ntypes);
	int nparams;
	char *list =
		pool_column_list_ask(fcinfo, server,
							 pool_statement_to_describe(query, ntypes, types),
							 &nparams);
	StringInfoData command;

	if (nparams != ntypes)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg_plural("the query has %d parameter, but types were given for %d",
							   "the query has %d parameters, but types were given for %d",
							   nparams, nparams, ntypes),
				 errhint("Give the type of each as a further argument.")));
	initStringInfo(&command);
	appendStringInfo(&command, "CREATE FUNCTION %s(", function);
	for (int i = 0; i < ntypes; i++)
		appendStringInfo(&command, "%s\"$%d\" %s", i > 0 ? ", " : "", i + 1,
						 format_type_be(types[i]));
	appendStringInfo(&command,
					 ") RETURNS TABLE(%s) LANGUAGE sql VOLATILE BEGIN ATOMIC ",
					 list);
	append_query(&command, fcinfo, ntypes, list);
	appendStringInfoString(&command, "; END");
	execute(command.data);
	PG_RETURN_TEXT_P(cstring_to_text(command.data));
}
