/*
 * columns.c
 *		The columns of a remote result, and whether they are what was asked for.
 *
 * A set of rows is looked at once, before any of its values: its columns are
 * noted, then either held against the column list of the query, or made into
 * a row type of their own.  Which types fit and which can be kept is for
 * types.c to say.  Then the rows can be read, one by one, each value by the
 * input function of its column's type here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "statement/columns.h"
#include "statement/types.h"

/* Columns that are listed in a message, at most. */
#define MAX_LISTED 20

/*
 * Notes what the remote says about the columns, in the current memory context.
 *
 * A name is not trusted: it can hold bytes that are no text here, and one that
 * fits a remote in another encoding can be too long.  Raises 22021 for the
 * former, 54011 for more columns than a row can have.
 */
PoolColumns *
pool_columns_note(const PGresult *res)
{
	int count = PQnfields(res);
	PoolColumns *columns;

	if (count > MaxTupleAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("the remote returned %d columns, but a row can have at most %d",
						count, MaxTupleAttributeNumber)));

	columns = palloc(offsetof(PoolColumns, items) + count * sizeof(PoolColumn));
	columns->count = count;
	columns->reading = -1;
	for (int i = 0; i < count; i++)
	{
		PoolColumn *column = &columns->items[i];
		const char *name = PQfname(res, i);
		int length = strlen(name);

		pg_verifymbstr(name, length, false);
		length = pg_mbcliplen(name, length, NAMEDATALEN - 1);
		column->name = pnstrdup(name, length);
		column->type = PQftype(res, i);
		column->typmod = PQfmod(res, i);
		column->type_name = pool_types_describe(column->type);
		column->style = pool_styles_of_type(column->type);
	}
	return columns;
}

/* The columns for a message: name and type of each, within reason. */
char *
pool_columns_list(const PoolColumns *columns)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < columns->count; i++)
	{
		if (i == MAX_LISTED)
		{
			appendStringInfo(&list, ", and %d more", columns->count - i);
			break;
		}
		appendStringInfo(&list, "%s\"%s\" %s", i > 0 ? ", " : "",
						 columns->items[i].name, columns->items[i].type_name);
	}
	return list.data;
}

/* Raises 42804 for a column that cannot be read as what the query asks for. */
static void
check_column(const PoolColumn *column, int number, Oid wanted)
{
	bool misread = pool_types_misreads(column->type, wanted);

	if (pool_types_fits(column->type, wanted))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column %d \"%s\" is of type %s on the remote, "
					"but of type %s in the column list",
					number, column->name, column->type_name,
					format_type_be(wanted)),
			 misread ? errdetail("Its text could be read as %s, "
								 "but would silently become another value.",
								 format_type_be(wanted))
					 : 0,
			 errhint("Change the type in the column list, "
					 "or cast the column in the remote query.")));
}

/*
 * Checks the columns against the column list of the query.  Raises 42804 if
 * their number differs or a type does not fit; names are the query's affair.
 */
void
pool_columns_check(const PoolColumns *columns, TupleDesc expected)
{
	int count = columns->count;

	if (count != expected->natts)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg_plural("the remote returned %d column, but the column list has %d",
							   "the remote returned %d columns, but the column list has %d",
							   count, count, expected->natts),
				 count > 0 ? errdetail("The remote returned: %s.",
									   pool_columns_list(columns))
						   : 0,
				 errhint("The column list must have a column "
						 "for each that the remote query returns.")));

	for (int i = 0; i < count; i++)
		check_column(&columns->items[i], i + 1,
					 TupleDescAttr(expected, i)->atttypid);
}

/*
 * Makes a registered row type of the columns, in the current memory context.
 * They keep their types where those mean the same here, and are text
 * otherwise.
 */
TupleDesc
pool_columns_row_type(const PoolColumns *columns)
{
	TupleDesc desc = CreateTemplateTupleDesc(columns->count);

	for (int i = 0; i < columns->count; i++)
	{
		const PoolColumn *column = &columns->items[i];
		bool same = pool_types_is_portable(column->type);

		TupleDescInitEntry(desc, i + 1, column->name,
						   same ? column->type : TEXTOID,
						   same ? column->typmod : -1, 0);
	}
	return BlessTupleDesc(desc);
}

/*
 * Looks up how to read the columns as those of a row type, which has as many.
 * What the input functions keep for themselves goes into the current memory
 * context too.
 */
void
pool_columns_prepare(PoolColumns *columns, TupleDesc desc)
{
	Assert(desc->natts == columns->count);
	for (int i = 0; i < columns->count; i++)
	{
		PoolColumn *column = &columns->items[i];
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		Oid function;

		getTypeInputInfo(attr->atttypid, &function, &column->input_param);
		fmgr_info(function, &column->input);
		column->input_typmod = attr->atttypmod;
	}
}

/*
 * Reads a row, from cstrings and nulls into values, in the current memory
 * context.
 *
 * Nulls go through the input functions too, since a domain may object to
 * them.  The bytes are verified first: a remote session that was told to use
 * another client_encoding, or what only speaks PostgreSQL's protocol, sends
 * bytes that are no text here, and input functions let them pass.  Raises
 * 22021 for those, 55000 for text in another style than was set, and whatever an
 * input function raises.
 */
void
pool_columns_read(PoolColumns *columns, const Datum *texts, const bool *nulls,
				  Datum *values)
{
	for (int i = 0; i < columns->count; i++)
	{
		PoolColumn *column = &columns->items[i];
		char *text = nulls[i] ? NULL : DatumGetCString(texts[i]);

		columns->reading = i;
		if (text != NULL)
		{
			pg_verifymbstr(text, strlen(text), false);
			pool_styles_check(column->style, text);
		}
		values[i] = InputFunctionCall(&column->input, text, column->input_param,
									  column->input_typmod);
	}
	columns->reading = -1;
}

/*
 * Says in an error context where the error is: in which column of whose
 * result.  There may be no columns yet.
 */
void
pool_columns_context(const PoolColumns *columns, const char *server_name)
{
	const PoolColumn *column;

	if (columns == NULL || columns->reading < 0)
	{
		errcontext("result from server \"%s\"", server_name);
		return;
	}
	column = &columns->items[columns->reading];
	errcontext("column %d \"%s\" of the result from server \"%s\", of type %s on the remote",
			   columns->reading + 1, column->name, server_name,
			   column->type_name);
}
