/*
 * raised.c
 *		What a function raises, to be kept.
 *
 * An error may be about another statement than the one that is being executed here, or
 * is to be a notice.  The functions that raise it for a plain statement say what it is.
 */
#include "postgres.h"

#include "session/raised.h"

/*
 * Returns the error that the function raises, which does nothing else: no
 * subtransaction is rolled back, so there must be nothing to clean up.  It is in the
 * current memory context, and without the context of this call, since that is not
 * where it went wrong.
 */
ErrorData *
pool_raised(void (*raise)(void *), void *arg)
{
	ErrorContextCallback *callbacks = error_context_stack;
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	error_context_stack = NULL;
	PG_TRY();
	{
		raise(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	error_context_stack = callbacks;
	if (error == NULL)
		elog(ERROR, "what has failed raises no error");
	return error;
}
