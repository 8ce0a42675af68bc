/*
 * aside.c
 *		A set of rows that is put aside, and read later.
 *
 * The rows are in memory and then in a file (staging.c), as they came; here is what
 * their columns are.  They go through the input functions only when they are read into
 * the rows of an SQL function (output.c), perhaps in another transaction, once or,
 * after an error, again.  What is looked up for that is the reader's.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "statement/aside.h"
#include "statement/staging.h"

struct PoolAside
{
	const char *server_name;
	PoolStaging *staging;
	const PoolColumns *columns; /* NULL: the statement returns no rows */
	PoolColumns *reading; /* these, for who reads the rows; NULL: nobody does */
};

/*
 * Begins without a set, in the current memory context, up to so many kB of it in
 * memory.  "lasting" as in pool_staging_create(); the name must last as long.
 */
PoolAside *
pool_aside_create(const char *server_name, int max_kb, bool lasting)
{
	PoolAside *aside = palloc0(sizeof(PoolAside));

	aside->server_name = server_name;
	aside->staging = pool_staging_create(max_kb, lasting);
	return aside;
}

/* Throws the set away. */
void
pool_aside_clear(PoolAside *aside)
{
	pool_staging_clear(aside->staging);
	aside->columns = NULL;
}

/*
 * Begins a set with the columns of that result, which are in the current memory
 * context, and have to last until the set is thrown away.
 */
PoolColumns *
pool_aside_note(PoolAside *aside, const PGresult *res)
{
	PoolColumns *columns = pool_columns_note(res);

	aside->columns = columns;
	return columns;
}

/* Adds a row to the set.  Raises what writing to a file can. */
void
pool_aside_put(PoolAside *aside, const PoolField *fields)
{
	pool_staging_put(aside->staging, fields, aside->columns->count);
}

/* How much memory and disk the set takes, as pool_staging_bytes(). */
int64
pool_aside_bytes(const PoolAside *aside)
{
	return pool_staging_bytes(aside->staging);
}

/* Is the set being read? */
bool
pool_aside_is_being_read(const PoolAside *aside)
{
	return aside->reading != NULL;
}

static void
read_error_context(void *arg)
{
	const PoolAside *aside = arg;

	pool_columns_context(aside->reading, aside->server_name);
}

/* What pool_aside_read() does, in a memory context of its own. */
static void
read_rows(PoolAside *aside, PoolOutput *output, const Datum *lead,
		  const bool *lead_nulls)
{
	PoolColumns *columns = aside->reading;
	PoolField *fields = palloc(columns->count * sizeof(PoolField));

	pool_columns_refuse_binary(columns);
	pool_output_settle(output, columns, lead, lead_nulls);
	pool_staging_rewind(aside->staging);
	while (pool_staging_get(aside->staging, fields, columns->count))
	{
		CHECK_FOR_INTERRUPTS();
		pool_output_put(output, columns, fields);
	}
}

/*
 * Adds the rows of the set, which is complete, to the output, each with the lead, if
 * there is one.  A statement that returned no rows adds the lead alone, and without
 * one nothing.
 *
 * Raises 42804 if the columns do not fit, and whatever reading a value raises.
 */
void
pool_aside_read(PoolAside *aside, PoolOutput *output, const Datum *lead,
				const bool *lead_nulls)
{
	ErrorContextCallback callback;
	MemoryContext context;
	MemoryContext old_context;

	Assert(aside->reading == NULL);
	if (aside->columns == NULL)
	{
		if (lead != NULL)
			pool_output_put_lead(output, lead, lead_nulls);
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "pool result set",
									ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(context);
	aside->reading = pool_columns_copy(aside->columns);
	callback.previous = error_context_stack;
	callback.callback = read_error_context;
	callback.arg = aside;
	error_context_stack = &callback;
	PG_TRY();
	{
		read_rows(aside, output, lead, lead_nulls);
	}
	PG_FINALLY();
	{
		aside->reading = NULL;
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(context);
}

/* Frees it, complete or not; its columns are the caller's.  Raises nothing. */
void
pool_aside_destroy(PoolAside *aside)
{
	pool_staging_destroy(aside->staging);
	pfree(aside);
}
