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

#include "statement/binary.h"
#include "statement/columns.h"
#include "statement/types.h"

/* Columns that are listed in a message, at most. */
#define MAX_LISTED 20

/* The lead: columns before the query's, which say whose row it is. */
static const char *const lead_names[] = {"server", "sqlstate", "error"};

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
		column->binary = PQfformat(res, i) != 0;
	}
	return columns;
}

/*
 * A copy in the current memory context, to be prepared for a row type of its own.
 * What the remote says stays the original's.
 */
PoolColumns *
pool_columns_copy(const PoolColumns *columns)
{
	Size size =
		offsetof(PoolColumns, items) + columns->count * sizeof(PoolColumn);

	return memcpy(palloc(size), columns, size);
}

/*
 * Are the columns of that result, to be read as that row type, the ones for which
 * these were prepared?
 */
bool
pool_columns_match(const PoolColumns *columns, const PGresult *res,
				   TupleDesc desc)
{
	if (columns->count != PQnfields(res) || columns->count != desc->natts)
		return false;
	for (int i = 0; i < columns->count; i++)
	{
		const PoolColumn *column = &columns->items[i];
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (column->type != PQftype(res, i) ||
			column->binary != (PQfformat(res, i) != 0) ||
			column->input_type != attr->atttypid ||
			column->input_typmod != attr->atttypmod ||
			strcmp(column->name, PQfname(res, i)) != 0)
			return false;
	}
	return true;
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
	bool misread;

	if (pool_types_fits(column->type, wanted))
		return;
	misread = pool_types_misreads(column->type, wanted);
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

/* Raises 42804 where the column list has another number of columns. */
static void
check_count(const PoolColumns *columns, TupleDesc expected, int nlead)
{
	int count = columns->count;

	if (count + nlead == expected->natts)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 nlead > 0
				 ? errmsg_plural("the remote returned %d column, "
								 "but the column list has %d after the first %d",
								 "the remote returned %d columns, "
								 "but the column list has %d after the first %d",
								 count, count, expected->natts - nlead, nlead)
				 : errmsg_plural("the remote returned %d column, but the column list has %d",
								 "the remote returned %d columns, but the column list has %d",
								 count, count, expected->natts),
			 count > 0 ? errdetail("The remote returned: %s.",
								   pool_columns_list(columns))
					   : 0,
			 errhint("The column list must have a column "
					 "for each that the remote query returns.")));
}

/*
 * Checks the columns against the column list of the query, which has a lead of so
 * many.  Raises 42804 if their number differs or a type does not fit; names are
 * the query's affair.
 */
void
pool_columns_check(const PoolColumns *columns, TupleDesc expected, int nlead)
{
	check_count(columns, expected, nlead);
	for (int i = 0; i < columns->count; i++)
		check_column(&columns->items[i], i + 1,
					 TupleDescAttr(expected, nlead + i)->atttypid);
}

/* Raises 42804 if the column list does not begin with a lead of so many. */
void
pool_columns_check_lead(TupleDesc expected, int nlead)
{
	bool fits = expected->natts >= nlead;
	StringInfoData list;

	for (int i = 0; fits && i < nlead; i++)
		fits = TupleDescAttr(expected, i)->atttypid == TEXTOID;
	if (fits)
		return;
	initStringInfo(&list);
	for (int i = 0; i < Min(expected->natts, nlead); i++)
		appendStringInfo(&list, "%s\"%s\" %s", i > 0 ? ", " : "",
						 NameStr(TupleDescAttr(expected, i)->attname),
						 format_type_be(TupleDescAttr(expected, i)->atttypid));
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("the column list must begin with %d columns of type text",
					nlead),
			 errdetail("It begins with: %s.", list.data),
			 errhint(
				 "Write it as AS t(server text, sqlstate text, error text, ...).")));
}

/*
 * Makes a registered row type of a lead of so many and the columns, if there are
 * any, in the current memory context.  They keep their types where those mean the
 * same here, and are text otherwise.
 */
TupleDesc
pool_columns_row_type(const PoolColumns *columns, int nlead)
{
	int count = columns != NULL ? columns->count : 0;
	TupleDesc desc = CreateTemplateTupleDesc(nlead + count);

	Assert(nlead <= (int) lengthof(lead_names));
	for (int i = 0; i < Min(nlead, (int) lengthof(lead_names)); i++)
		TupleDescInitEntry(desc, i + 1, lead_names[i], TEXTOID, -1, 0);
	for (int i = 0; i < count; i++)
	{
		const PoolColumn *column = &columns->items[i];
		bool same = pool_types_is_portable(column->type);

		TupleDescInitEntry(desc, nlead + i + 1, column->name,
						   same ? column->type : TEXTOID,
						   same ? column->typmod : -1, 0);
	}
	return BlessTupleDesc(desc);
}

/*
 * Makes sure that all calls of the function at one place of a target list
 * return rows of one type.  The executor looks at the descriptor that comes
 * with the first result alone, and would read later rows through it whatever
 * they are.  Blessed row types are the same exactly if their typmods are.
 */
void
pool_columns_check_stable(const PoolColumns *columns, TupleDesc desc,
						  PoolCallSite *site)
{
	if (!site->has_row_type)
	{
		site->row_type = desc->tdtypmod;
		site->has_row_type = true;
	}
	else if (site->row_type != desc->tdtypmod)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg(
					 "the remote returned other columns than at the first call in this query"),
				 errdetail("The remote returned: %s.",
						   pool_columns_list(columns)),
				 errhint(
					 "Call the function in FROM with a column list, or call pool_query_json.")));
}

/* Raises 0A000 for a column in a format that was not asked for. */
static void
refuse_format(const PoolColumn *column, int number)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("column %d \"%s\" of type %s came in binary format, "
						   "in which it cannot be read",
						   number, column->name, column->type_name),
					errhint("Do not FETCH from a BINARY cursor.")));
}

/* Raises 0A000 for columns in binary format, where only text can be kept. */
void
pool_columns_refuse_binary(const PoolColumns *columns)
{
	for (int i = 0; i < columns->count; i++)
		if (columns->items[i].binary)
			refuse_format(&columns->items[i], i + 1);
}

/*
 * Looks up how to read the columns as those of a row type, after its lead.  What
 * the input functions keep for themselves goes into the current memory context too.
 * Raises 0A000 for a column in binary format that cannot be read from that.
 */
void
pool_columns_prepare(PoolColumns *columns, TupleDesc desc, int nlead)
{
	Assert(desc->natts == nlead + columns->count);
	for (int i = 0; i < columns->count; i++)
	{
		PoolColumn *column = &columns->items[i];
		Form_pg_attribute attr = TupleDescAttr(desc, nlead + i);
		PoolBinary binary = POOL_BINARY_TEXT;
		Oid function;

		if (column->binary)
			binary = pool_binary_of_type(column->type, attr->atttypid);
		if (binary == POOL_BINARY_NONE)
			refuse_format(column, i + 1);
		column->receive = binary == POOL_BINARY_VALUE;
		if (column->receive)
			getTypeBinaryInputInfo(attr->atttypid, &function,
								   &column->input_param);
		else
			getTypeInputInfo(attr->atttypid, &function, &column->input_param);
		fmgr_info(function, &column->input);
		column->input_type = attr->atttypid;
		column->input_typmod = attr->atttypmod;
	}
}

/*
 * Reads a value that came as text.  The bytes are verified first: a remote
 * session that was told to use another client_encoding, or what only speaks
 * PostgreSQL's protocol, sends bytes that are no text here, and input functions
 * let them pass.
 */
static Datum
read_text(PoolColumn *column, const PoolField *field)
{
	if (field->bytes != NULL)
	{
		pg_verifymbstr(field->bytes, field->length, false);
		if (column->style != POOL_STYLE_NONE)
			pool_styles_check(column->style, field->bytes);
	}
	return InputFunctionCall(&column->input, field->bytes, column->input_param,
							 column->input_typmod);
}

/*
 * Reads a row, from fields into values and nulls, in the current memory
 * context.
 *
 * Nulls go through the input functions too, since a domain may object to
 * them.  Raises 22021 for bytes that are no text, 55000 for text in another style
 * than was set, 22P03 or 08P01 for bytes that are no value, and whatever an
 * input function raises.
 */
void
pool_columns_read(PoolColumns *columns, const PoolField *fields, Datum *values,
				  bool *nulls)
{
	for (int i = 0; i < columns->count; i++)
	{
		PoolColumn *column = &columns->items[i];
		const PoolField *field = &fields[i];

		columns->reading = i;
		nulls[i] = field->bytes == NULL;
		if (!column->receive)
			values[i] = read_text(column, field);
		else if (nulls[i])
			values[i] = (Datum) 0; /* no domain comes in binary */
		else
		{
			StringInfoData bytes = {.data = field->bytes,
									.len = field->length,
									.maxlen = field->length + 1};

			values[i] = pool_binary_read(&column->input, column->input_param,
										 column->input_typmod, &bytes);
		}
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
