/*
 * output.c
 *		The rows that an SQL function returns.
 *
 * They go into a tuplestore that the executor reads afterwards.  Their types come
 * from the column list in FROM, where there is one, and otherwise from the remote;
 * or each is a jsonb object.  A row leaves no memory behind, so a result of any
 * size takes work_mem and no more.
 *
 * Of several servers each row begins with a lead: which server it is of, and what
 * error that had, if any.  Then there are rows of the lead alone, and of several
 * remote results, whose columns are settled one after another.  Without a column
 * list the first of them tells the row type; rows of the lead alone that come
 * before it wait for that.
 *
 * Everything hangs below the caller's memory context, except for what the
 * executor is given, which lives as long as the query.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "statement/binary.h"
#include "statement/output.h"

struct PoolOutput
{
	bool json;
	ReturnSetInfo *rsinfo;
	FmgrInfo *caller;	   /* the function, once for each place in a query */
	PoolCallSite *site;	   /* what is kept there; NULL: do without */
	MemoryContext context; /* of this struct */
	MemoryContext row_context; /* reset for each row */
	Tuplestorestate *store;	   /* for the executor */
	TupleDesc store_desc;	   /* of its rows; NULL: not known yet */

	int nlead;	   /* columns of the lead, all text */
	List *waiting; /* rows of the lead alone, without a row type yet */

	/* The set being read, in the context in which it was settled. */
	TupleDesc desc; /* with the lead, or of the object in it */
	Datum *values;	/* a row as it is stored */
	bool *nulls;
};

/* A row of the lead alone. */
typedef struct LeadRow
{
	Datum *values;
	bool *nulls;
} LeadRow;

/* Raises 0A000 where the query has no use for a set, as core does. */
void
pool_output_check_allowed(const ReturnSetInfo *rsinfo)
{
	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "set-valued function called in context that cannot accept a set")));
	if (!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "materialize mode required, but it is not allowed in this context")));
}

/* The row type of the store, as far as it is known before there is a result. */
static TupleDesc
early_row_type(const PoolOutput *output)
{
	TupleDesc desc;

	if (!output->json)
		return output->rsinfo->expectedDesc;
	desc = CreateTemplateTupleDesc(output->nlead + 1);
	for (int i = 0; i < output->nlead; i++)
		TupleDescInitEntry(desc, i + 1, NULL, TEXTOID, -1, 0);
	TupleDescInitEntry(desc, output->nlead + 1, NULL, JSONBOID, -1, 0);
	return desc;
}

/*
 * Begins what the SQL function that is being called returns, in the current memory
 * context.  Raises 0A000 where the query has no use for a set.
 */
PoolOutput *
pool_output_create(FunctionCallInfo fcinfo, bool json, PoolCallSite *site)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old_context;
	PoolOutput *output;

	pool_output_check_allowed(rsinfo);
	output = palloc0(sizeof(PoolOutput));
	output->json = json;
	output->rsinfo = rsinfo;
	output->caller = fcinfo->flinfo;
	output->site = site;
	output->context = CurrentMemoryContext;
	output->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "pool result row",
							  ALLOCSET_DEFAULT_SIZES);
	output->store_desc = early_row_type(output);

	old_context = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	output->store = tuplestore_begin_heap((rsinfo->allowedModes &
										   SFRM_Materialize_Random) != 0,
										  false, work_mem);
	MemoryContextSwitchTo(old_context);
	return output;
}

/*
 * Has each row begin with a lead of so many columns.  To be called before anything
 * else is done with the output.  Raises 42804 if the column list does not.
 */
void
pool_output_set_lead(PoolOutput *output, int nlead)
{
	MemoryContext old_context = MemoryContextSwitchTo(output->context);

	output->nlead = nlead;
	output->store_desc = early_row_type(output);
	if (!output->json && output->store_desc != NULL)
		pool_columns_check_lead(output->store_desc, nlead);
	MemoryContextSwitchTo(old_context);
}

/* May rows come in binary format, if they can be read? */
bool
pool_output_wants_binary(const PoolOutput *output)
{
	return !output->json;
}

/* May rows of so many columns of these remote types come in binary format? */
bool
pool_output_takes_binary(const PoolOutput *output, int count, const Oid *types)
{
	return pool_binary_of_columns(count, types, output->rsinfo->expectedDesc);
}

/* Forgets all rows. */
void
pool_output_clear(PoolOutput *output)
{
	tuplestore_clear(output->store);
}

/* The column list, or NULL. */
static TupleDesc
column_list(const PoolOutput *output)
{
	return output->json ? NULL : output->rsinfo->expectedDesc;
}

/*
 * Stores a row of the lead, with nulls after it.  A type in the column list that has
 * no null gets one all the same, as in an outer join.
 */
static void
store_lead(PoolOutput *output, const Datum *lead, const bool *lead_nulls)
{
	int natts = output->store_desc->natts;
	MemoryContext old_context;
	Datum *values;
	bool *nulls;

	MemoryContextReset(output->row_context);
	old_context = MemoryContextSwitchTo(output->row_context);
	values = palloc0(natts * sizeof(Datum));
	nulls = palloc(natts * sizeof(bool));
	memset(nulls, true, natts * sizeof(bool));
	memcpy(values, lead, output->nlead * sizeof(Datum));
	memcpy(nulls, lead_nulls, output->nlead * sizeof(bool));
	tuplestore_putvalues(output->store, output->store_desc, values, nulls);
	MemoryContextSwitchTo(old_context);
}

/* Stores the rows of the lead alone that have waited for a row type. */
static void
store_waiting(PoolOutput *output)
{
	ListCell *cell;

	foreach (cell, output->waiting)
	{
		LeadRow *row = lfirst(cell);

		store_lead(output, row->values, row->nulls);
	}
	output->waiting = NIL;
}

/* Settles the row type of a set, and how its columns are read. */
static void
settle_columns(PoolOutput *output, PoolColumns *columns)
{
	int nlead = output->json ? 0 : output->nlead;
	TupleDesc expected = column_list(output);

	if (expected != NULL)
	{
		output->desc = expected;
		pool_columns_check(columns, expected, nlead);
	}
	else
	{
		/* It is that of rows of the lead alone, too, until the end. */
		MemoryContext old_context = MemoryContextSwitchTo(output->context);

		output->desc = pool_columns_row_type(columns, nlead);
		MemoryContextSwitchTo(old_context);
		if (!output->json)
		{
			pool_columns_check_stable(columns, output->desc,
									  pool_call_site_of(output->caller));
			output->store_desc = output->desc;
			store_waiting(output);
		}
	}
	pool_columns_prepare(columns, output->desc, nlead);
}

/* Makes room for one row of so many columns. */
static void
make_row(PoolOutput *output, int count)
{
	int natts = output->nlead + Max(count, 1);

	output->values = palloc(natts * sizeof(Datum));
	output->nulls = palloc(natts * sizeof(bool));
}

/*
 * Notes and settles the columns of a set for a column list.  They are those of the
 * call before at the same place, if the remote describes them alike; else those
 * are forgotten, and these kept.
 */
static PoolColumns *
note_listed(PoolOutput *output, const PGresult *res)
{
	PoolCallSite *site = output->site;
	MemoryContext old_context;
	PoolColumns *columns;

	if (site->columns != NULL &&
		pool_columns_match(site->columns, res, column_list(output)))
	{
		output->desc = column_list(output);
		return site->columns;
	}
	site->columns = NULL;
	if (site->columns_context == NULL)
		site->columns_context =
			AllocSetContextCreate(site->context, "pool call site",
								  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(site->columns_context);
	old_context = MemoryContextSwitchTo(site->columns_context);
	columns = pool_columns_note(res);
	settle_columns(output, columns);
	site->columns = columns;
	MemoryContextSwitchTo(old_context);
	return columns;
}

/*
 * Notes and settles the columns of a set without a lead, in the current memory
 * context, where they are until the next set.
 */
PoolColumns *
pool_output_note(PoolOutput *output, const PGresult *res)
{
	PoolColumns *columns;

	Assert(output->nlead == 0);
	if (output->site != NULL && column_list(output) != NULL)
		columns = note_listed(output, res);
	else
	{
		columns = pool_columns_note(res);
		settle_columns(output, columns);
	}
	make_row(output, columns->count);
	return columns;
}

/*
 * Settles columns that were noted before, in the current memory context, which has to
 * last as long as rows of the set are put.  They begin with the lead, if the output
 * has one.  Raises 42804 if the columns do not fit.
 */
void
pool_output_settle(PoolOutput *output, PoolColumns *columns, const Datum *lead,
				   const bool *lead_nulls)
{
	settle_columns(output, columns);
	make_row(output, columns->count);
	for (int i = 0; i < output->nlead; i++)
	{
		output->values[i] = lead[i];
		output->nulls[i] = lead_nulls[i];
	}
}

/* A row as the jsonb object that it makes, in the current memory context. */
static Datum
row_to_jsonb(HeapTuple tuple)
{
	Datum json = DirectFunctionCall1(row_to_json, HeapTupleGetDatum(tuple));

	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(TextDatumGetCString(json)));
}

/* Reads the row that came as these fields, and stores it. */
void
pool_output_put(PoolOutput *output, PoolColumns *columns,
				const PoolField *fields)
{
	Datum *values = output->values + output->nlead;
	bool *nulls = output->nulls + output->nlead;
	MemoryContext old_context;

	MemoryContextReset(output->row_context);
	old_context = MemoryContextSwitchTo(output->row_context);
	pool_columns_read(columns, fields, values, nulls);
	if (output->json)
	{
		values[0] = row_to_jsonb(heap_form_tuple(output->desc, values, nulls));
		nulls[0] = false;
	}
	tuplestore_putvalues(output->store, output->store_desc, output->values,
						 output->nulls);
	MemoryContextSwitchTo(old_context);
}

/* Keeps a row of the lead until there is a row type. */
static void
let_wait(PoolOutput *output, const Datum *lead, const bool *lead_nulls)
{
	MemoryContext old_context = MemoryContextSwitchTo(output->context);
	LeadRow *row = palloc(sizeof(LeadRow));

	row->values = palloc(output->nlead * sizeof(Datum));
	row->nulls = palloc(output->nlead * sizeof(bool));
	for (int i = 0; i < output->nlead; i++)
	{
		row->nulls[i] = lead_nulls[i];
		row->values[i] =
			lead_nulls[i] ? (Datum) 0 : datumCopy(lead[i], false, -1);
	}
	output->waiting = lappend(output->waiting, row);
	MemoryContextSwitchTo(old_context);
}

/* Stores a row of the lead alone. */
void
pool_output_put_lead(PoolOutput *output, const Datum *lead,
					 const bool *lead_nulls)
{
	if (output->store_desc == NULL)
		let_wait(output, lead, lead_nulls);
	else
		store_lead(output, lead, lead_nulls);
}

/*
 * Gives rows of the lead alone a row type, where no server has told one: that of
 * the calls before at the same place, or the lead's own.
 */
static void
settle_lead_alone(PoolOutput *output)
{
	PoolCallSite *site = pool_call_site_of(output->caller);
	MemoryContext old_context = MemoryContextSwitchTo(output->context);

	if (site->has_row_type)
		output->store_desc =
			lookup_rowtype_tupdesc_copy(RECORDOID, site->row_type);
	else
	{
		output->store_desc = pool_columns_row_type(NULL, output->nlead);
		site->row_type = output->store_desc->tdtypmod;
		site->has_row_type = true;
	}
	MemoryContextSwitchTo(old_context);
	store_waiting(output);
}

/* Hands the rows over to the executor.  To be called once. */
void
pool_output_finish(PoolOutput *output)
{
	ReturnSetInfo *rsinfo = output->rsinfo;
	MemoryContext old_context;

	if (output->waiting != NIL)
		settle_lead_alone(output);
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = output->store;
	if (column_list(output) != NULL)
		return; /* which the executor would compare with a copy of itself */

	old_context = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (output->store_desc != NULL)
		rsinfo->setDesc = CreateTupleDescCopy(output->store_desc);
	else
	{
		/*
		 * A target list and no row type.  Without a tuplestore the executor
		 * takes this for an empty set; with one, it would take whatever row
		 * type came along for that of all later calls.
		 */
		rsinfo->setResult = NULL;
		tuplestore_end(output->store);
	}
	MemoryContextSwitchTo(old_context);
}
