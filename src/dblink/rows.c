/*
 * rows.c
 *		Statements made of rows of tables that are here, for use elsewhere.
 *
 * What dblink offers to copy single rows: the columns of a table's primary key,
 * and INSERT, DELETE and UPDATE as text.  None of it needs a connection, or a
 * lock but the one of the table.
 *
 * The caller names the key's columns by their numbers, dropped ones not counted,
 * and gives values as text.  A row is read by an ordinary SELECT with the
 * caller's rights and search path, so that row security and views do what they
 * do in any other statement.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* The key by which a row is found: n columns of a table. */
typedef struct RowKey
{
	Relation table;
	const char *name; /* the table's, quoted, with its schema if need be */
	int n;
	int *columns;  /* physical numbers, from 0 */
	char **source; /* values of the row that is read, NULL: none is read */
	char **target; /* values in the statement; an element may be NULL */
} RowKey;

PG_FUNCTION_INFO_V1(pool_dblink_get_pkey);
PG_FUNCTION_INFO_V1(pool_dblink_build_sql_insert);
PG_FUNCTION_INFO_V1(pool_dblink_build_sql_delete);
PG_FUNCTION_INFO_V1(pool_dblink_build_sql_update);
PG_FUNCTION_INFO_V1(pool_dblink_current_query);

/*
 * Opens the table, which close_table() closes.  Raises what a SELECT would if
 * there is none of that name or the caller may not read it; a right to some of
 * its columns is not enough.
 */
static Relation
open_table(const text *name)
{
	List *names = textToQualifiedNameList(unconstify(text *, name));
	Relation table =
		table_openrv(makeRangeVarFromNameList(names), AccessShareLock);
	AclResult result =
		pg_class_aclcheck(RelationGetRelid(table), GetUserId(), ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, get_relkind_objtype(table->rd_rel->relkind),
					   RelationGetRelationName(table));
	return table;
}

static void
close_table(Relation table)
{
	table_close(table, AccessShareLock);
}

/* The table's name as the caller's search path needs it, quoted. */
static char *
quote_table(Relation table)
{
	const char *schema = NULL;

	if (!RelationIsVisible(RelationGetRelid(table)))
		schema = get_namespace_name(RelationGetNamespace(table));
	return quote_qualified_identifier(schema, RelationGetRelationName(table));
}

static const char *
quote_column(Relation table, int column)
{
	return quote_identifier(
		NameStr(TupleDescAttr(RelationGetDescr(table), column)->attname));
}

static bool
is_dropped(Relation table, int column)
{
	return TupleDescAttr(RelationGetDescr(table), column)->attisdropped;
}

/*
 * The physical number, from 0, of the column that is the number-th, from 1, of
 * those that are not dropped.  Raises INVALID_PARAMETER_VALUE if there is none.
 */
static int
find_column(Relation table, int number)
{
	int seen = 0;

	for (int i = 0; i < RelationGetNumberOfAttributes(table); i++)
	{
		if (!is_dropped(table, i) && ++seen == number)
			return i;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid attribute number %d", number)));
}

/*
 * Reads the key's columns from the first "number" of an int2vector.  Raises
 * INVALID_PARAMETER_VALUE.
 */
static void
read_columns(RowKey *key, ArrayType *numbers, int32 number)
{
	Datum *elements;
	int n;

	deconstruct_array(numbers, INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &elements, NULL, &n);
	key->n = Min(number, n);
	if (key->n <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of key attributes must be > 0")));

	key->columns = palloc(sizeof(int) * key->n);
	for (int i = 0; i < key->n; i++)
		key->columns[i] = find_column(key->table, DatumGetInt16(elements[i]));
}

/*
 * The elements of an array of text, NULL where one is; returns NULL if there are
 * not as many as the key has columns.
 */
static char **
read_values(const RowKey *key, ArrayType *array)
{
	Datum *elements;
	bool *nulls;
	char **values;
	int n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &n);
	if (n != key->n)
		return NULL;

	values = palloc0(sizeof(char *) * n);
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			values[i] = TextDatumGetCString(elements[i]);
	}
	return values;
}

/*
 * Reads what the three functions have in common: table, numbers of columns, how
 * many of them count, values of the row to read, if "with_source", values in
 * the statement.  The table is left open.
 */
static void
read_key(FunctionCallInfo fcinfo, bool with_source, RowKey *key)
{
	int next = 3;

	memset(key, 0, sizeof(RowKey));
	key->table = open_table(PG_GETARG_TEXT_PP(0));
	key->name = quote_table(key->table);
	read_columns(key, PG_GETARG_ARRAYTYPE_P(1), PG_GETARG_INT32(2));

	if (with_source)
	{
		key->source = read_values(key, PG_GETARG_ARRAYTYPE_P(next++));
		if (!key->source)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg(
						 "source key array length must match number of key attributes")));
	}

	key->target = read_values(key, PG_GETARG_ARRAYTYPE_P(next));
	if (!key->target)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg(
					 "target key array length must match number of key attributes")));
}

/* Adds the condition that the key's columns have these values. */
static void
append_condition(StringInfo sql, const RowKey *key, char **values)
{
	for (int i = 0; i < key->n; i++)
	{
		appendStringInfo(sql, "%s%s", i > 0 ? " AND " : " WHERE ",
						 quote_column(key->table, key->columns[i]));
		if (values[i])
			appendStringInfo(sql, " = %s", quote_literal_cstr(values[i]));
		else
			appendStringInfoString(sql, " IS NULL");
	}
}

/*
 * Reads the one row that has the source values; the values are in the memory of
 * SPI, which the caller has connected to and finishes.  Raises
 * CARDINALITY_VIOLATION if there is none, or more than one.
 */
static void
read_row(const RowKey *key)
{
	StringInfoData sql;

	/* A dropped column keeps its place, so that the numbers are the table's. */
	initStringInfo(&sql);
	for (int i = 0; i < RelationGetNumberOfAttributes(key->table); i++)
		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "SELECT ",
						 is_dropped(key->table, i)
							 ? "NULL"
							 : quote_column(key->table, i));
	appendStringInfo(&sql, " FROM %s", key->name);
	append_condition(&sql, key, key->source);

	/* Two are enough to know that it is not one. */
	if (SPI_execute(sql.data, false, 2) != SPI_OK_SELECT)
		elog(ERROR, "reading a row was no SELECT");
	if (SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
						errmsg("source row not found")));
	if (SPI_processed > 1)
		ereport(ERROR, (errcode(ERRCODE_CARDINALITY_VIOLATION),
						errmsg("source criteria matched more than one record")));
}

/*
 * Adds the value of a column as a literal: the key's target value, or what the
 * row has that read_row() has read.
 */
static void
append_value(StringInfo sql, const RowKey *key, int column)
{
	char *value;
	int i = 0;

	while (i < key->n && key->columns[i] != column)
		i++;
	value = i < key->n ? key->target[i]
					   : SPI_getvalue(SPI_tuptable->vals[0],
									  SPI_tuptable->tupdesc, column + 1);
	appendStringInfoString(sql, value ? quote_literal_cstr(value) : "NULL");
}

/*
 * The columns of a table's primary key, in its order, but not those that its
 * index merely includes.
 */
Datum
pool_dblink_get_pkey(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation table;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	table = open_table(PG_GETARG_TEXT_PP(0));

	foreach (cell, RelationGetIndexList(table))
	{
		HeapTuple row =
			SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(row))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(cell));
		index = (Form_pg_index) GETSTRUCT(row);
		for (int i = 0; index->indisprimary && i < index->indnkeyatts; i++)
		{
			Datum values[2] = {Int32GetDatum(i + 1)};
			bool nulls[2] = {false, false};

			values[1] =
				CStringGetTextDatum(get_attname(RelationGetRelid(table),
												index->indkey.values[i], false));
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values,
								 nulls);
		}
		ReleaseSysCache(row);
	}

	close_table(table);
	return (Datum) 0;
}

/* INSERT INTO table(columns) VALUES(values) */
Datum
pool_dblink_build_sql_insert(PG_FUNCTION_ARGS)
{
	RowKey key;
	StringInfoData columns;
	StringInfoData values;

	read_key(fcinfo, true, &key);
	initStringInfo(&columns);
	initStringInfo(&values);
	SPI_connect();
	read_row(&key);
	for (int i = 0; i < RelationGetNumberOfAttributes(key.table); i++)
	{
		if (is_dropped(key.table, i))
			continue;
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? "," : "",
						 quote_column(key.table, i));
		if (values.len > 0)
			appendStringInfoChar(&values, ',');
		append_value(&values, &key, i);
	}
	SPI_finish();
	close_table(key.table);

	PG_RETURN_TEXT_P(
		cstring_to_text(psprintf("INSERT INTO %s(%s) VALUES(%s)", key.name,
								 columns.data, values.data)));
}

/* DELETE FROM table WHERE the key has the target values; no row is read. */
Datum
pool_dblink_build_sql_delete(PG_FUNCTION_ARGS)
{
	RowKey key;
	StringInfoData sql;

	read_key(fcinfo, false, &key);
	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s", key.name);
	append_condition(&sql, &key, key.target);
	close_table(key.table);

	PG_RETURN_TEXT_P(cstring_to_text_with_len(sql.data, sql.len));
}

/* UPDATE table SET each column WHERE the key has the target values */
Datum
pool_dblink_build_sql_update(PG_FUNCTION_ARGS)
{
	RowKey key;
	StringInfoData sql;
	const char *comma = "";

	read_key(fcinfo, true, &key);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s SET ", key.name);
	SPI_connect();
	read_row(&key);
	for (int i = 0; i < RelationGetNumberOfAttributes(key.table); i++)
	{
		if (is_dropped(key.table, i))
			continue;
		appendStringInfo(&sql, "%s%s = ", comma, quote_column(key.table, i));
		append_value(&sql, &key, i);
		comma = ", ";
	}
	append_condition(&sql, &key, key.target);
	SPI_finish();
	close_table(key.table);

	PG_RETURN_TEXT_P(cstring_to_text_with_len(sql.data, sql.len));
}

/* The text of the statement that the client sent. */
Datum
pool_dblink_current_query(PG_FUNCTION_ARGS)
{
	return current_query(fcinfo);
}
