/*
 * sets.c
 *		The answers to the statements of one string, as they came.
 *
 * A set is what one statement answers: rows and a command tag, or the tag alone.
 * They are kept, in memory and then in files (staging.c), until somebody reads
 * them, perhaps in another transaction; all of them, or the last one alone.  An
 * answer that an error ends is no set: what had come of it is thrown away.
 *
 * Nothing is known of types here: rows are texts.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/compat.h"
#include "statement/sets.h"
#include "statement/staging.h"

/* Bytes of a command tag, with its end, as libpq has them. */
#define TAG_LEN 64

struct PoolSet
{
	MemoryContext context;
	int columns;		  /* -1: it has no rows */
	PoolStaging *staging; /* NULL: it has no rows */
	PoolField *fields;	  /* a row that is put, or read */
	char tag[TAG_LEN];
};

struct PoolSets
{
	MemoryContext context;
	int max_kb;		  /* of each set in memory */
	bool lasting;	  /* beyond the transaction, and all of them */
	List *list;		  /* of complete sets */
	PoolSet *current; /* more of it is to come; NULL: none */
	int64 bytes;	  /* of the complete ones */
};

/*
 * Begins with none, in the current memory context.  Each keeps up to so many kB in
 * memory.  "lasting": all are wanted, perhaps beyond the transaction; otherwise the
 * last one, and after an error its file is closed by the resource owner of the
 * moment.
 */
PoolSets *
pool_sets_create(int max_kb, bool lasting)
{
	PoolSets *sets = palloc0(sizeof(PoolSets));

	sets->context = CurrentMemoryContext;
	sets->max_kb = max_kb;
	sets->lasting = lasting;
	return sets;
}

/* Frees a set.  Raises nothing. */
static void
free_set(PoolSet *set)
{
	if (set->staging != NULL)
		pool_staging_destroy(set->staging);
	MemoryContextDelete(set->context);
}

/* Begins a set with the columns of that result. */
static PoolSet *
begin_set(PoolSets *sets, const PGresult *res)
{
	MemoryContext context =
		AllocSetContextCreate(sets->context, "pool set", ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	ExecStatusType status = PQresultStatus(res);
	PoolSet *set = palloc0(sizeof(PoolSet));

	set->context = context;
	set->columns = -1;
	sets->current = set; /* from here on it is freed with the others */
	if (status == PGRES_TUPLES_OK || POOL_ROWS_STATUS(status))
	{
		set->columns = PQnfields(res);
		for (int i = 0; i < set->columns; i++)
			if (PQfformat(res, i) != 0)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("rows in binary format cannot be read"),
								errhint("Do not FETCH from a BINARY cursor.")));
		set->fields = palloc(Max(set->columns, 1) * sizeof(PoolField));
		set->staging = pool_staging_create(sets->max_kb, sets->lasting);
	}
	MemoryContextSwitchTo(old_context);
	return set;
}

/* Puts the rows aside that the result has. */
static void
put_rows(PoolSet *set, const PGresult *res)
{
	int nrows = PQntuples(res);

	for (int row = 0; row < nrows; row++)
	{
		for (int i = 0; i < set->columns; i++)
		{
			PoolField *field = &set->fields[i];

			field->length = PQgetlength(res, row, i);
			field->bytes =
				PQgetisnull(res, row, i) ? NULL : PQgetvalue(res, row, i);
		}
		pool_staging_put(set->staging, set->fields, set->columns);
	}
}

/* The current set is complete. */
static void
end_set(PoolSets *sets, const PGresult *res)
{
	PoolSet *set = sets->current;
	MemoryContext old_context;

	strlcpy(set->tag, PQcmdStatus(unconstify(PGresult *, res)),
			sizeof(set->tag));
	if (set->staging != NULL)
		pool_staging_finish(set->staging);
	if (!sets->lasting)
	{
		for (int i = 0; i < list_length(sets->list); i++)
			free_set(list_nth(sets->list, i));
		list_free(sets->list);
		sets->list = NIL;
		sets->bytes = 0;
	}
	old_context = MemoryContextSwitchTo(sets->context);
	sets->list = lappend(sets->list, set);
	MemoryContextSwitchTo(old_context);
	sets->current = NULL;
	sets->bytes += Max((int64) MemoryContextMemAllocated(set->context, true),
					   set->staging ? pool_staging_bytes(set->staging) : 0);
}

/*
 * Adds the next PGresult, which stays the caller's: rows, a command's end, or that
 * the query was empty.  Raises what writing to a file can, and 0A000 for rows in
 * binary format.
 */
void
pool_sets_add(PoolSets *sets, const PGresult *res)
{
	PoolSet *set = sets->current ? sets->current : begin_set(sets, res);

	if (set->staging != NULL)
		put_rows(set, res);
	if (!POOL_ROWS_STATUS(PQresultStatus(res)))
		end_set(sets, res);
}

/* How much memory and disk they take. */
int64
pool_sets_bytes(const PoolSets *sets)
{
	const PoolSet *current = sets->current;

	return sets->bytes + (current != NULL && current->staging != NULL
							  ? pool_staging_bytes(current->staging)
							  : 0);
}

/* How many there are that are complete. */
int
pool_sets_count(const PoolSets *sets)
{
	return list_length(sets->list);
}

/* The complete set of that number, from 0. */
PoolSet *
pool_sets_get(const PoolSets *sets, int number)
{
	return list_nth(sets->list, number);
}

/* Frees what lies outside of memory; that goes with its context.  Raises nothing. */
void
pool_sets_destroy(PoolSets *sets)
{
	for (int i = 0; i < list_length(sets->list); i++)
		free_set(list_nth(sets->list, i));
	if (sets->current != NULL)
		free_set(sets->current);
	sets->list = NIL;
	sets->current = NULL;
}

/* How many columns it has; -1: the statement returned no rows. */
int
pool_sets_columns(const PoolSet *set)
{
	return set->columns;
}

/* The command tag; empty: the query was. */
const char *
pool_sets_tag(const PoolSet *set)
{
	return set->tag;
}

/* The next row is the first one.  It must have rows. */
void
pool_sets_rewind(PoolSet *set)
{
	pool_staging_rewind(set->staging);
}

/* The next row, which lasts until the one after it; NULL: that was the last. */
PoolField *
pool_sets_next_row(PoolSet *set)
{
	return pool_staging_get(set->staging, set->fields, set->columns)
			   ? set->fields
			   : NULL;
}
