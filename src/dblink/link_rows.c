/*
 * link_rows.c
 *		The rows that functions of dblink return.
 *
 * A value is a text that the input function of the column's type here reads, whatever
 * its type is on the remote, and as the remote writes dates and intervals: the settings
 * for that are the remote's while rows are read.  A statement that returns no rows
 * makes a row of its command tag.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "dblink/link_rows.h"
#include "statement/output.h"

/*
 * To be called before anything is sent: raises 0A000 where the query has no use for a
 * set.  Until pool_link_rows_return() the set is an empty one.
 */
void
pool_link_rows_begin(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	pool_output_check_allowed(rsinfo);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = NULL;
	rsinfo->setDesc = NULL;
}

/* The row type for so many columns.  Raises 0A000 and 42804 as dblink. */
static TupleDesc
row_type(FunctionCallInfo fcinfo, int columns)
{
	TupleDesc desc;

	if (columns < 0)
	{
		desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(desc, 1, "status", TEXTOID, -1, 0);
		return BlessTupleDesc(desc);
	}
	switch (get_call_result_type(fcinfo, NULL, &desc))
	{
		case TYPEFUNC_COMPOSITE:
			break;
		case TYPEFUNC_RECORD:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("function returning record called in context "
								   "that cannot accept type record")));
			break;
		default:
			elog(ERROR, "return type must be a row type");
			break;
	}
	desc = CreateTupleDescCopy(desc);
	if (columns != desc->natts)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("remote query result rowtype does not match "
							   "the specified FROM clause rowtype")));
	return desc;
}

/* Sets a setting to the remote's value, below a nest level that it opens if need be. */
static void
follow_setting(int *nestlevel, const char *name, const char *value)
{
	if (value == NULL || strcmp(value, GetConfigOption(name, false, false)) == 0)
		return;
	if (*nestlevel == 0)
		*nestlevel = NewGUCNestLevel();
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Reads the rows of the set into the store.  The bytes are verified first, since input
 * functions let pass what is no text here.
 */
static void
read_rows(PoolSet *set, AttInMetadata *input, Tuplestorestate *store)
{
	int columns = pool_sets_columns(set);
	char **values = palloc(Max(columns, 1) * sizeof(char *));
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "pool dblink row",
							  ALLOCSET_DEFAULT_SIZES);
	PoolField *fields;

	pool_sets_rewind(set);
	while ((fields = pool_sets_next_row(set)) != NULL)
	{
		MemoryContext old_context = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < columns; i++)
		{
			values[i] = fields[i].bytes;
			if (values[i] != NULL)
				pg_verifymbstr(values[i], fields[i].length, false);
		}
		tuplestore_puttuple(store, BuildTupleFromCStrings(input, values));
		MemoryContextSwitchTo(old_context);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
}

/*
 * Hands the answer's rows, or its command tag, over to the executor.  Raises 42804 if
 * the number of columns is not the query's, and whatever reading a value raises.
 */
void
pool_link_rows_return(FunctionCallInfo fcinfo, const PoolLinkAnswer *answer)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int columns = pool_sets_columns(answer->set);
	MemoryContext old_context =
		MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	TupleDesc desc = row_type(fcinfo, columns);
	AttInMetadata *input = TupleDescGetAttInMetadata(desc);
	Tuplestorestate *store = tuplestore_begin_heap(true, false, work_mem);

	rsinfo->setResult = store;
	rsinfo->setDesc = desc;
	MemoryContextSwitchTo(old_context);
	if (columns < 0)
	{
		char *tag = unconstify(char *, pool_sets_tag(answer->set));

		tuplestore_puttuple(store, BuildTupleFromCStrings(input, &tag));
	}
	else
	{
		int nestlevel = 0;

		follow_setting(&nestlevel, "DateStyle", answer->date_style);
		follow_setting(&nestlevel, "IntervalStyle", answer->interval_style);
		read_rows(answer->set, input, store);
		if (nestlevel != 0)
			AtEOXact_GUC(true, nestlevel);
	}
}
