/*
 * result.c
 *		From libpq results to rows of the calling query.
 *
 * A PoolResult is a sink: whoever runs the statement hands it every PGresult
 * in the order of arrival.  The first one of a set of rows tells the columns.
 * Then each row goes through the input functions of their types here into what
 * the SQL function returns (output.c).  A PGresult is never kept.
 *
 * With several statements in one string only the result of the last one
 * counts, and which is the last one is known when it is over.  The rows are
 * then put aside as they came (aside.c), and a new set throws away the one
 * before; so neither the types nor the values of a set that nobody will see can
 * raise an error.
 *
 * A kept result puts all rows aside: it is collected before anybody says what they
 * are to be read as.  It has no SQL function, and its owner frees it, perhaps in
 * another transaction.  The result of an SQL function takes the rows of kept ones.
 *
 * Everything hangs below the caller's memory context, or that which a kept result
 * was given, except for what the executor is given.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "statement/aside.h"
#include "statement/output.h"
#include "statement/result.h"

struct PoolResult
{
	const char *server_name;
	MemoryContext context; /* of this struct */
	MemoryContext set_context; /* reset for each set; NULL if no rows are returned */
	PoolOutput *output;		   /* NULL if no rows are returned, or it is kept */
	PoolAside *aside;		   /* unread rows, of several sets, or kept */
	PoolSets *sets; /* all that comes, in the place of what follows */

	/* The set being received; from "columns" on, in set_context. */
	bool in_set;		  /* more of it is to come */
	PoolColumns *columns; /* NULL: the statement returns no rows */
	PoolField *fields;	  /* a row as it came */

	int64 rows;		/* received, of all sets */
	int64 affected; /* as the last statement says */
	bool describes; /* mode COLUMNS: what the columns are, no rows */
	int nparams;	/* mode COLUMNS: that the statement has */
};

/* Has the calling query rows of it? */
static bool
returns_rows(PoolResultMode mode)
{
	return mode == POOL_RESULT_ROWS || mode == POOL_RESULT_JSON;
}

/* Makes a result and its context, which becomes the current one. */
static PoolResult *
make_result(MemoryContext parent, const char *server_name, bool has_sets)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "pool result", ALLOCSET_SMALL_SIZES);
	PoolResult *result;

	MemoryContextSwitchTo(context);
	result = palloc0(sizeof(PoolResult));
	result->server_name = pstrdup(server_name);
	result->context = context;
	if (has_sets)
		result->set_context = AllocSetContextCreate(context, "pool result set",
													ALLOCSET_DEFAULT_SIZES);
	return result;
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
	MemoryContext old_context = CurrentMemoryContext;
	PoolResult *result =
		make_result(old_context, server_name, returns_rows(mode));

	result->describes = mode == POOL_RESULT_COLUMNS;
	if (returns_rows(mode))
		result->output =
			pool_output_create(fcinfo, mode == POOL_RESULT_JSON, site);
	MemoryContextSwitchTo(old_context);
	return result;
}

/*
 * Begins a result that is kept below a memory context, up to so many kB of it in
 * memory and the rest in a file, until pool_result_destroy(), also beyond the end of
 * the transaction.
 */
PoolResult *
pool_result_create_kept(MemoryContext parent, const char *server_name,
						int max_kb)
{
	MemoryContext old_context = CurrentMemoryContext;
	PoolResult *kept = make_result(parent, server_name, true);

	kept->aside = pool_aside_create(kept->server_name, max_kb, true);
	MemoryContextSwitchTo(old_context);
	return kept;
}

/*
 * Begins a result that keeps the answers as they come (sets.c), up to so many kB of
 * each in memory, until pool_result_destroy().  "lasting" as in pool_sets_create().
 */
PoolResult *
pool_result_create_sets(MemoryContext parent, const char *server_name,
						int max_kb, bool lasting)
{
	MemoryContext old_context = CurrentMemoryContext;
	PoolResult *result = make_result(parent, server_name, false);

	result->sets = pool_sets_create(max_kb, lasting);
	MemoryContextSwitchTo(old_context);
	return result;
}

/* The answers of a result that keeps them as they came. */
PoolSets *
pool_result_sets(const PoolResult *result)
{
	return result->sets;
}

/* Frees a kept result, complete or not.  Raises nothing. */
void
pool_result_destroy(PoolResult *kept)
{
	Assert(kept->output == NULL);
	if (kept->sets != NULL)
		pool_sets_destroy(kept->sets);
	else
		pool_aside_destroy(kept->aside);
	MemoryContextDelete(kept->context);
}

/* Is the result one whose rows may come in binary format, if they can be read? */
bool
pool_result_wants_binary(const PoolResult *result)
{
	return result->output != NULL && result->aside == NULL &&
		   pool_output_wants_binary(result->output);
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
		   pool_output_takes_binary(result->output, count, types);
}

/*
 * Tells that results of several statements will come, of which the last one
 * is to be returned.  To be called before the first pool_result_add().
 */
void
pool_result_expect_several(PoolResult *result)
{
	MemoryContext old_context;

	if (result->output == NULL || result->aside != NULL)
		return;
	old_context = MemoryContextSwitchTo(result->context);
	result->aside = pool_aside_create(result->server_name, work_mem, false);
	MemoryContextSwitchTo(old_context);
}

/* Notes what the remote says about a statement that is only described. */
static void
note_description(PoolResult *result, const PGresult *res)
{
	MemoryContext old_context = MemoryContextSwitchTo(result->context);

	result->columns = pool_columns_note(res);
	result->nparams = PQnparams(res);
	MemoryContextSwitchTo(old_context);
}

/* Forgets the set before, and prepares for the one that a result begins. */
static void
begin_set(PoolResult *result, const PGresult *res)
{
	ExecStatusType status = PQresultStatus(res);
	MemoryContext old_context;

	result->columns = NULL;
	if (result->describes)
		note_description(result, res);
	if (result->set_context == NULL)
		return;

	MemoryContextReset(result->set_context);
	if (result->aside != NULL)
		pool_aside_clear(result->aside);
	else
		pool_output_clear(result->output);
	if (status != PGRES_TUPLES_OK && !POOL_ROWS_STATUS(status))
		return;

	old_context = MemoryContextSwitchTo(result->set_context);
	result->columns = result->aside != NULL
						  ? pool_aside_note(result->aside, res)
						  : pool_output_note(result->output, res);
	result->fields = palloc(result->columns->count * sizeof(PoolField));
	MemoryContextSwitchTo(old_context);
}

/* Stores the rows that one PGresult holds, all of which are of one set. */
static void
store_rows(PoolResult *result, const PGresult *res)
{
	int nrows = PQntuples(res);
	int ncolumns = PQnfields(res);

	result->rows += nrows;
	if (result->set_context == NULL)
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
		if (result->aside != NULL)
			pool_aside_put(result->aside, result->fields);
		else
			pool_output_put(result->output, result->columns, result->fields);
	}
}

static void
add_error_context(void *arg)
{
	const PoolResult *result = arg;

	pool_columns_context(result->columns, result->server_name);
}

/*
 * Adds the next PGresult of the statement, which stays the caller's.
 *
 * Its status is one of those that belong to a result: rows, a command's end,
 * or an empty query.  Raises 42804 if the columns are not what the query asks
 * for, and whatever reading a value raises; what puts rows aside raises what
 * writing to a file can.
 */
void
pool_result_add(PoolResult *result, const PGresult *res)
{
	ErrorContextCallback callback;

	callback.previous = error_context_stack;
	callback.callback = add_error_context;
	callback.arg = result;
	error_context_stack = &callback;
	if (result->sets != NULL)
		pool_sets_add(result->sets, res);
	else if (!result->in_set)
		begin_set(result, res);
	store_rows(result, res);

	result->in_set = POOL_ROWS_STATUS(PQresultStatus(res));
	if (!result->in_set)
		result->affected =
			strtoll(PQcmdTuples(unconstify(PGresult *, res)), NULL, 10);
	error_context_stack = callback.previous;
}

/*
 * Has each row begin with a lead of so many columns: of which server it is, and
 * what error that had.  To be called before anything else is done with the result.
 * Raises 42804 if the query's column list does not begin so.
 */
void
pool_result_set_lead(PoolResult *result, int nlead)
{
	pool_output_set_lead(result->output, nlead);
}

/* Adds a row of the lead alone, with nulls after it. */
void
pool_result_put_lead(PoolResult *result, const Datum *lead,
					 const bool *lead_nulls)
{
	pool_output_put_lead(result->output, lead, lead_nulls);
}

/* Is the kept result being read?  Then it must not be destroyed. */
bool
pool_result_is_being_taken(const PoolResult *kept)
{
	return kept->aside != NULL && pool_aside_is_being_read(kept->aside);
}

/*
 * Adds the rows of a complete kept result, as pool_aside_read() does: what is kept
 * stays as it was, and can be taken again for another query.
 */
void
pool_result_take(PoolResult *result, PoolResult *kept, const Datum *lead,
				 const bool *lead_nulls)
{
	Assert(!kept->in_set);
	pool_aside_read(kept->aside, result->output, lead, lead_nulls);
}

/*
 * Hands the rows over to the executor.  To be called once, after the last
 * pool_result_add() or pool_result_take(); with several statements it raises what
 * pool_result_add() would have.
 */
void
pool_result_finish(PoolResult *result)
{
	if (result->output == NULL)
		return;
	if (result->aside != NULL)
	{
		pool_aside_read(result->aside, result->output, NULL, NULL);
		pool_aside_destroy(result->aside);
		result->aside = NULL;
	}
	pool_output_finish(result->output);
}

/* In mode COLUMNS what the statement's columns are, and how many parameters it has. */
const PoolColumns *
pool_result_columns(const PoolResult *result, int *nparams)
{
	*nparams = result->nparams;
	return result->columns;
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

/*
 * How much memory and disk the rows of a kept result take: those of the last set,
 * with some bytes for each row and each value, so that nulls count as well.
 */
int64
pool_result_bytes(const PoolResult *kept)
{
	return kept->sets != NULL ? pool_sets_bytes(kept->sets)
							  : pool_aside_bytes(kept->aside);
}
