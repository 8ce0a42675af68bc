/*
 * result.c
 *		From libpq results to rows of the calling query.
 *
 * A PoolResult is a sink: whoever runs the statement hands it every PGresult
 * in the order of arrival.  The first one of a set of rows tells the columns,
 * whose types come from the column list in FROM, where there is one, and
 * otherwise from the remote.  Then each row goes through the types' input
 * functions into a tuplestore that the executor reads afterwards.  A PGresult
 * is never kept, and a row leaves no memory behind, so a result of any size
 * takes work_mem and no more.
 *
 * With several statements in one string only the result of the last one
 * counts, and which is the last one is known when it is over.  The rows are
 * then put aside as they came, in a tuplestore of their own, and a new set
 * throws away the one before; so neither the types nor the values of a set
 * that nobody will see can raise an error.
 *
 * Everything hangs below the caller's memory context, except for what the
 * executor is given, which lives as long as the query.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "statement/binary.h"
#include "statement/columns.h"
#include "statement/result.h"

struct PoolResult
{
	PoolResultMode mode;
	char *server_name;
	ReturnSetInfo *rsinfo; /* NULL in mode COUNT */
	FmgrInfo *caller;	/* the SQL function, once for each place in a query */
	PoolCallSite *site; /* what is kept there; NULL: do without */
	MemoryContext call_context; /* this struct */
	MemoryContext set_context;	/* reset for each set */
	MemoryContext row_context;	/* reset for each row */

	Tuplestorestate *store;	  /* for the executor; NULL in mode COUNT */
	TupleDesc json_desc;	  /* of its rows in mode JSON */
	Tuplestorestate *staging; /* unread rows, if there are several sets */

	/* The set being received; from "columns" on, in set_context. */
	bool in_set;			/* more of it is to come */
	PoolColumns *columns;	/* NULL: the statement returns no rows */
	TupleDesc desc;			/* of the rows, once it is settled */
	TupleDesc staging_desc; /* all columns cstring */
	PoolField *fields;		/* a row as it came */
	Datum *values;			/* the row as it is stored */
	bool *nulls;

	int64 rows;		/* received, of all sets */
	int64 affected; /* as the last statement says */
};

static void
result_error_context(void *arg)
{
	PoolResult *result = arg;

	pool_columns_context(result->columns, result->server_name);
}

/* Until it is popped, errors say in which result they happened. */
static void
push_error_context(PoolResult *result, ErrorContextCallback *callback)
{
	callback->callback = result_error_context;
	callback->arg = result;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

/*
 * Begins a result for the SQL function that is being called.
 *
 * Raises 0A000 where the query has no use for a set, as core does.  What the
 * remote sends is not touched, so this can run before the statement is sent.
 */
PoolResult *
pool_result_create(FunctionCallInfo fcinfo, PoolResultMode mode,
				   const char *server_name, PoolCallSite *site)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext context;
	MemoryContext old_context;
	PoolResult *result;

	if (mode != POOL_RESULT_COUNT)
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

	context = AllocSetContextCreate(CurrentMemoryContext, "pool result",
									ALLOCSET_SMALL_SIZES);
	old_context = MemoryContextSwitchTo(context);
	result = palloc0(sizeof(PoolResult));
	result->mode = mode;
	result->server_name = pstrdup(server_name);
	result->caller = fcinfo->flinfo;
	result->site = site;
	result->call_context = context;

	if (mode != POOL_RESULT_COUNT)
	{
		result->rsinfo = rsinfo;
		result->set_context = AllocSetContextCreate(context, "pool result set",
													ALLOCSET_DEFAULT_SIZES);
		result->row_context = AllocSetContextCreate(context, "pool result row",
													ALLOCSET_DEFAULT_SIZES);
		if (mode == POOL_RESULT_JSON)
		{
			result->json_desc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(result->json_desc, 1, NULL, JSONBOID, -1, 0);
		}
		MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
		result->store = tuplestore_begin_heap((rsinfo->allowedModes &
											   SFRM_Materialize_Random) != 0,
											  false, work_mem);
	}
	MemoryContextSwitchTo(old_context);
	return result;
}

/* Is the result one whose rows may come in binary format, if they can be read? */
bool
pool_result_wants_binary(const PoolResult *result)
{
	return result->mode == POOL_RESULT_ROWS && result->staging == NULL;
}

/*
 * May rows of so many columns of these remote types come in binary format?  That
 * is for all columns or none.  The types must be known, and not by a guess: the
 * statement cannot be executed again.
 */
bool
pool_result_takes_binary(const PoolResult *result, int count, const Oid *types)
{
	return pool_result_wants_binary(result) &&
		   pool_binary_of_columns(count, types, result->rsinfo->expectedDesc);
}

/*
 * Tells that results of several statements will come, of which the last one
 * is to be returned.  To be called before the first pool_result_add().
 */
void
pool_result_expect_several(PoolResult *result)
{
	MemoryContext old_context;

	if (result->mode == POOL_RESULT_COUNT || result->staging != NULL)
		return;
	old_context = MemoryContextSwitchTo(result->call_context);
	result->staging = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(old_context);
}

/*
 * Settles the row type of the set, and how its columns are read, in the current
 * memory context.
 */
static void
settle_columns(PoolResult *result)
{
	bool as_rows = (result->mode == POOL_RESULT_ROWS);

	if (as_rows && result->rsinfo->expectedDesc != NULL)
	{
		result->desc = result->rsinfo->expectedDesc;
		pool_columns_check(result->columns, result->desc);
	}
	else
	{
		result->desc = pool_columns_row_type(result->columns);
		if (as_rows)
			pool_columns_check_stable(result->columns, result->desc,
									  pool_call_site_of(result->caller));
	}

	pool_columns_prepare(result->columns, result->desc);
}

/*
 * Notes and settles the columns of a set for a column list.  They are those of the
 * call before at the same place, if the remote describes them alike; else those
 * are forgotten, and these kept.
 */
static void
settle_listed_columns(PoolResult *result, const PGresult *res)
{
	PoolCallSite *site = result->site;
	MemoryContext old_context;

	if (site->columns != NULL &&
		pool_columns_match(site->columns, res, result->rsinfo->expectedDesc))
	{
		result->columns = site->columns;
		result->desc = result->rsinfo->expectedDesc;
		return;
	}
	site->columns = NULL;
	if (site->columns_context == NULL)
		site->columns_context =
			AllocSetContextCreate(site->context, "pool call site",
								  ALLOCSET_SMALL_SIZES);
	MemoryContextReset(site->columns_context);
	old_context = MemoryContextSwitchTo(site->columns_context);
	result->columns = pool_columns_note(res);
	settle_columns(result);
	site->columns = result->columns;
	MemoryContextSwitchTo(old_context);
}

/* Forgets the set before, and prepares for the one that a result begins. */
static void
begin_set(PoolResult *result, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	MemoryContext old_context;
	bool listed;
	int ncolumns;

	result->columns = NULL;
	if (result->mode == POOL_RESULT_COUNT)
		return;

	MemoryContextReset(result->set_context);
	tuplestore_clear(result->staging ? result->staging : result->store);
	if (status != PGRES_TUPLES_OK && !POOL_ROWS_STATUS(status))
		return;

	old_context = MemoryContextSwitchTo(result->set_context);
	listed = result->site != NULL && result->staging == NULL &&
			 result->mode == POOL_RESULT_ROWS &&
			 result->rsinfo->expectedDesc != NULL;
	if (listed)
		settle_listed_columns(result, res);
	else
		result->columns = pool_columns_note(res);
	ncolumns = result->columns->count;
	result->fields = palloc(ncolumns * sizeof(PoolField));
	result->values = palloc(ncolumns * sizeof(Datum));
	result->nulls = palloc(ncolumns * sizeof(bool));
	if (result->staging != NULL)
	{
		result->staging_desc = CreateTemplateTupleDesc(ncolumns);
		for (int i = 0; i < ncolumns; i++)
			TupleDescInitEntry(result->staging_desc, i + 1, NULL, CSTRINGOID,
							   -1, 0);
	}
	else if (!listed)
		settle_columns(result);
	MemoryContextSwitchTo(old_context);
}

/* A row as the jsonb object that it makes, in the current memory context. */
static Datum
row_to_jsonb(HeapTuple tuple)
{
	Datum json = DirectFunctionCall1(row_to_json, HeapTupleGetDatum(tuple));

	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(TextDatumGetCString(json)));
}

/* Reads the row in result->fields and stores it for the executor. */
static void
store_row(PoolResult *result)
{
	MemoryContext old_context;

	MemoryContextReset(result->row_context);
	old_context = MemoryContextSwitchTo(result->row_context);
	pool_columns_read(result->columns, result->fields, result->values,
					  result->nulls);
	if (result->mode == POOL_RESULT_JSON)
	{
		HeapTuple row =
			heap_form_tuple(result->desc, result->values, result->nulls);
		Datum object = row_to_jsonb(row);
		bool is_null = false;

		tuplestore_putvalues(result->store, result->json_desc, &object,
							 &is_null);
	}
	else
		tuplestore_putvalues(result->store, result->desc, result->values,
							 result->nulls);
	MemoryContextSwitchTo(old_context);
}

/* Puts the row in result->fields aside, to be read later. */
static void
stage_row(PoolResult *result)
{
	for (int i = 0; i < result->columns->count; i++)
	{
		result->values[i] = CStringGetDatum(result->fields[i].bytes);
		result->nulls[i] = result->fields[i].bytes == NULL;
	}
	tuplestore_putvalues(result->staging, result->staging_desc, result->values,
						 result->nulls);
}

/* Stores the rows that one PGresult holds, all of which are of one set. */
static void
store_rows(PoolResult *result, const PGresult *res)
{
	int nrows = PQntuples(res);
	int ncolumns = PQnfields(res);

	result->rows += nrows;
	if (result->mode == POOL_RESULT_COUNT)
		return;

	Assert(nrows == 0 || result->columns->count == ncolumns);
	for (int row = 0; row < nrows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < ncolumns; i++)
		{
			PoolField *field = &result->fields[i];

			field->length = PQgetlength(res, row, i);
			field->bytes = field->length == 0 && PQgetisnull(res, row, i)
							   ? NULL
							   : PQgetvalue(res, row, i);
		}
		if (result->staging != NULL)
			stage_row(result);
		else
			store_row(result);
	}
}

/*
 * Adds the next PGresult of the statement, which stays the caller's.
 *
 * Its status is one of those that belong to a result: rows, a command's end,
 * or an empty query.  Raises 42804 if the columns are not what the query asks
 * for, and whatever reading a value raises.
 */
void
pool_result_add(PoolResult *result, const PGresult *res)
{
	ErrorContextCallback callback;

	push_error_context(result, &callback);
	if (!result->in_set)
		begin_set(result, res);
	store_rows(result, res);

	result->in_set = POOL_ROWS_STATUS(PQresultStatus(res));
	if (!result->in_set)
		result->affected =
			strtoll(PQcmdTuples(unconstify(PGresult *, res)), NULL, 10);
	error_context_stack = callback.previous;
}

/* Reads the rows that were put aside: those of the last set. */
static void
read_staged_rows(PoolResult *result)
{
	ErrorContextCallback callback;
	MemoryContext old_context;
	TupleTableSlot *slot;

	push_error_context(result, &callback);
	pool_columns_refuse_binary(result->columns);
	old_context = MemoryContextSwitchTo(result->set_context);
	settle_columns(result);
	MemoryContextSwitchTo(old_context);
	slot = MakeSingleTupleTableSlot(result->staging_desc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(result->staging, true, false, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		for (int i = 0; i < result->columns->count; i++)
		{
			PoolField *field = &result->fields[i];

			field->bytes = slot->tts_isnull[i]
							   ? NULL
							   : DatumGetCString(slot->tts_values[i]);
			field->length = field->bytes ? (int) strlen(field->bytes) : 0;
		}
		store_row(result);
	}
	ExecDropSingleTupleTableSlot(slot);
	error_context_stack = callback.previous;
}

/*
 * Hands the rows over to the executor.  To be called once, after the last
 * pool_result_add(); with several statements it raises what that would have.
 */
void
pool_result_finish(PoolResult *result)
{
	ReturnSetInfo *rsinfo = result->rsinfo;
	MemoryContext old_context;

	if (result->mode == POOL_RESULT_COUNT)
		return;
	if (result->staging != NULL)
	{
		if (result->columns != NULL)
			read_staged_rows(result);
		tuplestore_end(result->staging);
		result->staging = NULL;
	}

	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = result->store;
	old_context = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (result->mode == POOL_RESULT_JSON)
		rsinfo->setDesc = CreateTupleDescCopy(result->json_desc);
	else if (rsinfo->expectedDesc != NULL)
		; /* which the executor would compare with a copy of itself */
	else if (result->columns != NULL)
		rsinfo->setDesc = CreateTupleDescCopy(result->desc);
	else
	{
		/*
		 * A target list and no row type.  Without a tuplestore the executor
		 * takes this for an empty set; with one, it would take whatever row
		 * type came along for that of all later calls.
		 */
		rsinfo->setResult = NULL;
		tuplestore_end(result->store);
	}
	MemoryContextSwitchTo(old_context);
}

/* The rows that came, those of earlier statements included. */
int64
pool_result_rows(const PoolResult *result)
{
	return result->rows;
}

/* The rows that the last statement says it affected, or 0. */
int64
pool_result_affected(const PoolResult *result)
{
	return result->affected;
}
