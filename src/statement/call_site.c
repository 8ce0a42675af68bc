/*
 * call_site.c
 *		What a call in a query keeps for the next call at the same place.
 *
 * A join with LATERAL, or an assignment in a loop, calls a function many times at
 * one place of one plan.  What is looked up there for a call, and depends on
 * nothing but the types of its arguments and of its columns, is looked up once and
 * kept in the place's FmgrInfo:
 *
 *		params		how the arguments' types are sent (statement.c)
 *		columns		how the columns are read (output.c)
 *
 * It lives as long as the executor's state of that plan, as what the executor has
 * looked up itself, and the input and output functions keep in theirs: a plan that
 * is made anew, because something it depends on was changed, begins with nothing.
 * Whoever uses what is kept compares the types first.  What of a type may change
 * while a query runs, the constraints of a domain and the columns of a row type,
 * is for the type's own functions to see, as in any query.
 *
 * Only one call uses it at a time.  One that is made during another one at the same
 * place, or after one that ended with an error in the middle, gets NULL and does
 * without.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "statement/call_site.h"

/* The place of a call, busy or not. */
PoolCallSite *
pool_call_site_of(FmgrInfo *function)
{
	PoolCallSite *site = function->fn_extra;

	if (site == NULL)
	{
		site = MemoryContextAllocZero(function->fn_mcxt, sizeof(PoolCallSite));
		site->context = function->fn_mcxt;
		function->fn_extra = site;
	}
	return site;
}

/*
 * Begins a call: what is kept is the caller's until pool_call_site_leave().  NULL:
 * it is not to be had.
 */
PoolCallSite *
pool_call_site_enter(FmgrInfo *function)
{
	PoolCallSite *site = pool_call_site_of(function);

	if (site->busy)
		return NULL;
	site->busy = true;
	return site;
}

/* Ends a call that has succeeded. */
void
pool_call_site_leave(PoolCallSite *site)
{
	if (site != NULL)
		site->busy = false;
}
